//! Executing a deployed run again, from the order of each node's inputs.
//!
//! The logs of [`hcddl_sim::record::order`] say in which order each node was told what, and at which moment of its clock.
//! That is all that a run with real timing adds to its scenario: messages and tensors follow from it, so they are
//! computed anew. No clock is shared between the logs and none is needed: a node's next input is executed as soon as
//! the message has been sent that it receives. Every committed model is compared with the digest that was logged.

pub mod again;
mod player;
pub mod recorded;
mod show;

pub use show::state_text;

use hcddl_core::domain::{Digest, NodeId, Time, Version};
use hcddl_core::node::NodeState;
use hcddl_plan::plan::Plan;
use hcddl_sim::record::RecordError;
use hcddl_sim::record::order::{self, Entry};
use hcddl_sim::run::RunError;
use std::path::Path;

pub use player::replay;

/// The logs of all nodes, in order of [`NodeId`].
#[derive(Clone, Debug)]
pub struct Logs(pub Vec<Vec<Entry>>);

/// Why a run cannot be executed again.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// A log is missing or damaged.
    #[error(transparent)]
    Log(#[from] RecordError),
    /// A log of another node.
    #[error("`{path}` is the log of node {found}, not of {name}; fetch the run again")]
    OtherNode {
        /// The file.
        path: std::path::PathBuf,
        /// Number in it.
        found: NodeId,
        /// Whose log it should be.
        name: String,
    },
    /// What cannot be done with this run.
    #[error("{0}")]
    Cannot(String),
    /// The run could not be built.
    #[error(transparent)]
    Sim(#[from] RunError),
}

impl Logs {
    /// Reads `nodes/<name>/order.log` of a fetched run.
    ///
    /// # Errors
    /// [`ReplayError::Log`] when one is missing or damaged, [`ReplayError::OtherNode`].
    pub fn read(run: &Path, plan: &Plan) -> Result<Self, ReplayError> {
        let read = |(i, node): (usize, &hcddl_plan::plan::NodePlan)| {
            let path = run.join("nodes").join(&node.name).join(crate::deploy::node_file::ORDER);
            let (found, entries) = order::read(&path)?;
            if found.index() != i {
                return Err(ReplayError::OtherNode { path, found, name: node.name.to_string() });
            }
            Ok(entries)
        };
        plan.nodes.iter().enumerate().map(read).collect::<Result<_, _>>().map(Self)
    }

    /// Inputs and checks in all logs.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.iter().map(Vec::len).sum()
    }

    /// True when nothing was logged.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The last moment of any node's clock.
    #[must_use]
    pub fn end(&self) -> Time {
        self.0.iter().filter_map(|log| log.last()).map(|entry| entry.now).max().unwrap_or(Time::ZERO)
    }
}

/// Where to stop: after so many inputs of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Until {
    /// The node.
    pub node: NodeId,
    /// Its inputs, counted from 1.
    pub inputs: u64,
}

/// What executing again has shown.
#[derive(Debug, Default)]
pub struct Replayed {
    /// Inputs executed.
    pub events: u64,
    /// Commits whose digest was that of the log.
    pub commits: u64,
    /// The first commit or input that did not follow.
    pub divergence: Option<Divergence>,
    /// Logs that could not be executed to their end.
    pub cut: Vec<Cut>,
    /// Digest of the last model of the root, or of the first peer.
    pub digest: Option<Digest>,
    /// State of the node of [`Until`].
    pub state: Option<NodeState>,
    /// When jobs began and ended, and messages were sent and heard.
    pub moments: recorded::Moments,
}

/// Where the execution differs from the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Divergence {
    /// The node.
    pub node: NodeId,
    /// Position in its log, from 0.
    pub position: usize,
    /// The node's clock.
    pub now: Time,
    /// What differs.
    pub what: Difference,
}

/// What differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// A model has other bits.
    Model {
        /// The version.
        version: Version,
        /// Digest in the log.
        logged: Digest,
        /// Digest of the model computed now.
        computed: Digest,
    },
    /// The log has a commit where there is none now, or the other way round, or of another version.
    Commit(String),
    /// The log tells of the end of a job that was not begun.
    Job(u64),
}

/// A log that could not be executed to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The node.
    pub node: NodeId,
    /// Entries of its log that are left.
    pub left: usize,
    /// What it waits for.
    pub why: String,
}
