//! K-async SGD: commits when K distinct workers have answered; only those get the new model, the others keep
//! computing on their old snapshots. With `batch`, K-batch-async: any K batches, and every worker goes on at
//! once (Dutta et al., Slow and Stale Gradients Can Win the Race, arXiv 1803.01113).

use super::{Composition, Policy, PolicyEvent, PolicyRow, ServerView, Verdict, choice, state_is_self};
use crate::domain::work::UpdateKind;
use crate::domain::{Choice, NodeId, OptionError};
use serde::{Deserialize, Serialize};

pub(super) const ROW: PolicyRow = PolicyRow {
    name: "k_async",
    summary: "commits the mean of every K gradients; the other workers keep computing (K-async, K-batch-async)",
    example: "{name: k_async, k: 2, batch: false}",
    positional: &["k"],
    build,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Options {
    /// Updates in a commit.
    k: usize,
    /// Whether a worker goes on at once and may contribute more than one of the K.
    batch: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { k: 2, batch: false }
    }
}

fn build(options: &Choice) -> Result<Composition, OptionError> {
    let Options { k, batch } = options.options()?;
    if k == 0 {
        return Err(OptionError::new("k", "a commit of 0 updates changes nothing", "1 or more"));
    }
    Ok(Composition {
        policy: Box::new(KAsync { k, batch }),
        update: UpdateKind::Gradient,
        fold: choice("weighted", None),
        optimizer: choice("sgd", Some(("lr", 0.1))),
        rounds: false,
    })
}

#[derive(Debug, Serialize, Deserialize)]
struct KAsync {
    k: usize,
    batch: bool,
}

impl KAsync {
    /// Folds once K updates wait, or as many as there are workers that could send one.
    fn maybe_fold(&self, view: &ServerView<'_>) -> Option<Verdict> {
        let busy = view.children.values().filter(|c| c.alive && c.busy).count();
        let possible = if self.batch { usize::MAX } else { view.pending.len() + busy };
        let enough = view.pending.len() >= self.k.min(possible) && !view.pending.is_empty();
        let fold = view.pending.keys().take(self.k).map(|id| (*id, 1.0));
        enough.then(|| Verdict { fold: fold.collect(), ..Verdict::nothing() })
    }
}

impl Policy for KAsync {
    fn counts(&self) -> Vec<(&'static str, usize)> {
        // In batches one child may send several.
        if self.batch { Vec::new() } else { vec![("k", self.k)] }
    }

    fn on(&mut self, event: PolicyEvent, view: &ServerView<'_>) -> Verdict {
        match event {
            PolicyEvent::Start => Verdict::nothing().reply(view.free()),
            PolicyEvent::Update(id) => self.maybe_fold(view).unwrap_or_else(|| {
                let from = view.pending[&id].from;
                Verdict::nothing().reply(self.batch.then_some(from))
            }),
            PolicyEvent::Folded if self.batch => {
                let last: Option<NodeId> = view.contributors.last().copied();
                Verdict::nothing().reply(last)
            }
            PolicyEvent::Folded => Verdict::nothing().reply(view.contributors.iter().copied()),
            PolicyEvent::Joined(child) => Verdict::nothing().reply([child]),
            PolicyEvent::Lost(_) => self.maybe_fold(view).unwrap_or_default(),
            PolicyEvent::Timer => Verdict::nothing(),
        }
    }

    state_is_self!();
}
