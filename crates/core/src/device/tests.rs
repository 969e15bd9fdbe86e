use super::efficiency::Grid;
use super::*;
use crate::domain::operation::{Kind, Operation};
use crate::domain::work::Cost;
use crate::domain::{OptionError, Pick, Time};
use serde_json::{Value, json};

fn named(value: &Value) -> Result<Profile, OptionError> {
    let tables = (table(), (crate::net::latency::table(), crate::net::profile::table()));
    Pick::<Profile>::from(value.clone()).build(&tables)
}

fn stream() -> Stream {
    Stream::new(9, "compute", 0, 0)
}

#[test]
fn every_example_shows_the_defaults() {
    for row in table().rows() {
        let short = if row.name == "fixed" { json!("fixed(20ms)") } else { json!(row.name) };
        let shown = named(&crate::yaml::flow(row.example)).unwrap();
        assert_eq!(format!("{shown:?}"), format!("{:?}", named(&short).unwrap()), "{}", row.name);
    }
}

/// A batch of 32 on an MLP 64-128-10 (9,610 parameters), by hand, without jitter.
#[test]
fn a_job_takes_the_larger_of_its_arithmetic_and_its_memory() {
    let cost = Cost { forward_flops: 18_944.0, activation_bytes: 1_600.0, params: 9_610, batch: 32 };
    let job = JobCost::training(&cost, 10);
    assert_eq!((job.flops, job.bytes, job.steps), (18_186_240.0, 2_689_200.0, 10));
    let pi = named(&json!({"name": "pi-4b", "jitter": 0})).unwrap();
    // memory: 2,689,200 / 2.45e9 = 1,097,633 ns; arithmetic: 18,186,240 / 22e9 = 826,647 ns; overhead 100 us
    assert_eq!(pi.duration(&job, &mut stream()), Span(1_197_633));
    let fold = JobCost::fold(4, 1_000_000);
    assert_eq!((fold.flops, fold.bytes, fold.steps), (8e6, 24e6, 0));
    assert_eq!(pi.duration(&fold, &mut stream()), Span(100_000 + 9_795_918));
    let coding = JobCost::coding((10.0, 24.5), 1_000_000);
    assert_eq!(pi.duration(&coding, &mut stream()), Span(10_100_000));
}

/// Products of a table of two points of n, 0.1 and 0.4 of 10 Gflop/s; sets beyond 1 MB come from memory, which copies 1 GB
/// a second.
fn small_table() -> Efficiency {
    let grid = |efficiency: Vec<f64>, axes| Grid { axes, efficiency };
    let mut kinds: std::collections::BTreeMap<Kind, Grid> =
        Kind::ALL.into_iter().map(|kind| (kind, grid(vec![0.5], vec![vec![1]]))).collect();
    kinds.insert(Kind::Product, grid(vec![0.1, 0.4, 0.1, 0.4], vec![vec![1, 4], vec![16, 64]]));
    Efficiency { kinds, reach: vec![(1e6, 4.0), (2e6, 1.0)], cache: 1e6, context: [1.0, 1.0] }
}

#[test]
fn between_sizes_efficiencies_are_geometric_means_and_beyond_them_those_of_the_edge() {
    let table = small_table();
    assert!(table.check().is_ok());
    let at = |n| (table.kinds[&Kind::Product].at([2, n, 7]) * 1e6).round() / 1e6;
    assert_eq!([1, 16, 32, 64, 1000].map(at), [0.1, 0.1, 0.2, 0.4, 0.4]);
    let reach = |bytes| (table.reach(bytes) * 1e6).round() / 1e6;
    assert_eq!([1.0, 1e6, 2f64.sqrt() * 1e6, 2e6, 1e9].map(reach), [4.0, 4.0, 2.0, 1.0, 1.0]);
}

/// Ten products 4 x 64 x 100, at 0.4 of 10 Gflop/s: 51,200 operations each, 12.8 us; 1 MB from a step ago, from memory
/// instead of a cache: 1e6 / 2e9 - 1e6 / 8e9 = 375 us.
#[test]
fn a_step_is_the_sum_of_its_kernels_and_of_what_memory_takes_longer() {
    let table = small_table();
    let product = Operation::new(Kind::Product, [4, 64, 100], 10);
    let hot = table.seconds(&[product], 1e4, 1.0, 10e9, 1e9);
    assert!((hot.alone - 128e-6).abs() < 1e-12 && hot.memory == 0.0, "{hot:?}");
    let far = table.seconds(&[product.far(250_000)], 3e6, 1.0, 10e9, 1e9);
    assert!((far.alone - (128e-6 + 375e-6)).abs() < 1e-12, "{far:?}");
    // On a device with caches four times as large the step fits.
    let fits = table.seconds(&[product.far(250_000)], 3e6, 0.25, 10e9, 1e9);
    assert_eq!(fits, hot);
    let shared = Operation { shared: true, ..product };
    let on = |threads| table.seconds(&[shared], 1e4, 1.0, 10e9, 1e9).on(threads);
    assert!((on(4.0) - 32e-6).abs() < 1e-12);
}

/// A Pi 4 takes a thread's part of its speed for a small step, and all four for a large one.
#[test]
fn small_steps_take_one_thread_and_large_ones_all() {
    let pi = named(&json!({"name": "pi-4b", "jitter": 0})).unwrap();
    let of = |times| {
        let product = Operation { shared: true, ..Operation::new(Kind::Product, [64, 256, 256], times) };
        let all = Operations { step: vec![product], job: Vec::new(), working_set: 1e5 };
        pi.predicted(&all).unwrap().step / times as f64
    };
    let (small, large) = (of(1), of(100));
    assert!((small / large - 4.0).abs() < 1e-9, "{small} {large}");
    // 8.4 million operations at 5.5 Gflop/s, somewhat less efficient than at best.
    assert!(small > 1.5e-3 && small < 2.5e-3, "{small}");
    let perfect = named(&json!({"name": "pi-4b", "efficiency": 1})).unwrap();
    assert_eq!(perfect.predicted(&Operations::default()), None);
}

#[test]
fn jitter_keeps_the_mean_and_its_deviation() {
    let pi = named(&json!({"name": "pi-4b", "jitter": 0.4, "overhead": 0})).unwrap();
    let job = JobCost { flops: 22e9, bytes: 0.0, steps: 0, predicted: None };
    let mut stream = stream();
    let n = 20_000;
    let draws: Vec<f64> = (0..n).map(|_| pi.duration(&job, &mut stream).seconds()).collect();
    let mean = draws.iter().sum::<f64>() / f64::from(n);
    let log_mean = draws.iter().map(|d| math::ln(*d)).sum::<f64>() / f64::from(n);
    assert!((mean - 1.0).abs() < 0.015, "{mean}");
    assert!((log_mean + 0.08).abs() < 0.012, "{log_mean}");
}

#[test]
fn a_step_time_replaces_the_count_for_training_only_and_nothing_is_drawn_in_vain() {
    let mut stream = stream();
    let fixed = named(&json!("fixed(20ms)")).unwrap();
    let training = JobCost { flops: 1e12, bytes: 1e12, steps: 7, predicted: None };
    assert_eq!(fixed.duration(&training, &mut stream), Span::from_millis(140));
    assert_eq!(fixed.duration(&JobCost { steps: 0, ..training }, &mut stream), Span::ZERO);
    assert_eq!(named(&json!("instant")).unwrap().duration(&training, &mut stream), Span::ZERO);
    assert_eq!(stream.position(), 0);
    let noisy = named(&json!({"name": "fixed", "step_time": "shifted_exponential(1ms, 1ms)"})).unwrap();
    let (first, second) = (noisy.duration(&training, &mut stream), noisy.duration(&training, &mut stream));
    assert!(first > Span::from_millis(7) && first != second);
    assert_eq!(stream.position(), 14);
}

#[test]
fn slow_phases_do_not_depend_on_what_was_asked_before() {
    let phase =
        SlowPhase { factor: 3.0, normal_mean: Span::from_millis(900), slow_mean: Span::from_millis(300) };
    let mut forward = SlowPhases::new(phase.clone(), stream());
    let mut backward = forward.clone();
    let times: Vec<Time> = (0..40_000).map(|i| Time(i * 10_000_000)).collect();
    let found: Vec<f64> = times.iter().map(|t| forward.factor(*t)).collect();
    let reversed: Vec<f64> = times.iter().rev().map(|t| backward.factor(*t)).collect();
    assert!(found.iter().eq(reversed.iter().rev()));
    assert_eq!(forward, backward);
    let slow = found.iter().filter(|f| **f == 3.0).count() as f64 / found.len() as f64;
    assert!((slow - 0.25).abs() < 0.05 && found.iter().all(|f| *f == 1.0 || *f == 3.0), "{slow}");
    let json = serde_json::to_string(&forward).unwrap();
    assert_eq!(serde_json::from_str::<SlowPhases>(&json).unwrap(), forward);
}

/// 10 s of which 4 s computing, and 1 GB sent, on a Pi 4.
#[test]
fn energy_is_idle_plus_load_plus_bytes() {
    let (all, marginal) =
        energy(3.1, 6.1, Span::from_millis(4_000), Span::from_millis(10_000), 1_000_000_000, 3e-9);
    assert!((marginal - (12.0 + 3.0)).abs() < 1e-9, "{marginal}");
    assert!((all - (31.0 + 15.0)).abs() < 1e-9, "{all}");
}

#[test]
fn options_override_and_are_checked() {
    let own = json!({"name": "pi-5", "gflops": 30, "memory": "4GB/s", "cores": 2, "nic": "wifi5",
                     "slow": {"factor": 2, "normal_mean": "10s", "slow_mean": "1s"}});
    let pi = named(&own).unwrap();
    assert_eq!((pi.flops_per_second, pi.memory_bytes_per_second, pi.cores), (30e9, 4e9, 2));
    assert_eq!((pi.nic.as_str(), pi.slow_phase.unwrap().factor), ("wifi5", 2.0));
    for (value, part) in [
        (json!("pi-4"), "did you mean `pi-4b`?"),
        (json!("fixed"), "step_time: it is missing"),
        (json!("fixed(0)"), ""),
        (json!({"name": "pi-5", "gflops": 0}), "gflops: `0` is out of bounds"),
        (json!({"name": "pi-5", "jitter": -1}), "jitter: `-1` is out of bounds; allowed: 0 to 2"),
        (json!({"name": "pi-5", "cores": 0}), "cores: `0` is out of bounds"),
        (
            json!({"name": "pi-5", "load_watts": 1}),
            "load_watts: `1` is out of bounds; allowed: at least `idle_watts`",
        ),
        (json!({"name": "pi-5", "nic": "wlan"}), "nic: unknown link profile `wlan`"),
        (json!({"name": "pi-5", "overhead": "1"}), "overhead: the duration `1` has no unit"),
        (json!({"name": "pi-5", "step_time": "gamma(5ms, 0)"}), "step_time.shape: `0` is out of bounds"),
        (
            json!({"name": "pi-5", "slow": {"factor": 0.5, "normal_mean": "1s", "slow_mean": "1s"}}),
            "slow.factor: `0.5`",
        ),
        (
            json!({"name": "pi-5", "slow": {"factor": 2, "normal_mean": "1us", "slow_mean": "1s"}}),
            "slow.normal_mean: `1us`",
        ),
        (json!({"name": "pi-5", "efficiency": 1}), ""),
        (
            json!({"name": "pi-5", "efficiency": 0.5}),
            "efficiency: expected 1 or a table, found `0.5`; allowed: 1, a file",
        ),
        (
            json!({"name": "pi-5", "efficiency": {"kinds": {}, "reach": [], "cache": 1, "context": [1, 1]}}),
            "`Product` is missing",
        ),
        (json!({"name": "pi-5", "efficiency": {"kind": {}}}), "efficiency: unknown field `kind`"),
        (json!({"name": "pi-5", "threads": 0}), "threads: `0` is out of bounds"),
        (json!({"name": "pi-5", "cache": 0}), "cache: `0` is out of bounds"),
        (
            json!({"name": "pi-5", "thermal": {"resistance": 0, "time_constant": "2min"}}),
            "thermal.resistance: `0` is out of bounds",
        ),
        (
            json!({"name": "pi-5", "thermal": {"resistance": 8, "time_constant": "1ms"}}),
            "thermal.time_constant: `1ms` is out of bounds",
        ),
        (
            json!({"name": "pi-5", "thermal": {"resistance": 8, "time_constant": "2min", "hard": 70}}),
            "thermal.hard: `70` is out of bounds; allowed: at least `soft`",
        ),
        (json!({"name": "pi-5", "watts": 3}), "unknown field `watts`"),
    ] {
        match named(&value) {
            Ok(profile) => assert!(part.is_empty(), "{value} gave {profile:?}"),
            Err(error) => assert!(!part.is_empty() && error.to_string().contains(part), "{value}: {error}"),
        }
    }
}
