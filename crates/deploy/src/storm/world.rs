//! The world of a run in the storm: one heap of events, processes that come and go, connections between them.

use super::desk::{Desk, Want};
use super::edge::{End, Phase};
use super::weather::Weather;
use crate::deploy::node::stage::{Stage, StageParts};
use crate::deploy::node::world::{Asked, Done, Happening};
use crate::deploy::node::{Place, checkpoint};
use crate::deploy::node_file;
use crate::transport::links::Stamp;
use hcddl_core::domain::{Message, NodeId, Span, Stream, Time};
use hcddl_core::node::bond::Standing;
use hcddl_learn::Learner;
use hcddl_learn::quadratic::Quadratic;
use hcddl_plan::plan::{Plan, Settings};
use hcddl_plan::registry::Registry;
use hcddl_sim::record::order::OrderLog;
use hcddl_sim::run::execute::Tools;
use hcddl_sim::run::runner::{Direct, Runner};
use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

/// Parameters of the model.
const PARAMETERS: usize = 64;
/// A dial that nobody answers is given up.
pub(super) const HANDSHAKE: Span = Span::from_millis(5000);
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

/// A connection between two nodes, of which the first one dials.
pub(super) struct Edge {
    pub(super) ends: [End; 2],
    pub(super) cut_until: Time,
    /// When the last thing that was said arrives, by side and lane: lanes keep their order.
    pub(super) last: [[Time; 2]; 2],
    /// What was to be sent before the first meeting, by side.
    pub(super) waiting: [Vec<(Stamp, Message)>; 2],
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
    Beat(Pair, usize, u32),
    Redial(Pair, u64, u32),
    Timeout(Pair, usize, u64, u32),
    Arrive { pair: Pair, to: usize, connection: u64, what: Content },
}

pub(super) enum Content {
    Hello(Standing),
    Welcome(Standing),
    Bulk,
    Ready,
    Message(Stamp, Box<Message>),
    Notice(Vec<u8>),
    Beat,
    /// The other end is gone, or knows nothing of this connection.
    Lost,
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
    pub(super) connections: u64,
    pub events: u64,
    /// The largest saved state of a node, in bytes.
    pub largest: (NodeId, usize),
    pub(super) over_since: Option<Time>,
}

/// Nothing in the storm waits for anything but the storm.
fn at_once<T>(future: impl Future<Output = T>) -> T {
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
                let ends = [End::new(Time::ZERO), End::new(Time::ZERO)];
                let (cut_until, last) = (Time::ZERO, [[Time::ZERO; 2]; 2]);
                edges.insert((me, other), Edge { ends, cut_until, last, waiting: Default::default() });
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
            connections: 0,
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
            Event::Saved(node, lives, saved) => {
                let own = self.own(node);
                let slot = &mut self.slots[node.index()];
                if let Some(stage) = slot.stage.as_mut().filter(|_| slot.lives == lives && !slot.is_full) {
                    slot.synced = std::fs::metadata(own.join(node_file::ORDER)).map_or(0, |data| data.len());
                    checkpoint::write(&own, &saved).map_err(|error| error.to_string())?;
                    stage.world.is_saving = false;
                }
                Ok(())
            }
            Event::Beat(pair, side, lives) => self.beat(pair, side, lives),
            Event::Redial(pair, pauses, lives) => {
                self.redial(pair, pauses, lives);
                Ok(())
            }
            Event::Timeout(pair, side, connection, lives) => {
                if self.edges[&pair].ends[side].phase == Phase::Meeting(connection)
                    && self.slots[side_of(pair, side).index()].lives == lives
                {
                    self.part(pair, side);
                }
                Ok(())
            }
            Event::Arrive { pair, to, connection, what } => self.arrive(pair, to, connection, what),
        }
    }

    pub(super) fn own(&self, node: NodeId) -> PathBuf {
        self.dir.join("nodes").join(self.name(node))
    }

    /// A process begins.
    pub(super) fn start(&mut self, node: NodeId) -> Result<(), String> {
        let text = |error: anyhow::Error| format!("{error:#}");
        let own = self.own(node);
        std::fs::create_dir_all(&own).map_err(|error| error.to_string())?;
        let ready = self.ready;
        let slot = &mut self.slots[node.index()];
        if slot.stage.is_some() || slot.ended.is_some() || !slot.is_powered {
            return Ok(());
        }
        let life = slot.lives;
        slot.lives += 1;
        (slot.paused_until, slot.wake, slot.events) = (None, None, 0);
        let lives = slot.lives;
        let place = Place { run: self.dir.clone(), own: own.clone(), me: node, life };
        let saved = checkpoint::load(&place).map_err(text)?;
        let desk = Desk {
            now: self.now,
            born: self.now,
            rate: 990 + self.stream.below(21),
            wants: Vec::new(),
            log: OrderLog::open(&own.join(node_file::ORDER), node).map_err(|error| error.to_string())?,
            is_saving: false,
            disk_full: slot.is_full,
            interrupted: false,
        };
        let Ready { plan, registry, learner, settings } = ready;
        let parts = StageParts { place, plan, registry, learner, settings, saved };
        let mut stage = match at_once(Stage::open(parts, desk, Direct::default())) {
            Ok(stage) => stage,
            // Its disk is full still.
            Err(_) if slot.is_full => return Ok(()),
            Err(error) => return Err(text(error)),
        };
        let began = at_once(stage.go_on());
        slot.stage = Some(stage);
        let mine: Vec<(Pair, usize)> = self.edges_of(node);
        for (pair, side) in mine {
            let edge = self.edges.get_mut(&pair).expect("listed");
            edge.ends[side] = End::new(self.now);
            edge.waiting[side].clear();
            if side == 0 {
                self.push(self.now, Event::Redial(pair, 0, lives));
            }
            self.push(self.now + ready.settings.heartbeat, Event::Beat(pair, side, lives));
        }
        self.after(node, began)
    }

    /// Tells a process what happens, and does what it wants.
    pub(super) fn tell(&mut self, node: NodeId, happening: Happening) -> Result<(), String> {
        let now = self.now;
        let slot = &mut self.slots[node.index()];
        let Some(stage) = &mut slot.stage else { return Ok(()) };
        stage.world.now = now;
        self.events += 1;
        slot.events += 1;
        let told = at_once(stage.on(happening));
        if slot.events.is_multiple_of(64) {
            let state = at_once(stage.core.runner.save(node)).map_err(|error| error.to_string())?;
            let bytes = hcddl_files::bytes::to_bytes(&state).map_or(0, |bytes| bytes.len());
            if bytes > self.largest.1 {
                self.largest = (node, bytes);
            }
        }
        self.after(node, told)
    }

    pub(super) fn after(&mut self, node: NodeId, told: anyhow::Result<()>) -> Result<(), String> {
        self.do_wants(node);
        let now = self.now;
        let slot = &mut self.slots[node.index()];
        let Some(stage) = &mut slot.stage else { return Ok(()) };
        if let Err(error) = told {
            let is_full = std::mem::take(&mut stage.world.disk_full);
            if !is_full {
                slot.ended = Some(Err(format!("{error:#}")));
            }
            self.close(node);
            return Ok(());
        }
        if stage.is_done() {
            let good = stage.leave();
            let reason = stage.over.as_ref().map(|over| over.reason.to_string()).unwrap_or_default();
            slot.ended = Some(if good { Ok(true) } else { Err(reason) });
            self.do_wants(node);
            self.close(node);
            return Ok(());
        }
        let age = stage.next_wake().since(stage.began());
        let wake = stage.world.when(age).max(now + Span(1));
        if slot.wake.is_none_or(|already| wake < already) {
            slot.wake = Some(wake);
            let lives = slot.lives;
            self.push(wake, Event::Wake(node, lives));
        }
        Ok(())
    }

    pub(super) fn do_wants(&mut self, node: NodeId) {
        let slot = &mut self.slots[node.index()];
        let (lives, is_full) = (slot.lives, slot.is_full);
        let Some(stage) = &mut slot.stage else { return };
        for want in std::mem::take(&mut stage.world.wants) {
            match want {
                Want::Send(to, stamp, message) => self.send(node, to, stamp, message),
                Want::Notice(to, bytes) => {
                    let (pair, side) = self.edge_to(node, to);
                    if let Phase::Together(connection) = self.edges[&pair].ends[side].phase {
                        self.transmit(pair, side, connection, 0, Content::Notice(bytes));
                    }
                }
                Want::Compute(tools, asked, stop) => {
                    let took = Span((1 + self.stream.below(40)) * 500_000 * self.weather.slow);
                    self.push(self.now + took, Event::Job(node, lives, Box::new((tools, asked)), stop));
                }
                Want::Save(_) if is_full => {}
                Want::Save(saved) => {
                    let took = Span((1 + self.stream.below(60)) * 500_000);
                    self.push(self.now + took, Event::Saved(node, lives, saved));
                }
            }
        }
    }
}

pub(super) fn side_of(pair: Pair, side: usize) -> NodeId {
    if side == 0 { pair.0 } else { pair.1 }
}
