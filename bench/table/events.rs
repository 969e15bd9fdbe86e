//! Events per second of timing-only runs, and the largest tree.

use crate::common::Ready;
use crate::measure::{median, peak_rss_mib, ready, timed};
use crate::{Line, in_child};
use hcddl::measure::outcome::RunnerKind;

const RUNS: usize = 3;
const RUNNERS: [(&str, RunnerKind); 2] = [("direct", RunnerKind::Direct), ("actors", RunnerKind::Actors)];

/// 10,000 workers that differ in speed, one gradient step for each assignment.
fn flat(policy: &str, rounds: u64, network: &str) -> Ready {
    ready(&format!(
        "timing_only: true\ntopology: flat(10000)\nmodel: softmax\n\
         training: {{rounds: {rounds}, local: {{steps: 1}}}}\n\
         tiers: {{global: {{policy: {policy}}}}}\nnetwork: {network}\n\
         devices: {{heterogeneity: \"uniform(1, 2)\"}}\n"
    ))
}

const NETWORKS: [(&str, &str); 3] = [
    ("no contention", "{contention: none, lan: {latency: 1ms, rate: 1gbit}}"),
    ("TCP", "{contention: tcp, lan: {latency: 1ms, rate: 1gbit}}"),
    ("fair share", "{contention: fair_share, lan: {latency: 1ms, rate: 1gbit}}"),
];

pub fn asynchronous() -> Vec<Line> {
    events("async", 200_000)
}

pub fn synchronous() -> Vec<Line> {
    events("sync", 20)
}

fn events(policy: &str, rounds: u64) -> Vec<Line> {
    let mut lines = Vec::new();
    for (network, settings) in NETWORKS {
        let scenario = flat(policy, rounds, settings);
        let mut costs = [const { Vec::new() }; 2];
        let mut events = 0;
        for _ in 0..RUNS {
            for ((_, runner), costs) in RUNNERS.iter().zip(&mut costs) {
                let (result, cost) = timed(|| scenario.run(*runner, 1));
                events = result.summary.events;
                costs.push(cost);
            }
        }
        for ((name, runner), costs) in RUNNERS.iter().zip(costs) {
            let rate = |seconds: Vec<f64>| events as f64 / median(seconds) / 1e6;
            let cpu = rate(costs.iter().map(|c| c.cpu_s).collect());
            let wall = rate(costs.iter().map(|c| c.wall_s).collect());
            let goal = match (network, runner) {
                ("no contention", RunnerKind::Direct) => "goal 2 M/s",
                ("no contention", RunnerKind::Actors) => "goal 0.5 M/s",
                _ => "",
            };
            let measured = format!("{cpu:.2} M/s of processor time, {wall:.2} M/s of wall time");
            lines.push(Line::new(format!("{network}, {name}, {events} events"), measured, goal));
        }
    }
    lines
}

pub fn large_tree() -> Vec<Line> {
    let mut lines = Vec::new();
    for (name, network) in NETWORKS {
        for runner in ["direct", "actors"] {
            let numbers = in_child(&["tree", network, runner]);
            let [wall, cpu, mib, events] = numbers[..] else { panic!("the child measures four things") };
            let rate = events / cpu / 1e6;
            lines.push(Line::new(
                format!("fan-out 32, 64, 64, {name}, {runner}"),
                format!("{wall:.1} s ({cpu:.1} s of processor time), {mib:.0} MiB, {rate:.2} M/s"),
                "goal 60 s, 3 GiB",
            ));
        }
    }
    lines
}

/// Seconds from scenario to result, seconds of processor time, peak MiB, events.
pub fn tree_child(network: &str, runner: &str) -> Vec<f64> {
    let scenario = format!(
        "timing_only: true\ntopology: {{name: tree, fanout: [32, 64, 64]}}\nmodel: {{name: mlp, hidden: [128]}}\n\
         training: {{rounds: 10, local: {{steps: 5}}}}\n\
         tiers: {{global: {{policy: fedavg}}, local: {{policy: fedavg}}}}\n\
         network: {network}\ndevices: {{heterogeneity: lognormal(0.3)}}\n"
    );
    let runner = if runner == "direct" { RunnerKind::Direct } else { RunnerKind::Actors };
    let (result, cost) = timed(|| ready(&scenario).run(runner, 1));
    vec![cost.wall_s, cost.cpu_s, peak_rss_mib(), result.summary.events as f64]
}
