//! What passes between processes in the storm, and how they come to be connected: the rules of the transport decide, and
//! what they want is done with modelled connections.

use super::edge::{Content, End, Outgoing, side_of};
use super::world::{Event, HANDSHAKE, Pair, World};
use crate::deploy::node::world::Happening;
use crate::transport::hello::{Answer, Hello, Purpose};
use crate::transport::links::{Credit, Input};
use crate::transport::rules::{Act, Moment, Told};
use crate::transport::wire::WIRE_VERSION;
use hcddl_core::domain::{Lane, NodeId, Span, Time};
use hcddl_core::node::bond::{Change, Standing};

/// Name of every run in the storm.
const RUN: &str = "storm";
/// A sign of life and everything without tensors goes here.
const CONTROL: usize = 0;

impl World<'_> {
    pub(super) fn edges_of(&self, node: NodeId) -> Vec<(Pair, usize)> {
        let pairs = self.edges.keys().filter(|pair| pair.0 == node || pair.1 == node);
        pairs.map(|pair| (*pair, usize::from(pair.1 == node))).collect()
    }

    pub(super) fn edge_to(&self, from: NodeId, to: NodeId) -> (Pair, usize) {
        if self.edges.contains_key(&(from, to)) { ((from, to), 0) } else { ((to, from), 1) }
    }

    pub(super) fn end(&mut self, (pair, side): (Pair, usize)) -> &mut End {
        &mut self.edges.get_mut(&pair).expect("an edge").ends[side]
    }

    /// Tells the rules of an end what happens, and does what they want. `caller` is who calls, if anybody does.
    pub(super) fn ask(
        &mut self,
        (pair, side): (Pair, usize),
        told: Told<Outgoing, Content>,
        caller: Option<(u64, &Hello)>,
    ) {
        let node = side_of(pair, side);
        if self.slots[node.index()].stage.is_none() {
            return;
        }
        let (now, draw) = (self.now, self.stream.word());
        let end = self.end((pair, side));
        let before = end.rules.connection();
        let acts = end.rules.on(Moment { now, heard: end.heard, draw }, told);
        for act in acts {
            self.act((pair, side), act, before, caller);
        }
        let end = self.end((pair, side));
        if end.rules.together().is_some() {
            for message in std::mem::take(&mut end.unread) {
                self.hear((pair, side), Content::Message(message));
            }
        }
        let end = self.end((pair, side));
        let next = end.rules.next(end.heard).max(now + Span(1));
        if end.wake.is_none_or(|wake| next < wake) {
            end.wake = Some(next);
            let lives = self.slots[node.index()].lives;
            self.push(next, Event::Edge(pair, side, lives));
        }
    }

    fn act(
        &mut self,
        (pair, side): (Pair, usize),
        act: Act<Outgoing, Content>,
        before: Option<u64>,
        caller: Option<(u64, &Hello)>,
    ) {
        let now = self.now;
        let together = self.end((pair, side)).rules.together();
        match act {
            Act::Dial { connection, ours } => {
                self.edges.get_mut(&pair).expect("an edge").last = [[now; 2]; 2];
                self.call(pair, Purpose::Control, connection, ours);
                self.await_other((pair, side), connection, ours, None);
            }
            Act::Welcome { connection, ours } => {
                let other = caller.map(|(_, hello)| hello.standing);
                self.answer((pair, side), connection, Purpose::Control, Answer::Welcome(ours));
                self.await_other((pair, side), connection, ours, other);
            }
            Act::Pair => {
                let (Some((connection, _)), Some(ours)) = (caller, self.end((pair, side)).ours) else {
                    return;
                };
                self.answer((pair, side), connection, Purpose::Bulk, Answer::Welcome(ours));
                self.transmit(pair, side, connection, CONTROL, Content::Ready);
            }
            Act::Refuse(refusal) => {
                let Some((connection, hello)) = caller else { return };
                let answer = Answer::Refused(format!("{refusal:?}"));
                self.answer((pair, side), connection, hello.purpose, answer);
            }
            Act::Open => self.end((pair, side)).heard = now,
            // Its sockets are closed, and the other end will hear of that.
            Act::Close(_) => {
                self.end((pair, side)).unread.clear();
                if let Some(connection) = before {
                    self.transmit(pair, side, connection, CONTROL, Content::Lost);
                }
            }
            Act::Beat => self.say((pair, side), together, Content::Beat),
            Act::Send(outgoing) => self.say((pair, side), together, Content::Message(outgoing)),
            Act::Take(content) => self.hear((pair, side), content),
            Act::Tell(change) => {
                let other = side_of(pair, 1 - side);
                self.input(
                    side_of(pair, side),
                    match change {
                        Change::Down => Input::Down(other),
                        Change::Up => Input::Up(other),
                        Change::Reconnected => Input::Reconnected(other),
                    },
                );
            }
        }
    }

    /// An attempt to connect has begun; nobody waits for ever.
    fn await_other(
        &mut self,
        (pair, side): (Pair, usize),
        connection: u64,
        ours: Standing,
        other: Option<Standing>,
    ) {
        let end = self.end((pair, side));
        (end.ours, end.other) = (Some(ours), other);
        let lives = self.slots[side_of(pair, side).index()].lives;
        self.push(self.now + HANDSHAKE, Event::Met { pair, side, connection, lives, is_good: false });
    }

    fn call(&mut self, pair: Pair, purpose: Purpose, connection: u64, standing: Standing) {
        let (wire, run, (from, to)) = (WIRE_VERSION, RUN.to_owned(), pair);
        let hello = Hello { wire, run, from, to, purpose, connection, standing };
        self.transmit(pair, 0, connection, CONTROL, Content::Call(Box::new(hello)));
    }

    fn answer(&mut self, (pair, side): (Pair, usize), connection: u64, purpose: Purpose, answer: Answer) {
        self.transmit(pair, side, connection, CONTROL, Content::Answer(purpose, answer));
    }

    fn say(&mut self, (pair, side): (Pair, usize), connection: Option<u64>, content: Content) {
        let Some(connection) = connection else { return };
        let lane = match &content {
            Content::Message((_, message)) if message.lane() == Lane::Model => 1,
            _ => CONTROL,
        };
        self.transmit(pair, side, connection, lane, content);
    }

    /// What a process says beside its node's conversation.
    pub(super) fn notice(&mut self, node: NodeId, to: NodeId, bytes: Vec<u8>) {
        let (pair, side) = self.edge_to(node, to);
        let together = self.end((pair, side)).rules.together();
        self.say((pair, side), together, Content::Notice(bytes));
    }

    /// Something is on its way to the other end.
    pub(super) fn transmit(&mut self, pair: Pair, side: usize, connection: u64, lane: usize, what: Content) {
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

    pub(super) fn arrive(&mut self, pair: Pair, to: usize, connection: u64, what: Content) {
        if let Some(until) = self.blocked_until(pair) {
            // TCP tries again, in order; who dials gives up.
            if !matches!(what, Content::Call(_)) {
                self.push(until, Event::Arrive { pair, to, connection, what });
            }
            return;
        }
        let slot = &self.slots[side_of(pair, to).index()];
        if slot.stage.is_none() {
            // A machine without the process refuses; one without power says nothing.
            if slot.is_powered && !matches!(what, Content::Lost) {
                self.transmit(pair, to, connection, CONTROL, Content::Lost);
            }
            return;
        }
        if let Content::Call(hello) = what {
            return self.called((pair, to), &hello);
        }
        let now = self.now;
        let end = self.end((pair, to));
        if end.rules.connection() != Some(connection) {
            if !matches!(what, Content::Lost) {
                self.transmit(pair, to, connection, CONTROL, Content::Lost);
            }
            return;
        }
        end.heard = now;
        match what {
            Content::Lost => self.ask((pair, to), Told::Lost { connection }, None),
            Content::Answer(_, Answer::Refused(_)) => {
                self.ask((pair, to), Told::Met { connection, other: None }, None);
            }
            Content::Answer(Purpose::Control, Answer::Welcome(standing)) => {
                end.other = Some(standing);
                if let Some(ours) = end.ours {
                    self.call(pair, Purpose::Bulk, connection, ours);
                }
            }
            Content::Answer(Purpose::Bulk, Answer::Welcome(_)) => {
                self.transmit(pair, to, connection, CONTROL, Content::Ready);
            }
            Content::Ready => {
                // Until the process hears of it the other end may have begun to talk.
                let at = now + Span((1 + self.stream.below(20)) * 100_000);
                let lives = self.slots[side_of(pair, to).index()].lives;
                self.push(at, Event::Met { pair, side: to, connection, lives, is_good: true });
            }
            Content::Message((stamp, message)) if message.lane() == Lane::Model => {
                end.unread.push((stamp, message));
                // Its rules see no tensors, but look whether the connection is complete.
                self.ask((pair, to), Told::Time, None);
            }
            content => self.ask((pair, to), Told::Said { connection, content }, None),
        }
    }

    fn called(&mut self, at: (Pair, usize), hello: &Hello) {
        let connection = hello.connection;
        if let Some((_, why)) = hello.refusal(RUN, side_of(at.0, at.1)) {
            return self.answer(at, connection, hello.purpose, Answer::Refused(why));
        }
        let told = Told::Called { purpose: hello.purpose, connection, standing: hello.standing };
        self.ask(at, told, Some((connection, hello)));
    }

    /// An attempt to connect has ended, well or because it took too long.
    pub(super) fn met(&mut self, at: (Pair, usize), connection: u64, is_good: bool) {
        let other = self.end(at).other.filter(|_| is_good);
        self.ask(at, Told::Met { connection, other }, None);
    }

    /// A node is to hear what the other end says.
    fn hear(&mut self, (pair, side): (Pair, usize), content: Content) {
        let from = side_of(pair, 1 - side);
        let input = match content {
            Content::Message((stamp, message)) => {
                Input::Received { from, stamp, message: *message, credit: Credit::default() }
            }
            Content::Notice(bytes) => Input::Notice { from, bytes },
            _ => return,
        };
        self.input(side_of(pair, side), input);
    }

    /// Into the queue of a process.
    fn input(&mut self, node: NodeId, input: Input) {
        let lives = self.slots[node.index()].lives;
        self.push(self.now, Event::Happens(node, lives, Box::new(Happening::Input(input))));
    }
}
