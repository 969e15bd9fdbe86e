//! What the simulator adds to the gradients, and how much two threads help.

use crate::Line;
use crate::common::Ready;
use crate::measure::{least, median, ready, timed};
use hcddl::domain::{NodeId, Params};
use hcddl::measure::outcome::RunnerKind;
use hcddl::node::Train;
use hcddl::plan::{LocalWork, Role};
use std::path::Path;

const RUNS: usize = 5;

/// What is trained, and for how many rounds.
struct Job {
    name: String,
    rounds: u64,
    ready: Ready,
}

/// Eight workers and a synchronous server; blobs of 784 features stand for images of 28 x 28.
fn mlp(rounds: u64, steps: u64) -> Job {
    let text = format!(
        "topology: flat(8)\ndata: {{name: blobs, features: 784, samples: 8000, test_samples: 10}}\n\
         model: {{name: mlp, hidden: [128]}}\n\
         training: {{rounds: {rounds}, batch: 32, local: {{steps: {steps}}}}}\n\
         tiers: {{global: {{policy: fedavg}}}}\nevaluation: {{every: 0, at_start: false}}\n"
    );
    Job { name: format!("MLP 784-128-10, 8 workers, {steps} steps a job"), rounds, ready: ready(&text) }
}

/// LeNet on Fashion-MNIST with 4 workers, one batch for each round, if HCDDL_DATA has the files.
fn lenet(rounds: u64) -> Option<Job> {
    let sets = [
        format!("training.rounds={rounds}"),
        "data={name: fashion_mnist, limit_test: 10}".to_owned(),
        "evaluation={every: 0, at_start: false}".to_owned(),
    ];
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/hcddl/flat_sync.yml");
    let ready = Ready::file(Path::new(file), &sets).ok()?;
    Some(Job { name: "LeNet, Fashion-MNIST, 4 workers, 1 step a job".to_owned(), rounds, ready })
}

/// Runs a measurement of each job, and says which one cannot be run.
fn each(jobs: [Option<Job>; 3], mut measure: impl FnMut(&Job) -> Vec<Line>) -> Vec<Line> {
    let mut lines = Vec::new();
    for job in jobs {
        match job {
            Some(job) => lines.extend(measure(&job)),
            None => {
                lines.push(Line::new("LeNet", "skipped: HCDDL_DATA names no folder with Fashion-MNIST", ""))
            }
        }
    }
    lines
}

/// The same gradient steps with nothing around them.
fn plain(job: &Job) {
    let plan = &job.ready.plan;
    let LocalWork::Steps(steps) = plan.learning.local else { panic!("the scenario counts steps") };
    let model = Params::new(job.ready.learner.init(plan.seeds.init));
    for round in 0..job.rounds {
        for (i, node) in plan.nodes.iter().enumerate() {
            if node.role == Role::Worker {
                let (model, cursor) = (model.clone(), round * steps);
                let output = plan.tiers[0].update;
                let train = Train { model, opt: None, cursor, steps, output, lr_scale: 1.0 };
                job.ready.learner.train(NodeId(i as u32), &train).expect("it trains");
            }
        }
    }
}

const RUNNERS: [(&str, RunnerKind); 2] = [("direct", RunnerKind::Direct), ("actors", RunnerKind::Actors)];

pub fn overhead() -> Vec<Line> {
    each([lenet(200), Some(mlp(40, 5)), Some(mlp(200, 1))], |job| {
        RUNNERS.map(|(name, runner)| overhead_of(job, name, runner)).into()
    })
}

fn overhead_of(job: &Job, name: &str, runner: RunnerKind) -> Line {
    let pairs: Vec<(f64, f64)> = (0..RUNS)
        .map(|_| {
            let loops = timed(|| plain(job)).1.cpu_s;
            (timed(|| job.ready.run(runner, 1)).1.cpu_s, loops)
        })
        .collect();
    let ratio = median(pairs.iter().map(|(sim, plain)| sim / plain).collect());
    let (sim, plain): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
    let best = least(&sim) / least(&plain);
    let measured = format!("ratio of processor time {ratio:.3}, of the best runs {best:.3}");
    Line::new(format!("{}, {name}", job.name), measured, "goal 1.05")
}

pub fn threads() -> Vec<Line> {
    each([lenet(200), Some(mlp(60, 5)), Some(mlp(200, 1))], |job| {
        RUNNERS.map(|(name, runner)| threads_of(job, name, runner)).into()
    })
}

fn threads_of(job: &Job, name: &str, runner: RunnerKind) -> Line {
    let pairs: Vec<(f64, f64)> = (0..RUNS)
        .map(|_| {
            let one = timed(|| job.ready.run(runner, 1)).1.wall_s;
            (one, timed(|| job.ready.run(runner, 2)).1.wall_s)
        })
        .collect();
    let ratio = median(pairs.iter().map(|(one, two)| one / two).collect());
    let (one, two): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
    let best = least(&one) / least(&two);
    let measured = format!("{ratio:.2} times faster, best runs {best:.2} times");
    Line::new(format!("{}, {name}", job.name), measured, "goal 1.8")
}
