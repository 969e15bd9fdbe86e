//! The event heap: the one place where the order of events is decided.

use hcddl_core::domain::{JobId, Message, NodeId, Time, Token};
use hcddl_core::node::Reason;
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Something that will happen at a known moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Pending {
    /// A fault of the plan.
    Fault(u32),
    /// A node starts.
    Start(NodeId),
    /// A node loses another one, or the two meet, unless something has changed since this turn (see `bonds`).
    Notice { to: NodeId, about: NodeId, up: bool, turn: u32 },
    /// A message arrives: the `number`th from the one to the other, from 0.
    Deliver { from: NodeId, to: NodeId, number: u64, message: Message },
    /// A job ends.
    JobDone { node: NodeId, job: JobId, key: u64 },
    /// A timer runs down, unless it was set again since.
    Timer { node: NodeId, token: Token, set: u64 },
    /// A node is told to stop.
    Stop { node: NodeId, reason: Reason },
    /// The virtual time limit.
    TimeLimit,
    /// Whether two nodes hear of each other is looked at (see `silence`).
    Listen { a: NodeId, b: NodeId },
    /// A trace of the plan changes something.
    Trace(u32),
}

impl Pending {
    /// Which comes first at the same moment: faults, notices, arrivals, results, timers.
    fn class(&self) -> u8 {
        match self {
            Pending::Fault(_) | Pending::Trace(_) => 0,
            Pending::Start(_) => 1,
            Pending::Notice { .. } | Pending::Listen { .. } => 2,
            Pending::Deliver { .. } => 3,
            Pending::JobDone { .. } => 4,
            Pending::Timer { .. } => 5,
            Pending::Stop { .. } => 6,
            Pending::TimeLimit => 7,
        }
    }

    /// Whom it happens to, if that is one node.
    pub fn to(&self) -> Option<NodeId> {
        match self {
            Pending::Start(node)
            | Pending::Notice { to: node, .. }
            | Pending::Deliver { to: node, .. }
            | Pending::JobDone { node, .. }
            | Pending::Timer { node, .. }
            | Pending::Stop { node, .. } => Some(*node),
            Pending::Fault(_) | Pending::Trace(_) | Pending::TimeLimit | Pending::Listen { .. } => None,
        }
    }
}

/// The order: time, class, node, sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Key {
    time: Time,
    /// Class above, node below.
    rank: u64,
    sequence: u64,
    slot: u32,
}

/// Pending events by (time, class, node, sequence).
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Heap {
    keys: BinaryHeap<Reverse<Key>>,
    slots: Vec<Option<Pending>>,
    free: Vec<u32>,
    sequence: u64,
}

impl Heap {
    /// Adds an event.
    pub fn push(&mut self, time: Time, pending: Pending) {
        self.sequence += 1;
        let rank = (u64::from(pending.class()) << 32) | pending.to().map_or(0, |node| u64::from(node.0));
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = Some(pending);
                slot
            }
            None => {
                self.slots.push(Some(pending));
                (self.slots.len() - 1) as u32
            }
        };
        self.keys.push(Reverse(Key { time, rank, sequence: self.sequence, slot }));
    }

    /// The moment of the first event.
    pub fn peek(&self) -> Option<Time> {
        self.keys.peek().map(|key| key.0.time)
    }

    /// Takes the first event.
    pub fn pop(&mut self) -> Option<(Time, Pending)> {
        let Reverse(key) = self.keys.pop()?;
        self.free.push(key.slot);
        let pending = self.slots[key.slot as usize].take().expect("every key has its slot");
        Some((key.time, pending))
    }

    /// Every pending event, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = &Pending> {
        self.slots.iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_by_time_class_node_and_sequence() {
        let mut heap = Heap::default();
        let timer = |node: u32, set| Pending::Timer { node: NodeId(node), token: Token(0), set };
        heap.push(Time(5), timer(1, 1));
        heap.push(Time(5), timer(1, 2));
        heap.push(Time(5), timer(0, 3));
        heap.push(Time(5), Pending::Start(NodeId(9)));
        heap.push(Time(4), Pending::TimeLimit);
        let order: Vec<Pending> = std::iter::from_fn(|| heap.pop().map(|(_, p)| p)).collect();
        assert_eq!(
            order,
            [Pending::TimeLimit, Pending::Start(NodeId(9)), timer(0, 3), timer(1, 1), timer(1, 2)]
        );
    }

    /// Places in memory are used again in another order than events are pushed: they must decide nothing.
    #[test]
    fn ties_are_broken_by_the_order_of_pushing_whatever_the_slots() {
        let mut heap = Heap::default();
        let timer = |set| Pending::Timer { node: NodeId(0), token: Token(0), set };
        (0..4).for_each(|set| heap.push(Time(1), timer(set)));
        (0..4).for_each(|_| drop(heap.pop()));
        (4..8).for_each(|set| heap.push(Time(2), timer(set)));
        let order: Vec<Pending> = std::iter::from_fn(|| heap.pop().map(|(_, p)| p)).collect();
        assert_eq!(order, (4..8).map(timer).collect::<Vec<_>>());
    }
}
