//! Reliable delivery as a wrapper around any node: numbers, acknowledges, resends, drops duplicates and restores
//! the order of each lane. It is itself a node, so `sim` and `deploy` run the same one, and a retry bug can be
//! found in simulation.
//!
//! A loss ends an epoch, at both ends (`bond`): what was under way is given up, what comes of it later is not
//! listened to, and what a node says to one that counts as lost is not sent at all. So the first message after the
//! return is the first of a new epoch, and nobody waits for one that nobody keeps.

use super::kinds::ACK;
use super::{Cx, Effect, Effects, Event, Metric, Node, NodeState};
use crate::domain::planted::Planted;
use crate::domain::{Head, Kind, Lane, Message, NodeId, Span, Token};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Everything the wrapper knows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ReliableState {
    outgoing: BTreeMap<(NodeId, Lane), Outgoing>,
    incoming: BTreeMap<(NodeId, Lane), Incoming>,
    /// Connections opened to each node: the high half of a sequence number.
    epochs: BTreeMap<NodeId, u64>,
    /// Nodes that count as lost: nothing is sent to them.
    lost: BTreeSet<NodeId>,
    timers: BTreeMap<Token, (NodeId, Lane, u64)>,
    next_timer: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Outgoing {
    sent: u64,
    unacknowledged: BTreeMap<u64, Unacknowledged>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Unacknowledged {
    message: Message,
    attempts: u32,
    timer: Token,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Incoming {
    epoch: u64,
    delivered: u64,
    early: BTreeMap<u64, Message>,
    /// The sender was lost in this epoch: nothing of it is listened to any more.
    closed: bool,
}

fn count(name: &'static str) -> Effect {
    Effect::Record(Metric { name: name.into(), value: 1.0 })
}

impl ReliableState {
    /// Messages of a kind that this node (`me`) still resends to `to`, and that have not been delivered there.
    #[must_use]
    pub fn undelivered(&self, me: NodeId, to: NodeId, receiver: &ReliableState, kind: &Kind) -> u64 {
        let incoming = receiver.incoming.get(&(me, Lane::Model)).cloned().unwrap_or_default();
        let on_its_way = |sequence: u64, message: &Message| {
            let (epoch, position) = (sequence >> POSITION_BITS, sequence & ((1 << POSITION_BITS) - 1));
            let delivered =
                epoch < incoming.epoch || (epoch == incoming.epoch && position <= incoming.delivered);
            message.kind == *kind && !delivered && !incoming.early.contains_key(&position)
        };
        self.outgoing.get(&(to, Lane::Model)).map_or(0, |outgoing| {
            outgoing.unacknowledged.iter().filter(|(s, u)| on_its_way(**s, &u.message)).count() as u64
        })
    }

    /// Messages of a kind that came before their turn and wait for earlier ones.
    #[must_use]
    pub fn early(&self, kind: &Kind) -> u64 {
        let early = self.incoming.values().flat_map(|incoming| incoming.early.values());
        early.filter(|message| message.kind == *kind).count() as u64
    }
}

/// A node with reliable delivery.
pub struct Reliable {
    inner: Box<dyn Node>,
    resend_after: Option<Span>,
    incarnation: u32,
    state: ReliableState,
}

/// Tokens of the wrapper's own timers have this bit.
const TIMER_BIT: u64 = 1 << 63;
/// A sequence number is epoch << 32 | position; the epoch is incarnation << 16 | connection.
const POSITION_BITS: u32 = 32;
/// The wait for an acknowledgement doubles up to this power.
const BACKOFF_MAX: u32 = 6;

impl Reliable {
    /// Wraps a node. `incarnation` counts its restarts. Without `resend_after` a message is sent again only when a
    /// connection was lost and is there again: below is a stream that loses nothing else.
    #[must_use]
    pub fn new(
        inner: Box<dyn Node>,
        resend_after: Option<Span>,
        incarnation: u32,
        state: Option<ReliableState>,
    ) -> Self {
        Self { inner, resend_after, incarnation, state: state.unwrap_or_default() }
    }

    fn pass_on(&mut self, cx: &Cx, event: Event, out: &mut Effects) {
        let mut effects = Effects::default();
        self.inner.on(cx, event, &mut effects);
        for effect in effects.0 {
            match effect {
                Effect::Send { to, message } => self.send(to, message, out),
                other => out.push(other),
            }
        }
    }

    fn send(&mut self, to: NodeId, mut message: Message, out: &mut Effects) {
        if self.state.lost.contains(&to) && !Planted::HoleAfterLoss.is_there() {
            return;
        }
        let life = if Planted::SameEpoch.is_there() { 0 } else { self.incarnation };
        let epoch = (u64::from(life) << 16) | self.state.epochs.get(&to).copied().unwrap_or(0);
        let lane = message.lane();
        let outgoing = self.state.outgoing.entry((to, lane)).or_default();
        outgoing.sent += 1;
        message.sequence = ((epoch + 1) << POSITION_BITS) | outgoing.sent;
        self.state.next_timer += 1;
        let timer = Token(TIMER_BIT | self.state.next_timer);
        let sequence = message.sequence;
        outgoing
            .unacknowledged
            .insert(sequence, Unacknowledged { message: message.clone(), attempts: 1, timer });
        out.send(to, message);
        if let Some(after) = self.resend_after {
            self.state.timers.insert(timer, (to, lane, sequence));
            out.push(Effect::SetTimer { after, token: timer });
        }
    }

    fn acknowledged(&mut self, from: NodeId, head: &Head, out: &mut Effects) {
        let lane = if head.part == 0 { Lane::Control } else { Lane::Model };
        let found =
            self.state.outgoing.get_mut(&(from, lane)).and_then(|o| o.unacknowledged.remove(&head.clock));
        if let Some(unacknowledged) = found {
            self.forget_timer(unacknowledged.timer, out);
        }
    }

    fn forget_timer(&mut self, timer: Token, out: &mut Effects) {
        if self.state.timers.remove(&timer).is_some() {
            out.push(Effect::ClearTimer(timer));
        }
    }

    /// The connection is there again: sends what has not been acknowledged, in order.
    fn resend_all(&mut self, to: NodeId, out: &mut Effects) {
        for lane in [Lane::Control, Lane::Model] {
            let waiting = self.state.outgoing.get(&(to, lane)).map(|o| &o.unacknowledged);
            for unacknowledged in waiting.into_iter().flat_map(BTreeMap::values) {
                out.push(count("resends"));
                out.send(to, unacknowledged.message.clone());
            }
        }
    }

    fn resend(&mut self, token: Token, out: &mut Effects) {
        let Some((to, lane, sequence)) = self.state.timers.get(&token).copied() else { return };
        let waiting =
            self.state.outgoing.get_mut(&(to, lane)).and_then(|o| o.unacknowledged.get_mut(&sequence));
        if let Some(waiting) = waiting {
            let backoff = 1 << waiting.attempts.min(BACKOFF_MAX);
            waiting.attempts += 1;
            out.push(count("resends"));
            out.send(to, waiting.message.clone());
            if let Some(after) = self.resend_after {
                out.push(Effect::SetTimer { after: after.times(backoff), token });
            }
        }
    }

    /// The messages that can be delivered now that this one is here, in order.
    fn in_order(&mut self, from: NodeId, message: Message) -> Vec<Message> {
        let incoming = self.state.incoming.entry((from, message.lane())).or_default();
        let (epoch, position) =
            (message.sequence >> POSITION_BITS, message.sequence & ((1 << POSITION_BITS) - 1));
        if epoch > incoming.epoch {
            *incoming = Incoming { epoch, ..Incoming::default() };
        }
        if epoch == incoming.epoch && position > incoming.delivered && !incoming.closed {
            incoming.early.insert(position, message);
        }
        let mut ready = Vec::new();
        while let Some(message) = incoming.early.remove(&(incoming.delivered + 1)) {
            incoming.delivered += 1;
            ready.push(message);
        }
        ready
    }

    /// The other end lost its memory, or one end the other: what was under way between them is given up.
    fn lose(&mut self, node: NodeId, out: &mut Effects) {
        self.state.lost.insert(node);
        *self.state.epochs.entry(node).or_insert(0) += 1;
        for lane in [Lane::Control, Lane::Model] {
            if let Some(incoming) = self.state.incoming.get_mut(&(node, lane)) {
                incoming.early.clear();
                incoming.closed = true;
            }
            if let Some(outgoing) = self.state.outgoing.remove(&(node, lane)) {
                for unacknowledged in outgoing.unacknowledged.into_values() {
                    self.forget_timer(unacknowledged.timer, out);
                }
            }
        }
    }
}

impl Node for Reliable {
    fn on(&mut self, cx: &Cx, event: Event, out: &mut Effects) {
        match event {
            Event::Received { from, message } if message.kind == ACK => {
                self.acknowledged(from, &message.head, out)
            }
            Event::Received { from, message } if message.sequence > 0 => {
                let part = u32::from(message.lane() == Lane::Model);
                let head = Head { clock: message.sequence, part, ..Head::default() };
                out.send(from, Message::control(ACK, head));
                for mut message in self.in_order(from, message) {
                    message.sequence = 0;
                    self.pass_on(cx, Event::Received { from, message }, out);
                }
            }
            Event::Timer(token) if token.0 & TIMER_BIT != 0 => self.resend(token, out),
            Event::Reconnected(node) => self.resend_all(node, out),
            Event::Down(node) => {
                self.lose(node, out);
                self.pass_on(cx, Event::Down(node), out);
            }
            Event::Up(node) => {
                self.state.lost.remove(&node);
                self.pass_on(cx, Event::Up(node), out);
            }
            event => self.pass_on(cx, event, out),
        }
    }

    fn save(&self) -> NodeState {
        NodeState::Reliable(Box::new((self.state.clone(), self.inner.save())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Seeds, Time};
    use crate::node::bond::{Bond, Change};
    use proptest::prelude::*;
    use std::collections::VecDeque;

    /// Sends what it is told by timers, and remembers what it gets.
    struct Echo(Vec<u64>);

    impl Node for Echo {
        fn on(&mut self, _: &Cx, event: Event, out: &mut Effects) {
            match event {
                Event::Timer(token) => {
                    let head = Head { clock: token.0, ..Head::default() };
                    out.send(NodeId(1), Message::control(Kind::new("n"), head));
                }
                Event::Received { message, .. } => self.0.push(message.head.clock),
                _ => {}
            }
        }
        fn save(&self) -> NodeState {
            NodeState::Custom(self.0.iter().map(|v| *v as u8).collect())
        }
    }

    fn got(node: &Reliable) -> Vec<u8> {
        match node.save() {
            NodeState::Reliable(both) => match both.1 {
                NodeState::Custom(bytes) => bytes,
                _ => unreachable!(),
            },
            _ => unreachable!(),
        }
    }

    fn step(node: &mut Reliable, event: Event) -> Vec<Effect> {
        let cx = Cx { now: Time::ZERO, me: NodeId(0), seeds: Seeds::all(1) };
        let mut out = Effects::default();
        node.on(&cx, event, &mut out);
        out.0
    }

    fn sent(effects: &[Effect]) -> Vec<Message> {
        effects
            .iter()
            .filter_map(|e| match e {
                Effect::Send { message, .. } => Some(message.clone()),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn delivers_once_and_in_order_whatever_the_network_does() {
        let node = |_| Reliable::new(Box::new(Echo(vec![])), Some(Span::from_millis(1)), 0, None);
        let (mut a, mut b) = (node(0), node(1));
        let messages: Vec<Message> =
            (1..=4).flat_map(|i| sent(&step(&mut a, Event::Timer(Token(i))))).collect();
        for i in [2, 0, 0, 3, 2, 1, 1] {
            let acks = sent(&step(&mut b, Event::Received { from: NodeId(0), message: messages[i].clone() }));
            for message in acks {
                step(&mut a, Event::Received { from: NodeId(1), message });
            }
        }
        assert_eq!(got(&b), [1, 2, 3, 4]);
        assert!(a.state.timers.is_empty(), "everything is acknowledged");
    }

    #[test]
    fn resends_until_acknowledged_and_starts_anew_after_a_loss() {
        let mut a = Reliable::new(Box::new(Echo(vec![])), Some(Span::from_millis(1)), 0, None);
        let first = step(&mut a, Event::Timer(Token(7)));
        let [Effect::Send { message, .. }, Effect::SetTimer { token, after }] = &first[..] else {
            panic!("{first:?}");
        };
        let again = step(&mut a, Event::Timer(*token));
        let twice = Effect::SetTimer { token: *token, after: after.times(2) };
        let send = Effect::Send { to: NodeId(1), message: message.clone() };
        assert_eq!(again, [count("resends"), send, twice]);
        assert_eq!(step(&mut a, Event::Down(NodeId(1))), [Effect::ClearTimer(*token)]);
        assert_eq!(step(&mut a, Event::Timer(Token(7))), [], "nothing is sent to one that is lost");
        assert_eq!(step(&mut a, Event::Up(NodeId(1))), []);
        let anew = sent(&step(&mut a, Event::Timer(Token(8))));
        assert!(anew[0].sequence > message.sequence && anew[0].sequence & 0xFFFF_FFFF == 1);
    }

    #[test]
    fn without_timers_it_resends_when_the_connection_is_there_again() {
        let mut a = Reliable::new(Box::new(Echo(vec![])), None, 0, None);
        let messages: Vec<Message> =
            (1..=3).flat_map(|i| sent(&step(&mut a, Event::Timer(Token(i))))).collect();
        assert!(a.state.timers.is_empty());
        let ack = Head { clock: messages[0].sequence, ..Head::default() };
        step(&mut a, Event::Received { from: NodeId(1), message: Message::control(ACK, ack) });
        assert_eq!(sent(&step(&mut a, Event::Reconnected(NodeId(1)))), messages[1..]);
        step(&mut a, Event::Down(NodeId(1)));
        assert_eq!(step(&mut a, Event::Reconnected(NodeId(1))), []);
    }

    /// Two ends and the stream between them: a connection brings everything in order until it breaks.
    struct Wire {
        ends: [Reliable; 2],
        bonds: [Bond; 2],
        births: [u32; 2],
        connected: bool,
        under_way: [VecDeque<Message>; 2],
        /// From before the first meeting of an end.
        waiting: [Vec<Message>; 2],
        said: u64,
        /// What each end said since its last loss, while it took the other for there.
        promised: [Vec<u8>; 2],
    }

    impl Wire {
        fn new() -> Self {
            let end = |_| Reliable::new(Box::new(Echo(vec![])), None, 0, None);
            Self {
                ends: [end(0), end(1)],
                bonds: [Bond::with(0), Bond::with(0)],
                births: [0, 0],
                connected: true,
                under_way: Default::default(),
                waiting: Default::default(),
                said: 0,
                promised: Default::default(),
            }
        }

        fn tell(&mut self, end: usize, event: Event) {
            let effects = step(&mut self.ends[end], event);
            if self.connected {
                self.under_way[end].extend(sent(&effects));
            } else if !self.bonds[end].has_met() && !self.bonds[end].is_down() {
                self.waiting[end].extend(sent(&effects));
            }
        }

        /// Each end calls the other node 1: `Echo` sends to that one.
        fn say(&mut self, end: usize) {
            self.said = self.said % 255 + 1;
            if !self.bonds[end].is_down() {
                self.promised[end].push(self.said as u8);
            }
            self.tell(end, Event::Timer(Token(self.said)));
        }

        fn arrive(&mut self, at: usize) -> bool {
            let Some(message) = self.under_way[1 - at].pop_front() else { return false };
            self.tell(at, Event::Received { from: NodeId(1), message });
            true
        }

        fn cut(&mut self) {
            self.connected = false;
            self.under_way = Default::default();
        }

        fn change(&mut self, end: usize, changes: &[Change]) {
            for change in changes {
                if *change == Change::Down {
                    // What either of them has said is void: the other will not hear it, or has heard it already.
                    self.promised[end].clear();
                }
                self.tell(
                    end,
                    match change {
                        Change::Down => Event::Down(NodeId(1)),
                        Change::Up => Event::Up(NodeId(1)),
                        Change::Reconnected => Event::Reconnected(NodeId(1)),
                    },
                );
            }
        }

        fn lose(&mut self, end: usize) {
            self.cut();
            self.waiting[end].clear();
            let changes = self.bonds[end].lose();
            self.change(end, changes);
        }

        fn restart(&mut self, end: usize) {
            self.cut();
            self.births[end] += 1;
            self.ends[end] = Reliable::new(Box::new(Echo(vec![])), None, self.births[end], None);
            self.bonds[end] = Bond::default();
            self.waiting[end].clear();
            self.promised[end].clear();
        }

        /// They connect; what `seen` does not see breaks before it knows of it.
        fn meet(&mut self, seen: [bool; 2]) {
            self.cut();
            let standings = [0, 1].map(|end: usize| self.bonds[end].standing(self.births[end]));
            self.connected = seen == [true, true];
            for end in (0..2).filter(|end| seen[*end]) {
                let changes = self.bonds[end].meet(standings[1 - end]);
                self.change(end, changes);
                let waiting = std::mem::take(&mut self.waiting[end]);
                if self.connected {
                    self.under_way[end].extend(waiting);
                }
            }
        }
    }

    proptest! {
        /// Whatever breaks, gets lost or starts anew: once the two ends are connected, everything that was said since
        /// the last loss arrives, once and in order, and so does what is said next.
        #[test]
        fn after_any_loss_nobody_waits_for_what_nobody_keeps(
            steps in proptest::collection::vec((0..9_u8, 0..2_usize), 0..80),
        ) {
            let mut wire = Wire::new();
            for (step, end) in steps {
                match step {
                    0..=2 => wire.say(end),
                    3 | 4 => { wire.arrive(end); }
                    5 => wire.cut(),
                    6 => wire.lose(end),
                    7 => wire.restart(end),
                    _ => wire.meet([end == 0, end == 1]),
                }
            }
            wire.meet([true, true]);
            wire.say(0);
            wire.say(1);
            while wire.arrive(0) | wire.arrive(1) {}
            for end in 0..2 {
                let heard = got(&wire.ends[1 - end]);
                prop_assert!(heard.ends_with(&wire.promised[end]), "{:?} of {heard:?}", wire.promised[end]);
                let mut once = heard.clone();
                once.dedup();
                prop_assert_eq!(once, heard);
            }
        }
    }
}
