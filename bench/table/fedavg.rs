//! FedAvg on the digits with 10, 100 and 1,000 clients, next to a plain NumPy loop.

use crate::Line;
use crate::common::Ready;
use crate::measure::{least, median, timed};
use hcddl::measure::outcome::RunnerKind;
use std::path::Path;
use std::process::Command;

const RUNS: usize = 5;
/// Clients, those sampled in a round, rounds of the NumPy loop.
const JOBS: [(usize, usize, usize); 3] = [(10, 10, 60), (100, 100, 30), (1000, 100, 30)];

pub fn fits() -> Vec<Line> {
    let mut lines = Vec::new();
    for (clients, sampled, rounds) in JOBS {
        let file = format!("{}/bench/scenarios/fedavg_digits_{clients}.yml", env!("CARGO_MANIFEST_DIR"));
        let load = || Ready::file(Path::new(&file), &[]).expect("the scenario is right");
        let ready = load();
        let mut best = Vec::new();
        for (name, runner, threads) in [
            ("actors", RunnerKind::Actors, 1),
            ("direct", RunnerKind::Direct, 1),
            ("direct", RunnerKind::Direct, 2),
        ] {
            let mut rates = Vec::new();
            let mut with_start = Vec::new();
            for _ in 0..RUNS {
                let (result, cost) = timed(|| ready.run(runner, threads));
                let fits = result.summary.client_fits as f64;
                rates.push(fits / cost.wall_s);
                with_start.push(fits / timed(|| load().run(runner, threads)).1.wall_s);
            }
            let top = rates.iter().copied().fold(0.0, f64::max);
            best.push(top);
            lines.push(Line::new(
                format!("{clients} clients, {name}, threads: {threads}"),
                format!("{:.0} fits/s (best {top:.0}), {:.0} with start", median(rates), median(with_start)),
                "faster than NumPy",
            ));
        }
        lines.push(numpy(clients, sampled, rounds, best[0].max(best[1])));
    }
    lines
}

/// The same job in Python, if there is one with NumPy.
fn numpy(clients: usize, sampled: usize, rounds: usize, ours: f64) -> Line {
    let what = format!("{clients} clients, NumPy");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/bench/numpy_fedavg.py");
    let seconds = |_| {
        let arguments = [script.to_owned(), clients.to_string(), sampled.to_string(), rounds.to_string()];
        let output =
            Command::new("python3").env("OPENBLAS_NUM_THREADS", "1").args(arguments).output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.split_whitespace().next()?.parse::<f64>().ok()
    };
    let times: Option<Vec<f64>> = (0..3).map(seconds).collect();
    match times {
        None => Line::new(what, "skipped: python3 with numpy is not installed", ""),
        Some(times) => {
            let fits = (sampled * rounds) as f64;
            let rate = fits / median(times.clone());
            let top = fits / least(&times);
            let measured = format!("{rate:.0} fits/s (best {top:.0})");
            Line::new(what, measured, format!("one thread of ours: {:.1} times the best", ours / top))
        }
    }
}
