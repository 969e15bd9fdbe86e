//! How a deployed run ends: the root tells its children, they tell theirs; peers tell each other who has finished.
//! These notices pass by the nodes, which know nothing of them.

use super::stage::Stage;
use crate::domain::{NodeId, Time};
use crate::node::Reason;
use crate::transport::links::Input;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

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
    /// A `Ping` that comes back.
    Pong(Time),
}

impl Notice {
    pub fn encode(&self) -> Vec<u8> {
        crate::files::bytes::to_bytes(self).expect("plain data")
    }

    /// `None` if the bytes mean nothing.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        crate::files::bytes::from_bytes(bytes, bytes.len() as u64).ok()
    }
}

/// How a run is over for a node.
#[derive(Clone, Debug)]
pub(super) struct End {
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
#[derive(Debug, Default)]
pub(super) struct Farewell {
    waiting: BTreeSet<NodeId>,
}

impl Farewell {
    pub fn to(children: &[NodeId]) -> Self {
        Self { waiting: children.iter().copied().collect() }
    }

    /// A child understood.
    pub fn gone(&mut self, child: NodeId) {
        self.waiting.remove(&child);
    }

    pub fn waiting(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.waiting.iter().copied()
    }

    pub fn is_done(&self) -> bool {
        self.waiting.is_empty()
    }
}

/// How long a node waits at the end for those below it; one that is lost now may just be starting again.
const FAREWELL: Duration = Duration::from_secs(5);
/// Between two notices that the run is over.
const AGAIN: Duration = Duration::from_millis(500);

impl Stage<'_> {
    /// What another process says beside the nodes.
    pub(super) fn noticed(&mut self, from: NodeId, notice: Notice) {
        match notice {
            Notice::Over(reason) => {
                self.over.get_or_insert(End { reason, is_good: true });
            }
            Notice::Understood => {}
            Notice::Ping(at) => self.links.notice(from, Notice::Pong(at).encode()),
            Notice::Pong(at) => self.books.round_trip(self.name(from), self.now().since(at)),
            Notice::Finished(peers) => self.peers_finished(peers),
            Notice::Failed(why) if self.plan.peers.is_none() => self.fail(why),
            Notice::Failed(why) if self.over.is_none() => {
                tracing::error!("{} says: {why}", self.name(from));
                self.fail(why);
            }
            Notice::Failed(_) => {}
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
            self.above().into_iter().for_each(|peer| self.links.notice(peer, notice.clone()));
        }
        if self.finished_peers.len() == self.plan.nodes.len() {
            self.over.get_or_insert(End::of(Reason::Rounds));
        }
    }

    /// Tells those below that the run is over, writes what only the end knows, and waits for them.
    pub(super) async fn end(mut self) -> anyhow::Result<bool> {
        let over = self.over.take().expect("a stage ends when the run is over");
        let children = self.plan.nodes[self.me.index()].children.clone();
        let mut farewell = Farewell::to(&children);
        let notice = Notice::Over(over.reason.clone()).encode();
        farewell.waiting().for_each(|child| self.links.notice(child, notice.clone()));
        let saved = self.saver.finish();
        let now = self.now();
        let traffic = self.links.traffic();
        let ended = self.books.finish(now, &over, traffic, &mut self.core.account);
        let deadline = Instant::now() + FAREWELL;
        let mut again = Instant::now() + AGAIN;
        while !farewell.is_done() && Instant::now() < deadline {
            // Said again however much the others talk: one that comes back now has not heard it.
            if Instant::now() >= again {
                again = Instant::now() + AGAIN;
                farewell.waiting().for_each(|child| self.links.notice(child, notice.clone()));
            }
            match self.next_input(again.saturating_duration_since(Instant::now())).await {
                Some(Input::Notice { from, bytes }) if Notice::decode(&bytes) == Some(Notice::Understood) => {
                    farewell.gone(from);
                }
                Some(Input::Up(child) | Input::Reconnected(child)) => {
                    self.links.notice(child, notice.clone());
                }
                Some(_) | None => {}
            }
        }
        if let Some(parent) = self.plan.nodes[self.me.index()].parent {
            self.links.notice(parent, Notice::Understood.encode());
        }
        self.links.close(FLUSH).await;
        saved?;
        ended?;
        Ok(over.is_good)
    }
}

/// What has been sent gets this long to leave the process.
const FLUSH: Duration = Duration::from_secs(2);
