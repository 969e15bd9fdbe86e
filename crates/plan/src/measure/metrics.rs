//! Metrics by name: an open set. Accuracy and loss come from evaluating a model; the others are read off the
//! run's books or computed from the models.

use super::account::Account;
use crate::plan::Plan;
use hcddl_core::domain::{NodeId, Params, Row, Table, Time};
use hcddl_learn::Learner;
use std::collections::BTreeMap;

/// What a computed metric may look at.
pub struct MetricView<'a> {
    /// The run's plan.
    pub plan: &'a Plan,
    /// What was trained.
    pub learner: &'a dyn Learner,
    /// The run's books.
    pub account: &'a Account,
    /// The moment.
    pub now: Time,
    /// The model of the root, or of every peer.
    pub models: &'a BTreeMap<NodeId, Params>,
    /// Mean training loss of the updates committed since the last evaluation.
    pub train_loss: f64,
}

/// Named values of a metric: one, or one for each node.
pub type Values = BTreeMap<String, f64>;

/// Where a metric comes from.
#[derive(Clone, Copy)]
pub enum Metric {
    /// From evaluating a model on the test set.
    Evaluated,
    /// From the run itself.
    Computed(fn(&MetricView<'_>) -> Values),
}

/// All metrics.
#[must_use]
pub fn table() -> Table<Metric> {
    let row = |name, summary, build| Row { name, summary, example: name, positional: &[], build };
    Table::new(
        "metric",
        vec![
            row("accuracy", "share of the test set that is classified right", Metric::Evaluated),
            row("loss", "mean loss on the test set", Metric::Evaluated),
            row(
                "train_loss",
                "mean training loss of the updates committed last",
                Metric::Computed(train_loss),
            ),
            row(
                "consensus_error",
                "mean distance between two peers' normalised models",
                Metric::Computed(pairwise),
            ),
            row(
                "consensus_to_mean",
                "mean distance of the peers' normalised models to their mean",
                Metric::Computed(to_mean),
            ),
            row(
                "forward_passes",
                "forward passes of single samples so far",
                Metric::Computed(forward_passes),
            ),
            row("samples", "training samples seen so far", Metric::Computed(samples)),
            row("batches", "batches that each node has trained on", Metric::Computed(batches)),
            row("epochs", "passes of each node over its own samples", Metric::Computed(epochs)),
            row("staleness", "mean staleness of all updates committed so far", Metric::Computed(staleness)),
            row("bytes", "bytes sent so far", Metric::Computed(bytes)),
            row("energy", "joules of all hosts so far, idle included", Metric::Computed(energy)),
        ],
    )
}

fn one(name: &str, value: f64) -> Values {
    BTreeMap::from([(name.to_owned(), value)])
}

fn train_loss(view: &MetricView<'_>) -> Values {
    // Before the first commit there is none.
    if view.train_loss.is_nan() { Values::new() } else { one("train_loss", view.train_loss) }
}

fn forward_passes(view: &MetricView<'_>) -> Values {
    one("forward_passes", view.account.forward_passes as f64)
}

fn samples(view: &MetricView<'_>) -> Values {
    one("samples", view.account.samples as f64)
}

fn batches(view: &MetricView<'_>) -> Values {
    trained(view).map(|(id, n)| (format!("batches[{}]", name(view, id)), n as f64)).collect()
}

fn epochs(view: &MetricView<'_>) -> Values {
    let epochs = |id, n| n as f64 / view.learner.batches_per_epoch(id) as f64;
    let all = trained(view)
        .fold((0, 0), |(steps, batches), (id, n)| (steps + n, batches + view.learner.batches_per_epoch(id)));
    let total = (all.1 > 0).then(|| ("epochs".to_owned(), all.0 as f64 / all.1 as f64));
    let each = trained(view).map(|(id, n)| (format!("epochs[{}]", name(view, id)), epochs(id, n)));
    total.into_iter().chain(each).collect()
}

/// Nodes that have trained, and on how many batches.
fn trained(view: &MetricView<'_>) -> impl Iterator<Item = (NodeId, u64)> {
    let all = view.account.batches.iter().enumerate().map(|(i, n)| (NodeId(i as u32), *n));
    all.filter(|(_, batches)| *batches > 0)
}

fn name<'a>(view: &'a MetricView<'_>, id: NodeId) -> &'a str {
    &view.plan.nodes[id.index()].name
}

fn staleness(view: &MetricView<'_>) -> Values {
    one("staleness", view.account.staleness().mean)
}

fn bytes(view: &MetricView<'_>) -> Values {
    one("bytes", view.account.bytes_sent() as f64)
}

fn energy(view: &MetricView<'_>) -> Values {
    one("energy", view.account.joules(view.plan, view.now))
}

/// Parameter vectors scaled to length 1, as DiNNO's consensus error has them (Yu, Vincent, Schwager, 2022).
fn normalised(models: &BTreeMap<NodeId, Params>) -> Vec<Vec<f64>> {
    let unit = |values: &[f32]| {
        let norm = values.iter().map(|v| f64::from(*v) * f64::from(*v)).sum::<f64>().sqrt();
        values.iter().map(|v| f64::from(*v) / if norm > 0.0 { norm } else { 1.0 }).collect()
    };
    models.values().filter_map(Params::values).map(unit).collect()
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt()
}

fn pairwise(view: &MetricView<'_>) -> Values {
    let models = normalised(view.models);
    let (mut sum, mut pairs) = (0.0, 0u64);
    for (i, a) in models.iter().enumerate() {
        for b in &models[i + 1..] {
            sum += distance(a, b);
            pairs += 1;
        }
    }
    one("consensus_error", sum / pairs.max(1) as f64)
}

fn to_mean(view: &MetricView<'_>) -> Values {
    let models = normalised(view.models);
    let Some(first) = models.first() else { return one("consensus_to_mean", 0.0) };
    let mut mean = vec![0.0; first.len()];
    for model in &models {
        mean.iter_mut().zip(model).for_each(|(m, v)| *m += v / models.len() as f64);
    }
    let sum: f64 = models.iter().map(|m| distance(m, &mean)).sum();
    one("consensus_to_mean", sum / models.len() as f64)
}
