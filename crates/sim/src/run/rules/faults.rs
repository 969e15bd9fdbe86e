//! Rules of messages (`faults.messages`) and nodes that a fault has slowed down (`faults.events`).

use super::{Beginning, Fate, Rule, Sending, Took, pair};
use hcddl_core::device::SlowPhases;
use hcddl_core::domain::{NodeId, Stream, Time};
use hcddl_plan::plan::{MessageRule, Plan};
use std::collections::BTreeMap;

/// See the module.
pub struct Faults<'a> {
    rules: &'a [MessageRule],
    /// Rules that held in a run whose durations are used.
    left_out: Vec<bool>,
    seed: u64,
    /// Of rules whose losses come in bursts, the states of each directed pair; pure functions of the seed.
    states: BTreeMap<(usize, u64), SlowPhases>,
    /// Factors of `slow_down`.
    pub(super) slowed: BTreeMap<NodeId, f64>,
}

impl<'a> Faults<'a> {
    pub(super) fn new(plan: &'a Plan) -> Self {
        let rules = &plan.faults.rules;
        let seed = plan.seeds.interleaving;
        let left_out = vec![false; rules.len()];
        Self { rules, left_out, seed, states: BTreeMap::new(), slowed: BTreeMap::new() }
    }

    /// The rules of the plan whose run was recorded: it was deployed or replayed, and had none of them. Led by its
    /// durations, a simulation has those alone that are new.
    pub(super) fn leave_out(&mut self, known: &[MessageRule]) {
        self.left_out = self.rules.iter().map(|rule| known.contains(rule)).collect();
    }

    /// A fault slows a node down; 1 heals it.
    pub fn slow_down(&mut self, node: NodeId, factor: f64) {
        self.slowed.insert(node, factor);
    }

    /// The rules that apply to what one node sends another now.
    fn active(
        &self,
        now: Time,
        from: NodeId,
        to: NodeId,
    ) -> impl Iterator<Item = (usize, &'a MessageRule)> + '_ {
        let rules = self.rules.iter().enumerate();
        rules.filter(move |(i, rule)| !self.left_out[*i] && rule.applies(now, from, to))
    }

    /// The chance that a rule loses a message on a directed pair now.
    fn loss_of(&mut self, i: usize, rule: &MessageRule, now: Time, pair: u64) -> f64 {
        let Some(bursts) = rule.bursts else { return rule.loss };
        let stream = || Stream::new(self.seed.wrapping_add(i as u64), "bursts-of-loss", pair, 0);
        let states = self.states.entry((i, pair)).or_insert_with(|| bursts.states(stream()));
        bursts.at(states, now)
    }

    /// The chance that a message of one node to another gets lost now; of bursts, that in the long run.
    #[must_use]
    pub fn loss(&self, now: Time, from: NodeId, to: NodeId) -> f64 {
        1.0 - self.active(now, from, to).map(|(_, rule)| 1.0 - rule.loss).product::<f64>()
    }

    /// Until when nothing of one node gets through to another, if that is so now.
    #[must_use]
    pub fn mute_until(&self, now: Time, from: NodeId, to: NodeId) -> Option<Time> {
        self.active(now, from, to).filter(|(_, rule)| rule.loss >= 1.0).map(|(_, rule)| rule.until).max()
    }
}

impl Rule for Faults<'_> {
    fn message(&mut self, sending: &Sending<'_>, fate: &mut Fate) {
        let Sending { now, from, to, number, .. } = *sending;
        let rules = self.rules;
        for (i, rule) in rules.iter().enumerate() {
            if self.left_out[i] || !rule.applies(now, from, to) {
                continue;
            }
            let loss = self.loss_of(i, rule, now, pair(from, to));
            let mut stream = Stream::new(self.seed.wrapping_add(i as u64), "rule", pair(from, to), number);
            fate.lost |= stream.uniform() < loss;
            fate.duplicate |= stream.uniform() < rule.duplicate;
            fate.delay += rule.delay;
            fate.chances.0 = fate.chances.0.max(loss);
            fate.chances.1 = fate.chances.1.max(rule.duplicate);
        }
    }

    fn job(&mut self, beginning: &Beginning<'_>, took: &mut Took) {
        if let Some(factor) = self.slowed.get(&beginning.node) {
            took.factor *= factor;
        }
    }
}
