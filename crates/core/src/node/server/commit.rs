//! From chosen updates to a new version.

use super::Server;
use super::state::Folding;
use crate::domain::{NodeId, Strange, UpdateId};
use crate::node::uplink::{Input, Uplink};
use crate::node::work::{Fold, FoldInput, Folded, Work};
use crate::node::{Commit, Contribution, Cx, Effect, Effects, Reason};
use crate::policy::fold::Demands;
use crate::policy::{PolicyEvent, Why};
use std::sync::Arc;

impl Server {
    pub(super) fn start_fold(&mut self, chosen: Vec<(UpdateId, f32)>, out: &mut Effects) {
        let state = &mut self.state;
        let mut parts = Vec::with_capacity(chosen.len());
        for (id, weight) in chosen {
            let meta = state.pending.remove(&id).expect("a policy folds pending updates only");
            let held = state.held.remove(&id).expect("every pending update is held");
            let weight = if meta.is_void() { 0.0 } else { weight };
            parts.push((meta.from, id, weight, meta, held));
        }
        // By sender, not by arrival: a synchronous round has the same bits whatever the interleaving.
        parts.sort_by_key(|p| (p.0, p.1));
        state.contributors = parts.iter().map(|p| p.0).collect();
        // Policies answer the last contributor differently; keep the one that arrived last at the end.
        if let Some(last) = parts.iter().max_by_key(|p| p.1).map(|p| p.0) {
            state.contributors.retain(|c| *c != last);
            state.contributors.push(last);
        }
        // A fold needs something: if all are void they stay, with weight 0, and the model stays as it is.
        if parts.iter().any(|p| !p.3.is_void()) {
            parts.retain(|(from, _, _, meta, _)| {
                if meta.is_void() {
                    out.push(Effect::Dropped { from: *from, why: Why::NotFinite });
                }
                !meta.is_void()
            });
        }
        let origin = parts.iter().map(|p| p.4.origin).min().unwrap_or(state.version);
        let contributions = parts
            .iter()
            .map(|(node, _, weight, meta, held)| Contribution {
                node: *node,
                base: meta.base,
                weight: *weight,
                samples: meta.samples,
                loss: held.loss,
            })
            .collect();
        let inputs = parts
            .into_iter()
            .map(|(_, _, weight, meta, held)| FoldInput {
                tensor: held.tensor,
                weight,
                samples: meta.samples,
                snapshot: held.snapshot,
            })
            .collect();
        let job = state.jobs.fresh();
        state.folding = Some(Folding { job, contributions, origin });
        let fold = Fold {
            rule: Arc::clone(&self.config.rule),
            inputs,
            base: state.model.clone(),
            apply: self.config.apply.clone(),
            opt: std::mem::take(&mut state.opt),
            kind: self.config.update,
            keep_aggregate: self.uplink.as_ref().is_some_and(Uplink::forwards),
            demands: Some(Demands { max_norm: self.config.max_norm }),
        };
        out.run(job, Work::Fold(Box::new(fold)));
    }

    pub(super) fn folded(&mut self, cx: &Cx, folding: Folding, folded: Folded, out: &mut Effects) {
        let Folding { mut contributions, origin, .. } = folding;
        let senders: Vec<NodeId> = contributions.iter().map(|part| part.node).collect();
        for (place, what) in &folded.strange {
            out.push(Effect::Noticed { from: senders[*place], what: *what });
        }
        if folded.weights.is_empty() {
            // Nothing of it could be used. As with void updates the commit has them all, with weight 0.
            contributions.iter_mut().for_each(|part| part.weight = 0.0);
        } else {
            let refused = |place: usize| folded.strange.contains(&(place, Strange::NotFinite));
            let mut kept = (0..senders.len()).map(|place| !refused(place));
            contributions.retain(|_| kept.next() == Some(true));
            for from in (0..senders.len()).filter(|place| refused(*place)).map(|place| senders[place]) {
                out.push(Effect::Dropped { from, why: Why::NotFinite });
            }
        }
        self.state.model = folded.model;
        self.state.opt = folded.opt;
        self.state.version = self.state.version.next();
        for (contribution, weight) in contributions.iter_mut().zip(folded.weights) {
            contribution.weight = weight;
        }
        let aggregate = folded.aggregate;
        self.tell_uplink(Input::Committed { contributions: &contributions, origin, aggregate }, out);
        let version = self.state.version;
        out.push(Effect::Commit(Commit {
            version,
            contributors: contributions,
            model: self.state.model.clone(),
        }));
        if self.uplink.is_none() && self.config.rounds.is_some_and(|rounds| version.0 >= rounds) {
            self.finish(Reason::Rounds, out);
            return;
        }
        let verdict = self.ask(cx, PolicyEvent::Folded);
        self.obey(verdict, out);
        self.tell_uplink(Input::Settled, out);
        self.pump(cx, out);
    }

    pub(super) fn finish(&mut self, reason: Reason, out: &mut Effects) {
        self.state.finished = true;
        out.push(Effect::Finish(reason));
    }
}
