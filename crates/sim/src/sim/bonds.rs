//! Who counts whom as lost. The rules are those between processes (`node/bond.rs`); here it is decided when two ends
//! part and when they meet again: a link that is down or a node that is not there parts them, silence for
//! `faults.detection` is a loss, and they meet so long after the trouble is over, or with the first message that gets
//! through. Where messages get lost one by one, `silence` decides.

use super::conductor::Conductor;
use super::heap::Pending;
use crate::run::RunError;
use crate::run::runner::Runner;
use hcddl_core::domain::{NodeId, Span};
use hcddl_core::node::Event;
use hcddl_core::node::bond::{Bond, Change};
use hcddl_plan::plan::Role;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Pairs of nodes that talk to each other and have not always been able to, the lower id first.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Bonds(BTreeMap<(NodeId, NodeId), Pair>);

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Pair {
    ends: [End; 2],
    /// They are not connected.
    pub(super) apart: bool,
    /// Counts changes of what can get through: a meeting that was planned before one is void.
    turn: u32,
    /// Both are there and no link is down, but too many of their messages get lost.
    pub(super) silent: bool,
    /// It will be looked at whether they hear of each other.
    pub(super) watched: bool,
    /// Calls in vain since they fell silent.
    pub(super) calls: u32,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct End {
    bond: Bond,
    /// Counts meetings and this end's lives: a loss that was due before one is void.
    turn: u32,
}

impl Pair {
    fn end(&mut self, (me, other): (NodeId, NodeId)) -> &mut End {
        &mut self.ends[usize::from(me > other)]
    }

    /// They are connected again.
    fn join(&mut self) {
        self.apart = false;
        self.ends.iter_mut().for_each(|end| end.turn += 1);
    }
}

impl Bonds {
    /// A pair; `life` tells the lives of two that have always been able to talk.
    pub(super) fn pair(&mut self, a: NodeId, b: NodeId, life: impl Fn(NodeId) -> u32) -> &mut Pair {
        let (a, b) = (a.min(b), a.max(b));
        let end = |other| End { bond: Bond::with(life(other)), turn: 0 };
        let new = || Pair { ends: [end(b), end(a)], ..Pair::default() };
        self.0.entry((a, b)).or_insert_with(new)
    }

    pub(super) fn known(&mut self, a: NodeId, b: NodeId) -> Option<&mut Pair> {
        self.0.get_mut(&(a.min(b), a.max(b)))
    }

    /// Whether too many messages between the two get lost.
    fn is_silent(&self, a: NodeId, b: NodeId) -> bool {
        self.0.get(&(a.min(b), a.max(b))).is_some_and(|pair| pair.silent)
    }

    /// The first pair that hears of each other no more although both are there.
    pub(super) fn silent(&self) -> Option<(NodeId, NodeId)> {
        self.0.iter().find(|(_, pair)| pair.silent).map(|(pair, _)| *pair)
    }
}

impl<R: Runner> Conductor<'_, R> {
    /// Nodes that join later are not there for those that talk to them.
    pub(super) fn begin_apart(&mut self) {
        let absent: Vec<NodeId> = self.down.iter().copied().collect();
        for about in absent {
            for to in self.acquaintances(about) {
                let pair = self.bonds.0.entry((to.min(about), to.max(about))).or_default();
                pair.apart = true;
                if self.plan.peers.is_some() {
                    // Nobody waits for a peer that joins later; a server counts its absent children itself.
                    self.heap.push(self.now, Pending::Notice { to, about, up: false, turn: 0 });
                } else {
                    pair.end((to, about)).bond.lose();
                }
            }
        }
    }

    /// A node starts (again): its ends know nobody yet, and nothing from before reaches it or comes from it.
    pub(super) fn reborn(&mut self, node: NodeId) {
        let is_server = matches!(self.plan.nodes[node.index()].role, Role::Server(_));
        for other in self.acquaintances(node) {
            self.network.void(node, other);
            self.network.void(other, node);
            let counted = is_server && self.plan.nodes[other.index()].parent == Some(node);
            let (away, can_talk) = (self.down.contains(&other), self.can_talk(node, other));
            let pair = self.bonds.0.entry((node.min(other), node.max(other))).or_default();
            let end = pair.end((node, other));
            let turn = end.turn + 1;
            *end = End { bond: Bond::default(), turn };
            if away && counted {
                end.bond.lose();
            } else if !can_talk {
                // It finds out itself who does not answer.
                let at = self.now + self.plan.faults.detection;
                self.heap.push(at, Pending::Notice { to: node, about: other, up: false, turn });
            }
            self.changed(node, other, self.plan.faults.detection);
        }
    }

    /// Whether two nodes get through to each other, or do so no more, may have changed; `after` is how long a loss
    /// takes to be noticed.
    pub(super) fn changed(&mut self, a: NodeId, b: NodeId, after: Span) {
        let can_talk = self.can_talk(a, b);
        let of_both = [self.life(a.min(b)), self.life(a.max(b))];
        let lives = &self.lives;
        let life = |node: NodeId| lives.get(&node).copied().unwrap_or(0);
        let pair = self.bonds.pair(a, b, life);
        pair.turn += 1;
        let turn = pair.turn;
        if can_talk && pair.apart {
            let unbroken = |i: usize| pair.ends[i].bond.is_with(of_both[1 - i]);
            if unbroken(0) && unbroken(1) {
                // Too short to be noticed: what was said meanwhile comes late.
                pair.join();
                self.network.release(self.now, &mut self.heap);
            } else {
                let at = self.now + self.plan.faults.detection;
                self.heap.push(at, Pending::Notice { to: a, about: b, up: true, turn });
            }
        } else if !can_talk && !pair.apart {
            pair.apart = true;
            for (to, about) in [(a, b), (b, a)] {
                let turn = pair.end((to, about)).turn;
                self.heap.push(self.now + after, Pending::Notice { to, about, up: false, turn });
            }
        }
    }

    fn can_talk(&self, a: NodeId, b: NodeId) -> bool {
        self.are_linked(a, b) && !self.bonds.is_silent(a, b)
    }

    /// Whether both are there and the link between them is up.
    pub(super) fn are_linked(&self, a: NodeId, b: NodeId) -> bool {
        !self.down.contains(&a) && !self.down.contains(&b) && !self.network.is_cut(a, b)
    }

    /// The moment has come at which a node loses another one, or meets it, if nothing has changed since.
    pub(super) async fn noticed(
        &mut self,
        to: NodeId,
        about: NodeId,
        up: bool,
        turn: u32,
    ) -> Result<(), RunError> {
        let Some(pair) = self.bonds.known(to, about) else { return Ok(()) };
        if up && pair.turn == turn {
            self.meet(to, about).await
        } else if !up && pair.apart && pair.end((to, about)).turn == turn && !self.down.contains(&to) {
            self.lose_sight(to, about).await
        } else {
            Ok(())
        }
    }

    /// A node counts another one as lost.
    pub(super) async fn lose_sight(&mut self, to: NodeId, about: NodeId) -> Result<(), RunError> {
        let Some(pair) = self.bonds.known(to, about) else { return Ok(()) };
        let changes = pair.end((to, about)).bond.lose();
        if !changes.is_empty() {
            // What it has sent; the other end decides about the other way, where a new life may have spoken already.
            self.network.void(to, about);
        }
        self.tell_changes(to, about, changes).await
    }

    /// Two nodes that get through to each other are connected again, if they were not.
    pub(super) async fn meet(&mut self, a: NodeId, b: NodeId) -> Result<(), RunError> {
        let (a, b) = (a.min(b), a.max(b));
        if !self.bonds.known(a, b).is_some_and(|pair| pair.apart) || !self.can_talk(a, b) {
            return Ok(());
        }
        let lives = [self.life(a), self.life(b)];
        let Some(pair) = self.bonds.known(a, b) else { return Ok(()) };
        let standings = [0, 1].map(|i: usize| pair.ends[i].bond.standing(lives[i]));
        let changes = [pair.ends[0].bond.meet(standings[1]), pair.ends[1].bond.meet(standings[0])];
        pair.join();
        self.network.release(self.now, &mut self.heap);
        self.tell_changes(a, b, changes[0]).await?;
        self.tell_changes(b, a, changes[1]).await
    }

    async fn tell_changes(&mut self, to: NodeId, about: NodeId, changes: &[Change]) -> Result<(), RunError> {
        for change in changes {
            let (event, word) = match change {
                Change::Down => (Event::Down(about), 0),
                Change::Up => (Event::Up(about), 1),
                Change::Reconnected => (Event::Reconnected(about), 2),
            };
            self.dispatch(to, event, [u64::from(about.0), word]).await?;
        }
        Ok(())
    }
}
