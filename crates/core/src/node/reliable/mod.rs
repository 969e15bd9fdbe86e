//! Reliable delivery as a wrapper around any node: numbers, acknowledges, resends, drops duplicates and restores
//! the order of each lane. It is itself a node, so `sim` and `deploy` run the same one, and a retry bug can be
//! found in simulation.
//!
//! A loss ends an era, at both ends (`bond`): what was under way is given up, what comes of it later is not
//! listened to, and what a node says to one that counts as lost is not sent at all. So the first message after the
//! return is the first of a new era, and nobody waits for one that nobody keeps.

use super::kinds::ACK;
use super::{Cx, Effect, Effects, Event, Metric, Node, NodeState};
use crate::domain::planted::Planted;
use crate::domain::{Detail, Era, Head, Kind, Lane, Message, NodeId, Span, Token};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Everything the wrapper knows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ReliableState {
    outgoing: BTreeMap<(NodeId, Lane), Outgoing>,
    incoming: BTreeMap<(NodeId, Lane), Incoming>,
    /// How often each node was lost: with this node's own life that is the era.
    losses: BTreeMap<NodeId, u64>,
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
    /// The newest era of the sender that was heard of, as in its sequence numbers; 0 before the first.
    era: u64,
    delivered: u64,
    early: BTreeMap<u64, Message>,
    /// The sender was lost in this era: nothing of it is listened to any more.
    closed: bool,
}

/// The detail of an acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The sequence number of what has arrived.
    pub sequence: u64,
    /// The lane it came by: each is numbered for itself.
    pub lane: Lane,
}

impl Receipt {
    /// The acknowledgement. It has no number of its own: one that gets lost is sent again with what it was for.
    #[must_use]
    pub fn message(self) -> Message {
        let detail = Detail { long: self.sequence, short: u32::from(self.lane == Lane::Model) };
        Message::control(ACK, Head { detail, ..Head::default() })
    }
}

impl From<Detail> for Receipt {
    fn from(Detail { long, short }: Detail) -> Self {
        Self { sequence: long, lane: if short == 0 { Lane::Control } else { Lane::Model } }
    }
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
            let (era, position) = split(sequence);
            let delivered = era < incoming.era || (era == incoming.era && position <= incoming.delivered);
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
    life: u32,
    state: ReliableState,
}

/// Tokens of the wrapper's own timers have this bit.
const TIMER_BIT: u64 = 1 << 63;
/// A sequence number is the era, counted from 1, above the position within it. So those of a later era are larger than
/// all of a former one, a reader needs no other field to tell them apart, and 0 is left for what is not numbered.
const POSITION_BITS: u32 = 32;
/// The wait for an acknowledgement doubles up to this power.
const BACKOFF_MAX: u32 = 6;

/// Era and position of a sequence number.
fn split(sequence: u64) -> (u64, u64) {
    (sequence >> POSITION_BITS, sequence & ((1 << POSITION_BITS) - 1))
}

impl Reliable {
    /// Wraps a node in its `life`th life, from 0. Without `resend_after` a message is sent again only when a
    /// connection was lost and is there again: below is a stream that loses nothing else.
    #[must_use]
    pub fn new(
        inner: Box<dyn Node>,
        resend_after: Option<Span>,
        life: u32,
        state: Option<ReliableState>,
    ) -> Self {
        Self { inner, resend_after, life, state: state.unwrap_or_default() }
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

    /// Numbers a message, keeps it until it is acknowledged (a clone shares its tensors) and sends it.
    fn send(&mut self, to: NodeId, mut message: Message, out: &mut Effects) {
        // Not kept until the return: it was said to one that is no more, and numbers without a hole begin with the era.
        if self.state.lost.contains(&to) && !Planted::HoleAfterLoss.is_there() {
            return;
        }
        let life = if Planted::SameEra.is_there() { 0 } else { self.life };
        let losses = self.state.losses.get(&to).copied().unwrap_or(0);
        let era = u64::from(Era::new(life, losses as u32).0);
        let lane = message.lane();
        let outgoing = self.state.outgoing.entry((to, lane)).or_default();
        outgoing.sent += 1;
        message.sequence = ((era + 1) << POSITION_BITS) | outgoing.sent;
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

    fn acknowledged(&mut self, from: NodeId, Receipt { sequence, lane }: Receipt, out: &mut Effects) {
        let found =
            self.state.outgoing.get_mut(&(from, lane)).and_then(|o| o.unacknowledged.remove(&sequence));
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
            // It may only be slow: without a growing pause a full link would be filled with copies.
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
        let (era, position) = split(message.sequence);
        // Known by its first message, not by `Up`: that may come later than what the other end says in the new era.
        if era > incoming.era {
            *incoming = Incoming { era, ..Incoming::default() };
        }
        if era == incoming.era && position > incoming.delivered && !incoming.closed {
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
        *self.state.losses.entry(node).or_insert(0) += 1;
        for lane in [Lane::Control, Lane::Model] {
            // Closed, not removed: what is still on its way of this era would count as a new one otherwise.
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
                self.acknowledged(from, message.head.detail.into(), out);
            }
            Event::Received { from, message } if message.sequence > 0 => {
                let receipt = Receipt { sequence: message.sequence, lane: message.lane() };
                // Also of what came before: its sender has not heard of that, or would not have sent it again.
                out.send(from, receipt.message());
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
mod tests;
#[cfg(test)]
mod transcripts;
