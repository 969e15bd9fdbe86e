//! What carriers of nodes share, whatever decides their time: the simulator, the process of a deployment, the replay.

pub mod actors;
pub mod carrier;
pub mod compute;
pub mod execute;
pub mod jobs;
pub mod pool;
pub mod probe;
pub mod rules;
pub mod runner;

use hcddl_core::domain::{NodeId, OptionError};

/// Why nodes could not be carried to the end of a run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A choice of the plan cannot be built.
    #[error("the plan cannot be built: {0}")]
    Build(OptionError),
    /// An actor panicked.
    #[error("the actor of node {0} died: this is a bug, please report it with the scenario and the seed")]
    ActorDied(NodeId),
    /// Threads could not be started.
    #[error("the compute threads cannot be started: {0}")]
    Threads(#[from] rayon::ThreadPoolBuildError),
    /// The runtime could not be started.
    #[error("the actor runtime cannot be started: {0}")]
    Runtime(std::io::Error),
    /// A checkpoint could not be written or read.
    #[error("{0}")]
    Checkpoint(String),
}
