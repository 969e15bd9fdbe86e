//! Jobs of a simulation: modelled durations, and results that come from the pool.

use crate::run::jobs::Begun;
use crate::run::pool::Handle;
use hcddl_core::domain::{JobId, NodeId, Span, Time};
use hcddl_core::node::work::{Outcome, Train};

/// A job that has begun and whose end its node has not seen.
pub(super) struct Job {
    pub node: NodeId,
    pub job: JobId,
    pub started: Time,
    pub duration: Span,
    pub label: &'static str,
    pub result: Promise,
    /// The description of a training job, so that it can be done again with fewer steps.
    pub train: Option<Train>,
    pub shared: bool,
}

/// Where a job's result comes from.
pub(super) enum Promise {
    Running(Handle<Outcome>),
    Ready(Outcome),
}

impl Begun for Job {
    fn name(&self) -> (NodeId, JobId) {
        (self.node, self.job)
    }
}
