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
    Ok(hcddl_core::domain::text::hex(&random))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deploy::deployment::Placed;
    use hcddl_plan::fixture;
    use std::collections::BTreeSet;

    /// Two nodes on `a`, one on `b`; each has a key, two have the same samples.
    fn parcel() -> Parcel {
        let node = |name: &str, host: &str| Placed {
            name: hcddl_core::domain::NodeName::new(name).expect("a name"),
            host: host.to_owned(),
            address: "10.0.0.1".to_owned(),
            bind: "10.0.0.1".to_owned(),
            port: 7700,
        };
        let own = |name: &str, data: Option<&[u8]>| {
            let key = (format!("tls/{name}.key"), name.as_bytes().to_vec());
            NodeParcel::new(vec![key], data.map(<[u8]>::to_vec))
        };
        Parcel {
            deployment: Deployment {
                run: "r".to_owned(),
                version: "1".to_owned(),
                nodes: vec![node("global", "a"), node("w1", "a"), node("w2", "b")],
                settings: fixture::tree(1, 1).deploy.settings,
            },
            common: vec![("scenario.yml".to_owned(), b"x".to_vec())],
            nodes: vec![own("global", None), own("w1", Some(b"abc")), own("w2", Some(b"abc"))],
            attached: true,
            node_program: None,
        }
    }

    #[test]
    fn a_host_gets_what_its_nodes_need_and_no_key_of_another() {
        let parcel = parcel();
        let folder = tempfile::tempdir().unwrap();
        for (host, expected) in [
            ("a", vec!["agent.json", "data", "scenario.yml", "tls", "tls/global.key", "tls/w1.key"]),
            ("b", vec!["agent.json", "data", "scenario.yml", "tls", "tls/w2.key"]),
        ] {
            let (archive, dir) = (folder.path().join("x.tar"), folder.path().join(host));
            std::fs::write(&archive, parcel.archive(host)).unwrap();
            tar::Archive::new(std::fs::File::open(&archive).unwrap()).unpack(&dir).unwrap();
            let list = |dir: &std::path::Path| -> Vec<PathBuf> {
                std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect()
            };
            let found: BTreeSet<String> = list(&dir)
                .into_iter()
                .chain(list(&dir.join("tls")))
                .map(|path| path.strip_prefix(&dir).unwrap().display().to_string())
                .collect();
            assert_eq!(found.iter().map(String::as_str).collect::<Vec<_>>(), expected, "{host}");
            assert_eq!(AgentStatus::read(&dir).unwrap().host, host);
        }
        let hash = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let link = std::fs::read_link(folder.path().join("a/data/w1.bin")).unwrap();
        assert_eq!(link, PathBuf::from(format!("../../../data/{hash}")));
        assert_eq!(parcel.data_of("b").keys().collect::<Vec<_>>(), [hash]);
    }

    #[test]
    fn no_two_secrets_are_the_same() {
        let (a, b) = (random_hex(32).unwrap(), random_hex(32).unwrap());
        assert!(a != b && a.len() == 64 && a.bytes().all(|byte| byte.is_ascii_hexdigit()));
    }
}
