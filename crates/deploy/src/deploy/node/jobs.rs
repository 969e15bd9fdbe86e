//! The jobs of a deployed node that are under way.

use super::world::Done;
use crate::deploy::trace::size_of;
use hcddl_core::domain::{JobId, NodeId, Time};
use hcddl_core::node::work::Work;
use hcddl_sim::run::jobs::{self, Begun};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A job that has begun and whose end its node has not seen.
pub(super) struct Running {
    node: NodeId,
    job: JobId,
    /// When it began.
    pub started: Time,
    /// `train`, `fold`...
    pub label: &'static str,
    /// Its result is held back until then.
    pub not_before: Time,
    /// Steps asked for, of training.
    pub steps: Option<u64>,
    /// See [`size_of`].
    pub size: (u64, u64),
    stop: Arc<AtomicBool>,
}

impl Begun for Running {
    fn name(&self) -> (NodeId, JobId) {
        (self.node, self.job)
    }
}

/// See the module.
pub(super) struct Jobs {
    running: jobs::Jobs<Running>,
}

impl Jobs {
    /// No jobs yet, of any of so many nodes.
    pub fn new(nodes: usize) -> Self {
        Self { running: jobs::Jobs::new(nodes) }
    }

    /// Takes note of a job that begins; returns its key, and what stops it.
    pub fn begin(
        &mut self,
        (node, job): (NodeId, JobId),
        work: &Work,
        now: Time,
        not_before: Time,
    ) -> (u64, Arc<AtomicBool>) {
        let stop = Arc::new(AtomicBool::new(false));
        let steps = match work {
            Work::Train(train) => Some(train.steps),
            _ => None,
        };
        let (started, label) = (now, work.label());
        let size = size_of(work);
        let running = Running { node, job, started, label, not_before, steps, size, stop: Arc::clone(&stop) };
        (self.running.insert(running), stop)
    }

    /// Gives a job up. With `keep_partial` its result still comes, with the steps that it has finished.
    pub fn cancel(&mut self, node: NodeId, job: JobId, keep_partial: bool) {
        let Some(key) = self.running.named(node, job) else { return };
        if let Some(running) = self.running.get_mut(key) {
            running.stop.store(true, Ordering::Relaxed);
            running.not_before = Time::ZERO;
        }
        if !keep_partial {
            self.running.remove(key);
        }
    }

    /// Holds a result back as if the job had taken `factor` times as long; `factor` is asked for its start.
    pub fn slow_down(&mut self, result: &Done, now: Time, factor: impl FnOnce(Time) -> f64) {
        let running = self.running.get_mut(result.key);
        // A job that was given up is not waited for.
        if let Some(running) = running.filter(|r| !r.stop.load(Ordering::Relaxed)) {
            let factor = factor(running.started);
            if factor > 1.0 {
                let until = running.started + now.since(running.started).scale(factor);
                running.not_before = running.not_before.max(until);
            }
        }
    }

    /// Whether a result is still wanted, and if so until when it is held back.
    pub fn held_until(&self, result: &Done) -> Option<Time> {
        self.running.get(result.key).map(|running| running.not_before)
    }

    /// Takes a finished job off the list.
    pub fn finish(&mut self, result: &Done) -> Option<Running> {
        self.running.remove(result.key)
    }
}
