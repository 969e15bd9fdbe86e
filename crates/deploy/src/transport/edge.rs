//! One neighbour: dials it or is called by it, keeps the connection, notices silence, and passes on what is said. What is
//! to be done when is decided by [`super::rules`]; here it is done, with real connections.
//!
//! Everything about an edge happens in one task, in the order of one queue.

use super::bulk::{Incoming, Room};
use super::control::Content;
use super::links::{Credit, Input, Stamp};
use super::meet::{self, Caller, Meeting, Process};
use super::queue::{EdgeEvent, EdgeSender, Outgoing, Task};
use super::rules::{Act, Moment, Refusal, Rules, Timing, Told, Why};
use super::together::Together;
use super::{identity, wire};
use hcddl_core::domain::{Message, NodeId, Time};
use hcddl_core::node::bond::{Change, Standing};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::Instant;

/// What there is of a connection.
enum Wire {
    Apart,
    Meeting {
        /// Where the second connection is awaited.
        bulk: Option<UnboundedSender<Caller>>,
        _task: Task,
    },
    Together(Box<Together>),
}

/// What an act needs that the rules do not see.
#[derive(Default)]
struct Hand {
    caller: Option<Caller>,
    meeting: Option<Box<Meeting>>,
    /// Why a connection is gone, or an attempt was in vain.
    why: String,
}

/// One neighbour.
pub(super) struct Edge {
    process: Arc<Process>,
    node: NodeId,
    /// The address to dial; none when the neighbour dials.
    dial: Option<String>,
    timing: Timing,
    events: UnboundedReceiver<EdgeEvent>,
    myself: EdgeSender,
    inputs: UnboundedSender<Input>,
    room: Room,
    began: Instant,
    rules: Rules<Outgoing, Content>,
    wire: Wire,
}

impl Edge {
    pub fn new(
        process: Arc<Process>,
        (node, dial): (NodeId, Option<String>),
        timing: Timing,
        (myself, events): (EdgeSender, UnboundedReceiver<EdgeEvent>),
        inputs: UnboundedSender<Input>,
    ) -> Self {
        let room = Room::new(&process.limits);
        let rules = Rules::new(Time::ZERO, timing, dial.is_some(), process.life);
        let (began, wire) = (Instant::now(), Wire::Apart);
        Self { process, node, dial, timing, events, myself, inputs, room, began, rules, wire }
    }

    /// Runs until the links are closed.
    pub async fn run(mut self) {
        loop {
            let next = self.began + Duration::from_nanos(self.rules.next(self.heard()).0);
            tokio::select! {
                biased;
                () = tokio::time::sleep_until(next) => self.tell(Told::Time, Hand::default()),
                event = self.events.recv() => match event {
                    Some(event) => self.on(event),
                    None => return,
                }
            }
        }
    }

    fn time(&self, at: Instant) -> Time {
        Time(at.saturating_duration_since(self.began).as_nanos() as u64)
    }

    /// When the connection brought bytes last.
    fn heard(&self) -> Time {
        match &self.wire {
            Wire::Together(together) => self.time(together.heard()),
            _ => Time::ZERO,
        }
    }

    fn on(&mut self, event: EdgeEvent) {
        let hand = Hand::default();
        match event {
            EdgeEvent::Send(outgoing) => self.tell(Told::Send(outgoing), hand),
            EdgeEvent::Notice(bytes) => self.say(Content::Notice(bytes)),
            EdgeEvent::Flush(done) => {
                if let Wire::Together(together) = &mut self.wire {
                    together.flush(done);
                }
            }
            EdgeEvent::Called(caller) => {
                let hello = &caller.hello;
                let (purpose, connection, standing) = (hello.purpose, hello.connection, hello.standing);
                let told = Told::Called { purpose, connection, standing };
                self.tell(told, Hand { caller: Some(caller), ..hand });
            }
            EdgeEvent::Met { connection, result } => match result {
                Ok(meeting) => {
                    let why = "an old process answers".to_owned();
                    let told = Told::Met { connection, other: Some(meeting.standing) };
                    self.tell(told, Hand { meeting: Some(meeting), why, ..hand });
                }
                Err(why) => self.tell(Told::Met { connection, other: None }, Hand { why, ..hand }),
            },
            EdgeEvent::Frame { connection, content } => self.tell(Told::Said { connection, content }, hand),
            EdgeEvent::Bulk { connection, incoming } => self.bulk(connection, incoming),
            EdgeEvent::Lost { connection, why } => {
                self.tell(Told::Lost { connection }, Hand { why, ..hand });
            }
        }
    }

    /// Asks the rules, and does what they say.
    fn tell(&mut self, told: Told<Outgoing, Content>, mut hand: Hand) {
        let (now, heard, draw) = (self.time(Instant::now()), self.heard(), identity::random());
        for act in self.rules.on(Moment { now, heard, draw }, told) {
            self.act(act, &mut hand);
        }
    }

    fn act(&mut self, act: Act<Outgoing, Content>, hand: &mut Hand) {
        match act {
            Act::Dial { connection, ours } => self.dial(connection, ours),
            Act::Welcome { connection, ours } => {
                let Some(caller) = hand.caller.take() else { return };
                let (process, edge) = (self.process.clone(), self.myself.clone());
                let (bulk, second) = unbounded_channel();
                self.meet(connection, Some(bulk), async move {
                    meet::welcome(&process, caller, second, ours, edge).await
                });
            }
            Act::Pair => {
                if let (Wire::Meeting { bulk: Some(bulk), .. }, Some(caller)) =
                    (&self.wire, hand.caller.take())
                {
                    let _ = bulk.send(caller);
                }
            }
            Act::Refuse(refusal) => self.refuse(refusal, hand),
            Act::Open => {
                let Some(meeting) = hand.meeting.take() else { return };
                tracing::info!("connected to {}", self.name());
                let together = Together::new(*meeting, self.node, &self.process, &self.room, &self.myself);
                self.wire = Wire::Together(Box::new(together));
            }
            Act::Close(why) => self.close(why, &hand.why),
            Act::Beat => self.say(Content::Beat),
            Act::Send(outgoing) => {
                if let Wire::Together(together) = &self.wire {
                    together.send(outgoing);
                }
            }
            Act::Take(content) => self.take(content),
            Act::Tell(change) => self.input(match change {
                Change::Down => Input::Down(self.node),
                Change::Up => Input::Up(self.node),
                Change::Reconnected => Input::Reconnected(self.node),
            }),
        }
    }

    fn refuse(&self, refusal: Refusal, hand: &mut Hand) {
        let Some(caller) = hand.caller.take() else { return };
        let why = match refusal {
            Refusal::Dials => {
                self.process.warn(self.node, "called", "it called, but is to be called; refused");
                "this node dials, it does not wait to be called"
            }
            Refusal::Alone => "no control connection came before this one",
            Refusal::Outdated => {
                self.process.warn(self.node, "old", "an old process of it called; refused");
                "this node has been started again elsewhere"
            }
        };
        caller.refuse(why.to_owned(), self.process.handshake_timeout);
    }

    fn dial(&mut self, connection: u64, ours: Standing) {
        let Some(address) = self.dial.clone() else { return };
        let (process, edge, node) = (self.process.clone(), self.myself.clone(), self.node);
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
        self.wire = Wire::Meeting { bulk, _task };
    }

    fn close(&mut self, why: Why, details: &str) {
        let was_together = matches!(self.wire, Wire::Together(_));
        self.wire = Wire::Apart;
        let name = self.name();
        match why {
            Why::Lost => tracing::info!("connection to {name} lost: {details}"),
            Why::InVain { is_warned: true } => tracing::warn!("no connection to {name} yet: {details}"),
            Why::InVain { is_warned: false } => tracing::debug!("no connection to {name} yet: {details}"),
            Why::Silent if was_together => {
                let silence = Duration::from_nanos(self.timing.detection.0);
                tracing::warn!("{name} has been silent for {silence:?}");
            }
            Why::Silent | Why::Replaced | Why::Garbled => {}
        }
    }

    fn take(&mut self, content: Content) {
        // What came behind something that means nothing is gone with its connection.
        let Wire::Together(together) = &mut self.wire else { return };
        match content {
            Content::Beat => {}
            Content::Message { life, ordinal, frame } => match wire::decode(&frame, &self.process.limits) {
                Ok(message) => self.received(Stamp { life, ordinal }, message, Credit::default()),
                Err(error) => {
                    let what = format!("a control message was refused: {error}");
                    self.process.warn(self.node, "control", &what);
                    self.tell(Told::Garbled, Hand::default());
                }
            },
            Content::Notice(bytes) => self.input(Input::Notice { from: self.node, bytes }),
            Content::Mark => together.say(Content::ControlMarked),
            Content::ControlMarked => together.marked(0),
            Content::BulkMarked => together.marked(1),
        }
    }

    fn bulk(&mut self, connection: u64, incoming: Incoming) {
        if self.rules.together() != Some(connection) {
            return;
        }
        match incoming {
            Incoming::Message { stamp, message, credit } => self.received(stamp, message, credit),
            Incoming::Mark => self.say(Content::BulkMarked),
        }
    }

    fn say(&self, content: Content) {
        if let Wire::Together(together) = &self.wire {
            together.say(content);
        }
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
