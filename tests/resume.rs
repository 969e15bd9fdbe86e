//! A run that was interrupted and continued is the run that was not.

mod common;

use common::{Case, Log, digests, direct, file, inline, scenario};
use hcddl::domain::Span;
use hcddl::measure::outcome::{EvaluationRow, RunnerKind, SimOptions};
use hcddl::node::Reason;
use hcddl::record::checkpoint;

/// Every number of an evaluation, to the bit.
/// A row of metrics, bit by bit: version, nanoseconds, values by name.
type Row = (u64, u64, Vec<(String, u64)>);

fn rows(evaluations: &[EvaluationRow]) -> Vec<Row> {
    let values = |row: &EvaluationRow| row.values.iter().map(|(k, v)| (k.clone(), v.to_bits())).collect();
    evaluations.iter().map(|row| (row.version.0, row.at.0, values(row))).collect()
}

/// Interrupts a run after some commits, as often as there are numbers, and continues it.
fn resumed(case: &Case, interruptions: &[usize]) {
    let (whole, expected) = case.logged();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut evaluations = Vec::new();
    let (mut commits, mut checkpointed) = (0, None);
    for (i, at) in interruptions.iter().map(|at| Some(*at)).chain([None]).enumerate() {
        let mut log = Log { interrupt_at: at, ..Log::default() };
        // The runner and the threads may change in between.
        let runner = if i % 2 == 0 { RunnerKind::Direct } else { RunnerKind::Actors };
        let options = SimOptions {
            threads: 1 + i % 2,
            runner,
            checkpoint_dir: Some(folder.path().to_owned()),
            ..SimOptions::default()
        };
        let result = case
            .try_run(&options, &mut log, checkpointed.take())
            .unwrap_or_else(|error| panic!("part {i}: {}: {error}", case.line));
        evaluations.append(&mut log.evaluations);
        commits += log.commits.len();
        if at.is_some() {
            assert_eq!(result.summary.reason, Reason::Interrupted, "part {i} is too long: {}", case.line);
            // The last evaluation of an interrupted part is of a model that the whole run does not evaluate.
            let whole_rows = rows(&expected.evaluations);
            evaluations.retain(|row| whole_rows.contains(&rows(std::slice::from_ref(row))[0]));
            evaluations.dedup();
            checkpointed = Some(checkpoint::read(folder.path()).expect("a checkpoint"));
        } else {
            assert_eq!(digests(&result), digests(&whole), "trace and weights: {}", case.line);
            let (mut a, mut b) = (result.summary.clone(), whole.summary.clone());
            (a.wall_time_s, b.wall_time_s) = (0.0, 0.0);
            assert_eq!(a, b, "{}", case.line);
        }
    }
    assert_eq!(commits, expected.commits.len(), "{}", case.line);
    assert_eq!(rows(&evaluations), rows(&expected.evaluations), "{}", case.line);
}

#[test]
fn scenarios_continue_to_the_same_end() {
    for (name, rounds) in [("quickstart", 40), ("gossip", 120), ("faults", 200), ("straggler", 200)] {
        let rounds = format!("training.rounds={rounds}");
        let mut sets = vec![rounds.as_str()];
        if name == "straggler" {
            sets.push("training.target_accuracy=1");
        }
        let case = scenario(&file(&format!("scenarios/{name}.yml")), &sets);
        resumed(&case, &[7]);
    }
}

#[test]
fn residuals_and_coded_models_continue() {
    let text = "topology: {name: tree, fanout: [2, 2]}\nmodel: {name: mlp, hidden: [16]}\ndata: digits\n\
        training: {rounds: 200, max_time: 1h}\nevaluation: {every: 25}\n\
        tiers: {global: {policy: async, compression: {up: 'top_k(0.05)', down: fp16}}, \
        local: {policy: 'k_async(2)', compression: {up: two_bit, down: bf16}}}\n\
        network: {lan: {profile: lan-gige}}";
    resumed(&inline(text), &[11, 100, 50]);
}

#[test]
fn transfers_that_share_a_line_continue() {
    let text = "topology: flat(6)\nmodel: {name: mlp, hidden: [64]}\ndata: digits\n\
        training: {rounds: 300}\nevaluation: {every: 50}\ntiers: {global: {policy: 'ssp(2)', optimizer: adam}}\n\
        network: {contention: fair_share(0.3), lan: {latency: 'lognormal(2ms, 0.5)', rate: 20mbit, loss: 0.01, shared: 30mbit}}\n\
        devices: {default: pi-zero-2w, heterogeneity: 'lognormal(0.4)'}";
    resumed(&inline(text), &[20]);
    resumed(&inline(&text.replace("fair_share(0.3)", "fifo")), &[20]);
    // Windows, queues that lose segments, and trains under way.
    resumed(&inline(&text.replace("fair_share(0.3)", "tcp(20ms)")), &[20]);
}

#[test]
fn injections_continue() {
    let text = "topology: flat(6)\nmodel: {name: mlp, hidden: [16]}\ndata: digits\n\
        training: {rounds: 800}\nevaluation: {every: 50}\ntiers: {global: {policy: async}}\n\
        network: {lan: {latency: 'lognormal(2ms, 0.5)'}}\ninjections:\n\
        - {where: all, add: 'lognormal(5ms, 1)', correlation: 0.9}\n\
        - {where: random(2), slow_down: 4, bursts: {on: 20ms, off: 50ms, random: true}}\n\
        - {where: worker1, direction: up, scale: 3, bursts: {on: 30ms, off: 30ms, random: true}}";
    resumed(&inline(text), &[20, 60]);
}

#[test]
fn traces_continue() {
    let text = "topology: flat(6)\nmodel: {name: mlp, hidden: [64]}\ndata: digits\n\
        training: {rounds: 800, max_time: 1h}\nevaluation: {every: 50}\ntiers: {global: {policy: async}}\n\
        network: {contention: fair_share(0.3), lan: {latency: 'lognormal(2ms, 0.5)', rate: 20mbit, shared: 30mbit}}\n\
        traces:\n\
        - {where: [worker1, worker2], repeat: true, random_start: true, records: [{at: 0s, rate: 5mbit, latency: 4ms}, \
        {at: 30ms, rate: 0, latency: 9ms}, {at: 50ms, rate: 20mbit, latency: 1ms}, {at: 90ms, rate: 5mbit, latency: 1ms}]}\n\
        - {where: worker3, rate: {name: random_walk, min: 1mbit, max: 20mbit, step: 7ms}}\n\
        - {where: lan, rate: {name: random_walk, min: 10mbit, max: 40mbit, step: 20ms}}\n\
        - {where: [worker4, worker5], available: 'weibull(200ms, 50ms)'}\n\
        - {where: worker6, available: {name: diurnal, period: 300ms, share: 0.7}}";
    resumed(&inline(text), &[20, 60]);
    for contention in ["fifo", "none"] {
        resumed(&inline(&text.replace("fair_share(0.3)", contention)), &[40]);
    }
}

#[test]
fn bursts_of_loss_continue() {
    let text = "topology: flat(4)\nmodel: softmax\ndata: digits\ntraining: {rounds: 400, max_time: 1h}\n\
        evaluation: {every: 50}\ntiers: {global: {policy: async}}\n\
        faults: {messages: [{loss: {name: gilbert_elliott, good: 2s, bad: 100ms, loss_bad: 0.8}}]}";
    resumed(&inline(text), &[50]);
}

/// Checkpoints on the way change nothing, and the last of them continues to the same end.
#[test]
fn periodic_checkpoints_change_nothing() {
    let case = scenario(&file("scenarios/quickstart.yml"), &["training.rounds=20"]);
    let whole = case.run();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let options =
        SimOptions { checkpoint_dir: Some(folder.path().to_owned()), checkpoint_every: Span(0), ..direct() };
    let first = case.run_with(&options);
    assert_eq!(digests(&first), digests(&whole), "{}", case.line);
    let last = checkpoint::read(folder.path()).expect("a checkpoint on the way");
    let mut log = Log::default();
    let again = case.try_run(&direct(), &mut log, Some(last)).expect("continues");
    assert_eq!(digests(&again), digests(&whole), "{}", case.line);
}
