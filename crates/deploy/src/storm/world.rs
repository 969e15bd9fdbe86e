//! The world of a run in the storm: one heap of events, processes that come and go, connections between them.

use super::desk::Desk;
use super::edge::{Content, Edge, side_of};
use super::weather::Weather;
use crate::deploy::node::checkpoint;
use crate::deploy::node::stage::Stage;
use crate::deploy::node::world::{Asked, Done, Happening};
use crate::transport::rules::{Timing, Told};
use hcddl_core::domain::{NodeId, Span, Stream, Time};
use hcddl_learn::Learner;
use hcddl_learn::quadratic::Quadratic;
use hcddl_plan::plan::{Plan, Settings};
use hcddl_plan::registry::Registry;
use hcddl_sim::run::execute::Tools;
use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

/// Parameters of the model.
const PARAMETERS: usize = 64;
/// A dial that nobody answers is given up.
pub(super) const HANDSHAKE: Span = Span(crate::deploy::node::HANDSHAKE.as_nanos() as u64);
/// The controller gives the others so long once the run is over.
const GRACE: Span = Span::from_millis(15_000);
/// A run that goes on so long after the last fault hangs.
const HANG: Span = Span::from_millis(240_000);

/// What a run needs that does not change.
pub(super) struct Ready {
    pub plan: Plan,
    pub registry: Registry,
    pub learner: Arc<dyn Learner>,
    pub(super) settings: Settings,
}

impl Ready {
    pub fn new(weather: &Weather) -> Result<Self, String> {
        let registry = Registry::default();
        let written = hcddl_plan::scenario::parse("storm.yml", &weather.scenario, &[]);
        let written = written.map_err(|error| error.to_string())?;
        let plan = hcddl_plan::scenario::resolve(&written, &registry).map_err(|error| error.to_string())?;
        let shards = plan.nodes.iter().map(|node| node.shard).collect();
        let learner = Arc::new(Quadratic::random(PARAMETERS, shards, 1.0, weather.seed));
        let settings = plan.deploy.settings.clone();
        Ok(Self { plan, registry, learner, settings })
    }

    pub fn timing(&self) -> Timing {
        let Settings { heartbeat, detection, start_timeout, .. } = self.settings;
        Timing { heartbeat, detection, start_timeout }
    }
}

/// The place of a node, and its process if there is one.
pub(super) struct Slot<'a> {
    pub(super) stage: Option<Stage<'a, Desk>>,
    /// Lives so far.
    pub lives: u32,
    pub(super) is_powered: bool,
    pub(super) is_full: bool,
    pub(super) paused_until: Option<Time>,
    pub(super) isolated_until: Time,
    /// What has come while it was paused.
    pub(super) inbox: VecDeque<Event>,
    /// When it will be woken.
    pub(super) wake: Option<Time>,
    /// Bytes of its order log that are on the disk, power or not.
    pub(super) synced: u64,
    /// Events of this life.
    pub(super) events: u64,
    /// How it ended, if it did by itself: whether it did its part, or why not.
    pub ended: Option<Result<bool, String>>,
}

impl<'a> Slot<'a> {
    /// The process is gone. If it had written its result it is not started again.
    pub(super) fn gone(&mut self, stage: &Stage<'a, Desk>) {
        self.inbox.clear();
        if stage.farewell.is_some() && self.ended.is_none() {
            self.ended = stage.over.as_ref().map(|over| match over.is_good {
                true => Ok(true),
                false => Err(over.reason.to_string()),
            });
        }
    }
}

pub(super) type Pair = (NodeId, NodeId);

pub(super) enum Event {
    Start(NodeId),
    Fault(usize),
    Revive(NodeId),
    Resume(NodeId),
    Wake(NodeId, u32),
    Job(NodeId, u32, Box<(Tools, Asked)>, Arc<AtomicBool>),
    Saved(NodeId, u32, Box<checkpoint::Saved>),
    /// Something is in the queue of a process.
    Happens(NodeId, u32, Box<Happening>),
    /// The rules of an end wanted to be told the time.
    Edge(Pair, usize, u32),
    /// An attempt to connect has ended.
    Met {
        pair: Pair,
        side: usize,
        connection: u64,
        lives: u32,
        is_good: bool,
    },
    Arrive {
        pair: Pair,
        to: usize,
        connection: u64,
        what: Content,
    },
}

/// See the module.
pub(super) struct World<'a> {
    pub(super) ready: &'a Ready,
    pub(super) weather: &'a Weather,
    pub(super) dir: PathBuf,
    pub now: Time,
    pub(super) pushed: u64,
    pub(super) heap: BTreeMap<(Time, u64), Event>,
    pub slots: Vec<Slot<'a>>,
    pub(super) edges: BTreeMap<Pair, Edge>,
    pub(super) stream: Stream,
    pub events: u64,
    /// The largest saved state of a node, in bytes.
    pub largest: (NodeId, usize),
    pub(super) over_since: Option<Time>,
}

/// Nothing in the storm waits for anything but the storm.
pub(super) fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("plain calls do not wait"),
    }
}

impl<'a> World<'a> {
    pub fn new(weather: &'a Weather, ready: &'a Ready, dir: &Path) -> Self {
        let plan = &ready.plan;
        let mut edges = BTreeMap::new();
        for (i, node) in plan.nodes.iter().enumerate() {
            let me = NodeId(i as u32);
            // Children dial their parents, of two peers the later one the earlier.
            let dialled =
                node.parent.into_iter().chain(node.neighbours.iter().map(|n| n.node).filter(|n| *n < me));
            for other in dialled {
                edges.insert((me, other), Edge::new(ready.timing()));
            }
        }
        let slot = |_| Slot {
            stage: None,
            lives: 0,
            is_powered: true,
            is_full: false,
            paused_until: None,
            isolated_until: Time::ZERO,
            inbox: VecDeque::new(),
            wake: None,
            synced: 0,
            events: 0,
            ended: None,
        };
        let mut world = Self {
            ready,
            weather,
            dir: dir.to_owned(),
            now: Time::ZERO,
            pushed: 0,
            heap: BTreeMap::new(),
            slots: plan.nodes.iter().map(slot).collect(),
            edges,
            stream: Stream::new(weather.seed, "storm", 1, 0),
            events: 0,
            largest: (NodeId(0), 0),
            over_since: None,
        };
        for node in 0..plan.nodes.len() as u32 {
            let at = Time(world.stream.below(300) * 1_000_000);
            world.push(at, Event::Start(NodeId(node)));
        }
        for (i, (at, _)) in weather.faults.iter().enumerate() {
            world.push(*at, Event::Fault(i));
        }
        world
    }

    pub(super) fn push(&mut self, at: Time, event: Event) {
        self.pushed += 1;
        self.heap.insert((at, self.pushed), event);
    }

    pub(super) fn name(&self, node: NodeId) -> &'a str {
        &self.ready.plan.nodes[node.index()].name
    }

    pub(super) fn is_top(&self, node: NodeId) -> bool {
        crate::deploy::node::evaluates(&self.ready.plan, node)
    }

    /// Lets everything happen until nobody is there any more.
    pub fn run(&mut self) -> Result<(), String> {
        let mut calm = Time::ZERO;
        for (at, fault) in &self.weather.faults {
            calm = calm.max(*at + Span::from_millis(fault.lasts()));
        }
        while let Some(((at, _), event)) = self.heap.pop_first() {
            self.now = at;
            if at > calm + HANG {
                return Err(self.hang());
            }
            let tops = || self.slots.iter().enumerate().filter(|(i, _)| self.is_top(NodeId(*i as u32)));
            if self.over_since.is_none() && tops().any(|(_, slot)| slot.ended.is_some()) {
                self.over_since = Some(at);
            }
            if self.over_since.is_some_and(|since| at > since + GRACE) {
                self.slots.iter_mut().flat_map(|slot| &mut slot.stage).for_each(|stage| {
                    stage.world.interrupted = true;
                });
            }
            let Some(event) = self.defer(event) else { continue };
            self.happen(event)?;
            if self.slots.iter().all(|slot| slot.ended.is_some()) {
                return Ok(());
            }
        }
        Err(self.hang())
    }

    pub(super) fn hang(&self) -> String {
        let there = |(i, slot): (usize, &Slot<'_>)| {
            let name = self.name(NodeId(i as u32));
            match (&slot.ended, &slot.stage) {
                (Some(how), _) => format!("{name} ended {how:?}"),
                (None, None) => format!("{name} is not there"),
                (None, Some(stage)) => {
                    let word = if stage.over.is_some() { "says farewell" } else { "runs" };
                    format!("{name} {word} ({} events)", slot.events)
                }
            }
        };
        let all: Vec<String> = self.slots.iter().enumerate().map(there).collect();
        format!("it hangs at {}: {}", self.now, all.join(", "))
    }

    pub(super) fn happen(&mut self, event: Event) -> Result<(), String> {
        match event {
            Event::Start(node) => self.start(node),
            Event::Fault(index) => {
                let (_, fault) = &self.weather.faults[index];
                self.strike(fault);
                Ok(())
            }
            Event::Revive(node) => {
                let slot = &mut self.slots[node.index()];
                (slot.is_powered, slot.is_full) = (true, false);
                match &mut slot.stage {
                    Some(stage) => {
                        stage.world.disk_full = false;
                        Ok(())
                    }
                    None if slot.ended.is_none() => self.start(node),
                    None => Ok(()),
                }
            }
            Event::Resume(node) => self.resume(node),
            Event::Wake(node, lives) => {
                let slot = &mut self.slots[node.index()];
                if slot.lives != lives || slot.wake.is_none_or(|wake| wake > self.now) {
                    return Ok(());
                }
                slot.wake = None;
                self.tell(node, Happening::Wake)
            }
            Event::Job(node, lives, job, stop) => {
                if self.slots[node.index()].lives != lives {
                    return Ok(());
                }
                let (tools, Asked { node, job, key, work }) = *job;
                let outcome = tools.execute_while(node, work, &|| !stop.load(Ordering::Relaxed));
                self.tell(node, Happening::Job(Done { job, key, outcome }))
            }
            Event::Saved(node, lives, saved) => self.saved(node, lives, &saved),
            Event::Happens(node, lives, happening) => {
                if self.slots[node.index()].lives == lives {
                    self.tell(node, *happening)
                } else {
                    Ok(())
                }
            }
            Event::Edge(pair, side, lives) => {
                let (current, now) = (self.slots[side_of(pair, side).index()].lives, self.now);
                let wake = &mut self.end((pair, side)).wake;
                if current == lives && wake.is_some_and(|wake| wake <= now) {
                    *wake = None;
                    self.ask((pair, side), Told::Time, None);
                }
                Ok(())
            }
            Event::Met { pair, side, connection, lives, is_good } => {
                if self.slots[side_of(pair, side).index()].lives == lives {
                    self.met((pair, side), connection, is_good);
                }
                Ok(())
            }
            Event::Arrive { pair, to, connection, what } => {
                self.arrive(pair, to, connection, what);
                Ok(())
            }
        }
    }

    pub(super) fn own(&self, node: NodeId) -> PathBuf {
        self.dir.join("nodes").join(self.name(node))
    }
}
