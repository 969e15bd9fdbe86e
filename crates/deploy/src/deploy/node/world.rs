//! What lies around the stage of a node: its clock, its links, its threads, its disk. A process has real ones
//! ([`super::process`]); the storm (`crate::storm`) has modelled ones, and may break any of them.

use super::checkpoint::Saved;
use crate::deploy::deployment::NodeProgress;
use crate::transport::links::{Input, Stamp, Traffic};
use hcddl_core::domain::{JobId, Message, NodeId, Span};
use hcddl_core::node::work::{Outcome, Work};
use hcddl_sim::record::order::Entry;
use hcddl_sim::run::execute::Tools;
use hcddl_sim::run::runner::Runner;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// See the module.
pub(crate) trait World {
    /// Who carries the node.
    type Runner: Runner;

    /// How long this life of the node has lasted.
    fn age(&self) -> Span;
    /// Whether the node was asked to end.
    fn is_interrupted(&self) -> bool;

    /// Queues a message; what becomes of it is the links' business.
    fn send(&mut self, to: NodeId, stamp: Stamp, message: Message);
    /// Says something to the process of a neighbour, beside the nodes' conversation.
    fn notice(&mut self, to: NodeId, bytes: Vec<u8>);
    /// Bytes so far.
    fn traffic(&self) -> Traffic;

    /// Does a job, after its current step no further once `stop` is set; the result comes as [`Happening::Job`].
    fn compute(&mut self, tools: &Tools, job: Asked, stop: Arc<AtomicBool>);

    /// Writes to the order log; it is with the operating system when this returns.
    ///
    /// # Errors
    /// A full disk.
    fn log(&mut self, entry: &Entry) -> anyhow::Result<()>;
    /// Begins to write a checkpoint, once what the log says by now is on the disk.
    fn save(&mut self, saved: Saved);
    /// Whether one is still being written.
    fn is_saving(&self) -> bool;
    /// Says if the last checkpoint could not be written; waits for it if it must.
    ///
    /// # Errors
    /// A full disk.
    fn saved(&mut self, wait: bool) -> anyhow::Result<()>;
    /// Shows where the node stands to who asks.
    fn show(&self, name: &str, progress: &NodeProgress);
}

/// A job that is to be done.
pub(crate) struct Asked {
    pub node: NodeId,
    pub job: JobId,
    /// Tells it from another one to which the node gives the same name later.
    pub key: u64,
    pub work: Work,
}

/// A result, on its way to the node.
pub(crate) struct Done {
    pub job: JobId,
    pub key: u64,
    pub outcome: Outcome,
}

/// What a stage is told.
pub(crate) enum Happening {
    /// By the links.
    Input(Input),
    /// A job has a result.
    Job(Done),
    /// It is time to look: see [`next_wake`](super::stage::Stage::next_wake).
    Wake,
}
