//! What is brought to the hosts: for each one an archive of the files of the run, and data by its hash.

use crate::deploy::agent::AgentStatus;
use crate::deploy::deployment::Deployment;
use crate::deploy::remote::{Archive, sha256};
use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;

/// Certificates of a run, each as PEM.
#[derive(Clone, Debug, Default)]
pub struct Identities {
    /// The authority that signed the others.
    pub ca: String,
    /// Certificate and key of each node, in order of the deployment.
    pub nodes: Vec<(String, String)>,
}

/// Everything that hosts are given.
#[derive(Clone, Debug)]
pub struct Bundle {
    /// Who is where.
    pub deployment: Deployment,
    /// The scenario, complete.
    pub scenario: String,
    /// Certificates; `None` when streams are not encrypted.
    pub identities: Option<Identities>,
    /// A token that the nodes of this run share, in hexadecimal digits.
    pub secret: String,
    /// The data of each node with its hash, in order of the deployment; `None` for those that need none.
    pub data: Vec<Option<(String, Arc<Vec<u8>>)>>,
    /// Whether the lease counts.
    pub attached: bool,
    /// A program to start for each node instead of hcddl.
    pub node_program: Option<std::path::PathBuf>,
}

/// The name of the file that comes last, by which a host knows that all arrived.
pub const LAST: &str = crate::deploy::agent::status::FILE;

impl Bundle {
    /// The archive for a host.
    #[must_use]
    pub fn archive(&self, host: &str) -> Vec<u8> {
        let mut archive = Archive::default();
        let deployment = serde_json::to_vec_pretty(&self.deployment).expect("plain data");
        archive.file("deployment.json", &deployment);
        archive.file("scenario.yml", self.scenario.as_bytes());
        archive.file("secret", self.secret.as_bytes());
        let mine = self.deployment.nodes.iter().enumerate().filter(|(_, node)| node.host == host);
        for (index, node) in mine {
            let name = &node.name;
            if let Some(identities) = &self.identities {
                let (certificate, key) = &identities.nodes[index];
                archive.file(&format!("tls/{name}.pem"), certificate.as_bytes());
                archive.file(&format!("tls/{name}.key"), key.as_bytes());
            }
            if let Some((hash, _)) = &self.data[index] {
                archive.link(&format!("data/{name}.bin"), &format!("../../../data/{hash}"));
            }
        }
        if let Some(identities) = &self.identities {
            archive.file("tls/ca.pem", identities.ca.as_bytes());
        }
        let agent = AgentStatus {
            run: self.deployment.run.clone(),
            host: host.to_owned(),
            attached: self.attached,
            node_program: self.node_program.clone(),
            ..AgentStatus::default()
        };
        archive.file(LAST, agent.line().as_bytes());
        archive.finish()
    }

    /// The data of a host's nodes by hash.
    #[must_use]
    pub fn data_of(&self, host: &str) -> BTreeMap<String, Arc<Vec<u8>>> {
        let nodes = self.deployment.nodes.iter().zip(&self.data).filter(|(node, _)| node.host == host);
        nodes.filter_map(|(_, data)| data.clone()).collect()
    }
}

/// Data with its hash, as a bundle holds it.
#[must_use]
pub fn node_data(bytes: Option<Vec<u8>>) -> Option<(String, Arc<Vec<u8>>)> {
    bytes.map(|bytes| (sha256(&bytes), Arc::new(bytes)))
}

/// A secret of 256 random bits in hexadecimal digits.
///
/// # Errors
/// When the system has no source of random numbers.
pub fn secret() -> std::io::Result<String> {
    random_hex(32)
}

/// So many random bytes in hexadecimal digits.
///
/// # Errors
/// As [`secret`].
pub fn random_hex(bytes: usize) -> std::io::Result<String> {
    let mut random = vec![0; bytes];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut random)?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}
