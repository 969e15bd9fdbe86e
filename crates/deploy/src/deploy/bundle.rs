//! What a host needs to run its nodes: the files of a run directory, before the run.

use super::Deployment;
use super::node::evaluates;
use crate::transport::identity::Authority;
use hcddl_core::domain::NodeId;
use hcddl_learn::portion::Portion;
use hcddl_learn::split::Holdings;
use hcddl_plan::plan::Plan;

/// A file of a run directory, by its path in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundleFile {
    /// `tls/worker0.key`
    pub path: String,
    /// What is in it.
    pub bytes: Vec<u8>,
    /// Whether only the user may read it, so that it must not pass through arguments, environment or logs.
    pub secret: bool,
}

impl BundleFile {
    fn open(path: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self { path: path.into(), bytes: bytes.into(), secret: false }
    }

    fn secret(path: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self { path: path.into(), bytes: bytes.into(), secret: true }
    }
}

/// What is made once for a run: its certificate authority, whose key never leaves this process, and its secret.
pub struct Keys {
    authority: Authority,
    secret: String,
}

impl Keys {
    /// Keys of a new run.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub fn new(run: &str) -> anyhow::Result<Self> {
        Ok(Self { authority: Authority::new(run)?, secret: super::controller::random_hex(32)? })
    }

    /// What every host gets.
    #[must_use]
    pub fn common(&self) -> Vec<BundleFile> {
        vec![
            BundleFile::open("tls/ca.pem", self.authority.certificate_pem()),
            BundleFile::secret("tls/secret", self.secret.as_str()),
        ]
    }

    /// Certificate and key of a node.
    ///
    /// # Errors
    /// When a certificate cannot be made.
    pub fn of(&self, node: &str) -> anyhow::Result<Vec<BundleFile>> {
        let identity = self.authority.issue(node)?;
        Ok(vec![
            BundleFile::open(format!("tls/{node}.pem"), identity.certificate),
            BundleFile::secret(format!("tls/{node}.key"), identity.key),
        ])
    }
}

/// What every host gets: who is where, and the scenario (with every option of the command line in it).
#[must_use]
pub fn common(deployment: &Deployment, scenario: &str) -> Vec<BundleFile> {
    let text = serde_json::to_string_pretty(deployment).expect("plain data");
    vec![BundleFile::open("deployment.json", text), BundleFile::open("scenario.yml", scenario)]
}

/// The samples that a node needs, when they are pushed; `None` for one that only aggregates.
///
/// # Errors
/// Never in practice: it is plain data.
pub fn data(plan: &Plan, holdings: &Holdings, node: NodeId) -> anyhow::Result<BundleFile> {
    let placed = &plan.nodes[node.index()];
    let shards: Vec<u32> = placed.shard.into_iter().collect();
    let portion = Portion::of(holdings, &shards, evaluates(plan, node));
    Ok(BundleFile::open(format!("data/{}.bin", placed.name), portion.to_bytes()?))
}
