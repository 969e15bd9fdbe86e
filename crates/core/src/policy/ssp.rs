//! Stale synchronous parallel: updates are applied on arrival, but a worker that has finished c clocks may go
//! on only while c - min_j c_j <= s, so that what it reads contains every update of clocks up to c - s - 1
//! (Ho et al., More Effective Distributed ML via a Stale Synchronous Parallel Parameter Server, NIPS 2013).
//! s = 0 is bulk synchronous, a huge s asynchronous.

use super::{Composition, Policy, PolicyEvent, PolicyRow, ServerView, Verdict, choice, state_is_self};
use crate::domain::work::UpdateKind;
use crate::domain::{Choice, NodeId, OptionError};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

pub(super) const ROW: PolicyRow = PolicyRow {
    name: "ssp",
    summary: "asynchronous, but nobody runs more than `slack` clocks ahead of the slowest (SSP)",
    example: "{name: ssp, slack: 3}",
    positional: &["slack"],
    build,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Options {
    /// Clocks that a worker may be ahead of the slowest.
    slack: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { slack: 3 }
    }
}

fn build(options: &Choice) -> Result<Composition, OptionError> {
    let Options { slack } = options.options()?;
    Ok(Composition {
        policy: Box::new(Ssp {
            slack,
            clocks: BTreeMap::new(),
            counts: BTreeMap::new(),
            held: BTreeSet::new(),
        }),
        update: UpdateKind::Gradient,
        fold: choice("sum", None),
        optimizer: choice("sgd", Some(("lr", 0.1))),
        rounds: false,
    })
}

#[derive(Debug, Serialize, Deserialize)]
struct Ssp {
    slack: u64,
    /// Clocks finished by each living child.
    clocks: BTreeMap<NodeId, u64>,
    /// How many living children stand at each clock: its first key is the minimum.
    counts: BTreeMap<u64, usize>,
    /// Children whose updates are applied and who must wait.
    held: BTreeSet<NodeId>,
}

impl Ssp {
    fn minimum(&self) -> u64 {
        self.counts.keys().next().copied().unwrap_or(0)
    }

    fn set(&mut self, child: NodeId, clock: u64) {
        self.forget(child);
        self.clocks.insert(child, clock);
        *self.counts.entry(clock).or_insert(0) += 1;
    }

    fn forget(&mut self, child: NodeId) {
        if let Some(old) = self.clocks.remove(&child) {
            let count = self.counts.get_mut(&old).expect("every clock is counted");
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&old);
            }
        }
    }

    /// Lets everybody go on who may.
    fn release(&mut self) -> Verdict {
        let limit = self.minimum().saturating_add(self.slack);
        let free: Vec<NodeId> = self.held.iter().copied().filter(|c| self.clocks[c] <= limit).collect();
        free.iter().for_each(|child| {
            self.held.remove(child);
        });
        Verdict::nothing().reply(free)
    }
}

impl Policy for Ssp {
    fn on(&mut self, event: PolicyEvent, view: &ServerView<'_>) -> Verdict {
        match event {
            PolicyEvent::Start => {
                for child in view.living() {
                    self.set(child, view.children[&child].clock);
                }
                Verdict::nothing().reply(view.free())
            }
            PolicyEvent::Update(id) => Verdict { fold: vec![(id, 1.0)], ..Verdict::nothing() },
            PolicyEvent::Folded => {
                for child in view
                    .contributors
                    .iter()
                    .filter(|c| self.clocks.contains_key(c))
                    .copied()
                    .collect::<Vec<_>>()
                {
                    let clock = self.clocks[&child].max(view.children[&child].clock);
                    self.set(child, clock);
                    self.held.insert(child);
                }
                self.release()
            }
            PolicyEvent::Joined(child) => {
                let clock = view.children[&child].clock.max(self.minimum());
                self.set(child, clock);
                Verdict::nothing().reply([child])
            }
            PolicyEvent::Lost(child) => {
                self.forget(child);
                self.held.remove(&child);
                self.release()
            }
            PolicyEvent::Timer => Verdict::nothing(),
        }
    }

    state_is_self!();
}
