//! With a validation split: evaluated beside the test split, and the best model by it is kept.

mod common;

use common::{Case, Log, custom, direct};
use hcddl::domain::digest::of_values;
use hcddl::domain::work::{Cost, Train, Trained};
use hcddl::domain::{NodeId, Params};
use hcddl::learn::quadratic::Quadratic;
use hcddl::learn::{EvalPart, Learner, Split};
use hcddl::measure::outcome::{Best, EvaluationRow, SimOptions};
use hcddl::node::Reason;
use hcddl::record::checkpoint;
use hcddl::sim::RunResult;
use std::sync::Arc;

/// Quadratic functions of which the first is the validation split; "accuracy" is 1 / (1 + loss).
struct Validated(Quadratic);

impl Learner for Validated {
    fn params_len(&self) -> usize {
        self.0.params_len()
    }
    fn init(&self, seed: u64) -> Vec<f32> {
        self.0.init(seed)
    }
    fn train(&self, node: NodeId, job: &Train) -> Result<Trained, String> {
        self.0.train(node, job)
    }
    fn evaluate(&self, model: &[f32], split: Split, part: usize) -> EvalPart {
        let whole = match split {
            Split::Validation => {
                let loss_sum = self.0.functions[0].value(model);
                EvalPart { loss_sum, correct: 0.0, count: 1 }
            }
            other => self.0.evaluate(model, other, part),
        };
        EvalPart { correct: 1.0 / (1.0 + whole.loss_sum), ..whole }
    }
    fn has_validation(&self) -> bool {
        true
    }
    fn eval_parts(&self, split: Split) -> usize {
        self.0.eval_parts(split)
    }
    fn shard_len(&self, node: NodeId) -> usize {
        self.0.shard_len(node)
    }
    fn batches_per_epoch(&self, node: NodeId) -> u64 {
        self.0.batches_per_epoch(node)
    }
    fn cost(&self) -> Cost {
        self.0.cost()
    }
    fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        self.0.tensors()
    }
}

fn case(topology: &str, more: &str, rounds: u64) -> Case {
    let text = format!("topology: {topology}\ntraining: {{rounds: {rounds}}}\n{more}");
    custom(&text, |plan| {
        let shards = plan.nodes.iter().map(|node| node.shard).collect();
        let learner = Quadratic::random(5, shards, 1.0, plan.seeds.data);
        // Noise makes the last model not the best one.
        Arc::new(Validated(Quadratic { rule: plan.learning.rule.clone(), noise: 1.0, ..learner }))
    })
}

fn as_best(row: &EvaluationRow) -> Best {
    let value = |name: &str| row.values[name];
    Best {
        version: row.version,
        virtual_time_s: row.at.seconds(),
        val_accuracy: value("val_accuracy"),
        val_loss: value("val_loss"),
        accuracy: value("accuracy"),
        loss: value("loss"),
    }
}

#[test]
fn the_best_model_is_kept_and_tested() {
    for (topology, evaluation) in [
        ("flat(3)", "evaluation: {every: 1}"),
        ("flat(3)", "evaluation: {every: 3, best: val_accuracy}"),
        ("ring(4)", "evaluation: {every: 1, per_node: true}"),
    ] {
        let case = case(topology, evaluation, 40);
        let (result, log) = case.logged();
        let rows: Vec<Best> = log.evaluations.iter().map(as_best).collect();
        let expected = rows.iter().min_by(|a, b| a.val_loss.total_cmp(&b.val_loss)).unwrap();
        let best = result.summary.best.as_ref().expect("a best model");
        assert_eq!(best, expected, "{}", case.line);
        assert_ne!(
            best.version,
            rows.last().unwrap().version,
            "no test if the last is the best: {}",
            case.line
        );
        let model = result.best.as_ref().and_then(Params::values).expect("its values");
        let again = case.learner.evaluate(model, Split::Validation, 0);
        assert_eq!(again.loss_sum.to_bits(), best.val_loss.to_bits(), "{}", case.line);
        assert_ne!(of_values(model), of_values(result.model.values().unwrap()), "{}", case.line);
        if topology == "ring(4)" {
            assert!(log.evaluations[0].values.contains_key("val_loss[peer2]"), "{}", case.line);
        }
    }
}

#[test]
fn the_best_model_survives_an_interruption() {
    let best = |run: &RunResult| run.summary.best.as_ref().expect("a best model").version.0 as usize;
    // An interruption takes effect within 200 rounds: the best model must come after one and before another.
    let cases = (1..50).map(|seed| case("flat(3)", &format!("evaluation: {{every: 1}}\nseed: {seed}"), 1000));
    let fits = |run: &RunResult| (250..750).contains(&best(run));
    let (case, whole) = cases
        .map(|case| (case.run(), case))
        .find(|(run, _)| fits(run))
        .map(|(run, case)| (case, run))
        .expect("a seed");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let options = SimOptions { checkpoint_dir: Some(folder.path().to_owned()), ..direct() };
    for at in [1, best(&whole)] {
        let mut log = Log { interrupt_at: Some(at), ..Log::default() };
        let part = case.try_run(&options, &mut log, None).expect("a part of the run");
        assert!(part.summary.reason == Reason::Interrupted && log.commits.len() < at + 200, "{}", case.line);
        let checkpoint = checkpoint::read(folder.path()).expect("a checkpoint");
        let end = case.try_run(&direct(), &mut Log::default(), Some(checkpoint)).expect("the rest");
        assert_eq!(end.summary.best, whole.summary.best, "{}", case.line);
        assert_eq!(end.best, whole.best, "{}", case.line);
    }
}

#[test]
fn without_a_validation_split_there_is_no_best_model() {
    let case = common::quadratic("topology: flat(3)\ntraining: {rounds: 5}");
    let (result, log) = case.logged();
    assert!(result.best.is_none() && result.summary.best.is_none());
    assert!(log.evaluations.iter().all(|row| row.values.keys().all(|name| !name.starts_with("val_"))));
    let json = serde_json::to_string(&result.summary).unwrap();
    assert!(!json.contains("\"best\""), "{json}");
}
