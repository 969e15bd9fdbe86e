//! Deployment: the same nodes on real devices, one process each.
//!
//! A run on a host lives in one directory, `<base>/runs/<run id>/`:
//!
//! | file | what |
//! |---|---|
//! | `deployment.json` | [`Deployment`]: who is where, and how processes behave |
//! | `scenario.yml` | the scenario, complete: options applied, paths absolute |
//! | `tls/ca.pem`, `tls/<node>.pem`, `tls/<node>.key`, `tls/secret` | identities, made for this run; keys and secret have mode 0600 |
//! | `data/<node>.bin` | the samples that a node needs, when they are pushed: a link into the cache |
//! | `agent.json`, `agent.log`, `agent.sock` | the supervisor of this host |
//! | `host.csv` | CPU, memory, temperature, throttling and power of the host over time |
//! | `nodes/<node>/` | what a node writes: [`node_file`] |
//!
//! `<base>` is `~/.hcddl`; beside `runs/` it holds `bin/<hash>/hcddl`, `data/<hash>` and `lock`.

pub mod agent;
pub mod block;
pub mod bundle;
pub mod controller;
pub mod deployment;
pub mod energy;
pub mod gather;
pub mod inventory;
pub mod join;
pub mod node;
pub mod placement;
pub mod remote;
pub mod result;
pub mod trace;

pub use deployment::{Deployment, NodeProgress, NodeState, Placed};

/// File names in the directory of a node.
pub mod node_file {
    /// [`NodeProgress`](super::NodeProgress), replaced now and then, and at the end.
    pub const PROGRESS: &str = "progress.json";
    /// What the process says (standard error).
    pub const LOG: &str = "log.txt";
    /// The order of the node's inputs.
    pub const ORDER: &str = "order.log";
    /// How often the node has been started: a number.
    pub const LIVES: &str = "births";
    /// The latest checkpoint of a root server.
    pub const CHECKPOINT: &str = "checkpoint.bin";
}
