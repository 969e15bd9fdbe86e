//! What a run reports, while it runs and at its end. Pure data: the record and report modules take it.

use crate::plan::Plan;
use hcddl_core::domain::{NodeId, Span, Time, Version};
use hcddl_core::node::{Contribution, Effect, Event, Reason};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Watches a run. Every method is called from the conductor's thread in a deterministic order.
pub trait Observer: Send {
    /// A server committed a version, or a peer finished a round.
    fn commit(&mut self, row: &CommitRow);
    /// An evaluation was finished. May come later than commits of later versions, always in order of time.
    fn evaluation(&mut self, row: &EvaluationRow);
    /// A node was busy, or a message travelled, for a while.
    fn span(&mut self, span: &TimelineSpan);
    /// Called often; must be cheap.
    fn progress(&mut self, progress: &Progress);
    /// Flushes everything and says where the observer's own files stand; a checkpoint keeps it.
    fn position(&mut self) -> Vec<u8> {
        Vec::new()
    }
    /// Whether [`Observer::span`] should be called at all.
    fn wants_spans(&self) -> bool {
        true
    }
    /// A node is about to handle an event.
    fn event(&mut self, _now: Time, _node: NodeId, _event: &Event) {}
    /// What the node wants done because of that event, before any of it is done.
    fn effects(&mut self, _now: Time, _node: NodeId, _effects: &[Effect]) {}
    /// Whether [`Observer::event`] and [`Observer::effects`] should be called at all.
    fn wants_events(&self) -> bool {
        false
    }
}

/// Watches nothing.
pub struct Silent;

impl Observer for Silent {
    fn commit(&mut self, _: &CommitRow) {}
    fn evaluation(&mut self, _: &EvaluationRow) {}
    fn span(&mut self, _: &TimelineSpan) {}
    fn progress(&mut self, _: &Progress) {}
    fn wants_spans(&self) -> bool {
        false
    }
}

/// A row of commits.csv.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CommitRow {
    /// Who committed.
    pub node: NodeId,
    /// The new version.
    pub version: Version,
    /// When.
    pub at: Time,
    /// What went in.
    pub contributors: Vec<Contribution>,
    /// Bytes sent towards this node since its last commit.
    pub bytes_in: u64,
}

/// A row of metrics.csv.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EvaluationRow {
    /// Version of the root, or the round that every peer has finished.
    pub version: Version,
    /// When that version was committed.
    pub at: Time,
    /// Training jobs finished so far; `None` at a deployed node, which knows only its own.
    pub updates: Option<u64>,
    /// Bytes sent by all nodes so far; `None` at a deployed node, which knows only its own.
    pub bytes: Option<u64>,
    /// Joules of all hosts so far, idle included; `None` where nobody measures them.
    pub energy_j: Option<f64>,
    /// Values by metric name: `accuracy`, `loss`, `consensus_error`, ... Per-node values are `name[node]`.
    pub values: BTreeMap<String, f64>,
}

/// A piece of the timeline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TimelineSpan {
    /// Whose track.
    pub node: NodeId,
    /// What happened.
    pub kind: SpanKind,
    /// From.
    pub start: Time,
    /// To.
    pub end: Time,
    /// `train`, `fold`, or the kind of the message.
    pub label: String,
    /// The other end of a transfer.
    pub other: Option<NodeId>,
    /// Bytes of a transfer.
    pub bytes: u64,
}

/// What a piece of the timeline shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum SpanKind {
    /// A job of the node.
    Compute,
    /// A message leaving the node until its last byte has arrived.
    Send,
    /// The node is down.
    Down,
}

/// Where a run stands.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Progress {
    /// Virtual time.
    pub now: Time,
    /// Commits of the root (or rounds finished by every peer).
    pub commits: u64,
    /// Events so far.
    pub events: u64,
    /// Last evaluated accuracy.
    pub accuracy: Option<f64>,
}

/// The end of a run: `summary.json`, the final table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Name of the scenario.
    pub name: String,
    /// Why it ended.
    pub reason: Reason,
    /// Final test accuracy in [0, 1]; `None` in a timing-only run or for models without classes.
    pub accuracy: Option<f64>,
    /// Final mean test loss.
    pub loss: Option<f64>,
    /// All final metrics.
    pub metrics: BTreeMap<String, f64>,
    /// Virtual seconds until the target accuracy was first reached.
    pub time_to_target_s: Option<f64>,
    /// Virtual seconds of the whole run.
    pub virtual_time_s: f64,
    /// Real seconds of the whole run.
    pub wall_time_s: f64,
    /// Commits of the root (or rounds finished by every peer).
    pub commits: u64,
    /// Training jobs finished.
    pub client_fits: u64,
    /// Gradient steps finished.
    pub gradient_steps: u64,
    /// Events handled.
    pub events: u64,
    /// Staleness of the updates in the root's commits, in versions.
    pub staleness: Staleness,
    /// Bytes sent towards the root (peers: all bytes).
    pub bytes_up: u64,
    /// Bytes sent away from the root.
    pub bytes_down: u64,
    /// Bytes by tier of link: key `depth d up` or `depth d down`, or `peers`.
    pub bytes_by_tier: BTreeMap<String, u64>,
    /// Messages sent.
    pub messages: u64,
    /// Updates that a policy dropped, by reason.
    pub dropped_updates: BTreeMap<String, u64>,
    /// Updates that were lost: sent, but neither committed, dropped by a policy nor on their way.
    pub lost_updates: u64,
    /// Time split by node kind.
    pub time_split: BTreeMap<String, TimeSplit>,
    /// Joules of all hosts, idle included.
    pub energy_j: f64,
    /// Joules above idle.
    pub energy_marginal_j: f64,
    /// Joules of each host, by name, idle included (left out above 1,000 hosts).
    pub energy_by_host_j: BTreeMap<String, f64>,
    /// Digest of the ordered events.
    pub trace_digest: String,
    /// Digest of the final model (peers: of all models in order).
    pub weight_digest: String,
    /// The seeds used: data, init, interleaving.
    pub seeds: [u64; 3],
    /// The best model by the validation split, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best: Option<Best>,
    /// Instruction set that computed; the results do not depend on it.
    pub kernels: String,
}

impl Summary {
    /// What follows from the plan, the reason to end and the metrics. Whoever has carried the nodes adds what it has
    /// counted; the rest is zero: nobody has measured it.
    #[must_use]
    pub fn of(plan: &Plan, reason: Reason, metrics: BTreeMap<String, f64>) -> Self {
        let seeds = plan.seeds;
        Self {
            name: plan.name.clone(),
            reason,
            accuracy: metrics.get("accuracy").copied(),
            loss: metrics.get("loss").copied(),
            metrics,
            seeds: [seeds.data, seeds.init, seeds.interleaving],
            time_to_target_s: None,
            virtual_time_s: 0.0,
            wall_time_s: 0.0,
            commits: 0,
            client_fits: 0,
            gradient_steps: 0,
            events: 0,
            staleness: Staleness::default(),
            bytes_up: 0,
            bytes_down: 0,
            bytes_by_tier: BTreeMap::new(),
            messages: 0,
            dropped_updates: BTreeMap::new(),
            lost_updates: 0,
            time_split: BTreeMap::new(),
            energy_j: 0.0,
            energy_marginal_j: 0.0,
            energy_by_host_j: BTreeMap::new(),
            trace_digest: String::new(),
            weight_digest: String::new(),
            best: None,
            kernels: String::new(),
        }
    }
}

/// The best evaluated model of a run, by the validation split.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// Version of the root, or the round of the peers.
    pub version: Version,
    /// Virtual seconds when it was committed.
    pub virtual_time_s: f64,
    /// Validation accuracy in [0, 1].
    pub val_accuracy: f64,
    /// Mean validation loss.
    pub val_loss: f64,
    /// Test accuracy in [0, 1].
    pub accuracy: f64,
    /// Mean test loss.
    pub loss: f64,
}

/// Mean shares of time of one kind of node; they add up to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TimeSplit {
    /// Nodes of this kind.
    pub nodes: u64,
    /// Computing.
    pub compute: f64,
    /// Not computing, and a message of its own is on its way.
    pub send: f64,
    /// Neither, though a message to it is on its way or an answer is awaited.
    pub wait: f64,
    /// None of these (down, finished, not yet asked).
    pub idle: f64,
}

/// Distribution of staleness.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Staleness {
    /// Mean.
    pub mean: f64,
    /// Median.
    pub p50: u64,
    /// 90th percentile.
    pub p90: u64,
    /// 99th percentile.
    pub p99: u64,
    /// Largest.
    pub max: u64,
}

/// How a simulation is run; none of these changes a digest in virtual time.
#[derive(Clone, Debug, PartialEq)]
pub struct SimOptions {
    /// Threads of the compute pool; 0 for all cores.
    pub threads: usize,
    /// Who carries the nodes.
    pub runner: RunnerKind,
    /// Which clock.
    pub clock: Clock,
    /// Where to write checkpoints, if anywhere.
    pub checkpoint_dir: Option<std::path::PathBuf>,
    /// Real time between two checkpoints.
    pub checkpoint_every: Span,
}

impl Default for SimOptions {
    fn default() -> Self {
        Self {
            threads: 0,
            runner: RunnerKind::Actors,
            clock: Clock::Virtual,
            checkpoint_dir: None,
            checkpoint_every: Span::from_millis(30_000),
        }
    }
}

/// Who carries the nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunnerKind {
    /// One ractor actor for each node.
    Actors,
    /// Plain calls.
    Direct,
}

/// Which clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// Modelled time, as fast as the machine can.
    Virtual,
    /// Real time: latencies are slept, compute takes what it takes, runs differ.
    Real,
}
