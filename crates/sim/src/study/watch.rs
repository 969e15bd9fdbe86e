//! The observer of a study's run: keeps evaluations and counts contributions, in memory.

use super::outcome::{Counted, Point};
use hcddl_core::domain::NodeId;
use hcddl_plan::measure::outcome::{CommitRow, EvaluationRow, Observer, Progress, TimelineSpan};
use hcddl_plan::plan::Plan;
use std::collections::BTreeMap;

/// See the module.
#[derive(Debug, Default)]
pub struct Watch {
    /// Evaluations in order.
    pub curve: Vec<Point>,
    /// Updates by contributor and staleness.
    counts: BTreeMap<(NodeId, u64), u64>,
}

impl Observer for Watch {
    fn commit(&mut self, row: &CommitRow) {
        let before = row.version.0.saturating_sub(1);
        for contribution in &row.contributors {
            let staleness = before.saturating_sub(contribution.base.0);
            *self.counts.entry((contribution.node, staleness)).or_insert(0) += 1;
        }
    }

    fn evaluation(&mut self, row: &EvaluationRow) {
        let value = |name: &str| row.values.get(name).copied().filter(|value| value.is_finite());
        self.curve.push(Point {
            version: row.version.0,
            at: row.at,
            updates: row.updates.unwrap_or(0),
            bytes: row.bytes.unwrap_or(0),
            energy_j: row.energy_j.unwrap_or(0.0),
            accuracy: value("accuracy"),
            loss: value("loss"),
        });
    }

    fn span(&mut self, _: &TimelineSpan) {}

    fn progress(&mut self, _: &Progress) {}

    fn wants_spans(&self) -> bool {
        false
    }
}

impl Watch {
    /// Updates by contributor and staleness, by name.
    #[must_use]
    pub fn staleness(&self, plan: &Plan) -> Vec<(String, u64, u64)> {
        let row = |(&(node, staleness), &count): (&(NodeId, u64), &u64)| {
            (plan.nodes[node.index()].name.to_string(), staleness, count)
        };
        self.counts.iter().map(row).collect()
    }

    /// Updates of each node that can contribute.
    #[must_use]
    pub fn participation(&self, plan: &Plan) -> Vec<(String, u64)> {
        let mut sums: BTreeMap<NodeId, u64> =
            super::design::contributors(plan).into_iter().map(|node| (node, 0)).collect();
        let counted = self.counts.iter().map(|(key, count)| (*key, *count));
        counted.for_each(|((node, _), count): Counted| *sums.entry(node).or_insert(0) += count);
        sums.into_iter().map(|(node, count)| (plan.nodes[node.index()].name.to_string(), count)).collect()
    }
}
