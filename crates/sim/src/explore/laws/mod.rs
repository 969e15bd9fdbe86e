//! Laws that hold in every order of events, judged from outside: from what nodes are told, what they want, what
//! they commit. No law knows a policy's code. One file and one row each.

mod barrier;
mod clocks;
mod folds;
mod handouts;
mod updates;
mod versions;

use hcddl_core::domain::{Choice, Lane, Message, NodeId, Time, Version};
use hcddl_core::node::{Commit, Effect, Event};
use hcddl_core::policy::Claims;
use hcddl_plan::measure::outcome::Summary;
use hcddl_plan::plan::{Plan, Role};
use hcddl_plan::registry::Registry;
use serde::Serialize;
use std::collections::BTreeMap;

/// What every law may know.
#[derive(Clone, Copy)]
pub struct World<'a> {
    /// What was meant.
    pub plan: &'a Plan,
    /// What the plan's names mean.
    pub registry: &'a Registry,
}

impl<'a> World<'a> {
    /// What is true of a policy.
    #[must_use]
    pub fn claims(&self, policy: &Choice) -> Claims {
        let built = self.registry.policies.resolve(policy);
        let built = built.and_then(|(row, choice)| (row.build)(&choice, self.registry));
        built.map(|composition| composition.claims).unwrap_or_default()
    }

    /// The name of a node.
    #[must_use]
    pub fn name(&self, node: NodeId) -> &'a str {
        &self.plan.nodes[node.index()].name
    }

    /// Whether a node has children.
    #[must_use]
    pub fn is_server(&self, node: NodeId) -> bool {
        matches!(self.plan.nodes[node.index()].role, Role::Server(_))
    }

    /// Whether a node is the root server.
    #[must_use]
    pub fn is_root(&self, node: NodeId) -> bool {
        self.is_server(node) && self.plan.nodes[node.index()].parent.is_none()
    }

    /// Whether the first is the second one's parent.
    #[must_use]
    pub fn is_parent(&self, server: NodeId, child: NodeId) -> bool {
        self.plan.nodes[child.index()].parent == Some(server)
    }
}

/// A law: it sees a run go by and says when it is broken. What a broken law says of the run afterwards does not count.
pub trait Law: Send {
    /// A node is about to handle an event.
    fn event(&mut self, _at: At, _event: &Event) -> Result<(), String> {
        Ok(())
    }
    /// A message that was sent to a node reaches what is inside: once, in order, whatever the network did.
    fn delivered(&mut self, _at: At, _from: NodeId, _message: &Message) -> Result<(), String> {
        Ok(())
    }
    /// A node sends a message, for the first time.
    fn sent(&mut self, _at: At, _to: NodeId, _message: &Message) -> Result<(), String> {
        Ok(())
    }
    /// A node commits.
    fn commit(&mut self, _at: At, _commit: &Commit) -> Result<(), String> {
        Ok(())
    }
    /// A node wants anything but to send or to commit.
    fn effect(&mut self, _at: At, _effect: &Effect) -> Result<(), String> {
        Ok(())
    }
    /// The run is over.
    fn end(&mut self, _summary: &Summary) -> Result<(), String> {
        Ok(())
    }
}

/// When, and who.
#[derive(Clone, Copy, Debug)]
pub struct At {
    /// Now.
    pub now: Time,
    /// The node concerned.
    pub node: NodeId,
}

/// A law by name.
pub struct LawRow {
    /// Its name.
    pub name: &'static str,
    /// What it says.
    pub says: &'static str,
    /// Makes one that watches a run.
    pub build: for<'a> fn(World<'a>) -> Box<dyn Law + 'a>,
}

/// Every law that watches nodes; `goes on` and `ends` are judged by whoever runs it.
pub const LAWS: &[LawRow] = &[
    versions::ROW,
    updates::ONCE,
    updates::KEPT,
    handouts::NEWEST,
    handouts::CLAIMS,
    clocks::ROW,
    barrier::ROW,
    folds::SNAPSHOT,
    folds::FRESH,
];

/// A broken law.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Breach {
    /// Which law.
    pub law: &'static str,
    /// What happened.
    pub what: String,
    /// When.
    pub at: Time,
    /// Commits of the root until then.
    pub commits: u64,
    /// Events until then.
    pub events: u64,
}

/// Who sends what to whom for the first time, and what arrives for the first time, in order: an independent account of
/// what reliable delivery promises.
#[derive(Default)]
pub(super) struct Mail {
    /// The largest number sent, by directed pair and lane.
    sent: BTreeMap<(NodeId, NodeId, Lane), u64>,
    incoming: BTreeMap<(NodeId, NodeId, Lane), Incoming>,
}

#[derive(Default)]
struct Incoming {
    era: u64,
    delivered: u64,
    early: BTreeMap<u64, Message>,
    /// The sender was lost since: what still comes of this connection is not listened to.
    closed: bool,
}

impl Mail {
    /// Whether this is the first time, not a repetition.
    pub fn is_new(&mut self, from: NodeId, to: NodeId, message: &Message) -> bool {
        if message.sequence == 0 {
            return true;
        }
        let largest = self.sent.entry((from, to, message.lane())).or_insert(0);
        let new = message.sequence > *largest;
        *largest = message.sequence.max(*largest);
        new
    }

    /// What can be delivered now that this one has arrived.
    pub fn arrived(&mut self, from: NodeId, to: NodeId, message: &Message) -> Vec<Message> {
        if message.sequence == 0 {
            return vec![message.clone()];
        }
        let incoming = self.incoming.entry((from, to, message.lane())).or_default();
        // The upper half is the era, the lower one the position in it.
        let (era, position) = (message.sequence >> 32, message.sequence & 0xFFFF_FFFF);
        if era > incoming.era {
            *incoming = Incoming { era, ..Incoming::default() };
        }
        if era == incoming.era && position > incoming.delivered && !incoming.closed {
            incoming.early.insert(position, message.clone());
        }
        let mut ready = Vec::new();
        while let Some(message) = incoming.early.remove(&(incoming.delivered + 1)) {
            incoming.delivered += 1;
            ready.push(message);
        }
        ready
    }

    /// A node has lost another one.
    pub fn lost(&mut self, to: NodeId, from: NodeId) {
        for lane in [Lane::Control, Lane::Model] {
            if let Some(incoming) = self.incoming.get_mut(&(from, to, lane)) {
                incoming.early.clear();
                incoming.closed = true;
            }
        }
    }

    /// A node has lost its memory.
    pub fn reborn(&mut self, node: NodeId) {
        self.incoming.retain(|(_, to, _), _| *to != node);
        self.sent.retain(|(from, _, _), _| *from != node);
    }
}

fn older(version: Version) -> String {
    format!("version {}", version.0)
}
