//! The bound of stale synchronous parallel: nobody is given work while it is further ahead of the slowest than the
//! slack (Ho et al., NIPS 2013). Every policy with an option `slack` promises that.

use super::{At, Law, LawRow, World};
use hcddl_core::domain::{Era, Message, NodeId, Progress};
use hcddl_core::node::Event;
use hcddl_core::node::kinds::{ASSIGN, UPDATE};
use hcddl_plan::plan::Role;
use std::collections::BTreeMap;

pub(super) const ROW: LawRow = LawRow {
    name: "slack",
    says: "under a policy with a `slack`, a child that gets a model has finished at most so many more updates than \
           the slowest one",
    build: |world| Box::new(Clocks::new(world)),
};

struct Clocks<'a> {
    world: World<'a>,
    /// Slack of each server that has one.
    slack: BTreeMap<NodeId, u64>,
    /// Updates finished, by server and child.
    clocks: BTreeMap<(NodeId, NodeId), u64>,
    /// Who takes part, from its first model after it came until its loss, and the era that this model names: updates
    /// of a former one count no more.
    counted: BTreeMap<(NodeId, NodeId), Era>,
}

impl<'a> Clocks<'a> {
    fn new(world: World<'a>) -> Self {
        let mut slack = BTreeMap::new();
        for (i, node) in world.plan.nodes.iter().enumerate() {
            let Role::Server(tier) = node.role else { continue };
            let policy = &world.plan.tiers[usize::from(tier)].policy;
            slack.extend(world.claims(policy).slack.map(|slack| (NodeId(i as u32), slack)));
        }
        Self { world, slack, clocks: BTreeMap::new(), counted: BTreeMap::new() }
    }

    /// The slowest child that takes part, and its clock.
    fn slowest(&self, server: NodeId) -> Option<(u64, NodeId)> {
        let of = |(s, child): &(NodeId, NodeId)| (*s == server).then_some(*child);
        self.counted.keys().filter_map(of).map(|child| (self.clock(server, child), child)).min()
    }

    fn clock(&self, server: NodeId, child: NodeId) -> u64 {
        self.clocks.get(&(server, child)).copied().unwrap_or(0)
    }
}

impl Law for Clocks<'_> {
    fn event(&mut self, at: At, event: &Event) -> Result<(), String> {
        match event {
            Event::Down(child) => {
                self.counted.remove(&(at.node, *child));
            }
            Event::Start => {
                self.counted.retain(|(server, _), _| *server != at.node);
                self.clocks.retain(|(server, _), _| *server != at.node);
            }
            _ => {}
        }
        Ok(())
    }

    fn delivered(&mut self, at: At, from: NodeId, message: &Message) -> Result<(), String> {
        let Progress { clock, era } = message.head.detail.into();
        if message.kind == UPDATE && self.counted.get(&(at.node, from)) == Some(&era) {
            let clock = self.clock(at.node, from).max(clock);
            self.clocks.insert((at.node, from), clock);
        }
        Ok(())
    }

    fn sent(&mut self, at: At, to: NodeId, message: &Message) -> Result<(), String> {
        let Some(slack) = self.slack.get(&at.node).copied().filter(|_| message.kind == ASSIGN) else {
            return Ok(());
        };
        // Who comes starts with the slowest.
        let start = self.slowest(at.node).map_or(0, |slowest| slowest.0);
        let era = Progress::from(message.head.detail).era;
        if self.counted.insert((at.node, to), era).is_none() {
            let clock = self.clock(at.node, to).max(start);
            self.clocks.insert((at.node, to), clock);
            return Ok(());
        }
        let clock = self.clock(at.node, to);
        match self.slowest(at.node) {
            Some((slowest, who)) if clock > slowest.saturating_add(slack) => Err(format!(
                "{} gives {} work after {clock} updates, {} after those of {}: the slack is {slack}",
                self.world.name(at.node),
                self.world.name(to),
                clock - slowest,
                self.world.name(who),
            )),
            _ => Ok(()),
        }
    }
}
