//! What every peer knows and does, whatever its algorithm: gradients, linear combinations, rounds.

use super::work::{Fold, FoldInput, OptState, Outcome, Train, UpdateKind, Work};
use super::{Commit, Contribution, Effect, Effects, Jobs, Reason};
use crate::domain::{JobId, NodeId, Params, Version};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Everything a peer knows, whatever its algorithm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PeerState {
    /// Its model.
    pub model: Params,
    /// State of its optimiser.
    pub opt: OptState,
    /// Rounds finished.
    pub round: u64,
    /// Batches consumed.
    pub cursor: u64,
    /// Names of its jobs.
    pub jobs: Jobs,
    /// What it waits for; the algorithm's own numbering.
    pub phase: u64,
    /// The running job.
    pub job: Option<JobId>,
    /// This round's gradient and what is behind it.
    pub gradient: Option<Params>,
    /// Loss of this round's gradient.
    pub loss: f32,
    /// Samples behind this round's gradient.
    pub samples: u64,
    /// Messages that came early: by (round, step, sender).
    pub inbox: BTreeMap<(u64, u64, NodeId), Params>,
    /// Pieces of the model or gradient, for algorithms that split it.
    pub parts: Vec<Params>,
    /// Neighbours that are lost, or not met since a start without memory: nothing is sent to them.
    pub lost: std::collections::BTreeSet<NodeId>,
    /// The round from which each neighbour is waited for; one that is lost or was not heard of since its return
    /// or one's own is not.
    pub since: BTreeMap<NodeId, u64>,
    /// It has finished all its rounds, or has no model yet.
    pub idle: bool,
}

impl PeerState {
    /// Before its first round; `asleep` until it has heard a neighbour.
    pub(crate) fn new(init: &Params, neighbours: &[(NodeId, f64)], asleep: bool) -> Self {
        Self {
            model: init.clone(),
            opt: OptState::default(),
            round: 0,
            cursor: 0,
            jobs: Jobs::default(),
            phase: 0,
            job: None,
            gradient: None,
            loss: f32::NAN,
            samples: 0,
            inbox: BTreeMap::new(),
            parts: Vec::new(),
            // Nothing is kept for those whom a peer that was started again has not met yet: it may be long.
            lost: match asleep {
                true => neighbours.iter().map(|(neighbour, _)| *neighbour).collect(),
                false => std::collections::BTreeSet::new(),
            },
            since: match asleep {
                true => BTreeMap::new(),
                false => neighbours.iter().map(|(neighbour, _)| (*neighbour, 0)).collect(),
            },
            idle: asleep,
        }
    }

    pub(crate) fn run(&mut self, work: Work, out: &mut Effects) {
        let job = self.jobs.fresh();
        self.job = Some(job);
        out.run(job, work);
    }

    /// Starts the gradient of this round at the current model.
    pub(crate) fn start_gradient(&mut self, steps: u64, out: &mut Effects) {
        let train = Train {
            model: self.model.clone(),
            opt: None,
            cursor: self.cursor,
            steps,
            output: UpdateKind::Gradient,
            lr_scale: 1.0,
        };
        self.run(Work::Train(train), out);
    }

    /// Starts the linear combination of these tensors; its result comes as the aggregate of the fold.
    pub(crate) fn start_combination(&mut self, terms: Vec<(Params, f32)>, out: &mut Effects) {
        let inputs = terms
            .into_iter()
            .map(|(tensor, weight)| FoldInput { tensor, weight, samples: 1, snapshot: None })
            .collect();
        let fold = Fold {
            rule: Arc::new(crate::policy::fold::Sum),
            inputs,
            base: self.model.clone(),
            apply: None,
            opt: OptState::default(),
            kind: UpdateKind::Gradient,
            keep_aggregate: true,
            demands: None,
        };
        self.run(Work::Fold(Box::new(fold)), out);
    }

    /// Ends the run when a neighbour has sent something else than was agreed: peers cannot go on without what it should
    /// have sent, and there is no server to do without it.
    pub(crate) fn misfit(from: &str, what: &str, out: &mut Effects) {
        let why = format!("{from} sent {what}: it runs another version of hcddl, or is broken");
        out.push(Effect::Finish(Reason::Failed(why)));
    }

    /// The outcome of the running job; `None` for one of a former life.
    pub(crate) fn finished(&mut self, job: JobId, outcome: Outcome) -> Option<Outcome> {
        (self.job == Some(job)).then(|| {
            self.job = None;
            outcome
        })
    }

    /// Declares the round finished; true if another one follows.
    pub(crate) fn commit(
        &mut self,
        me: NodeId,
        contributors: &[NodeId],
        rounds: Option<u64>,
        out: &mut Effects,
    ) -> bool {
        let base = Version(self.round);
        self.round += 1;
        let weight = 1.0 / (contributors.len() + 1) as f32;
        let own = Contribution { node: me, base, weight, samples: self.samples, loss: self.loss };
        let others = contributors.iter().map(|node| Contribution {
            node: *node,
            base,
            weight,
            samples: 0,
            loss: f32::NAN,
        });
        out.push(Effect::Commit(Commit {
            version: Version(self.round),
            contributors: std::iter::once(own).chain(others).collect(),
            model: self.model.clone(),
        }));
        if rounds.is_some_and(|rounds| self.round >= rounds) {
            self.idle = true;
            out.push(Effect::Finish(Reason::Rounds));
        }
        !self.idle
    }
}
