//! The world of a run in the storm: one heap of events, processes that come and go, connections between them.

use super::desk::{Desk, Want};
use super::edge::{End, Phase};
use super::weather::{Fault, Weather};
use crate::deploy::Settings;
use crate::deploy::node::stage::{Stage, StageParts};
use crate::deploy::node::world::{Asked, Done, Happening};
use crate::deploy::node::{Place, checkpoint};
use crate::deploy::node_file;
use crate::domain::{Message, NodeId, Span, Stream, Time};
use crate::learn::Learner;
use crate::learn::quadratic::Quadratic;
use crate::node::bond::{Change, Standing};
use crate::plan::Plan;
use crate::record::order::OrderLog;
use crate::registry::Registry;
use crate::run::execute::Tools;
use crate::run::runner::{Direct, Runner};
use crate::transport::links::{Credit, Input, Stamp};
use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

/// Parameters of the model.
const PARAMETERS: usize = 64;
/// A dial that nobody answers is given up.
const HANDSHAKE: Span = Span::from_millis(5000);
/// The controller gives the others so long once the run is over.
const GRACE: Span = Span::from_millis(15_000);
/// A run that goes on so long after the last fault hangs.
const HANG: Span = Span::from_millis(240_000);

/// What a run needs that does not change.
pub(super) struct Ready {
    pub plan: Plan,
    pub registry: Registry,
    pub learner: Arc<dyn Learner>,
    settings: Settings,
}

impl Ready {
    pub fn new(weather: &Weather) -> Result<Self, String> {
        let registry = Registry::default();
        let written = crate::scenario::parse("storm.yml", &weather.scenario, &[]);
        let written = written.map_err(|error| error.to_string())?;
        let plan = crate::scenario::resolve(&written, &registry).map_err(|error| error.to_string())?;
        let shards = plan.nodes.iter().map(|node| node.shard).collect();
        let learner = Arc::new(Quadratic::random(PARAMETERS, shards, 1.0, weather.seed));
        let settings = Settings::of(&plan);
        Ok(Self { plan, registry, learner, settings })
    }
}

/// The place of a node, and its process if there is one.
pub(super) struct Slot<'a> {
    stage: Option<Stage<'a, Desk>>,
    /// Lives so far.
    pub lives: u32,
    is_powered: bool,
    is_full: bool,
    paused_until: Option<Time>,
    isolated_until: Time,
    /// What has come while it was paused.
    inbox: VecDeque<Event>,
    /// When it will be woken.
    wake: Option<Time>,
    /// Bytes of its order log that are on the disk, power or not.
    synced: u64,
    /// Events of this life.
    events: u64,
    /// How it ended, if it did by itself: whether it did its part, or why not.
    pub ended: Option<Result<bool, String>>,
}

impl<'a> Slot<'a> {
    /// The process is gone. If it had written its result it is not started again.
    fn gone(&mut self, stage: &Stage<'a, Desk>) {
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
struct Edge {
    ends: [End; 2],
    cut_until: Time,
    /// When the last thing that was said arrives, by side and lane: lanes keep their order.
    last: [[Time; 2]; 2],
    /// What was to be sent before the first meeting, by side.
    waiting: [Vec<(Stamp, Message)>; 2],
}

type Pair = (NodeId, NodeId);

enum Event {
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

enum Content {
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
    ready: &'a Ready,
    weather: &'a Weather,
    dir: PathBuf,
    pub now: Time,
    pushed: u64,
    heap: BTreeMap<(Time, u64), Event>,
    pub slots: Vec<Slot<'a>>,
    edges: BTreeMap<Pair, Edge>,
    stream: Stream,
    connections: u64,
    pub events: u64,
    /// The largest saved state of a node, in bytes.
    pub largest: (NodeId, usize),
    over_since: Option<Time>,
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

    fn push(&mut self, at: Time, event: Event) {
        self.pushed += 1;
        self.heap.insert((at, self.pushed), event);
    }

    fn name(&self, node: NodeId) -> &'a str {
        &self.ready.plan.nodes[node.index()].name
    }

    fn is_top(&self, node: NodeId) -> bool {
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

    fn hang(&self) -> String {
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

    /// What happens to a process that is stopped waits until it goes on.
    fn defer(&mut self, event: Event) -> Option<Event> {
        let node = match &event {
            Event::Wake(node, _) | Event::Job(node, ..) => *node,
            Event::Beat(pair, side, _) | Event::Timeout(pair, side, ..) => side_of(*pair, *side),
            Event::Redial(pair, ..) => pair.0,
            Event::Arrive { pair, to, .. } => side_of(*pair, *to),
            _ => return Some(event),
        };
        let slot = &mut self.slots[node.index()];
        if slot.paused_until.is_some() && slot.stage.is_some() {
            slot.inbox.push_back(event);
            return None;
        }
        Some(event)
    }

    fn happen(&mut self, event: Event) -> Result<(), String> {
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
            Event::Wake(node, life) => {
                let slot = &mut self.slots[node.index()];
                if slot.lives != life || slot.wake.is_none_or(|wake| wake > self.now) {
                    return Ok(());
                }
                slot.wake = None;
                self.tell(node, Happening::Wake)
            }
            Event::Job(node, life, job, stop) => {
                if self.slots[node.index()].lives != life {
                    return Ok(());
                }
                let (tools, Asked { node, job, key, work }) = *job;
                let outcome = tools.execute_while(node, work, &|| !stop.load(Ordering::Relaxed));
                self.tell(node, Happening::Job(Done { job, key, outcome }))
            }
            Event::Saved(node, life, saved) => {
                let own = self.own(node);
                let slot = &mut self.slots[node.index()];
                if let Some(stage) = slot.stage.as_mut().filter(|_| slot.lives == life && !slot.is_full) {
                    slot.synced = std::fs::metadata(own.join(node_file::ORDER)).map_or(0, |data| data.len());
                    checkpoint::write(&own, &saved).map_err(|error| error.to_string())?;
                    stage.world.is_saving = false;
                }
                Ok(())
            }
            Event::Beat(pair, side, life) => self.beat(pair, side, life),
            Event::Redial(pair, pauses, life) => {
                self.redial(pair, pauses, life);
                Ok(())
            }
            Event::Timeout(pair, side, connection, life) => {
                if self.edges[&pair].ends[side].phase == Phase::Meeting(connection)
                    && self.slots[side_of(pair, side).index()].lives == life
                {
                    self.part(pair, side);
                }
                Ok(())
            }
            Event::Arrive { pair, to, connection, what } => self.arrive(pair, to, connection, what),
        }
    }

    fn own(&self, node: NodeId) -> PathBuf {
        self.dir.join("nodes").join(self.name(node))
    }

    /// A process begins.
    fn start(&mut self, node: NodeId) -> Result<(), String> {
        let text = |error: anyhow::Error| format!("{error:#}");
        let own = self.own(node);
        std::fs::create_dir_all(&own).map_err(|error| error.to_string())?;
        let ready = self.ready;
        let slot = &mut self.slots[node.index()];
        if slot.stage.is_some() || slot.ended.is_some() || !slot.is_powered {
            return Ok(());
        }
        let birth = slot.lives;
        slot.lives += 1;
        (slot.paused_until, slot.wake, slot.events) = (None, None, 0);
        let life = slot.lives;
        let place = Place { run: self.dir.clone(), own: own.clone(), me: node, birth };
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
                self.push(self.now, Event::Redial(pair, 0, life));
            }
            self.push(self.now + ready.settings.heartbeat, Event::Beat(pair, side, life));
        }
        self.after(node, began)
    }

    fn edges_of(&self, node: NodeId) -> Vec<(Pair, usize)> {
        let pairs = self.edges.keys().filter(|pair| pair.0 == node || pair.1 == node);
        pairs.map(|pair| (*pair, usize::from(pair.1 == node))).collect()
    }

    /// Tells a process what happens, and does what it wants.
    fn tell(&mut self, node: NodeId, happening: Happening) -> Result<(), String> {
        let now = self.now;
        let slot = &mut self.slots[node.index()];
        let Some(stage) = &mut slot.stage else { return Ok(()) };
        stage.world.now = now;
        self.events += 1;
        slot.events += 1;
        let told = at_once(stage.on(happening));
        if slot.events.is_multiple_of(64) {
            let state = at_once(stage.core.runner.save(node)).map_err(|error| error.to_string())?;
            let bytes = crate::files::bytes::to_bytes(&state).map_or(0, |bytes| bytes.len());
            if bytes > self.largest.1 {
                self.largest = (node, bytes);
            }
        }
        self.after(node, told)
    }

    fn after(&mut self, node: NodeId, told: anyhow::Result<()>) -> Result<(), String> {
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
            let life = slot.lives;
            self.push(wake, Event::Wake(node, life));
        }
        Ok(())
    }

    fn do_wants(&mut self, node: NodeId) {
        let slot = &mut self.slots[node.index()];
        let (life, is_full) = (slot.lives, slot.is_full);
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
                    self.push(self.now + took, Event::Job(node, life, Box::new((tools, asked)), stop));
                }
                Want::Save(_) if is_full => {}
                Want::Save(saved) => {
                    let took = Span((1 + self.stream.below(60)) * 500_000);
                    self.push(self.now + took, Event::Saved(node, life, saved));
                }
            }
        }
    }

    fn edge_to(&self, from: NodeId, to: NodeId) -> (Pair, usize) {
        if self.edges.contains_key(&(from, to)) { ((from, to), 0) } else { ((to, from), 1) }
    }

    fn send(&mut self, from: NodeId, to: NodeId, stamp: Stamp, message: Message) {
        let (pair, side) = self.edge_to(from, to);
        let edge = self.edges.get_mut(&pair).expect("neighbours");
        let end = &edge.ends[side];
        match end.phase {
            Phase::Together(connection) => self.say(pair, side, connection, stamp, message),
            _ if !end.bond.has_met() && !end.bond.is_down() => edge.waiting[side].push((stamp, message)),
            // Reliable delivery sends it again when the neighbour is there.
            _ => {}
        }
    }

    fn say(&mut self, pair: Pair, side: usize, connection: u64, stamp: Stamp, message: Message) {
        let lane = usize::from(message.lane() == crate::domain::Lane::Model);
        self.transmit(pair, side, connection, lane, Content::Message(stamp, Box::new(message)));
    }

    /// Something is on its way to the other end.
    fn transmit(&mut self, pair: Pair, side: usize, connection: u64, lane: usize, what: Content) {
        let slow = self.weather.slow * if self.stream.below(20) == 0 { 40 } else { 1 };
        let delay = Span((1 + self.stream.below(30)) * 100_000 * slow);
        let last = &mut self.edges.get_mut(&pair).expect("an edge").last[side][lane];
        let at = (self.now + delay).max(*last);
        *last = at;
        self.push(at, Event::Arrive { pair, to: 1 - side, connection, what });
    }

    /// Until when nothing passes between the ends of an edge.
    fn blocked_until(&self, pair: Pair) -> Option<Time> {
        let isolated = [pair.0, pair.1].map(|node| self.slots[node.index()].isolated_until);
        let until = self.edges[&pair].cut_until.max(isolated[0]).max(isolated[1]);
        (until > self.now).then_some(until)
    }

    fn arrive(&mut self, pair: Pair, to: usize, connection: u64, what: Content) -> Result<(), String> {
        if let Some(until) = self.blocked_until(pair) {
            // TCP tries again, in order; who dials gives up.
            if !matches!(what, Content::Hello(_)) {
                self.push(until, Event::Arrive { pair, to, connection, what });
            }
            return Ok(());
        }
        let node = side_of(pair, to);
        let slot = &self.slots[node.index()];
        if slot.stage.is_none() {
            // A machine without the process refuses; one without power says nothing.
            if slot.is_powered && !matches!(what, Content::Lost) {
                self.transmit(pair, to, connection, 0, Content::Lost);
            }
            return Ok(());
        }
        let end = &mut self.edges.get_mut(&pair).expect("an edge").ends[to];
        let current = match end.phase {
            Phase::Meeting(current) | Phase::Together(current) => Some(current),
            Phase::Apart => None,
        };
        match what {
            Content::Hello(standing) => {
                if end.bond.is_outdated(standing.birth) {
                    self.transmit(pair, to, connection, 0, Content::Lost);
                    return Ok(());
                }
                // Whatever was there is broken, or its other end has given it up.
                self.part(pair, to);
                let (now, birth) = (self.now, self.slots[node.index()].lives - 1);
                let end = &mut self.edges.get_mut(&pair).expect("an edge").ends[to];
                (end.heard, end.phase, end.other) = (now, Phase::Meeting(connection), Some(standing));
                let ours = end.bond.standing(birth);
                self.transmit(pair, to, connection, 0, Content::Welcome(ours));
                self.push(now + HANDSHAKE, Event::Timeout(pair, to, connection, birth + 1));
                Ok(())
            }
            _ if current != Some(connection) => {
                if !matches!(what, Content::Lost) {
                    self.transmit(pair, to, connection, 0, Content::Lost);
                }
                Ok(())
            }
            Content::Welcome(standing) if end.bond.is_outdated(standing.birth) => {
                self.part(pair, to);
                Ok(())
            }
            Content::Welcome(standing) => {
                end.other = Some(standing);
                self.transmit(pair, to, connection, 0, Content::Bulk);
                Ok(())
            }
            Content::Bulk => {
                self.transmit(pair, to, connection, 0, Content::Ready);
                // What it says on the other lane must not come before it is expected.
                let edge = self.edges.get_mut(&pair).expect("an edge");
                edge.last[to][1] = edge.last[to][0];
                self.meet(pair, to, connection)
            }
            Content::Ready => self.meet(pair, to, connection),
            Content::Lost => {
                self.part(pair, to);
                Ok(())
            }
            Content::Beat => {
                end.heard = self.now;
                Ok(())
            }
            Content::Message(stamp, message) => {
                end.heard = self.now;
                let (from, credit) = (side_of(pair, 1 - to), Credit::default());
                self.tell(node, Happening::Input(Input::Received { from, stamp, message: *message, credit }))
            }
            Content::Notice(bytes) => {
                end.heard = self.now;
                let from = side_of(pair, 1 - to);
                self.tell(node, Happening::Input(Input::Notice { from, bytes }))
            }
        }
    }

    fn meet(&mut self, pair: Pair, side: usize, connection: u64) -> Result<(), String> {
        let now = self.now;
        let edge = self.edges.get_mut(&pair).expect("an edge");
        let end = &mut edge.ends[side];
        if end.is_together(connection) {
            return Ok(());
        }
        let other = end.other.expect("who meets has heard the other's standing");
        let changes = end.meet(now, connection, other);
        let waiting = std::mem::take(&mut edge.waiting[side]);
        self.report(pair, side, changes)?;
        for (stamp, message) in waiting {
            self.send(side_of(pair, side), side_of(pair, 1 - side), stamp, message);
        }
        Ok(())
    }

    fn report(&mut self, pair: Pair, side: usize, changes: &[Change]) -> Result<(), String> {
        let other = side_of(pair, 1 - side);
        for change in changes {
            let input = match change {
                Change::Down => Input::Down(other),
                Change::Up => Input::Up(other),
                Change::Reconnected => Input::Reconnected(other),
            };
            self.tell(side_of(pair, side), Happening::Input(input))?;
        }
        Ok(())
    }

    /// An end gives its connection up; if it is the one that dials it will again.
    fn part(&mut self, pair: Pair, side: usize) {
        let draw = self.stream.uniform();
        let now = self.now;
        let life = self.slots[side_of(pair, side).index()].lives;
        let end = &mut self.edges.get_mut(&pair).expect("an edge").ends[side];
        let pause = end.part(now, draw);
        let pauses = end.pauses;
        if side == 0 {
            self.push(now + pause, Event::Redial(pair, pauses, life));
        }
    }

    fn redial(&mut self, pair: Pair, pauses: u64, life: u32) {
        let slot = &self.slots[pair.0.index()];
        let edge = self.edges.get_mut(&pair).expect("an edge");
        let end = &mut edge.ends[0];
        if slot.stage.is_none() || slot.lives != life || end.pauses != pauses || end.phase != Phase::Apart {
            return;
        }
        self.connections += 1;
        let connection = self.connections;
        end.phase = Phase::Meeting(connection);
        let ours = end.bond.standing(life - 1);
        edge.last = [[self.now; 2]; 2];
        self.transmit(pair, 0, connection, 0, Content::Hello(ours));
        self.push(self.now + HANDSHAKE, Event::Timeout(pair, 0, connection, life));
    }

    /// A sign of life, and a look whether the other end still gives some.
    fn beat(&mut self, pair: Pair, side: usize, life: u32) -> Result<(), String> {
        let slot = &self.slots[side_of(pair, side).index()];
        if slot.lives != life || slot.stage.is_none() {
            return Ok(());
        }
        let (now, settings) = (self.now, &self.ready.settings);
        self.push(now + settings.heartbeat, Event::Beat(pair, side, life));
        let end = &mut self.edges.get_mut(&pair).expect("an edge").ends[side];
        let silent = end.is_silent(now, settings.detection, settings.start_timeout);
        if let Phase::Together(connection) = end.phase {
            self.transmit(pair, side, connection, 0, Content::Beat);
        }
        if !silent {
            return Ok(());
        }
        self.part(pair, side);
        let edge = self.edges.get_mut(&pair).expect("an edge");
        edge.waiting[side].clear();
        let changes = edge.ends[side].bond.lose();
        self.report(pair, side, changes)
    }

    fn strike(&mut self, fault: &Fault) {
        let millis = Span::from_millis;
        match *fault {
            Fault::Kill { node, down } => {
                self.close(NodeId(node));
                self.push(self.now + millis(down), Event::Revive(NodeId(node)));
            }
            Fault::PowerCut { node, down } => {
                let slot = &mut self.slots[node as usize];
                if let Some(stage) = slot.stage.take() {
                    slot.gone(&stage);
                    self.tear(NodeId(node));
                }
                self.slots[node as usize].is_powered = false;
                self.push(self.now + millis(down), Event::Revive(NodeId(node)));
            }
            Fault::Pause { node, pause } => {
                let until = self.now + millis(pause);
                let paused = &mut self.slots[node as usize].paused_until;
                *paused = Some(paused.map_or(until, |already| already.max(until)));
                self.push(until, Event::Resume(NodeId(node)));
            }
            Fault::Isolate { node, pause } => {
                let until = &mut self.slots[node as usize].isolated_until;
                *until = (self.now + millis(pause)).max(*until);
            }
            Fault::Cut { a, b, pause } => {
                let (pair, _) = self.edge_to(NodeId(a), NodeId(b));
                if let Some(edge) = self.edges.get_mut(&pair) {
                    edge.cut_until = (self.now + millis(pause)).max(edge.cut_until);
                }
            }
            Fault::Reset { a, b } => {
                let (pair, _) = self.edge_to(NodeId(a), NodeId(b));
                for side in 0..2 {
                    let phase = self.edges.get(&pair).map(|edge| edge.ends[side].phase);
                    if let Some(Phase::Together(connection)) = phase {
                        self.transmit(pair, 1 - side, connection, 0, Content::Lost);
                    }
                }
            }
            Fault::FullDisk { node, down } => {
                let slot = &mut self.slots[node as usize];
                slot.is_full = true;
                if let Some(stage) = &mut slot.stage {
                    stage.world.disk_full = true;
                }
                self.push(self.now + millis(down), Event::Revive(NodeId(node)));
            }
        }
    }

    /// The last words that a disk was given before the power failed are not on it.
    fn tear(&mut self, node: NodeId) {
        let path = self.own(node).join(node_file::ORDER);
        let Ok(file) = std::fs::OpenOptions::new().write(true).open(path) else { return };
        let len = file.metadata().map_or(0, |data| data.len());
        let lost = self.stream.below(120).min(len.saturating_sub(self.slots[node.index()].synced));
        // What cannot be shortened stays whole.
        let _ = file.set_len(len - lost);
    }

    /// A process is gone; its machine tells those who are connected to it.
    fn close(&mut self, node: NodeId) {
        let slot = &mut self.slots[node.index()];
        let Some(stage) = slot.stage.take() else { return };
        slot.gone(&stage);
        for (pair, side) in self.edges_of(node) {
            let phase = self.edges[&pair].ends[side].phase;
            if let Phase::Meeting(connection) | Phase::Together(connection) = phase {
                self.transmit(pair, side, connection, 0, Content::Lost);
            }
        }
    }

    fn resume(&mut self, node: NodeId) -> Result<(), String> {
        let now = self.now;
        let slot = &mut self.slots[node.index()];
        if slot.paused_until.is_none_or(|until| until > now) {
            return Ok(());
        }
        slot.paused_until = None;
        let inbox = std::mem::take(&mut slot.inbox);
        let judge_from = now + self.ready.settings.heartbeat;
        for (pair, side) in self.edges_of(node) {
            self.edges.get_mut(&pair).expect("listed").ends[side].judge_from = judge_from;
        }
        for event in inbox {
            self.happen(event)?;
        }
        Ok(())
    }
}

fn side_of(pair: Pair, side: usize) -> NodeId {
    if side == 0 { pair.0 } else { pair.1 }
}
