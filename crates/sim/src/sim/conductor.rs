//! The conductor: one event at a time, the earliest first.

use super::bonds::Bonds;
use super::heap::{Heap, Pending};
use super::jobs::{Job, Promise};
use super::network::{Network, Packet};
use super::order_gate::{Gate, Kept};
use super::traces::Traces;
use crate::run::RunError;
use crate::run::carrier::{Carrier, Core};
use crate::run::compute::Compute;
use crate::run::jobs::Jobs;
use crate::run::pool::Pool;
use crate::run::probe::Probe;
use crate::run::rules::Chain as Rules;
use crate::run::runner::Runner;
use hcddl_core::domain::digest::Chain;
use hcddl_core::domain::{JobId, NodeId, Params, Time, Token};
use hcddl_core::net::FlowId;
use hcddl_core::node::{Event, NodeState, Reason};
use hcddl_plan::factory::Begin;
use hcddl_plan::measure::outcome::{Clock, Observer, Progress, SimOptions, SpanKind, TimelineSpan};
use hcddl_plan::plan::Plan;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

/// Everything of a running simulation.
pub(super) struct Conductor<'a, R: Runner> {
    pub plan: &'a Plan,
    pub core: Core<'a, R>,
    pub network: Network<'a>,
    pub compute: Compute<'a>,
    pub heap: Heap,
    pub pool: Pool,
    pub probe: Probe<'a>,
    pub observer: &'a mut dyn Observer,
    /// Decides what becomes of messages and how long jobs take.
    pub rules: Rules<'a>,
    pub interrupt: Arc<AtomicBool>,
    /// What changes over time.
    pub traces: Traces,
    pub trace: Chain,
    pub now: Time,
    pub jobs: Jobs<Job>,
    pub timers: BTreeMap<(NodeId, Token), u64>,
    pub timers_set: u64,
    pub down: BTreeSet<NodeId>,
    pub lives: BTreeMap<NodeId, u32>,
    pub bonds: Bonds,
    /// States of root servers that a fault will restart.
    pub durable: BTreeMap<NodeId, Option<NodeState>>,
    /// The last committed model of the root, or of each peer.
    pub models: BTreeMap<NodeId, Params>,
    pub finished_peers: BTreeSet<NodeId>,
    pub finished: Option<Reason>,
    pub clock: RealClock,
    pub options: &'a SimOptions,
    pub last_checkpoint: Instant,
    /// Keeps the order of a real run.
    pub gate: Option<Gate>,
    /// How the order was kept, when the gate is open again.
    pub kept: Option<Kept>,
}

/// Real time, when the run asked for it.
pub(super) struct RealClock {
    pub started: Option<Instant>,
    pub sender: Sender<u64>,
    pub finished_jobs: Receiver<u64>,
}

impl RealClock {
    pub fn new(clock: Clock) -> Self {
        let (sender, finished_jobs) = std::sync::mpsc::channel();
        Self { started: (clock == Clock::Real).then(Instant::now), sender, finished_jobs }
    }

    fn now(started: Instant) -> Time {
        Time(started.elapsed().as_nanos() as u64)
    }
}

/// Where the next event comes from.
enum Next {
    Heap,
    Transfer(FlowId),
    SharedJob(FlowId),
}

/// Events between two looks at the interrupt flag, the checkpoint timer and the progress bar.
const LOOK_EVERY: u64 = 1024;

impl<R: Runner> Conductor<'_, R> {
    /// Handles events until the run is over.
    pub async fn conduct(&mut self) -> Result<(), RunError> {
        let mut steps = 0u64;
        while self.finished.is_none() {
            steps += 1;
            if steps.is_multiple_of(LOOK_EVERY) || self.clock.started.is_some() {
                self.look_around().await?;
            }
            let Some((time, next)) = self.next_event() else {
                if self.wait_for_real_job(None) {
                    continue;
                }
                self.finished = Some(Reason::Stalled(self.stall_message()));
                break;
            };
            if self.clock.started.is_some() && self.wait_for_real_job(Some(time)) {
                continue;
            }
            self.now = time;
            self.step(next).await?;
        }
        Ok(())
    }

    /// The earliest event; at the same moment the heap goes first.
    fn next_event(&mut self) -> Option<(Time, Next)> {
        let heap = self.heap.peek();
        if heap == Some(self.now) {
            return Some((self.now, Next::Heap));
        }
        let mut best = heap.map(|time| (time, Next::Heap));
        let earlier = |time, best: &Option<(Time, Next)>| best.as_ref().is_none_or(|(at, _)| time < *at);
        if let Some((time, job)) = self.compute.next_end().filter(|(time, _)| earlier(*time, &best)) {
            best = Some((time, Next::SharedJob(job)));
        }
        // At the same moment a transfer goes before a job.
        let horizon = best.as_ref().map(|(time, next)| match next {
            Next::SharedJob(_) => Time(time.0 + 1),
            _ => *time,
        });
        if let Some((time, flow)) = self.network.next(horizon) {
            best = Some((time, Next::Transfer(flow)));
        }
        best
    }

    async fn step(&mut self, next: Next) -> Result<(), RunError> {
        match next {
            Next::Transfer(flow) => {
                let arrival = self.network.complete(self.now, flow, &mut self.heap);
                self.show_transfer(arrival);
            }
            Next::SharedJob(flow) => {
                let key = self.compute.complete(self.now, flow);
                if let Some(job) = self.jobs.get(key) {
                    self.heap.push(self.now, Pending::JobDone { node: job.node, job: job.job, key });
                }
            }
            Next::Heap => {
                let (_, pending) = self.heap.pop().expect("the heap has a first event");
                self.at_gate(pending).await?;
            }
        }
        Ok(())
    }

    pub(super) async fn happen(&mut self, pending: Pending) -> Result<(), RunError> {
        match pending {
            Pending::Fault(index) => self.fault(index).await,
            Pending::Trace(index) => self.trace_changes(index).await,
            Pending::Start(node) => self.dispatch(node, Event::Start, [0, 0]).await,
            Pending::Notice { to, about, up, turn } => self.noticed(to, about, up, turn).await,
            Pending::Listen { a, b } => self.listen(a, b).await,
            Pending::Deliver { from, to, number, message } => {
                self.core.account.departed(self.now, from);
                if self.network.is_void(from, to, number) {
                    return Ok(());
                }
                if self.network.is_cut(from, to) {
                    self.network.hold(Packet { from, to, number, message });
                    return Ok(());
                }
                if self.down.contains(&to) {
                    return Ok(());
                }
                // Who gets through is there.
                self.meet(from, to).await?;
                self.core.account.arrived(self.now, to);
                let words = [u64::from(from.0), message.head.version.0 ^ (message.bytes() << 32)];
                self.dispatch(to, Event::Received { from, message }, words).await
            }
            Pending::JobDone { node, job, key } => self.job_done(node, job, key).await,
            Pending::Timer { node, token, set } => {
                if self.timers.get(&(node, token)) != Some(&set) {
                    return Ok(());
                }
                self.timers.remove(&(node, token));
                self.dispatch(node, Event::Timer(token), [token.0, 0]).await
            }
            Pending::Stop { node, reason } => self.dispatch(node, Event::Stop(reason), [0, 0]).await,
            Pending::TimeLimit => {
                self.finished = Some(Reason::TimeLimit);
                Ok(())
            }
        }
    }

    async fn job_done(&mut self, node: NodeId, job: JobId, key: u64) -> Result<(), RunError> {
        let Some(entry) = self.jobs.remove(key) else { return Ok(()) };
        if self.observer.wants_spans() && self.now > entry.started {
            self.observer.span(&TimelineSpan {
                node,
                kind: SpanKind::Compute,
                start: entry.started,
                end: self.now,
                label: entry.label.to_owned(),
                other: None,
                bytes: 0,
            });
        }
        let outcome = match entry.result {
            Promise::Ready(outcome) => outcome,
            Promise::Running(handle) => self.pool.wait(handle),
        };
        if let Err(why) = self.core.job_ended(self.now, node, job, &outcome) {
            self.finished = Some(Reason::Failed(why));
            return Ok(());
        }
        self.dispatch(node, Event::Done { job, outcome }, [job.0, entry.duration.0]).await
    }

    /// Hands one event to one node and does what it wants.
    pub(super) async fn dispatch(
        &mut self,
        node: NodeId,
        event: Event,
        words: [u64; 2],
    ) -> Result<(), RunError> {
        if self.down.contains(&node) {
            return Ok(());
        }
        let (class, what) = match &event {
            Event::Start => (0, "starts"),
            Event::Received { .. } => (1, "receives a message"),
            Event::Done { .. } => (2, "ends a job"),
            Event::Timer(_) => (3, "wakes"),
            Event::Up(_) => (4, "hears that a node is there"),
            Event::Down(_) => (5, "hears that a node is lost"),
            Event::Stop(_) => (6, "stops"),
            Event::Reconnected(_) => (8, "is connected again"),
        };
        tracing::debug!("{}: {} {what}", self.now, self.plan.nodes[node.index()].name);
        self.trace.push(&[self.now.0, u64::from(node.0) | (class << 32), words[0], words[1]]);
        if self.observer.wants_events() {
            self.observer.event(self.now, node, &event);
        }
        self.tell(self.now, node, event).await
    }

    /// In real time: waits until `until` for a job that really ends before; true if one did.
    fn wait_for_real_job(&mut self, until: Option<Time>) -> bool {
        let Some(started) = self.clock.started else { return false };
        loop {
            let left = match until {
                Some(until) => Duration::from_nanos(until.since(RealClock::now(started)).0),
                None if self.jobs.is_empty() => return false,
                None => Duration::from_millis(50),
            };
            match self.clock.finished_jobs.recv_timeout(left) {
                Ok(key) => {
                    if let Some(job) = self.jobs.get(key) {
                        let now = RealClock::now(started).max(self.now);
                        self.heap.push(now, Pending::JobDone { node: job.node, job: job.job, key });
                        return true;
                    }
                }
                Err(RecvTimeoutError::Timeout) if until.is_some() => return false,
                Err(RecvTimeoutError::Timeout) => {
                    if self.interrupt.load(Ordering::Relaxed) {
                        self.finished = Some(Reason::Interrupted);
                        return true;
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return false,
            }
        }
    }

    /// Things that need not be looked at for every event.
    async fn look_around(&mut self) -> Result<(), RunError> {
        if self.interrupt.load(Ordering::Relaxed) {
            self.finished = Some(Reason::Interrupted);
        }
        self.probe.collect(&mut self.pool, self.observer, false);
        let commits = self.commits();
        self.observer.progress(&Progress {
            now: self.now,
            commits,
            events: self.core.account.events,
            accuracy: self.probe.accuracy(),
        });
        let every = Duration::from_nanos(self.options.checkpoint_every.0);
        if self.options.checkpoint_dir.is_some() && self.last_checkpoint.elapsed() >= every {
            self.checkpoint().await?;
            self.last_checkpoint = Instant::now();
        }
        Ok(())
    }

    /// Commits of the root, or rounds that every peer has finished.
    pub(super) fn commits(&self) -> u64 {
        if self.plan.peers.is_some() { self.probe.rounds_finished() } else { self.core.account.commits }
    }

    pub(super) fn stall_message(&self) -> String {
        let name = |id: &NodeId| self.plan.nodes[id.index()].name.as_str();
        let mut down: Vec<&str> = self.down.iter().take(5).map(name).collect();
        if self.down.len() > 5 {
            down.push("and others");
        }
        let why = if let Some((a, b)) = self.bonds.silent() {
            format!("the messages between {} and {} get lost", name(&a), name(&b))
        } else if down.is_empty() {
            "every node waits for another one".to_owned()
        } else {
            format!("{} down and will not come back", down.join(", "))
        };
        format!(
            "nothing more can happen at {} after {} commits: {why}; give the policy a way on (async, deadline, \
             wait_for), or add `restart` events",
            self.now,
            self.commits()
        )
    }

    /// Which of its lives a node is in.
    pub(super) fn life(&self, node: NodeId) -> u32 {
        self.lives.get(&node).copied().unwrap_or(0)
    }

    /// Puts a node (back) in its place.
    pub(super) async fn place(&mut self, node: NodeId, how: Begin) -> Result<(), RunError> {
        let life = self.life(node);
        self.core.place(node, how, life, &self.down).await
    }
}
