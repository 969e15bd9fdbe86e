//! How a deployed run ends: the root tells its children, they tell theirs; peers tell each other who has finished.
//! These notices pass by the nodes, which know nothing of them.

use super::stage::Stage;
use super::world::World;
use crate::deploy::trace::Row;
use crate::transport::links::Input;
use hcddl_core::domain::{NodeId, Span, Time};
use hcddl_core::node::Reason;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What processes tell each other beside the nodes' messages.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Notice {
    /// The run is over: from a parent.
    Over(Reason),
    /// I know that it is over, and so do those below me.
    Understood,
    /// Peers that have finished or are lost.
    Finished(BTreeSet<NodeId>),
    /// A node cannot go on, which ends the run: to the parent.
    Failed(String),
    /// To be sent back at once: what the sender's clock showed.
    Ping(Time),
    /// A `Ping` that comes back: what its sender's clock showed, and what that of the node that sends it back.
    Pong {
        /// As in the `Ping`.
        sent: Time,
        /// Here.
        here: Time,
        /// Which life of this node reads that clock.
        life: u32,
    },
}

impl Notice {
    pub fn encode(&self) -> Vec<u8> {
        hcddl_files::bytes::to_bytes(self).expect("plain data")
    }

    /// `None` if the bytes mean nothing.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        hcddl_files::bytes::from_bytes(bytes, bytes.len() as u64).ok()
    }
}

/// How a run is over for a node.
#[derive(Clone, Debug)]
pub(crate) struct End {
    pub reason: Reason,
    /// Whether this node did its part: also when others failed.
    pub is_good: bool,
}

impl End {
    /// The node itself says so.
    pub fn of(reason: Reason) -> Self {
        let is_good = reason.problem().is_none();
        Self { reason, is_good }
    }
}

/// Who still has to understand that the run is over.
#[derive(Debug)]
pub(crate) struct Farewell {
    waiting: BTreeSet<NodeId>,
    notice: Vec<u8>,
    /// When it is said again, and when nobody is waited for any more.
    again: Time,
    deadline: Time,
}

impl Farewell {
    /// When something is to be done next.
    pub fn next(&self) -> Time {
        self.again.min(self.deadline)
    }
}

/// How long a node waits at the end for those below it; one that is lost now may just be starting again.
const FAREWELL: Span = Span::from_millis(5000);
/// Between two notices that the run is over.
const AGAIN: Span = Span::from_millis(500);

impl<W: World> Stage<'_, W> {
    /// What another process says beside the nodes.
    pub(super) fn noticed(&mut self, from: NodeId, notice: Notice) {
        match notice {
            Notice::Over(reason) => {
                self.over.get_or_insert(End { reason, is_good: true });
            }
            Notice::Understood => {}
            Notice::Ping(sent) => {
                let (here, life) = (self.now(), self.place.life);
                self.world.notice(from, Notice::Pong { sent, here, life }.encode());
            }
            Notice::Pong { sent, here: theirs, life } => {
                let back = self.now();
                self.books.ping(&Row::Ping { sent, back, node: from, life, theirs });
                self.books.round_trip(self.name(from), back.since(sent));
            }
            Notice::Finished(peers) => self.peers_finished(peers),
            Notice::Failed(why) if self.plan.peers.is_none() => self.fail(why),
            Notice::Failed(why) if self.over.is_none() => {
                tracing::error!("{} says: {why}", self.name(from));
                self.fail(why);
            }
            Notice::Failed(_) => {}
        }
    }

    /// Says again, to a neighbour whose connection is there again, what it may not have heard: a notice is not kept for
    /// one that is away.
    pub(super) fn say_again(&mut self, neighbour: NodeId) {
        if !self.finished_peers.is_empty() {
            self.world.notice(neighbour, Notice::Finished(self.finished_peers.clone()).encode());
        }
        if let Some(Reason::Failed(why)) = &self.books.progress.reason
            && self.above().contains(&neighbour)
        {
            self.world.notice(neighbour, Notice::Failed(why.clone()).encode());
        }
    }

    /// Peers of which this one now knows that they have finished; when all have, the run is over.
    pub(super) fn peers_finished(&mut self, peers: BTreeSet<NodeId>) {
        if self.plan.peers.is_none() {
            return;
        }
        let before = self.finished_peers.len();
        self.finished_peers.extend(peers);
        if self.finished_peers.contains(&self.me) {
            // Whoever is lost now will not finish.
            self.finished_peers.extend(&self.lost);
        }
        if self.finished_peers.len() > before {
            let notice = Notice::Finished(self.finished_peers.clone()).encode();
            self.above().into_iter().for_each(|peer| self.world.notice(peer, notice.clone()));
        }
        if self.finished_peers.len() == self.plan.nodes.len() {
            self.over.get_or_insert(End::of(Reason::Rounds));
        }
    }

    /// Tells those below that the run is over, and writes what only the end knows.
    pub(super) fn say_farewell(&mut self) -> anyhow::Result<()> {
        let over = self.over.clone().expect("only when the run is over");
        let waiting: BTreeSet<NodeId> = self.plan.nodes[self.me.index()].children.iter().copied().collect();
        let notice = Notice::Over(over.reason.clone()).encode();
        waiting.iter().for_each(|child| self.world.notice(*child, notice.clone()));
        let saved = self.world.saved(true);
        let (now, traffic) = (self.now(), self.world.traffic());
        let ended = self.books.finish(now, &over, traffic, &mut self.core.account);
        let now = self.now();
        self.farewell = Some(Farewell { waiting, notice, again: now + AGAIN, deadline: now + FAREWELL });
        saved?;
        ended
    }

    /// What the links bring when the node itself is told nothing any more.
    pub(super) fn heard_at_the_end(&mut self, input: Input) {
        let Some(farewell) = &mut self.farewell else { return };
        match input {
            Input::Notice { from, bytes } if Notice::decode(&bytes) == Some(Notice::Understood) => {
                farewell.waiting.remove(&from);
            }
            Input::Up(child) | Input::Reconnected(child) => self.world.notice(child, farewell.notice.clone()),
            _ => {}
        }
    }

    /// Says again that it is over, however much the others talk: one that comes back now has not heard it.
    pub(super) fn say_it_again(&mut self) {
        let now = self.now();
        let Some(farewell) = &mut self.farewell else { return };
        if now >= farewell.again {
            farewell.again = now + AGAIN;
            farewell.waiting.iter().for_each(|child| self.world.notice(*child, farewell.notice.clone()));
        }
    }

    /// Whether everybody below knows, or was waited for long enough: nothing is left to do but to tell the parent
    /// ([`Stage::leave`]).
    pub(crate) fn is_done(&self) -> bool {
        let now = self.now();
        self.farewell.as_ref().is_some_and(|farewell| farewell.waiting.is_empty() || now >= farewell.deadline)
    }

    /// The last word, to the parent; returns whether the node did its part.
    pub(crate) fn leave(&mut self) -> bool {
        if let Some(parent) = self.plan.nodes[self.me.index()].parent {
            self.world.notice(parent, Notice::Understood.encode());
        }
        self.over.as_ref().is_some_and(|over| over.is_good)
    }
}
