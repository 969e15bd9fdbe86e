//! What is brought to the hosts: for each one an archive of the files of the run, and data by its hash.

use crate::deploy::agent::AgentStatus;
use crate::deploy::deployment::Deployment;
use crate::deploy::remote::{Archive, sha256};
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;

/// A file by its path in the directory of a run. On the hosts all are readable by their owner alone.
pub type RunFile = (String, Vec<u8>);

/// What a node needs for itself.
#[derive(Clone, Debug, Default)]
pub struct NodeParcel {
    /// Its certificate and key.
    pub files: Vec<RunFile>,
    /// The samples that it works on, with their SHA-256; `None` for one that needs none.
    pub data: Option<(String, Arc<Vec<u8>>)>,
}

impl NodeParcel {
    /// Files, and samples that are kept on the host for the next run.
    #[must_use]
    pub fn new(files: Vec<RunFile>, data: Option<Vec<u8>>) -> Self {
        Self { files, data: data.map(|bytes| (sha256(&bytes), Arc::new(bytes))) }
    }
}

/// Everything that hosts are given.
#[derive(Clone, Debug)]
pub struct Parcel {
    /// Who is where.
    pub deployment: Deployment,
    /// Files that every host gets.
    pub common: Vec<RunFile>,
    /// What each node gets, in order of the deployment.
    pub nodes: Vec<NodeParcel>,
    /// Whether the lease counts.
    pub attached: bool,
    /// A program to start for each node instead of hcddl.
    pub node_program: Option<PathBuf>,
}

/// The name of the file that comes last, by which a host knows that all arrived.
pub const LAST: &str = crate::deploy::agent::status::FILE;

impl Parcel {
    /// The archive for a host.
    #[must_use]
    pub fn archive(&self, host: &str) -> Vec<u8> {
        let mut archive = Archive::default();
        for (path, bytes) in &self.common {
            archive.file(path, bytes);
        }
        let nodes = self.deployment.nodes.iter().zip(&self.nodes);
        for (node, parcel) in nodes.filter(|(node, _)| node.host == host) {
            for (path, bytes) in &parcel.files {
                archive.file(path, bytes);
            }
            if let Some((hash, _)) = &parcel.data {
                archive.link(&format!("data/{}.bin", node.name), &format!("../../../data/{hash}"));
            }
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
        let nodes = self.deployment.nodes.iter().zip(&self.nodes).filter(|(node, _)| node.host == host);
        nodes.filter_map(|(_, parcel)| parcel.data.clone()).collect()
    }
}

/// So many random bytes in hexadecimal digits.
///
/// # Errors
/// When the system has no source of random numbers.
pub fn random_hex(bytes: usize) -> io::Result<String> {
    let mut random = vec![0; bytes];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut random)?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}
