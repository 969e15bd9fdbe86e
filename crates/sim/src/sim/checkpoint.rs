//! Checkpoints of a running simulation: everything between two events, so that a continued run has the same
//! digests as one that was never interrupted.

use super::bonds::Bonds;
use super::conductor::Conductor;
use super::heap::Heap;
use super::jobs::{Job, Promise};
use super::network::NetworkState;
use super::traces::TracesState;
use crate::run::RunError;
use crate::run::compute::ComputeState;
use crate::run::jobs::Jobs;
use crate::run::probe::ProbeState;
use crate::run::rules::ChainState;
use crate::run::runner::Runner;
use hcddl_core::domain::digest::Chain;
use hcddl_core::domain::{JobId, NodeId, Params, Span, Time, Token};
use hcddl_core::inject::InjectState;
use hcddl_core::node::NodeState;
use hcddl_core::node::work::{Outcome, Train};
use hcddl_plan::factory::Begin;
use hcddl_plan::measure::account::Account;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A simulation between two events.
#[derive(Clone, Serialize, Deserialize)]
pub struct Checkpoint {
    now: Time,
    nodes: Vec<Option<NodeState>>,
    heap: Heap,
    network: NetworkState,
    compute: ComputeState,
    account: Account,
    probe: ProbeState,
    trace: Chain,
    jobs: Vec<SavedJob>,
    jobs_begun: u64,
    timers: Vec<((NodeId, Token), u64)>,
    timers_set: u64,
    down: BTreeSet<NodeId>,
    lives: BTreeMap<NodeId, u32>,
    bonds: Bonds,
    durable: BTreeMap<NodeId, Option<NodeState>>,
    models: BTreeMap<NodeId, Params>,
    finished_peers: BTreeSet<NodeId>,
    counted: Vec<((NodeId, NodeId), u64)>,
    traces: TracesState,
    /// Where the observer's own files stand.
    pub observer: Vec<u8>,
}

/// A job under way: its result is computed already.
#[derive(Clone, Serialize, Deserialize)]
struct SavedJob {
    key: u64,
    node: NodeId,
    job: JobId,
    started: Time,
    duration: Span,
    label: u8,
    outcome: Outcome,
    train: Option<Train>,
    shared: bool,
}

const LABELS: [&str; 4] = ["train", "fold", "encode", "decode"];

impl<R: Runner> Conductor<'_, R> {
    /// Writes a checkpoint into the options' directory.
    pub(super) async fn checkpoint(&mut self) -> Result<(), RunError> {
        let Some(dir) = self.options.checkpoint_dir.clone() else { return Ok(()) };
        let checkpoint = self.snapshot().await?;
        crate::record::checkpoint::write(&dir, &checkpoint).map_err(|e| RunError::Checkpoint(e.to_string()))
    }

    /// Everything between two events.
    pub(super) async fn snapshot(&mut self) -> Result<Checkpoint, RunError> {
        self.probe.collect(&mut self.pool, self.observer, true);
        let mut nodes = Vec::with_capacity(self.plan.nodes.len());
        for id in (0..self.plan.nodes.len() as u32).map(NodeId) {
            nodes.push(if self.down.contains(&id) { None } else { self.core.runner.save(id).await? });
        }
        let rules = self.rules.save();
        Ok(Checkpoint {
            now: self.now,
            nodes,
            heap: self.heap.clone(),
            network: self.network.save(&rules),
            compute: self.compute.save(&rules),
            account: self.core.account.clone(),
            probe: self.probe.state.clone(),
            trace: self.trace.clone(),
            jobs: self.settle_jobs(),
            jobs_begun: self.jobs.serial(),
            timers: self.timers.iter().map(|(k, v)| (*k, *v)).collect(),
            timers_set: self.timers_set,
            down: self.down.clone(),
            lives: self.lives.clone(),
            bonds: self.bonds.clone(),
            durable: self.durable.clone(),
            models: self.models.clone(),
            finished_peers: self.finished_peers.clone(),
            counted: self.core.counted.iter().map(|(k, v)| (*k, *v)).collect(),
            traces: self.traces.save(),
            observer: self.observer.position(),
        })
    }

    /// Waits for the results of all jobs under way.
    fn settle_jobs(&mut self) -> Vec<SavedJob> {
        let mut saved = Vec::new();
        for (key, job) in self.jobs.iter_mut() {
            let result = std::mem::replace(&mut job.result, Promise::Ready(Outcome::Failed(String::new())));
            let outcome = match result {
                Promise::Ready(outcome) => outcome,
                Promise::Running(handle) => self.pool.wait(handle),
            };
            job.result = Promise::Ready(outcome.clone());
            saved.push(SavedJob {
                key,
                node: job.node,
                job: job.job,
                started: job.started,
                duration: job.duration,
                label: LABELS.iter().position(|l| *l == job.label).unwrap_or(0) as u8,
                outcome,
                train: job.train.clone(),
                shared: job.shared,
            });
        }
        saved
    }

    /// Continues from a checkpoint.
    pub(super) async fn resume(&mut self, mut checkpoint: Checkpoint) -> Result<(), RunError> {
        let network = std::mem::take(&mut checkpoint.network);
        let traces = std::mem::take(&mut checkpoint.traces);
        self.restore(checkpoint, network.injected.clone()).await?;
        self.network.load(network);
        let rates = &mut self.network.rates;
        self.traces.load(traces, |port, rate| rates[port.0 as usize] = rate);
        Ok(())
    }

    /// Continues from a checkpoint of the same nodes in another network: what is on its way begins anew. `servers`
    /// start anew with their models.
    pub(super) async fn resume_elsewhere(
        &mut self,
        mut checkpoint: Checkpoint,
        servers: &[NodeId],
    ) -> Result<(), RunError> {
        let network = std::mem::take(&mut checkpoint.network);
        let take = |node: &NodeId| (*node, checkpoint.nodes.get_mut(node.index()).and_then(Option::take));
        let anew: Vec<(NodeId, Option<NodeState>)> = servers.iter().map(take).collect();
        self.restore(checkpoint, network.injected.clone()).await?;
        self.network.adopt(self.now, network);
        self.plan_ahead();
        for (server, state) in anew {
            self.lose(server, Span::ZERO).await;
            self.bring(server, Begin::Restart(state)).await?;
        }
        Ok(())
    }

    async fn restore(&mut self, checkpoint: Checkpoint, injected: InjectState) -> Result<(), RunError> {
        if checkpoint.nodes.len() != self.plan.nodes.len() {
            return Err(RunError::Checkpoint(format!(
                "the checkpoint has {} nodes and the plan {}: it belongs to another scenario",
                checkpoint.nodes.len(),
                self.plan.nodes.len()
            )));
        }
        self.now = checkpoint.now;
        self.down = checkpoint.down;
        self.lives = checkpoint.lives;
        self.bonds = checkpoint.bonds;
        for (i, state) in checkpoint.nodes.into_iter().enumerate() {
            if let Some(state) = state {
                self.place(NodeId(i as u32), Begin::Continue(state)).await?;
            }
        }
        self.heap = checkpoint.heap;
        let mut rules = ChainState { injected, ..ChainState::default() };
        self.compute.load(checkpoint.compute, &mut rules);
        self.rules.load(rules);
        self.core.account = checkpoint.account.reopened(self.plan);
        self.probe.state = checkpoint.probe;
        self.trace = checkpoint.trace;
        let jobs = checkpoint.jobs.into_iter().map(|saved| {
            let job = Job {
                node: saved.node,
                job: saved.job,
                started: saved.started,
                duration: saved.duration,
                label: LABELS[usize::from(saved.label) % LABELS.len()],
                result: Promise::Ready(saved.outcome),
                train: saved.train,
                shared: saved.shared,
            };
            (saved.key, job)
        });
        self.jobs = Jobs::restore(self.plan.nodes.len(), checkpoint.jobs_begun, jobs);
        self.timers = checkpoint.timers.into_iter().collect();
        self.timers_set = checkpoint.timers_set;
        self.durable = checkpoint.durable;
        self.models = checkpoint.models;
        self.finished_peers = checkpoint.finished_peers;
        self.core.counted = checkpoint.counted.into_iter().collect();
        Ok(())
    }
}
