//! A barrier: a synchronous round without options holds one update of everybody who is there.

use super::{At, Law, LawRow, World};
use hcddl_core::domain::NodeId;
use hcddl_core::node::{Commit, Effect, Event};
use hcddl_plan::plan::Role;
use std::collections::{BTreeMap, BTreeSet};

pub(super) const ROW: LawRow = LawRow {
    name: "barrier",
    says: "a round of `sync` or `fedavg` without options holds one update of every child, if none came or went",
    build: |world| Box::new(Barrier::new(world)),
};

/// Rounds that a coming or going touches.
const DISTURBED: u8 = 2;

struct Barrier<'a> {
    world: World<'a>,
    rounds: BTreeMap<NodeId, Round>,
}

#[derive(Default)]
struct Round {
    alive: BTreeSet<NodeId>,
    /// Commits that are not judged, because somebody came or went: that of this round, and the next one, if it began
    /// before the policy heard of it.
    disturbed: u8,
    /// Whose updates were dropped.
    dropped: BTreeSet<NodeId>,
}

impl<'a> Barrier<'a> {
    fn new(world: World<'a>) -> Self {
        let mut rounds = BTreeMap::new();
        for (i, node) in world.plan.nodes.iter().enumerate() {
            let Role::Server(tier) = node.role else { continue };
            let policy = &world.plan.tiers[usize::from(tier)].policy;
            if matches!(policy.name.as_str(), "sync" | "fedavg") && policy.options.is_empty() {
                let here = |id: &NodeId| !world.plan.nodes[id.index()].joins_later;
                let alive = node.children.iter().copied().filter(here).collect();
                rounds.insert(NodeId(i as u32), Round { alive, ..Round::default() });
            }
        }
        Self { world, rounds }
    }
}

impl Law for Barrier<'_> {
    fn event(&mut self, at: At, event: &Event) -> Result<(), String> {
        let Some(round) = self.rounds.get_mut(&at.node) else { return Ok(()) };
        match event {
            Event::Up(child) => {
                round.alive.insert(*child);
                round.disturbed = DISTURBED;
            }
            Event::Down(child) => {
                round.alive.remove(child);
                round.disturbed = DISTURBED;
            }
            Event::Start if at.now > hcddl_core::domain::Time::ZERO => round.disturbed = DISTURBED,
            _ => {}
        }
        Ok(())
    }

    fn effect(&mut self, at: At, effect: &Effect) -> Result<(), String> {
        if let (Effect::Dropped { from, .. }, Some(round)) = (effect, self.rounds.get_mut(&at.node)) {
            round.dropped.insert(*from);
        }
        Ok(())
    }

    fn commit(&mut self, at: At, commit: &Commit) -> Result<(), String> {
        let Some(round) = self.rounds.get_mut(&at.node) else { return Ok(()) };
        let disturbed = round.disturbed > 0;
        round.disturbed = round.disturbed.saturating_sub(1);
        let dropped = std::mem::take(&mut round.dropped);
        if disturbed {
            return Ok(());
        }
        let (server, version) = (self.world.name(at.node), commit.version.0);
        let mut missing = round.alive.clone();
        for part in &commit.contributors {
            if !missing.remove(&part.node) {
                let from = self.world.name(part.node);
                return Err(format!("{server}'s round {version} holds an update of {from} too many"));
            }
        }
        match missing.difference(&dropped).next() {
            Some(child) => {
                let child = self.world.name(*child);
                Err(format!("{server}'s round {version} is closed without {child}"))
            }
            None => Ok(()),
        }
    }
}
