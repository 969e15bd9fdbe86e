//! What a local server commits reaches its parent exactly once, whatever happens while it waits for an answer.

mod common;

use common::{Case, custom};
use hcddl::domain::{NodeId, Params};
use hcddl::learn::{Cost, EvalPart, Learner, Split};
use hcddl::node::{Train, Trained};
use std::sync::Arc;

/// One parameter whose gradient is always 1, so that a model counts the commits behind it.
struct Counter;

impl Learner for Counter {
    fn params_len(&self) -> usize {
        1
    }
    fn init(&self, _: u64) -> Vec<f32> {
        vec![0.0]
    }
    fn train(&self, _: NodeId, job: &Train) -> Result<Trained, String> {
        let tensor = Params::new(vec![1.0]);
        Ok(Trained {
            tensor,
            opt: None,
            steps: job.steps,
            samples: 1,
            loss: 0.0,
            forward_passes: 1,
            skipped: None,
        })
    }
    fn evaluate(&self, _: &[f32], _: Split, _: usize) -> EvalPart {
        EvalPart { loss_sum: 0.0, correct: 0.0, count: 1 }
    }
    fn eval_parts(&self, _: Split) -> usize {
        1
    }
    fn shard_len(&self, _: NodeId) -> usize {
        1
    }
    fn batches_per_epoch(&self, _: NodeId) -> u64 {
        1
    }
    fn cost(&self) -> Cost {
        Cost { forward_flops: 1.0, activation_bytes: 0.0, params: 1, batch: 1 }
    }
    fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        vec![("x".to_owned(), vec![1])]
    }
}

/// Asynchronous local servers with a model of their own, far from an asynchronous root.
fn tree(locals: usize, every: u64, wait: bool) -> Case {
    let text = format!(
        "topology: {{name: tree, fanout: [{locals}, 3]}}\nseed: 5\ntraining: {{rounds: 40}}\n\
         tiers:\n  global: {{policy: async, update: delta, optimizer: sgd(1)}}\n  \
         local: {{policy: async, optimizer: sgd(1), uplink: {{push: every({every}), send: delta, wait: {wait}}}}}\n\
         network: {{lan: {{latency: 1ms}}, wan: {{latency: 50ms}}}}\n\
         devices: {{default: {{name: fixed, step_time: 10ms}}, heterogeneity: 'uniform(1, 3)'}}"
    );
    custom(&text, |_| Arc::new(Counter))
}

#[test]
fn commits_made_while_the_parent_answers_are_neither_lost_nor_sent_twice() {
    for (locals, every, wait) in
        [(1, 1, false), (1, 2, false), (1, 2, true), (2, 1, false), (3, 4, true), (3, 2, false)]
    {
        let case = tree(locals, every, wait);
        let (result, log) = case.logged();
        let at_root = log.commits.iter().filter(|row| row.node == NodeId(0));
        let pushed: u64 = at_root.flat_map(|row| &row.contributors).map(|c| c.samples).sum();
        assert!(pushed >= 40 * every, "{pushed} commits were pushed: {}", case.line);
        let model = result.model.values().expect("a real run")[0];
        assert_eq!(model, -(pushed as f32), "{locals} local servers, wait {wait}: {}", case.line);
    }
}
