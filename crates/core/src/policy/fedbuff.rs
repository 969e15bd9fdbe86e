//! FedBuff: x+ = x + eta_g (1/K) sum s(tau_i) Delta_i over a buffer of K deltas, s = (1 + tau)^-1/2; clients
//! restart at once (Nguyen et al., Federated Learning with Buffered Asynchronous Aggregation,
//! arXiv 2106.06639).

use super::asynchronous::Weighting;
use super::{Composition, Policy, PolicyEvent, PolicyRow, ServerView, Verdict, choice, state_is_self};
use crate::domain::work::UpdateKind;
use crate::domain::{Choice, NodeId, OptionError};
use serde::{Deserialize, Serialize};

pub(super) const ROW: PolicyRow = PolicyRow {
    name: "fedbuff",
    summary: "asynchronous; commits the staleness-weighted mean of every K deltas (FedBuff)",
    example: "{name: fedbuff, k: 10, exponent: 0.5, concurrency: null}",
    positional: &["k"],
    build,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Options {
    /// Updates in the buffer at a commit.
    k: usize,
    /// Exponent of the staleness weight; 0 for none.
    exponent: f64,
    /// Children that train at the same time, drawn at random; all when absent.
    concurrency: Option<usize>,
}

impl Default for Options {
    fn default() -> Self {
        Self { k: 10, exponent: 0.5, concurrency: None }
    }
}

fn build(options: &Choice) -> Result<Composition, OptionError> {
    let Options { k, exponent, concurrency } = options.options()?;
    if k == 0 {
        return Err(OptionError::new("k", "a buffer of 0 updates commits nothing", "1 or more"));
    }
    if !(exponent >= 0.0 && exponent.is_finite()) {
        return Err(OptionError::new(
            "exponent",
            format!("{exponent} would prefer stale updates"),
            "0 or more",
        ));
    }
    if concurrency == Some(0) {
        return Err(OptionError::new("concurrency", "nobody would train", "1 or more"));
    }
    Ok(Composition {
        policy: Box::new(FedBuff { k, exponent, concurrency, draws: 0 }),
        update: UpdateKind::Delta,
        fold: choice("sum", None),
        optimizer: choice("sgd", Some(("lr", 1.0))),
        rounds: false,
    })
}

#[derive(Debug, Serialize, Deserialize)]
struct FedBuff {
    k: usize,
    exponent: f64,
    concurrency: Option<usize>,
    /// Random draws so far; names the stream.
    draws: u64,
}

impl FedBuff {
    /// Who starts next: with a concurrency cap random free children, else those that ask.
    fn next(&mut self, asking: &[NodeId], view: &ServerView<'_>) -> Vec<NodeId> {
        let Some(cap) = self.concurrency else {
            return asking.to_vec();
        };
        let busy = view.children.values().filter(|c| c.alive && c.busy).count();
        let mut free: Vec<NodeId> = view.free().collect();
        let mut chosen = Vec::new();
        while busy + chosen.len() < cap && !free.is_empty() {
            let i = view.stream("fedbuff", self.draws).below(free.len() as u64) as usize;
            self.draws += 1;
            chosen.push(free.remove(i));
        }
        chosen
    }

    fn fold(&self, view: &ServerView<'_>) -> Verdict {
        let weighting = Weighting::Polynomial { alpha: 1.0 / self.k as f64, a: self.exponent };
        let fold = view.pending.iter().take(self.k).map(|(id, u)| (*id, weighting.of(view.staleness(u))));
        Verdict { fold: fold.collect(), ..Verdict::nothing() }
    }
}

impl Policy for FedBuff {
    fn counts(&self) -> Vec<(&'static str, usize)> {
        self.concurrency.map(|cap| ("concurrency", cap)).into_iter().collect()
    }

    fn on(&mut self, event: PolicyEvent, view: &ServerView<'_>) -> Verdict {
        match event {
            PolicyEvent::Start => {
                let free: Vec<NodeId> = view.free().collect();
                Verdict::nothing().reply(self.next(&free, view))
            }
            // The update that fills the buffer is answered after the commit, with the new model.
            PolicyEvent::Update(_) if view.pending.len() >= self.k => self.fold(view),
            PolicyEvent::Update(id) => {
                let from = view.pending[&id].from;
                Verdict::nothing().reply(self.next(&[from], view))
            }
            PolicyEvent::Folded => {
                let last: Vec<NodeId> = view.contributors.last().copied().into_iter().collect();
                Verdict::nothing().reply(self.next(&last, view))
            }
            PolicyEvent::Joined(child) => Verdict::nothing().reply(self.next(&[child], view)),
            PolicyEvent::Lost(_) => Verdict::nothing().reply(self.next(&[], view)),
            PolicyEvent::Timer => Verdict::nothing(),
        }
    }

    state_is_self!();
}
