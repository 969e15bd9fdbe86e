//! Statistics against known truth: how often intervals cover, and the values of independent implementations
//! (`tests/goldens/make_stats.py`).

use hcddl::domain::{Stream, math};
use hcddl::stats::bootstrap::{self, mean_interval, median_interval};
use hcddl::stats::crossed::Design;
use hcddl::stats::kaplan_meier::{Curve, Outcome};
use hcddl::stats::quantile::{mean, quantile, sorted};
use hcddl::stats::{Interval, Resampling};
use serde_json::Value;

fn golden() -> Value {
    serde_json::from_str(include_str!("goldens/stats.json")).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap_or(f64::INFINITY)).collect()
}

fn median(values: &[f64]) -> f64 {
    quantile(&sorted(values.iter().copied()), 0.5).unwrap()
}

fn close(a: f64, b: f64, tolerance: f64) -> bool {
    a == b || (a - b).abs() <= tolerance
}

#[test]
fn kaplan_meier_is_that_of_lifelines() {
    for case in golden()["kaplan_meier"].as_array().unwrap() {
        let reached = case["reached"].as_array().unwrap().iter().map(|reached| reached.as_bool().unwrap());
        let outcomes: Vec<Outcome> = numbers(&case["cost"])
            .into_iter()
            .zip(reached)
            .map(|(cost, reached)| Outcome { cost, reached })
            .collect();
        let curve = Curve::of(&outcomes, 0.95);
        let steps = case["steps"].as_array().unwrap();
        assert_eq!(curve.steps.len(), steps.len());
        for (step, golden) in curve.steps.iter().zip(steps) {
            for (name, value) in [
                ("cost", step.cost),
                ("at_risk", step.at_risk),
                ("reached", step.reached),
                ("survival", step.survival),
                ("low", step.band.low),
                ("high", step.band.high),
            ] {
                // lifelines gives no band where the survival is 0.
                let golden = golden[name].as_f64().unwrap_or(0.0);
                assert!(close(value, golden, 1e-9), "{name}: {step:?}, lifelines {golden}");
            }
        }
        let quartiles = [0.25, 0.5, 0.75].map(|p| curve.quantile(p).unwrap_or(f64::INFINITY));
        assert_eq!(quartiles.to_vec(), numbers(&case["quartiles"]));
        let Interval { low, high } = curve.quantile_interval(0.5);
        assert_eq!(vec![low, high], numbers(&case["median_interval"]));
    }
}

#[test]
fn intervals_are_those_of_scipy() {
    let how = Resampling { repetitions: 40_000, ..Resampling::default() };
    for case in golden()["intervals"].as_array().unwrap() {
        let values = numbers(&case["values"]);
        let ascending = sorted(values.iter().copied());
        for (p, golden) in [0.05, 0.25, 0.5, 0.75, 0.95].into_iter().zip(numbers(&case["quantiles"])) {
            assert!(close(quantile(&ascending, p).unwrap(), golden, 1e-12));
        }
        let student = bootstrap::student(&values, &how).unwrap();
        let width = student.high - student.low;
        for (name, interval, tolerance) in [
            ("student", student, 1e-9),
            ("median_order", median_interval(&values, &how).unwrap(), 1e-9),
            // Quantiles of other random numbers: within 3 % of the width.
            ("mean_percentile", bootstrap::percentile(&values, &how, mean).unwrap(), 0.03 * width),
            ("mean_bca", bootstrap::bca(&values, &how, mean).unwrap(), 0.03 * width),
            ("mean_studentised", bootstrap::studentised(&values, &how).unwrap(), 0.05 * width),
            ("median_percentile", bootstrap::percentile(&values, &how, median).unwrap(), 0.05 * width),
        ] {
            let golden = numbers(&case[name]);
            let near =
                close(interval.low, golden[0], tolerance) && close(interval.high, golden[1], tolerance);
            assert!(near, "{name}: {interval:?}, scipy {golden:?}");
        }
    }
}

/// What runs look like: (name, a draw, true mean, true median).
type Truth = (&'static str, fn(&mut Stream) -> f64, f64, f64);

fn truths() -> [Truth; 3] {
    let (ln2, root_e) = (math::ln(2.0), math::exp(0.125));
    [
        ("normal", |stream| stream.normal(), 0.0, 0.0),
        ("lognormal(0, 0.5)", |stream| math::exp(0.5 * stream.normal()), root_e, 1.0),
        ("exponential", |stream| stream.exponential(), 1.0, ln2),
    ]
}

type Estimator = fn(&[f64], &Resampling) -> Option<Interval>;

/// Share of intervals that hold the truth.
fn coverage(
    draw: fn(&mut Stream) -> f64,
    truth: f64,
    n: usize,
    studies: u64,
    repetitions: u32,
    estimator: Estimator,
) -> f64 {
    let covered = (0..studies).filter(|study| {
        let mut stream = Stream::new(*study, "coverage", n as u64, 0);
        let values: Vec<f64> = (0..n).map(|_| draw(&mut stream)).collect();
        let how = Resampling { confidence: 0.95, repetitions, seed: study + 1 };
        let interval = estimator(&values, &how).unwrap();
        interval.low <= truth && truth <= interval.high
    });
    covered.count() as f64 / studies as f64
}

/// A smaller version of the table below, always on: a wrong quantile or an n instead of n - 1 is caught.
#[test]
fn intervals_of_50_runs_cover_as_they_say() {
    for (name, draw, true_mean, true_median) in truths() {
        for (what, estimator, truth) in
            [("mean", mean_interval as Estimator, true_mean), ("median", median_interval, true_median)]
        {
            let covered = coverage(draw, truth, 50, 1000, 500, estimator);
            // Three standard errors of 1,000 studies around the bounds.
            assert!((0.92..0.98).contains(&covered), "{what} of {name}: {covered}");
        }
    }
}

/// Crossed random effects of the three seeds, with all interactions.
fn crossed_coverage(levels: u64, share_of_main: f64, studies: u64) -> f64 {
    let covered = (0..studies).filter(|study| {
        let effect = |set: u64, at: u64| Stream::new(*study, "effect", set, at).normal();
        let (main, other) = ((share_of_main / 3.0).sqrt(), ((1.0 - share_of_main) / 4.0).sqrt());
        let (mut seeds, mut values) = (Vec::new(), Vec::new());
        for d in 0..levels {
            for i in 0..levels {
                for x in 0..levels {
                    seeds.push([d, i, x]);
                    let mains = effect(1, d) + effect(2, i) + effect(4, x);
                    let pairs = effect(3, d * 99 + i) + effect(5, d * 99 + x) + effect(6, i * 99 + x);
                    values.push(main * mains + other * (pairs + effect(7, (d * 99 + i) * 99 + x)));
                }
            }
        }
        let how = Resampling { repetitions: 500, seed: study + 1, ..Resampling::default() };
        let interval = Design::new(&seeds).mean_interval(&values, &how).unwrap();
        interval.low <= 0.0 && 0.0 <= interval.high
    });
    covered.count() as f64 / studies as f64
}

#[test]
fn intervals_of_crossed_seeds_do_not_cover_less_than_they_say() {
    for share_of_main in [0.9, 0.3] {
        let covered = crossed_coverage(5, share_of_main, 400);
        assert!(covered >= 0.93, "5 x 5 x 5, {share_of_main} main effects: {covered}");
    }
}

/// The table of docs/reports.md: `cargo test --release --test stats -- --ignored --nocapture`.
#[test]
#[ignore = "takes minutes: prints how often every interval covers"]
fn prints_the_coverage_of_all_intervals() {
    let of_mean: [(&str, Estimator); 5] = [
        ("mean: chosen", mean_interval),
        ("mean: Student", bootstrap::student),
        ("mean: studentised", bootstrap::studentised),
        ("mean: percentile", |values, how| bootstrap::percentile(values, how, mean)),
        ("mean: BCa", |values, how| bootstrap::bca(values, how, mean)),
    ];
    let of_median: [(&str, Estimator); 3] = [
        ("median: chosen", median_interval),
        ("median: percentile", |values, how| bootstrap::percentile(values, how, median)),
        ("median: BCa", |values, how| bootstrap::bca(values, how, median)),
    ];
    println!("| interval | runs are | n = 5 | 10 | 30 | 50 | 100 |\n|---|---|---|---|---|---|---|");
    for (estimators, of_median) in [(&of_mean[..], false), (&of_median[..], true)] {
        for (what, estimator) in estimators {
            for (name, draw, true_mean, true_median) in truths() {
                let truth = if of_median { true_median } else { true_mean };
                let row = [5, 10, 30, 50, 100].map(|n| {
                    let covered = coverage(draw, truth, n, 5000, 1000, *estimator);
                    if what.ends_with("chosen") && n >= 50 {
                        assert!((0.94..=0.96).contains(&covered), "{what}, {name}, n = {n}: {covered}");
                    }
                    format!("{:.1}", 100.0 * covered)
                });
                println!("| {what} | {name} | {} |", row.join(" | "));
            }
        }
    }
    for (levels, share) in [(3, 0.9), (3, 0.3), (5, 0.9), (5, 0.3), (10, 0.9)] {
        let covered = 100.0 * crossed_coverage(levels, share, 2000);
        println!(
            "crossed, {levels} levels of each seed, {share} of the variance in main effects: {covered:.1} %"
        );
    }
}
