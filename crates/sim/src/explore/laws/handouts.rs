//! Models that are handed out: the newest, to those who are there; and what was built on one says so.

use super::{At, Law, LawRow, World, older};
use hcddl_core::domain::{Message, NodeId, Params, Version};
use hcddl_core::node::kinds::{ASSIGN, UPDATE};
use hcddl_core::node::{Commit, Event};
use std::collections::{BTreeMap, BTreeSet};

pub(super) const NEWEST: LawRow = LawRow {
    name: "newest",
    says: "a server hands out its newest model, and none to a child that it knows to be lost",
    build: |world| {
        let absent = |id: &NodeId| world.plan.nodes[id.index()].joins_later;
        let lost = world.plan.nodes.iter().enumerate().flat_map(|(i, node)| {
            node.children.iter().copied().filter(absent).map(move |child| (NodeId(i as u32), child))
        });
        Box::new(Newest { world, lost: lost.collect(), last: BTreeMap::new() })
    },
};

struct Newest<'a> {
    world: World<'a>,
    /// Server and child.
    lost: BTreeSet<(NodeId, NodeId)>,
    last: BTreeMap<NodeId, (Version, Params)>,
}

impl Law for Newest<'_> {
    fn event(&mut self, at: At, event: &Event) -> Result<(), String> {
        match event {
            Event::Up(child) => {
                self.lost.remove(&(at.node, *child));
            }
            Event::Down(child) => {
                self.lost.insert((at.node, *child));
            }
            Event::Start if !self.world.is_root(at.node) => {
                self.last.remove(&at.node);
            }
            _ => {}
        }
        Ok(())
    }

    fn commit(&mut self, at: At, commit: &Commit) -> Result<(), String> {
        self.last.insert(at.node, (commit.version, commit.model.clone()));
        Ok(())
    }

    fn sent(&mut self, at: At, to: NodeId, message: &Message) -> Result<(), String> {
        if message.kind != ASSIGN {
            return Ok(());
        }
        let (server, child) = (self.world.name(at.node), self.world.name(to));
        let version = message.head.version;
        if self.lost.contains(&(at.node, to)) {
            return Err(format!(
                "{server} gives {child} {}, though it knows that it is lost",
                older(version)
            ));
        }
        let Some((newest, model)) = self.last.get(&at.node) else { return Ok(()) };
        let root = self.world.is_root(at.node);
        if version < *newest || (root && version > *newest) {
            return Err(format!(
                "{server} gives {child} {}; its newest is {}",
                older(version),
                older(*newest)
            ));
        }
        match message.params() {
            Some(given) if root && given != model => {
                Err(format!("{server} gives {child} another model than its {}", older(version)))
            }
            _ => Ok(()),
        }
    }
}

pub(super) const CLAIMS: LawRow = LawRow {
    name: "claims",
    says: "the version that an update claims to be based on is one that its sender was given",
    build: |world| Box::new(Claims { world, given: BTreeMap::new() }),
};

struct Claims<'a> {
    world: World<'a>,
    given: BTreeMap<NodeId, BTreeSet<Version>>,
}

impl Law for Claims<'_> {
    fn event(&mut self, at: At, event: &Event) -> Result<(), String> {
        if *event == Event::Start {
            self.given.remove(&at.node);
        }
        Ok(())
    }

    fn delivered(&mut self, at: At, from: NodeId, message: &Message) -> Result<(), String> {
        if message.kind == ASSIGN && self.world.is_parent(from, at.node) {
            self.given.entry(at.node).or_default().insert(message.head.version);
        }
        Ok(())
    }

    fn sent(&mut self, at: At, _: NodeId, message: &Message) -> Result<(), String> {
        if message.kind != UPDATE {
            return Ok(());
        }
        let base = message.head.base;
        let given = self.given.get(&at.node).is_some_and(|given| given.contains(&base));
        // A local server starts with the model that all start with.
        if given || (self.world.is_server(at.node) && base == Version(0)) {
            return Ok(());
        }
        let name = self.world.name(at.node);
        Err(format!("{name} sends an update on {}, which it was never given", older(base)))
    }
}
