//! When the probe is asked: at commits of the root, at rounds that every peer has finished, at the end.

use super::conductor::Conductor;
use crate::run::runner::Runner;
use hcddl_core::domain::{NodeId, Params, Version};
use hcddl_core::node::{Commit, Reason};
use std::collections::BTreeMap;
use std::sync::Arc;

impl<R: Runner> Conductor<'_, R> {
    /// Looks at a commit of the root or of a peer; says if the target is reached.
    pub(super) fn probe_commit(&mut self, node: NodeId, commit: &Commit) -> Option<Reason> {
        self.probe.note_loss(commit);
        if self.plan.peers.is_none() {
            if self.probe.is_due(commit.version.0) {
                let models = BTreeMap::from([(node, commit.model.clone())]);
                return self.evaluate(commit.version, &models);
            }
            return None;
        }
        let round = commit.version.0;
        self.probe.state.peer_rounds.insert(node, round);
        if self.probe.is_due(round) {
            self.probe.state.rounds.entry(round).or_default().insert(node, commit.model.clone());
        }
        let living = |models: &BTreeMap<NodeId, Params>| {
            (0..self.plan.nodes.len() as u32)
                .map(NodeId)
                .all(|id| models.contains_key(&id) || self.down.contains(&id))
        };
        let (round, models) =
            self.probe.state.rounds.first_key_value().filter(|(_, models)| living(models))?;
        let (round, models) = (*round, models.clone());
        self.probe.state.rounds.remove(&round);
        self.evaluate(Version(round), &models)
    }

    /// Evaluates; waits for the result only if a target hangs on it.
    pub(super) fn evaluate(&mut self, version: Version, models: &BTreeMap<NodeId, Params>) -> Option<Reason> {
        let learner = Arc::clone(&self.core.tools.learner);
        self.probe.begin(&mut self.pool, version, models, &self.core.account, self.now, learner.as_ref());
        let wait = self.plan.stop.target_accuracy.is_some();
        self.probe.collect(&mut self.pool, self.observer, wait);
        let reached = wait && self.probe.state.target_reached.is_some();
        reached.then_some(Reason::Target)
    }

    /// Evaluates the last model, unless that was done.
    pub(super) fn evaluate_end(&mut self, version: Version) {
        if !self.probe.has_evaluated(version) {
            let models = self.models.clone();
            self.evaluate(version, &models);
        }
        self.probe.collect(&mut self.pool, self.observer, true);
    }
}
