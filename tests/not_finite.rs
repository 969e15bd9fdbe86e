//! A loss that is not finite ends the run, or only the job: by a setting.

mod common;

use common::{Case, custom};
use hcddl::domain::NodeId;
use hcddl::domain::work::{Cost, Train, Trained};
use hcddl::learn::local::{Buffers, LocalRule, NotFinite, Site, StepLoss, run};
use hcddl::learn::quadratic::Quadratic;
use hcddl::learn::{EvalPart, Learner, Split};
use hcddl::node::Reason;
use std::sync::Arc;

/// Quadratic functions; the loss of the batches that `breaks` names (node, batch) is NaN.
struct Fragile {
    inner: Quadratic,
    breaks: fn(NodeId, u64) -> bool,
}

impl Learner for Fragile {
    fn params_len(&self) -> usize {
        self.inner.params_len()
    }
    fn init(&self, seed: u64) -> Vec<f32> {
        self.inner.init(seed)
    }
    fn train(&self, node: NodeId, job: &Train) -> Result<Trained, String> {
        let shard = self.inner.shards[node.index()].ok_or("no function")?;
        let function = &self.inner.functions[shard as usize];
        let site = Site {
            isa: hcddl::learn::kernels::Isa::best(),
            params_len: self.params_len(),
            statistics: &[],
            epoch: 1,
        };
        run(site, job, &self.inner.rule, &mut Buffers::default(), &|| true, |at, cursor, out| {
            out.iter_mut().enumerate().for_each(|(i, g)| *g = function.a[i] * (at[i] - function.b[i]));
            let broken = (self.breaks)(node, cursor);
            if broken {
                out.fill(f32::NAN);
            }
            Ok(StepLoss { loss: if broken { f64::NAN } else { function.value(at) }, samples: 1 })
        })
    }
    fn evaluate(&self, model: &[f32], split: Split, part: usize) -> EvalPart {
        self.inner.evaluate(model, split, part)
    }
    fn eval_parts(&self, split: Split) -> usize {
        self.inner.eval_parts(split)
    }
    fn shard_len(&self, node: NodeId) -> usize {
        self.inner.shard_len(node)
    }
    fn batches_per_epoch(&self, node: NodeId) -> u64 {
        self.inner.batches_per_epoch(node)
    }
    fn cost(&self) -> Cost {
        self.inner.cost()
    }
    fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        self.inner.tensors()
    }
}

fn case(text: &str, not_finite: NotFinite, breaks: fn(NodeId, u64) -> bool) -> Case {
    let text = format!("{text}\ntraining: {{rounds: 40, local: {{steps: 2}}}}");
    custom(&text, |plan| {
        let shards = plan.nodes.iter().map(|node| node.shard).collect();
        let rule = LocalRule { not_finite, ..plan.learning.rule.clone() };
        let inner = Quadratic { rule, ..Quadratic::random(5, shards, 1.0, plan.seeds.data) };
        Arc::new(Fragile { inner, breaks })
    })
}

/// Other ways that updates travel.
const WAYS: [&str; 3] =
    ["sync, compression: {up: 'top_k(0.4)'}", "async, update: delta", "async, update: model"];

fn worlds() -> Vec<String> {
    let flat = |policy: &&str| format!("topology: flat(3)\ntiers: {{global: {{policy: {policy}}}}}");
    let mut worlds: Vec<String> = hcddl::policy::trials().concat().iter().chain(&WAYS).map(flat).collect();
    worlds.push(
        "topology: {name: tree, fanout: [2, 2]}\ntiers: {global: {policy: sync}, local: {policy: async}}"
            .to_owned(),
    );
    worlds.push(
        "topology: {name: tree, fanout: [2, 2]}\ntiers: {global: {policy: async}, local: {policy: sync}}"
            .to_owned(),
    );
    worlds.push("topology: ring(4)".to_owned());
    worlds.push("topology: ring(4)\npeers: {algorithm: ring_all_reduce}".to_owned());
    worlds
}

#[test]
fn skipped_jobs_leave_the_model_whole_and_hold_up_nobody() {
    for world in worlds() {
        // Every third batch of node 2, which trains in every one of these.
        let case = case(&world, NotFinite::Skip, |node, batch| trains_badly(node) && batch % 3 == 1);
        let summary = case.run().summary;
        assert_eq!(summary.reason, Reason::Rounds, "{}", case.line);
        assert!(summary.metrics["skipped_jobs"] >= 1.0, "{}", case.line);
        assert!(summary.loss.is_some_and(f64::is_finite), "{:?}: {}", summary.loss, case.line);
        assert_eq!(summary.lost_updates, 0, "{}", case.line);
        let whole = self::case(&world, NotFinite::Skip, |_, _| false).run().summary;
        assert!(!whole.metrics.contains_key("skipped_jobs"), "{}", case.line);
        assert_ne!(whole.weight_digest, summary.weight_digest, "{}", case.line);
    }
}

fn trains_badly(node: NodeId) -> bool {
    node == NodeId(2) || node == NodeId(3)
}

/// In a round, the others' updates count as if the void one had not been sent.
#[test]
fn a_synchronous_server_drops_void_updates() {
    let world = "topology: flat(3)\ntiers: {global: {policy: sync}}";
    let case = case(world, NotFinite::Skip, |node, batch| node == NodeId(2) && batch == 4);
    let (result, log) = case.logged();
    assert_eq!(result.summary.dropped_updates["not finite"], 1, "{}", case.line);
    assert_eq!(result.summary.metrics["skipped_jobs"], 1.0);
    let contributors = log.commits.iter().map(|commit| commit.contributors.len());
    assert_eq!(contributors.filter(|count| *count == 2).count(), 1, "{}", case.line);
}

#[test]
fn if_everything_is_skipped_the_model_stays_as_it_was() {
    for world in worlds() {
        let case = case(&world, NotFinite::Skip, |_, _| true);
        let result = case.run();
        assert_eq!(result.summary.reason, Reason::Rounds, "{}", case.line);
        let init = case.learner.init(case.plan.seeds.init);
        let values = result.model.values().unwrap();
        let moved = values.iter().zip(&init).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(moved < 1e-5, "{moved}: {}", case.line);
    }
}

#[test]
fn a_run_that_stops_says_where_and_what_to_try() {
    for world in [
        "topology: flat(3)\ntiers: {global: {policy: sync}}",
        "topology: flat(3)\ntiers: {global: {policy: async}}",
    ] {
        let case = case(world, NotFinite::Stop, |node, batch| node == NodeId(2) && batch == 5);
        let Reason::Failed(why) = case.run().summary.reason else { panic!("it goes on: {}", case.line) };
        let place = "worker2, job 3 at ";
        assert!(why.starts_with(place), "{why}");
        for part in ["s: the loss is NaN at step 2 of 2; try", "clip_norm", "training.not_finite: skip"] {
            assert!(why.contains(part), "{why}");
        }
    }
}
