use super::*;
use crate::domain::work::Cost;
use crate::domain::{Choice, OptionError, Time};
use crate::net::latency::Latencies;
use serde_json::{Value, json};

fn named(value: &Value) -> Result<Profile, OptionError> {
    let (table, latencies, links) = (table(), Latencies::default(), crate::net::profile::table());
    let (row, choice) = table.resolve(&Choice::from_value(value)?)?;
    let named = Named { latencies: &latencies, links: &links };
    (row.build)(&choice, &named).map_err(|error| error.with_example(row.example))
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

#[test]
fn jitter_keeps_the_mean_and_its_deviation() {
    let pi = named(&json!({"name": "pi-4b", "jitter": 0.4, "overhead": 0})).unwrap();
    let job = JobCost { flops: 22e9, bytes: 0.0, steps: 0 };
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
    let training = JobCost { flops: 1e12, bytes: 1e12, steps: 7 };
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
        (json!({"name": "pi-5", "watts": 3}), "unknown field `watts`"),
    ] {
        match named(&value) {
            Ok(profile) => assert!(part.is_empty(), "{value} gave {profile:?}"),
            Err(error) => assert!(!part.is_empty() && error.to_string().contains(part), "{value}: {error}"),
        }
    }
}
