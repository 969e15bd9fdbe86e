//! An order of events that is imposed until a point: that of a real run, under modelled time or with the run's own
//! durations ([`crate::run::rules::recorded`]). From that point on the order follows from the times, and the plan may be
//! another one.
//!
//! The gate stands between the heap and the nodes: what happens to a node waits there until the log of the node says
//! that it is its turn. So time comes from the models, and order from the run.

use super::conductor::Conductor;
use super::heap::Pending;
use crate::record::order::What;
use crate::run::RunError;
use crate::run::runner::Runner;
use hcddl_core::domain::digest::of_values;
use hcddl_core::domain::{Digest, JobId, NodeId, Version};
use hcddl_core::node::{Commit, Event, Reason};
use std::collections::{BTreeMap, VecDeque};

/// An order of events.
#[derive(Clone, Debug)]
pub struct Order {
    /// The logs, by [`NodeId`], of nodes that were started once.
    pub logs: Vec<Vec<What>>,
    /// The order is kept until this node has handled so many inputs; to the end of the logs if there is none.
    pub until: Option<(NodeId, u64)>,
}

/// How well a simulation kept the order that led it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Inputs that were handled in the order of the run.
    pub inputs: u64,
    /// Commits that had the digest of the run.
    pub commits: u64,
    /// The first commit that had not.
    pub differs: Option<(NodeId, Version)>,
    /// Nodes whose log was not finished, with the next entry that could not happen.
    pub stuck: Vec<(NodeId, String)>,
}

/// See the module.
pub(super) struct Gate {
    tracks: Vec<Track>,
    until: Option<(NodeId, u64)>,
    pub kept: Kept,
}

/// One node at the gate.
struct Track {
    log: VecDeque<What>,
    inputs: u64,
    /// What wants to happen to it, in the order of the heap.
    held: Vec<Pending>,
    /// Gradient steps of each job that has ended: `None` of a whole one.
    ends: BTreeMap<JobId, Option<u64>>,
}

impl Gate {
    pub fn new(order: Order) -> Self {
        let track = |log: Vec<What>| Track {
            inputs: 0,
            held: Vec::new(),
            ends: log
                .iter()
                .filter_map(|what| match what {
                    What::Done { job, steps } => Some((*job, *steps)),
                    _ => None,
                })
                .collect(),
            log: log.into(),
        };
        let tracks = order.logs.into_iter().map(track).collect();
        Self { tracks, until: order.until, kept: Kept::default() }
    }

    /// The next input of a node.
    fn front(&mut self, node: NodeId) -> Option<&What> {
        let log = &mut self.tracks[node.index()].log;
        while matches!(log.front(), Some(What::Born { .. } | What::Checkpoint { .. })) {
            log.pop_front();
        }
        log.front()
    }

    fn took(&mut self, node: NodeId) {
        let track = &mut self.tracks[node.index()];
        track.log.pop_front();
        track.inputs += 1;
        self.kept.inputs += 1;
    }

    fn is_reached(&self) -> bool {
        self.until.is_some_and(|(node, inputs)| self.tracks[node.index()].inputs >= inputs)
    }

    /// Steps after which a job that is given up ended in the run: all (`Some(None)`), some, or never.
    pub fn end_of(&self, node: NodeId, job: JobId) -> Option<Option<u64>> {
        self.tracks[node.index()].ends.get(&job).copied()
    }

    /// Compares a commit with the log.
    pub fn commits(&mut self, node: NodeId, commit: &Commit) {
        let digest = commit.model.values().map(of_values);
        let same = |logged: Digest| digest.is_none_or(|digest| digest == logged);
        match self.front(node) {
            Some(What::Commit { version, digest: logged }) if *version == commit.version && same(*logged) => {
                self.kept.commits += 1;
                self.tracks[node.index()].log.pop_front();
            }
            Some(What::Commit { .. }) => {
                self.tracks[node.index()].log.pop_front();
                self.kept.differs.get_or_insert((node, commit.version));
            }
            _ => {
                self.kept.differs.get_or_insert((node, commit.version));
            }
        }
    }

    /// What waits for its turn and never had it, in order of nodes.
    pub fn open(&mut self) -> Vec<Pending> {
        self.tracks.iter_mut().flat_map(|track| std::mem::take(&mut track.held)).collect()
    }

    /// How the order was kept, and which nodes have not come to the end of their logs.
    pub fn judged(&mut self) -> Kept {
        let left = |(i, track): (usize, &Track)| {
            let next = track.log.front()?;
            Some((NodeId(i as u32), format!("{next:?}, {} entries before the end", track.log.len())))
        };
        let stuck = self.tracks.iter().enumerate().filter_map(left).collect();
        Kept { stuck, ..std::mem::take(&mut self.kept) }
    }
}

/// Whether this is what a log tells of.
fn is(pending: &Pending, what: &What) -> bool {
    match (pending, what) {
        (Pending::Start(_), What::Start) => true,
        (Pending::Deliver { from, number, .. }, What::Received { from: sender, ordinal, .. }) => {
            from == sender && number == ordinal
        }
        (Pending::JobDone { job, .. }, What::Done { job: done, .. }) => job == done,
        (Pending::Timer { token, .. }, What::Timer(rung)) => token == rung,
        _ => false,
    }
}

impl<R: Runner> Conductor<'_, R> {
    /// Something wants to happen: it does when it is its turn.
    pub(super) async fn at_gate(&mut self, pending: Pending) -> Result<(), RunError> {
        let Some(gate) = &mut self.gate else { return self.happen(pending).await };
        let Some(node) = pending.to() else { return self.happen(pending).await };
        gate.tracks[node.index()].held.push(pending);
        while let Some(what) = self.gate.as_mut().and_then(|gate| gate.front(node).cloned()) {
            if !self.turn(node, &what).await? {
                break;
            }
            if self.gate.as_ref().is_some_and(Gate::is_reached) {
                self.open_gate();
            }
        }
        Ok(())
    }

    /// Lets a node's next input happen, if it can.
    async fn turn(&mut self, node: NodeId, what: &What) -> Result<bool, RunError> {
        let outside = match what {
            // Nothing here brings these about.
            What::Up(other) => Some(Event::Up(*other)),
            What::Down(other) => Some(Event::Down(*other)),
            What::Reconnected(other) => Some(Event::Reconnected(*other)),
            What::Stop(reason) => Some(Event::Stop(reason.clone())),
            _ => None,
        };
        let gate = self.gate.as_mut().expect("asked by the gate");
        if let Some(event) = outside {
            gate.took(node);
            self.dispatch(node, event, [0, 0]).await?;
            return Ok(true);
        }
        let (jobs, timers) = (&self.jobs, &self.timers);
        let track = &mut gate.tracks[node.index()];
        track.held.retain(|pending| match pending {
            Pending::JobDone { key, .. } => jobs.get(*key).is_some(),
            Pending::Timer { node, token, set } => timers.get(&(*node, *token)) == Some(set),
            _ => true,
        });
        let Some(at) = track.held.iter().position(|pending| is(pending, what)) else { return Ok(false) };
        let pending = track.held.remove(at);
        gate.took(node);
        self.happen(pending).await?;
        Ok(true)
    }

    /// From here on the order follows from the times.
    fn open_gate(&mut self) {
        let Some(mut gate) = self.gate.take() else { return };
        for pending in gate.open() {
            self.heap.push(self.now, pending);
        }
        self.kept = Some(gate.kept);
        // The rest may have another plan.
        self.finished = Some(Reason::Interrupted);
    }
}
