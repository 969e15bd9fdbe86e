//! Guides: a deployed run leads a simulation. Its order of events can be kept under modelled time, its durations can
//! be kept while the order follows from them, and both until some event, from which on something else is tried.
//!
//! The gate stands between the heap and the nodes: what happens to a node waits there until the log of the node says
//! that it is its turn. So time comes from the models, and order from the run.

use super::conductor::Conductor;
use super::heap::Pending;
use crate::record::order::What;
use crate::run::RunError;
use crate::run::runner::Runner;
use hcddl_core::domain::digest::of_values;
use hcddl_core::domain::{Digest, JobId, Lane, NodeId, Span, Version};
use hcddl_core::node::{Commit, Event, Reason};
use hcddl_plan::plan::{LinkPlan, MessageRule, Plan};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// What leads a simulation.
#[derive(Clone, Debug, Default)]
pub struct Guide {
    /// What each node was told, in order; none when the order follows from the times.
    pub order: Option<Order>,
    /// How long jobs and messages took; none when they take as long as modelled.
    pub recorded: Option<Arc<Recorded>>,
}

/// An order of events.
#[derive(Clone, Debug)]
pub struct Order {
    /// The logs, by [`NodeId`], of nodes that were started once.
    pub logs: Vec<Vec<What>>,
    /// The order is kept until this node has handled so many inputs; to the end of the logs if there is none.
    pub until: Option<(NodeId, u64)>,
}

/// Durations of a real run.
#[derive(Clone, Debug, Default)]
pub struct Recorded {
    /// Of each whole job.
    pub jobs: BTreeMap<(NodeId, JobId), Span>,
    /// Of other jobs of a node: the median.
    pub usual_jobs: BTreeMap<(NodeId, &'static str), Span>,
    /// Of each message, by sender, receiver and position among what was sent, from 0; from sending to hearing.
    pub trips: BTreeMap<(NodeId, NodeId, u64), (Lane, Span)>,
    /// Of other messages of a directed pair: the median of the lane.
    pub usual_trips: BTreeMap<(NodeId, NodeId, Lane), Span>,
    /// What is in these durations already.
    pub conditions: Conditions,
}

/// What held while durations were recorded. With another plan, what is new in it acts on top of them: injections, rules
/// of messages, links of other settings, which are modelled.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Conditions {
    /// Injections that the nodes applied, by their settings.
    pub injections: Vec<String>,
    /// Rules of the plan: they are the simulator's, so the recorded run had none of them, and its replay has none.
    pub rules: Vec<MessageRule>,
    /// Settings of the links of each node.
    pub links: Vec<String>,
}

impl Conditions {
    /// Those of a run of this plan.
    #[must_use]
    pub fn of(plan: &Plan) -> Self {
        Self {
            injections: plan.injections.iter().map(|injection| format!("{injection:?}")).collect(),
            rules: plan.faults.rules.clone(),
            links: (0..plan.nodes.len()).map(|node| links(plan, node)).collect(),
        }
    }

    /// Whether the links between two nodes are as they were.
    #[must_use]
    pub fn same_links(&self, plan: &Plan, from: NodeId, to: NodeId) -> bool {
        [from, to].iter().all(|node| {
            self.links.get(node.index()).is_none_or(|before| *before == links(plan, node.index()))
        })
    }
}

/// All that decides how long a message of a node takes.
fn links(plan: &Plan, node: usize) -> String {
    let node = &plan.nodes[node];
    let host = &plan.hosts[node.host.index()];
    let ways = node.neighbours.iter().map(|neighbour| neighbour.link).chain([node.link]);
    let links: Vec<&LinkPlan> = ways.map(|link| &plan.network.links[usize::from(link)]).collect();
    let access = node.access.map_or([host.up, host.down], |(up, down)| [up, down]);
    let rates = [host.up, host.down, access[0], access[1]];
    let rates = rates.map(|port| plan.network.ports[port.0 as usize].bytes_per_second);
    format!("{links:?} {rates:?}")
}

impl Recorded {
    /// How long a job took, if that is known.
    #[must_use]
    pub fn job(&self, node: NodeId, job: JobId, label: &'static str) -> Option<Span> {
        self.jobs.get(&(node, job)).or_else(|| self.usual_jobs.get(&(node, label))).copied()
    }

    /// How long a message took, if that is known.
    #[must_use]
    pub fn trip(&self, from: NodeId, to: NodeId, number: u64, lane: Lane) -> Option<Span> {
        let same = self.trips.get(&(from, to, number)).filter(|(of, _)| *of == lane);
        same.map(|(_, trip)| trip).or_else(|| self.usual_trips.get(&(from, to, lane))).copied()
    }
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

    /// Takes note of nodes that have not come to the end of their logs.
    pub fn judge(&mut self) {
        let left = |(i, track): (usize, &Track)| {
            let next = track.log.front()?;
            Some((NodeId(i as u32), format!("{next:?}, {} entries before the end", track.log.len())))
        };
        self.kept.stuck = self.tracks.iter().enumerate().filter_map(left).collect();
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
