//! What the processes of a deployed run are told, and what they tell.

use hcddl_core::domain::{NodeId, NodeName};
use hcddl_core::node::Reason;
use hcddl_plan::plan::Settings;
use serde::{Deserialize, Serialize};

/// `deployment.json`: the same on every host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Deployment {
    /// Name of the run: `<UTC>-<scenario>-<random>`; also the name of its directories.
    pub run: String,
    /// Version of the program; another one is refused.
    pub version: String,
    /// Every node, in order of [`NodeId`].
    pub nodes: Vec<Placed>,
    /// How processes behave.
    pub settings: Settings,
}

/// Where a node is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placed {
    /// Name of the node in the plan.
    pub name: NodeName,
    /// Name of its host in the inventory; `localhost` with `--local`.
    pub host: String,
    /// Where other nodes reach it: an IP address or a name that the devices can resolve.
    pub address: String,
    /// The only address that it listens on; an IP address.
    pub bind: String,
    /// Its TCP port.
    pub port: u16,
}

impl Deployment {
    /// The node of this name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<NodeId> {
        self.nodes.iter().position(|node| node.name == name).map(|i| NodeId(i as u32))
    }
}

/// `progress.json` of a node: where it stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NodeProgress {
    /// What it is doing.
    pub state: NodeState,
    /// Nanoseconds since it started.
    pub now: u64,
    /// How often it has been started before.
    #[serde(rename = "birth")]
    pub life: u32,
    /// Its own commits (a server), rounds (a peer) or jobs (a worker).
    pub commits: u64,
    /// Test accuracy of the last evaluation, at the root.
    pub accuracy: Option<f64>,
    /// Test loss of the last evaluation, at the root; of a worker's last job its training loss.
    pub loss: Option<f64>,
    /// Mean staleness of the updates in its commits, in versions.
    pub staleness: Option<f64>,
    /// Bytes sent and received, heads included.
    pub bytes_sent: u64,
    /// Bytes received.
    pub bytes_received: u64,
    /// Neighbours that are lost now.
    pub lost: Vec<String>,
    /// Why it ended, or what went wrong.
    #[serde(default, deserialize_with = "Reason::read")]
    pub reason: Option<Reason>,
}

/// What a node's process is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeState {
    /// Reading data, waiting for its first neighbour.
    #[default]
    Starting,
    /// Taking part.
    Running,
    /// The run is over.
    Finished,
    /// It cannot go on; `reason` says why. Exit code 1.
    Failed,
}

/// `host:port`, an IPv6 address in brackets.
#[must_use]
pub fn socket(address: &str, port: u16) -> String {
    if address.contains(':') { format!("[{address}]:{port}") } else { format!("{address}:{port}") }
}
