//! What nodes want becomes later events.

use super::conductor::Conductor;
use super::heap::Pending;
use super::jobs::{Job, Promise};
use super::network::{Arrival, Sent};
use crate::run::RunError;
use crate::run::carrier::{Carrier, Core};
use crate::run::runner::Runner;
use hcddl_core::domain::{JobId, Message, NodeId, Span, Time, Token};
use hcddl_core::node::work::{Train, Work};
use hcddl_core::node::{Commit, Effect, Reason};
use hcddl_plan::measure::outcome::{CommitRow, SpanKind, TimelineSpan};

/// Work below so many floating-point operations is done by the event loop itself when its result is due: waking
/// a thread costs more.
const SMALL_FLOPS: f64 = 100_000.0;

impl<'a, R: Runner> Carrier<'a> for Conductor<'a, R> {
    type Runner = R;
    type Error = RunError;

    fn core(&mut self) -> &mut Core<'a, R> {
        &mut self.core
    }

    fn look(&mut self, now: Time, node: NodeId, effects: &[Effect]) {
        if self.observer.wants_events() {
            self.observer.effects(now, node, effects);
        }
    }

    fn start_job(&mut self, now: Time, node: NodeId, job: JobId, work: Work) {
        let label = work.label();
        let took = self.compute.duration(now, node, job, &work, &mut self.rules);
        let duration = took.duration.unwrap_or_default();
        let key = self.jobs.next_key();
        let train = match &work {
            Work::Train(train) => Some(train.clone()),
            _ => None,
        };
        let real = self.clock.started.is_some();
        let shared = !real && !took.recorded && self.compute.is_crowded(node);
        let memory = shared && self.compute.waits_for_memory(node, &work);
        let result = self.begin(node, work, key, real);
        self.jobs.insert(Job { node, job, started: now, duration, label, result, train, shared });
        if shared {
            self.compute.start_shared(now, node, duration, key, memory);
        } else if !real {
            self.heap.push(now + duration, Pending::JobDone { node, job, key });
        }
    }

    fn cancel_job(&mut self, now: Time, node: NodeId, job: JobId, keep_partial: bool) {
        let Some(key) = self.jobs.named(node, job) else { return };
        let Some(entry) = self.jobs.remove(key) else { return };
        if entry.shared {
            self.compute.cancel_shared(now, key);
        }
        self.core.account.job_ended(now, node);
        let Some(train) = entry.train.filter(|_| keep_partial) else { return };
        let elapsed = now.since(entry.started).0;
        let steps = match &self.gate {
            Some(gate) => gate.end_of(node, job).map_or(0, |steps| steps.unwrap_or(train.steps)),
            None => {
                (u128::from(train.steps) * u128::from(elapsed) / u128::from(entry.duration.0.max(1))) as u64
            }
        };
        if steps == 0 {
            return;
        }
        // The same job with fewer steps has the same first steps: a job is a pure function of its description.
        let partial = Train { steps: steps.min(train.steps), ..train };
        let key = self.jobs.next_key();
        let result = self.begin(node, Work::Train(partial), key, false);
        let duration = now.since(entry.started);
        let label = entry.label;
        let job_entry =
            Job { node, job, started: entry.started, duration, label, result, train: None, shared: false };
        self.jobs.insert(job_entry);
        self.core.account.job_started(now, node);
        self.heap.push(now, Pending::JobDone { node, job, key });
    }

    fn send(&mut self, now: Time, from: NodeId, to: NodeId, message: Message) {
        match self.network.send(now, from, to, message, &mut self.rules, &mut self.heap) {
            Sent::Lost => {
                self.core.account.departed(now, from);
                self.suspect(from, to);
            }
            Sent::Flows => {}
            Sent::Arrives(arrival) => self.show_transfer(arrival),
        }
    }

    fn set_timer(&mut self, now: Time, node: NodeId, after: Span, token: Token) {
        self.timers_set += 1;
        let set = self.timers_set;
        self.timers.insert((node, token), set);
        self.heap.push(now + after, Pending::Timer { node, token, set });
    }

    fn clear_timer(&mut self, node: NodeId, token: Token) {
        self.timers.remove(&(node, token));
    }

    async fn commit(&mut self, now: Time, node: NodeId, commit: Commit) -> Result<(), RunError> {
        if let Some(gate) = &mut self.gate {
            gate.commits(node, &commit);
        }
        let top = self.core.is_top(node);
        let bytes_in = self.core.account.committed(node, &commit, top, self.plan.peers.is_none());
        if top {
            let (name, updates) = (&self.plan.nodes[node.index()].name, commit.contributors.len());
            tracing::info!("{}: {name} commits version {} ({updates} updates)", now, commit.version.0);
            self.models.insert(node, commit.model.clone());
            if let Some(reason) = self.probe_commit(node, &commit) {
                for id in self.top_nodes() {
                    self.heap.push(now, Pending::Stop { node: id, reason: reason.clone() });
                }
            }
        }
        self.observer.commit(&CommitRow {
            node,
            version: commit.version,
            at: now,
            contributors: commit.contributors,
            bytes_in,
        });
        if self.durable.contains_key(&node) {
            let state = self.core.runner.save(node).await?;
            self.durable.insert(node, state);
        }
        Ok(())
    }

    fn finish(&mut self, _: Time, node: NodeId, reason: Reason) {
        if self.plan.peers.is_none() || reason != Reason::Rounds {
            self.finished = Some(reason);
            return;
        }
        self.finished_peers.insert(node);
        let all =
            self.top_nodes().iter().all(|id| self.finished_peers.contains(id) || self.down.contains(id));
        if all {
            self.finished = Some(Reason::Rounds);
        }
    }
}

impl<R: Runner> Conductor<'_, R> {
    /// Starts the real computation behind a job.
    fn begin(&mut self, node: NodeId, work: Work, key: u64, real: bool) -> Promise {
        if real {
            let (tools, sender) = (self.core.tools.clone(), self.clock.sender.clone());
            return Promise::Running(self.pool.start(move || {
                let outcome = tools.execute(node, work);
                // The receiver is gone when the run is over.
                let _ = sender.send(key);
                outcome
            }));
        }
        if self.core.tools.timing_only {
            return Promise::Ready(self.core.tools.execute(node, work));
        }
        let tools = self.core.tools.clone();
        if self.compute.flops(node, &work) < SMALL_FLOPS {
            return Promise::Running(self.pool.later(move || tools.execute(node, work)));
        }
        Promise::Running(self.pool.start(move || tools.execute(node, work)))
    }

    /// Shows a transfer on the timeline.
    pub(super) fn show_transfer(&mut self, arrival: Arrival) {
        if !self.observer.wants_spans() {
            return;
        }
        self.observer.span(&TimelineSpan {
            node: arrival.from,
            kind: SpanKind::Send,
            start: arrival.started,
            end: arrival.at,
            label: arrival.label.name().to_owned(),
            other: Some(arrival.to),
            bytes: arrival.bytes,
        });
    }

    fn top_nodes(&self) -> Vec<NodeId> {
        (0..self.plan.nodes.len() as u32).map(NodeId).filter(|id| self.core.is_top(*id)).collect()
    }
}
