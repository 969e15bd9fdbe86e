//! The real computation of a node's jobs, on threads of its own.

use super::stage::Happening;
use crate::domain::{JobId, NodeId, Time};
use crate::node::work::{Outcome, Work};
use crate::run::execute::Tools;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::mpsc::UnboundedSender;

/// A job that has begun and whose end its node has not seen.
pub(super) struct Running {
    /// Tells it from another job to which the node gives the same name later.
    pub serial: u64,
    /// When it began.
    pub started: Time,
    /// `train`, `fold`...
    pub label: &'static str,
    /// Its result is held back until then.
    pub not_before: Time,
    /// Steps asked for, of training.
    pub steps: Option<u64>,
    stop: Arc<AtomicBool>,
}

/// A result, on its way to the node.
pub(super) struct Result {
    pub job: JobId,
    pub serial: u64,
    pub outcome: Outcome,
}

/// See the module.
pub(super) struct Jobs {
    threads: rayon::ThreadPool,
    tools: Tools,
    running: BTreeMap<JobId, Running>,
    serial: u64,
    results: UnboundedSender<Happening>,
}

impl Jobs {
    pub fn new(
        tools: Tools,
        threads: usize,
        results: UnboundedSender<Happening>,
    ) -> std::result::Result<Self, rayon::ThreadPoolBuildError> {
        let threads = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
        Ok(Self { threads, tools, running: BTreeMap::new(), serial: 0, results })
    }

    /// Starts a job.
    pub fn start(&mut self, node: NodeId, job: JobId, work: Work, now: Time, not_before: Time) {
        self.serial += 1;
        let (serial, stop) = (self.serial, Arc::new(AtomicBool::new(false)));
        let steps = match &work {
            Work::Train(train) => Some(train.steps),
            _ => None,
        };
        let running =
            Running { serial, started: now, label: work.label(), not_before, steps, stop: Arc::clone(&stop) };
        self.running.insert(job, running);
        let (tools, results) = (self.tools.clone(), self.results.clone());
        self.threads.spawn_fifo(move || {
            let outcome = tools.execute_while(node, work, &|| !stop.load(Ordering::Relaxed));
            // Nobody listens any more when the run is over.
            let _ = results.send(Happening::Job(Result { job, serial, outcome }));
        });
    }

    /// Gives a job up. With `keep_partial` its result still comes, with the steps that it has finished.
    pub fn cancel(&mut self, job: JobId, keep_partial: bool) {
        if let Some(running) = self.running.get_mut(&job) {
            running.stop.store(true, Ordering::Relaxed);
            running.not_before = Time::ZERO;
            if !keep_partial {
                self.running.remove(&job);
            }
        }
    }

    /// Holds a result back as if the job had taken `factor` times as long; `factor` is asked for its start.
    pub fn slow_down(&mut self, result: &Result, now: Time, factor: impl FnOnce(Time) -> f64) {
        let running = self.running.get_mut(&result.job).filter(|r| r.serial == result.serial);
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
    pub fn held_until(&self, result: &Result) -> Option<Time> {
        self.running.get(&result.job).filter(|r| r.serial == result.serial).map(|r| r.not_before)
    }

    /// Takes a finished job off the list.
    pub fn finish(&mut self, job: JobId) -> Option<Running> {
        self.running.remove(&job)
    }
}
