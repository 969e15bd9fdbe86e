//! Injected latency at a deployed node: what it receives waits here, in the order of its lane, and is told to the node
//! later. The order log then has the later moment, so an execution again needs nothing of this.
//!
//! A receiver can make a message later, not earlier, and does not know how long it was on its way: `scale` and
//! `replace` count from the mean latency that the scenario gives this link.

use crate::transport::links::Input;
use hcddl_core::domain::{Lane, Message, NodeId, Span, Time};
use hcddl_plan::plan::Plan;
use hcddl_sim::run::rules::Chain;
use std::collections::BTreeMap;

/// See the module.
pub(super) struct Late<'a> {
    plan: &'a Plan,
    me: NodeId,
    /// When the last message of each lane is told: lanes keep their order.
    last: BTreeMap<(NodeId, bool), Time>,
    /// By the moment when they are told, then as they came.
    waiting: BTreeMap<(Time, u64), (NodeId, Input)>,
    received: u64,
}

impl<'a> Late<'a> {
    pub fn new(plan: &'a Plan, me: NodeId) -> Self {
        Self { plan, me, last: BTreeMap::new(), waiting: BTreeMap::new(), received: 0 }
    }

    /// When a message that is here now is to be told; `None` for at once.
    pub fn until(
        &mut self,
        now: Time,
        from: NodeId,
        ordinal: u64,
        message: &Message,
        rules: &mut Chain<'_>,
    ) -> Option<Time> {
        if !rules.injects() {
            return None;
        }
        let usual = self.usual(from);
        let injected = rules.arrived(now, from, self.me, ordinal, usual);
        let lane = (from, message.lane() == Lane::Model);
        let before = self.last.get(&lane).copied().unwrap_or(Time::ZERO);
        let at = (now + Span(injected.0.saturating_sub(usual.0))).max(before);
        self.last.insert(lane, at);
        (at > now).then_some(at)
    }

    /// The mean latency from a neighbour, as the scenario has it.
    fn usual(&self, from: NodeId) -> Span {
        let (me, other) = (&self.plan.nodes[self.me.index()], &self.plan.nodes[from.index()]);
        let link = if me.parent == Some(from) {
            me.link_down.unwrap_or(me.link)
        } else if other.parent == Some(self.me) {
            other.link
        } else {
            me.neighbours.iter().find(|n| n.node == from).map_or(0, |n| n.link)
        };
        self.plan.network.links[usize::from(link)].latency.mean().unwrap_or_default()
    }

    /// Keeps an input until its moment.
    pub fn keep(&mut self, at: Time, from: NodeId, input: Input) {
        self.received += 1;
        self.waiting.insert((at, self.received), (from, input));
    }

    /// The moment of the first one.
    pub fn next(&self) -> Option<Time> {
        self.waiting.keys().next().map(|(at, _)| *at)
    }

    /// The first one, when its moment has come.
    pub fn take_due(&mut self, now: Time) -> Option<Input> {
        self.next().filter(|at| *at <= now)?;
        self.waiting.pop_first().map(|(_, (_, input))| input)
    }

    /// All that waits of a neighbour: what came before it was lost or came back is told before that is.
    pub fn take_of(&mut self, node: NodeId) -> Vec<Input> {
        let of = |(_, (from, _)): &(&(Time, u64), &(NodeId, Input))| *from == node;
        let keys: Vec<(Time, u64)> = self.waiting.iter().filter(of).map(|(key, _)| *key).collect();
        keys.into_iter().filter_map(|key| self.waiting.remove(&key)).map(|(_, input)| input).collect()
    }
}
