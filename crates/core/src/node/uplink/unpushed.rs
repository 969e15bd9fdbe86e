//! What a local server has committed and not pushed yet, merged as far as it has to be.

use crate::domain::{Params, Version};
use crate::node::Contribution;
use crate::node::work::FoldInput;
use crate::policy::fold::FoldRule;
use serde::{Deserialize, Serialize};

/// Commits that were not pushed yet.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Commits {
    pub(super) count: u64,
    pub(super) samples: u64,
    /// Mean losses times samples.
    pub(super) loss: f64,
    /// The oldest version of the parent that they descend from.
    pub(super) origin: Option<Version>,
    /// Their aggregates, where those are sent on; the older ones merged.
    pub(super) aggregates: Vec<Aggregate>,
}

/// An aggregate of so many updates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Aggregate {
    pub(super) tensor: Params,
    pub(super) updates: u64,
    pub(super) samples: u64,
}

/// So many aggregates are kept before they are merged.
const AGGREGATES_MAX: usize = 8;

impl Commits {
    pub(super) fn note(
        &mut self,
        contributions: &[Contribution],
        origin: Version,
        aggregate: Option<Params>,
    ) {
        let samples: u64 = contributions.iter().map(|c| c.samples).sum();
        // Void updates have no samples and no loss.
        let counts = contributions.iter().filter(|c| c.samples > 0);
        let loss = counts.map(|c| f64::from(c.loss) * c.samples as f64).sum::<f64>();
        self.count += 1;
        self.samples += samples;
        self.loss += loss / samples.max(1) as f64 * samples as f64;
        self.origin = Some(self.origin.map_or(origin, |oldest| oldest.min(origin)));
        let updates = contributions.len() as u64;
        self.aggregates.extend(aggregate.map(|tensor| Aggregate { tensor, updates, samples }));
    }

    /// Whether the aggregates have to be merged before there are more.
    pub(super) fn are_many(&self) -> bool {
        self.aggregates.len() >= AGGREGATES_MAX
    }

    /// Updates and samples behind the aggregates.
    pub(super) fn behind(&self) -> (u64, u64) {
        let sum = |of: fn(&Aggregate) -> u64| self.aggregates.iter().map(of).sum();
        (sum(|a| a.updates), sum(|a| a.samples))
    }

    /// Takes the aggregates as the terms of their mean: over all updates or, where the rule weighs by samples itself,
    /// over all samples.
    pub(super) fn terms(&mut self, rule: &dyn FoldRule) -> Vec<FoldInput> {
        let updates = self.behind().0;
        let aggregates = std::mem::take(&mut self.aggregates);
        let scale = aggregates.len() as f32 / updates.max(1) as f32;
        let weight = |a: &Aggregate| if rule.counts_samples() { 1.0 } else { a.updates as f32 * scale };
        aggregates.into_iter().map(|a| input(a.tensor.clone(), weight(&a), a.samples)).collect()
    }
}

/// One term of a linear combination.
pub(super) fn input(tensor: Params, weight: f32, samples: u64) -> FoldInput {
    FoldInput { tensor, weight, samples, snapshot: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Choice, NodeId};
    use crate::node::work::{Fold, OptState, UpdateKind};
    use std::sync::Arc;

    fn commit(updates: u64, value: f32) -> (Vec<Contribution>, Option<Params>) {
        let one = Contribution { node: NodeId(1), base: Version(0), weight: 1.0, samples: 10, loss: 0.5 };
        (vec![one; updates as usize], Some(Params::new(vec![value])))
    }

    fn fold(commits: &mut Commits, rule: &Arc<dyn FoldRule>) -> Params {
        let inputs = commits.terms(rule.as_ref());
        let (base, opt) = (Params::new(vec![0.0]), OptState::default());
        let kind = UpdateKind::Gradient;
        let rule = Arc::clone(rule);
        let fold = Fold { rule, inputs, base, apply: None, opt, kind, keep_aggregate: true, demands: None };
        crate::policy::fold::run(fold, &[]).aggregate.unwrap()
    }

    /// Whatever is merged first, the push is the mean over all updates, and its head tells of all of them.
    #[test]
    fn what_is_merged_on_the_way_has_the_same_mean() {
        let all = [(3, 6.0), (1, -2.0), (2, 1.0), (1, 4.0)];
        let mean = all.iter().map(|(n, v)| *n as f32 * v).sum::<f32>() / 7.0;
        for name in ["mean", "weighted"] {
            let table = crate::policy::fold::table();
            let rule = (table.get(name).unwrap().build)(&Choice::named(name), &()).unwrap();
            for merge_after in 0..4 {
                let mut commits = Commits::default();
                for (i, (updates, value)) in all.into_iter().enumerate() {
                    let (contributions, aggregate) = commit(updates, value);
                    commits.note(&contributions, Version(7 - i as u64), aggregate);
                    if i == merge_after {
                        let (updates, samples) = commits.behind();
                        let tensor = fold(&mut commits, &rule);
                        commits.aggregates.insert(0, Aggregate { tensor, updates, samples });
                    }
                }
                assert_eq!((commits.count, commits.samples, commits.origin), (4, 70, Some(Version(4))));
                assert_eq!(commits.loss / commits.samples as f64, 0.5);
                let pushed = fold(&mut commits, &rule).values().unwrap()[0];
                assert!((pushed - mean).abs() < 1e-6, "{name}: {pushed} for {mean}");
            }
        }
    }
}
