//! Updates: none is in two commits, and each that a server has got is in a commit or dropped before long.

use super::{At, Law, LawRow, World};
use hcddl_core::domain::{Head, Message, NodeId, Version};
use hcddl_core::node::kinds::UPDATE;
use hcddl_core::node::{Commit, Effect, Event};
use hcddl_plan::measure::outcome::Summary;
use hcddl_plan::plan::Fault;
use std::collections::{BTreeMap, BTreeSet};

pub(super) const ONCE: LawRow = LawRow {
    name: "once",
    says: "a commit is made of updates that its server has got and that are in no other commit",
    build: |world| Box::new(Updates::new(world, true)),
};

pub(super) const KEPT: LawRow = LawRow {
    name: "kept",
    says: "an update that a server has got is in a commit, or dropped for a reason, before twice as many commits as \
           the server has children; without crashes no update is lost",
    build: |world| Box::new(Updates::new(world, false)),
};

/// Both laws need the same books.
struct Updates<'a> {
    world: World<'a>,
    /// Whether this is the law `once`.
    once: bool,
    /// What each server has got of each child and not used, oldest first.
    waiting: BTreeMap<(NodeId, NodeId), Vec<Waiting>>,
    /// Drops that could not be told apart.
    dropped: BTreeMap<(NodeId, NodeId), usize>,
    commits: BTreeMap<NodeId, u64>,
    started: BTreeSet<NodeId>,
    /// Servers that have begun again: their versions do too, and updates on their former ones arrive.
    again: BTreeSet<NodeId>,
}

struct Waiting {
    base: Version,
    samples: u64,
    loss: u32,
    void: bool,
    /// Commits of the server when it came.
    commits: u64,
}

impl<'a> Updates<'a> {
    fn new(world: World<'a>, once: bool) -> Self {
        Self {
            world,
            once,
            waiting: BTreeMap::new(),
            dropped: BTreeMap::new(),
            commits: BTreeMap::new(),
            started: BTreeSet::new(),
            again: BTreeSet::new(),
        }
    }

    fn note(&mut self, server: NodeId, child: NodeId, head: &Head) {
        let commits = self.commits.get(&server).copied().unwrap_or(0);
        let void = head.steps == 0 && head.samples == 0;
        let Head { base, samples, loss, .. } = *head;
        let waiting = Waiting { base, samples, loss: loss.to_bits(), void, commits };
        self.waiting.entry((server, child)).or_default().push(waiting);
    }

    fn drop_one(&mut self, server: NodeId, child: NodeId) {
        let waiting = self.waiting.entry((server, child)).or_default();
        if let [_] = &waiting[..] {
            waiting.clear();
        } else if let Some(void) = waiting.iter().position(|update| update.void) {
            waiting.remove(void);
        } else {
            *self.dropped.entry((server, child)).or_insert(0) += 1;
        }
    }

    /// Updates that have waited for too long, less those that were dropped.
    fn forgotten(&mut self, server: NodeId, commits: u64) -> Result<(), String> {
        let children = &self.world.plan.nodes[server.index()].children;
        let patience = 2 * children.len() as u64 + 2;
        for child in children {
            let Some(waiting) = self.waiting.get_mut(&(server, *child)) else { continue };
            let dropped = self.dropped.entry((server, *child)).or_insert(0);
            while let Some(first) = waiting.first().filter(|first| commits > first.commits + patience) {
                if *dropped == 0 {
                    return Err(format!(
                        "{} got an update of {} on {} before its commit {}; {} commits later it is in none and not \
                         dropped",
                        self.world.name(server),
                        self.world.name(*child),
                        super::older(first.base),
                        first.commits + 1,
                        commits - first.commits,
                    ));
                }
                *dropped -= 1;
                waiting.remove(0);
            }
        }
        Ok(())
    }
}

impl Law for Updates<'_> {
    fn event(&mut self, at: At, event: &Event) -> Result<(), String> {
        if *event == Event::Start && !self.started.insert(at.node) {
            // What it had got is gone with its memory.
            self.waiting.retain(|(server, _), _| *server != at.node);
            self.dropped.retain(|(server, _), _| *server != at.node);
            self.again.insert(at.node);
        }
        Ok(())
    }

    fn delivered(&mut self, at: At, from: NodeId, message: &Message) -> Result<(), String> {
        if message.kind == UPDATE && self.world.is_parent(at.node, from) {
            self.note(at.node, from, &message.head);
        }
        Ok(())
    }

    fn effect(&mut self, at: At, effect: &Effect) -> Result<(), String> {
        if let Effect::Dropped { from, .. } = effect {
            self.drop_one(at.node, *from);
        }
        Ok(())
    }

    fn commit(&mut self, at: At, commit: &Commit) -> Result<(), String> {
        if !self.world.is_server(at.node) {
            return Ok(());
        }
        let server = at.node;
        let again = self.again.contains(&server);
        for part in &commit.contributors {
            let waiting = self.waiting.entry((server, part.node)).or_default();
            let found = waiting.iter().position(|update| {
                let base = update.base == part.base || (again && update.base > part.base);
                base && update.samples == part.samples && update.loss == part.loss.to_bits()
            });
            match found {
                Some(found) => drop(waiting.remove(found)),
                None if self.once => {
                    let (server, from) = (self.world.name(server), self.world.name(part.node));
                    let (version, base) = (commit.version.0, super::older(part.base));
                    return Err(format!(
                        "{server}'s version {version} holds an update of {from} on {base} that is in an earlier \
                         commit already, or that it never got"
                    ));
                }
                None => {}
            }
        }
        let commits = self.commits.entry(server).or_insert(0);
        *commits += 1;
        let commits = *commits;
        if self.once { Ok(()) } else { self.forgotten(server, commits) }
    }

    fn end(&mut self, summary: &Summary) -> Result<(), String> {
        let events = &self.world.plan.faults.events;
        let loses = events.iter().any(|event| !matches!(event.fault, Fault::SlowDown(..)));
        match summary.lost_updates {
            lost if lost > 0 && !loses && !self.once => Err(format!(
                "{lost} updates were sent and are in no commit, not dropped, nowhere on their way"
            )),
            _ => Ok(()),
        }
    }
}
