//! One neighbour: dials it or is called by it, keeps the connection, notices silence, and passes on what is said.
//!
//! Everything about an edge happens in one task, in the order of one queue.

use super::bulk::{Incoming, Room};
use super::control::Content;
use super::hello::Purpose;
use super::links::{Credit, Input, Stamp};
use super::meet::{self, Caller, Meeting, Process};
use super::queue::{EdgeEvent, EdgeSender, Outgoing, Task};
use super::together::Together;
use super::{identity, wire};
use hcddl_core::domain::{Message, NodeId};
use hcddl_core::node::bond::{Bond, Change};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::Instant;

/// First and longest pause between two attempts to connect; the longest is shorter than a node waits at the end of a
/// run for those below it.
const REDIAL: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(3));
/// Frames that are kept for a connection which is not yet complete.
const EARLY_MAX: usize = 1024;
/// A connection that lasted so long was a good one: the next is dialled at once.
const GOOD: Duration = Duration::from_secs(1);

/// When an edge does things.
#[derive(Clone, Copy)]
pub(super) struct Timing {
    pub heartbeat: Duration,
    pub detection: Duration,
    pub start_timeout: Duration,
}

enum Phase {
    /// Not connected; a dialling end tries again at this moment.
    Apart(Instant),
    /// Connecting.
    Meeting {
        connection: u64,
        /// Where the second connection is awaited.
        bulk: Option<UnboundedSender<Caller>>,
        /// What the other end, which is faster, has said already.
        early: Vec<Content>,
        _task: Task,
    },
    Together(Box<Together>),
}

/// One neighbour.
pub(super) struct Edge {
    process: Arc<Process>,
    node: NodeId,
    dial: Option<String>,
    timing: Timing,
    events: UnboundedReceiver<EdgeEvent>,
    myself: EdgeSender,
    inputs: UnboundedSender<Input>,
    room: Room,
    bond: Bond,
    phase: Phase,
    /// Messages from before the first meeting.
    waiting: VecDeque<Outgoing>,
    /// The last sign of life when not connected; the start before the first meeting.
    heard: Instant,
    /// Attempts to connect since the last good connection.
    attempts: u32,
}

impl Edge {
    pub fn new(
        process: Arc<Process>,
        (node, dial): (NodeId, Option<String>),
        timing: Timing,
        (myself, events): (EdgeSender, UnboundedReceiver<EdgeEvent>),
        inputs: UnboundedSender<Input>,
    ) -> Self {
        let now = Instant::now();
        let room = Room::new(&process.limits);
        let (bond, waiting, phase) = (Bond::default(), VecDeque::new(), Phase::Apart(now));
        let (heard, attempts) = (now, 0);
        Self {
            process,
            node,
            dial,
            timing,
            events,
            myself,
            inputs,
            room,
            bond,
            phase,
            waiting,
            heard,
            attempts,
        }
    }

    /// Runs until the links are closed.
    pub async fn run(mut self) {
        let mut beat = Instant::now();
        let mut judge_from = beat;
        loop {
            let deadline = self.deadline().max(judge_from);
            let next = beat.min(self.redial_at()).min(deadline);
            tokio::select! {
                biased;
                () = tokio::time::sleep_until(next) => {}
                event = self.events.recv() => match event {
                    Some(event) => self.on(event),
                    None => return,
                }
            }
            let now = Instant::now();
            if now > next + self.timing.heartbeat {
                // This process was stopped or starved: first hear what has arrived meanwhile.
                judge_from = now + self.timing.heartbeat;
            }
            if now >= beat {
                if let Phase::Together(together) = &self.phase {
                    together.say(Content::Beat);
                }
                beat = now + self.timing.heartbeat;
            }
            if now >= self.deadline().max(judge_from) {
                self.lose();
            }
            if now >= self.redial_at() {
                self.redial();
            }
        }
    }

    /// When the neighbour will count as lost.
    fn deadline(&self) -> Instant {
        let far = Instant::now() + Duration::from_secs(3600);
        if self.bond.is_down() {
            return far;
        }
        let heard = match &self.phase {
            Phase::Together(together) => together.heard(),
            _ => self.heard,
        };
        let silence = if self.bond.has_met() { self.timing.detection } else { self.timing.start_timeout };
        heard.checked_add(silence).unwrap_or(far)
    }

    fn redial_at(&self) -> Instant {
        match (&self.phase, &self.dial) {
            (Phase::Apart(at), Some(_)) => *at,
            _ => Instant::now() + Duration::from_secs(3600),
        }
    }

    fn on(&mut self, event: EdgeEvent) {
        match event {
            EdgeEvent::Send(outgoing) => self.send(outgoing),
            EdgeEvent::Notice(bytes) => {
                if let Phase::Together(together) = &self.phase {
                    together.say(Content::Notice(bytes));
                }
            }
            EdgeEvent::Flush(done) => {
                if let Phase::Together(together) = &mut self.phase {
                    together.flush(done);
                }
            }
            EdgeEvent::Called(caller) => self.called(caller),
            EdgeEvent::Met { connection, result } => self.met(connection, result),
            EdgeEvent::Frame { connection, content } => self.frame(connection, content),
            EdgeEvent::Bulk { connection, incoming } => self.bulk(connection, incoming),
            EdgeEvent::Lost { connection, why } => {
                let current = match &self.phase {
                    Phase::Apart(_) => None,
                    Phase::Meeting { connection, .. } => Some(*connection),
                    Phase::Together(together) => Some(together.connection),
                };
                if current == Some(connection) {
                    tracing::info!("connection to {} lost: {why}", self.name());
                    self.part();
                }
            }
        }
    }

    fn send(&mut self, outgoing: Outgoing) {
        match &self.phase {
            Phase::Together(together) => together.send(outgoing),
            _ if !self.bond.has_met() && !self.bond.is_down() => self.waiting.push_back(outgoing),
            // Reliable delivery sends it again when the neighbour is there.
            _ => {}
        }
    }

    fn called(&mut self, caller: Caller) {
        let limit = self.process.handshake_timeout;
        let refuse = |caller: Caller, why: &str| caller.refuse(why.to_owned(), limit);
        let connection = caller.hello.connection;
        if self.dial.is_some() {
            self.process.warn(self.node, "called", "it called, but is to be called; refused");
            return refuse(caller, "this node dials, it does not wait to be called");
        }
        match (caller.hello.purpose, &self.phase) {
            (Purpose::Bulk, Phase::Meeting { connection: current, bulk: Some(bulk), .. })
                if *current == connection =>
            {
                let _ = bulk.send(caller);
            }
            (Purpose::Bulk, _) => refuse(caller, "no control connection came before this one"),
            (Purpose::Control, _) if self.bond.is_outdated(caller.hello.standing.life) => {
                self.process.warn(self.node, "old", "an old process of it called; refused");
                refuse(caller, "this node has been started again elsewhere");
            }
            (Purpose::Control, _) => {
                // Whatever was there is broken, or its other end has given it up.
                self.part();
                self.heard = Instant::now();
                let (bulk, second) = unbounded_channel();
                let (process, edge) = (self.process.clone(), self.myself.clone());
                let ours = self.bond.standing(process.life);
                self.meet(connection, Some(bulk), async move {
                    meet::welcome(&process, caller, second, ours, edge).await
                });
            }
        }
    }

    fn redial(&mut self) {
        let Some(address) = self.dial.clone() else { return };
        let (process, edge, node) = (self.process.clone(), self.myself.clone(), self.node);
        let (connection, ours) = (identity::random(), self.bond.standing(process.life));
        self.meet(connection, None, async move {
            meet::dial(&process, node, &address, connection, ours, edge).await
        });
    }

    fn meet(
        &mut self,
        connection: u64,
        bulk: Option<UnboundedSender<Caller>>,
        meeting: impl Future<Output = Result<Meeting, String>> + Send + 'static,
    ) {
        let edge = self.myself.clone();
        let _task = Task::spawn(async move {
            let result = meeting.await.map(Box::new);
            edge.tell(EdgeEvent::Met { connection, result });
        });
        self.phase = Phase::Meeting { connection, bulk, early: Vec::new(), _task };
    }

    fn met(&mut self, connection: u64, result: Result<Box<Meeting>, String>) {
        let early = match &mut self.phase {
            Phase::Meeting { connection: current, early, .. } if *current == connection => {
                std::mem::take(early)
            }
            _ => return,
        };
        let meeting = match result {
            Ok(meeting) if !self.bond.is_outdated(meeting.standing.life) => meeting,
            other => {
                let why = other.err().unwrap_or_else(|| "an old process answers".to_owned());
                let log = if self.attempts % 16 == 3 { tracing::Level::WARN } else { tracing::Level::DEBUG };
                match log {
                    tracing::Level::WARN => tracing::warn!("no connection to {} yet: {why}", self.name()),
                    _ => tracing::debug!("no connection to {} yet: {why}", self.name()),
                }
                return self.part();
            }
        };
        tracing::info!("connected to {}", self.name());
        self.heard = Instant::now();
        let changes = self.bond.meet(meeting.standing);
        self.phase = Phase::Together(Box::new(Together::new(
            *meeting,
            self.node,
            &self.process,
            &self.room,
            &self.myself,
        )));
        changes.iter().for_each(|change| self.report(*change));
        for outgoing in std::mem::take(&mut self.waiting) {
            self.send(outgoing);
        }
        for content in early {
            self.frame(connection, content);
        }
    }

    fn frame(&mut self, connection: u64, content: Content) {
        let together = match &mut self.phase {
            Phase::Together(together) if together.connection == connection => together,
            Phase::Meeting { connection: current, early, .. } if *current == connection => {
                // What a neighbour may say before we are ready: a few words, not a flood.
                if early.len() >= EARLY_MAX {
                    return self.part();
                }
                return early.push(content);
            }
            _ => return,
        };
        match content {
            Content::Beat => {}
            Content::Message { life, ordinal, frame } => match wire::decode(&frame, &self.process.limits) {
                Ok(message) => self.received(Stamp { life, ordinal }, message, Credit::default()),
                Err(error) => {
                    let what = format!("a control message was refused: {error}");
                    self.process.warn(self.node, "control", &what);
                    self.part();
                }
            },
            Content::Notice(bytes) => self.input(Input::Notice { from: self.node, bytes }),
            Content::Mark => together.say(Content::ControlMarked),
            Content::ControlMarked => together.marked(0),
            Content::BulkMarked => together.marked(1),
        }
    }

    fn bulk(&mut self, connection: u64, incoming: Incoming) {
        match &self.phase {
            Phase::Together(together) if together.connection == connection => match incoming {
                Incoming::Message { stamp, message, credit } => self.received(stamp, message, credit),
                Incoming::Mark => together.say(Content::BulkMarked),
            },
            _ => {}
        }
    }

    /// Drops the connection, if any, and dials again soon.
    fn part(&mut self) {
        if let Phase::Together(together) = &self.phase {
            self.heard = together.heard();
            if together.since.elapsed() >= GOOD {
                self.attempts = 0;
            }
        }
        let (first, longest) = REDIAL;
        let pause = (first * (1 << self.attempts.min(10))).min(longest);
        // A quarter more or less, so that those who lost the same neighbour do not all come back at once.
        let pause = pause.mul_f64(0.75 + 0.5 * (identity::random() as f64 / u64::MAX as f64));
        self.attempts = self.attempts.saturating_add(1);
        self.phase = Phase::Apart(Instant::now() + pause);
    }

    /// The neighbour was silent or absent for too long.
    fn lose(&mut self) {
        if matches!(self.phase, Phase::Together(_)) {
            tracing::warn!("{} has been silent for {:?}", self.name(), self.timing.detection);
        }
        self.part();
        self.waiting.clear();
        let changes = self.bond.lose();
        changes.iter().for_each(|change| self.report(*change));
    }

    fn report(&self, change: Change) {
        self.input(match change {
            Change::Down => Input::Down(self.node),
            Change::Up => Input::Up(self.node),
            Change::Reconnected => Input::Reconnected(self.node),
        });
    }

    fn received(&self, stamp: Stamp, message: Message, credit: Credit) {
        self.input(Input::Received { from: self.node, stamp, message, credit });
    }

    fn input(&self, input: Input) {
        // The node has stopped listening: the links are about to be closed.
        let _ = self.inputs.send(input);
    }

    fn name(&self) -> &str {
        self.process.name(self.node)
    }
}
