//! The probe: evaluates models beside the run. It takes no virtual time and no node knows of it.

use super::execute::Tools;
use super::pool::{Handle, Pool};
use hcddl_core::domain::{NodeId, Params, Table, Time, Version};
use hcddl_core::node::Commit;
use hcddl_learn::local::NotFinite;
use hcddl_learn::{EvalPart, Learner, Split};
use hcddl_plan::measure::account::Account;
use hcddl_plan::measure::metrics::{Metric, MetricView};
use hcddl_plan::measure::outcome::{Best, EvaluationRow, Observer};
use hcddl_plan::plan::{BestBy, Plan};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// What the probe remembers from one evaluation to the next.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ProbeState {
    /// Values of the last finished evaluation.
    pub last: BTreeMap<String, f64>,
    /// Version of the last evaluation that was started.
    evaluated: Option<Version>,
    /// When the target was reached.
    pub target_reached: Option<Time>,
    /// Models of the peers at rounds that not all of them have finished.
    pub rounds: BTreeMap<u64, BTreeMap<NodeId, Params>>,
    /// Last round of each peer.
    pub peer_rounds: BTreeMap<NodeId, u64>,
    /// Weighted training loss of the commits since the last evaluation.
    loss_sum: f64,
    loss_samples: u64,
    /// The best model so far by the validation split, where there is one.
    pub best: Option<(Best, Params)>,
    /// The first version whose evaluation had a loss that is not finite, and when that was.
    not_finite: Option<(Version, Time)>,
}

/// See the module.
pub struct Probe<'a> {
    plan: &'a Plan,
    tools: Tools,
    metrics: Vec<Metric>,
    evaluates: bool,
    /// Whether the books it is shown are those of all nodes.
    sees_all: bool,
    running: VecDeque<Evaluation>,
    pub state: ProbeState,
}

/// An evaluation that is being computed.
struct Evaluation {
    version: Version,
    at: Time,
    /// Training jobs, bytes and joules so far, where they are known.
    spent: Option<(u64, u64, f64)>,
    values: BTreeMap<String, f64>,
    parts: Vec<Measured>,
    /// The evaluated model, where there is a validation split to judge it by.
    candidate: Option<Params>,
}

/// A model on a split.
struct Measured {
    /// What stands in front of `accuracy` and `loss` in the metric's name.
    prefix: &'static str,
    /// What stands behind it.
    suffix: String,
    handles: Vec<Handle<EvalPart>>,
}

/// Evaluations that may be under way before the event loop waits for the first.
const RUNNING_MAX: usize = 4;

impl<'a> Probe<'a> {
    pub fn new(plan: &'a Plan, table: &Table<Metric>, tools: Tools) -> Self {
        let metric = |name: &String| table.get(name).ok().map(|row| row.build);
        let metrics: Vec<Metric> = plan.evaluation.metrics.iter().filter_map(metric).collect();
        let evaluated = metrics.iter().any(|m| matches!(m, Metric::Evaluated));
        let evaluates = !plan.timing_only && (evaluated || plan.stop.target_accuracy.is_some());
        let (running, state) = (VecDeque::new(), ProbeState::default());
        Self { plan, tools, metrics, evaluates, sees_all: false, running, state }
    }

    /// A probe that is shown the books of all nodes, as only the simulator can.
    pub fn of_all(self) -> Self {
        Self { sees_all: true, ..self }
    }

    pub fn accuracy(&self) -> Option<f64> {
        self.state.last.get("accuracy").copied()
    }

    /// Rounds that every peer has finished.
    pub fn rounds_finished(&self) -> u64 {
        self.state.peer_rounds.values().copied().min().unwrap_or(0)
    }

    /// What was wrong with an evaluation, unless `training.not_finite` lets runs go on. It is judged at the end, since
    /// evaluations take no virtual time: when they are ready depends on the machine.
    pub fn not_finite(&self) -> Option<String> {
        let (version, at) = self.state.not_finite?;
        (self.plan.learning.rule.not_finite == NotFinite::Stop).then(|| {
            format!(
                "the loss of version {} (at {at}) is not finite on the evaluated samples; try a smaller learning rate or \
                 `training.clip_norm`, or `training.not_finite: skip` to let such runs end well",
                version.0
            )
        })
    }

    /// Whether the model of this version has been evaluated, or is being so.
    pub fn has_evaluated(&self, version: Version) -> bool {
        self.state.evaluated == Some(version)
    }

    /// Takes the training loss since the last evaluation and starts another one.
    pub fn begin(
        &mut self,
        pool: &mut Pool,
        version: Version,
        models: &BTreeMap<NodeId, Params>,
        account: &Account,
        now: Time,
        learner: &dyn Learner,
    ) {
        let train_loss = self.take_train_loss();
        let view = MetricView { plan: self.plan, learner, account, now, models, train_loss };
        self.start(pool, version, models, &view);
    }

    /// Starts an evaluation of one model, or of several peers' mean.
    fn start(
        &mut self,
        pool: &mut Pool,
        version: Version,
        models: &BTreeMap<NodeId, Params>,
        view: &MetricView<'_>,
    ) {
        let mut values = BTreeMap::new();
        for metric in &self.metrics {
            if let Metric::Computed(compute) = metric {
                values.extend(compute(view));
            }
        }
        self.state.evaluated = Some(version);
        let mut parts = Vec::new();
        let mut candidate = None;
        if self.evaluates {
            if let Some(model) = mean(models) {
                self.measure(pool, &model, "", &mut parts);
                candidate = Some(model).filter(|_| self.tools.learner.has_validation());
            }
            if self.plan.evaluation.per_node && models.len() > 1 {
                for (node, model) in models {
                    let suffix = format!("[{}]", self.plan.nodes[node.index()].name);
                    self.measure(pool, model, &suffix, &mut parts);
                }
            }
        }
        let account = view.account;
        let joules = || account.joules(view.plan, view.now);
        let spent = self.sees_all.then(|| (account.client_fits, account.bytes_sent(), joules()));
        self.running.push_back(Evaluation { version, at: view.now, spent, values, parts, candidate });
    }

    /// Starts the evaluation of a model on the test split, and on the validation split if there is one.
    fn measure(&self, pool: &mut Pool, model: &Params, suffix: &str, to: &mut Vec<Measured>) {
        let validation = self.tools.learner.has_validation().then_some(("val_", Split::Validation));
        for (prefix, split) in [("", Split::Test)].into_iter().chain(validation) {
            let part = |part| {
                let (learner, model) = (Arc::clone(&self.tools.learner), model.clone());
                pool.start(move || {
                    model.values().map_or_else(EvalPart::default, |m| learner.evaluate(m, split, part))
                })
            };
            let handles = (0..self.tools.learner.eval_parts(split)).map(part).collect();
            to.push(Measured { prefix, suffix: suffix.to_owned(), handles });
        }
    }

    /// Keeps a model if it is the best so far; the first one of equals.
    fn judge(&mut self, version: Version, at: Time, model: Params, values: &BTreeMap<String, f64>) {
        let value = |name: &str| values.get(name).copied().unwrap_or(f64::NAN);
        let best = Best {
            version,
            virtual_time_s: at.seconds(),
            val_accuracy: value("val_accuracy"),
            val_loss: value("val_loss"),
            accuracy: value("accuracy"),
            loss: value("loss"),
        };
        let score = |best: &Best| match self.plan.evaluation.best {
            BestBy::ValLoss => -best.val_loss,
            BestBy::ValAccuracy => best.val_accuracy,
        };
        let before = self.state.best.as_ref().map_or(f64::NEG_INFINITY, |(before, _)| score(before));
        if score(&best) > before {
            self.state.best = Some((best, model));
        }
    }

    /// Hands finished evaluations to the observer, in order; all of them if `wait`.
    pub fn collect(&mut self, pool: &mut Pool, observer: &mut dyn Observer, wait: bool) {
        while let Some(first) = self.running.front() {
            let done = first.parts.iter().all(|measured| measured.handles.iter().all(Handle::is_done));
            if !done && !wait && self.running.len() <= RUNNING_MAX {
                return;
            }
            let Evaluation { version, at, spent, mut values, parts, candidate } =
                self.running.pop_front().expect("just seen");
            for Measured { prefix, suffix, handles } in parts {
                let mut sum = EvalPart::default();
                for part in handles.into_iter().map(|handle| pool.wait(handle)) {
                    sum.loss_sum += part.loss_sum;
                    sum.correct += part.correct;
                    sum.count += part.count;
                }
                if sum.count > 0 && !sum.loss_sum.is_finite() {
                    self.state.not_finite.get_or_insert((version, at));
                }
                let count = sum.count.max(1) as f64;
                values.insert(format!("{prefix}accuracy{suffix}"), sum.correct / count);
                values.insert(format!("{prefix}loss{suffix}"), sum.loss_sum / count);
            }
            if let Some(model) = candidate {
                self.judge(version, at, model, &values);
            }
            let reached = self.plan.stop.target_accuracy.zip(values.get("accuracy"));
            if reached.is_some_and(|(target, accuracy)| *accuracy >= target) {
                self.state.target_reached.get_or_insert(at);
            }
            self.state.last = values.clone();
            let (updates, bytes) = (spent.map(|spent| spent.0), spent.map(|spent| spent.1));
            let energy_j = spent.map(|spent| spent.2);
            observer.evaluation(&EvaluationRow { version, at, updates, bytes, energy_j, values });
        }
    }

    pub fn note_loss(&mut self, commit: &Commit) {
        for contribution in commit.contributors.iter().filter(|c| c.loss.is_finite()) {
            self.state.loss_sum += f64::from(contribution.loss) * contribution.samples as f64;
            self.state.loss_samples += contribution.samples;
        }
    }

    fn take_train_loss(&mut self) -> f64 {
        let loss = self.state.loss_sum / self.state.loss_samples as f64;
        self.state.loss_sum = 0.0;
        self.state.loss_samples = 0;
        loss
    }

    pub fn is_due(&self, version: u64) -> bool {
        self.plan.evaluation.every > 0 && version.is_multiple_of(self.plan.evaluation.every)
    }
}

/// The mean of models, added up in order of their nodes; one model is itself.
pub fn mean(models: &BTreeMap<NodeId, Params>) -> Option<Params> {
    let values: Vec<&[f32]> = models.values().filter_map(Params::values).collect();
    if values.len() < 2 {
        return models.values().next().cloned();
    }
    let weight = 1.0 / values.len() as f32;
    let mut sum = vec![0.0f32; values[0].len()];
    for model in values {
        sum.iter_mut().zip(model).for_each(|(s, v)| *s += weight * v);
    }
    Some(Params::new(sum))
}
