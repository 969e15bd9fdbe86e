//! What the simulator adds to the gradients, and how much two threads help.

use crate::Line;
use crate::common::{Cost, Ready, least, median, timed};
use hcddl::domain::{NodeId, Params};
use hcddl::node::{Train, work::UpdateKind};
use hcddl::scenario::plan::{LocalWork, Role};
use hcddl::sim::outcome::RunnerKind;

const RUNS: usize = 5;

/// Eight workers and a synchronous server; blobs of 784 features stand for images of 28 x 28.
fn scenario(rounds: u64, steps: u64) -> Ready {
    Ready::text(&format!(
        "topology: flat(8)\ndata: {{name: blobs, features: 784, samples: 8000, test_samples: 10}}\n\
         model: {{name: mlp, hidden: [128]}}\n\
         training: {{rounds: {rounds}, batch: 32, local: {{steps: {steps}}}}}\n\
         tiers: {{global: {{policy: fedavg}}}}\nevaluation: {{every: 0, at_start: false}}\n"
    ))
}

/// The same gradient steps with nothing around them.
fn plain(ready: &Ready, rounds: u64) {
    let LocalWork::Steps(steps) = ready.plan.learning.local else { panic!("the scenario counts steps") };
    let model = Params::new(ready.learner.init(ready.plan.seeds.init));
    for round in 0..rounds {
        for (i, node) in ready.plan.nodes.iter().enumerate() {
            if node.role == Role::Worker {
                let (model, cursor) = (model.clone(), round * steps);
                let job =
                    Train { model, opt: None, cursor, steps, output: UpdateKind::Delta, lr_scale: 1.0 };
                ready.learner.train(NodeId(i as u32), &job).expect("it trains");
            }
        }
    }
}

pub fn overhead() -> Vec<Line> {
    let mut lines = Vec::new();
    for (rounds, steps) in [(40, 5), (200, 1)] {
        let ready = scenario(rounds, steps);
        for (name, runner) in [("direct", RunnerKind::Direct), ("actors", RunnerKind::Actors)] {
            let pairs: Vec<(f64, f64)> = (0..RUNS)
                .map(|_| {
                    let loops = timed(|| plain(&ready, rounds)).1.cpu_s;
                    (timed(|| ready.run(runner, 1)).1.cpu_s, loops)
                })
                .collect();
            let ratio = median(pairs.iter().map(|(sim, plain)| sim / plain).collect());
            let (sim, plain): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
            let best = least(&sim) / least(&plain);
            lines.push(Line::new(
                format!("MLP 784-128-10, 8 workers, {steps} steps a job, {name}"),
                format!("ratio of processor time {ratio:.3}, of the best runs {best:.3}"),
                "goal 1.05",
            ));
        }
    }
    lines
}

pub fn threads() -> Vec<Line> {
    let ready = scenario(60, 5);
    let mut lines = Vec::new();
    for (name, runner) in [("direct", RunnerKind::Direct), ("actors", RunnerKind::Actors)] {
        let pairs: Vec<(Cost, Cost)> = (0..RUNS)
            .map(|_| (timed(|| ready.run(runner, 1)).1, timed(|| ready.run(runner, 2)).1))
            .collect();
        let walls = |of: fn(&(Cost, Cost)) -> f64| pairs.iter().map(of).collect::<Vec<_>>();
        let best = least(&walls(|p| p.0.wall_s)) / least(&walls(|p| p.1.wall_s));
        let ratio = median(walls(|p| p.0.wall_s / p.1.wall_s));
        lines.push(Line::new(
            format!("MLP 784-128-10, 8 workers, 5 steps a job, {name}"),
            format!("{ratio:.2} times faster, best runs {best:.2} times"),
            "goal 1.8",
        ));
    }
    lines
}
