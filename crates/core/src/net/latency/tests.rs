use super::*;
use crate::domain::{Span, Stream};
use serde_json::json;

fn draws(value: &Value, count: usize) -> Vec<f64> {
    let distribution = Latencies::default().read(value).unwrap();
    let mut stream = Stream::new(5, "latency", 0, 1);
    (0..count).map(|_| distribution.sample(&mut stream).seconds() * 1e3).collect()
}

/// Mean and standard deviation of 40,000 draws in milliseconds against theory.
#[test]
fn moments_are_those_of_theory() {
    let cases = [
        (json!("20ms"), 20.0, 0.0),
        (json!("uniform(1ms, 3ms)"), 2.0, 2.0 / 12f64.sqrt()),
        (json!("shifted_exponential(15ms, 2ms)"), 17.0, 2.0),
        (json!("lognormal(2ms, 0.5)"), 2.0 * 1.133_148, 2.0 * 1.133_148 * 0.532_94),
        (json!("gamma(5ms, 4)"), 5.0, 2.5),
        (json!("pareto(3ms, 6)"), 3.6, 3.6 / 24f64.sqrt()),
        // Gamma(0.8) = 1.164230; variance = scale^2 (Gamma(0.6) - Gamma(0.8)^2) / shape^2.
        (
            json!("gev(22ms, 6ms, 0.2)"),
            22.0 + 6.0 * 0.164_230 / 0.2,
            6.0 * (1.489_192f64 - 1.355_431).sqrt() / 0.2,
        ),
        (json!("gev(22ms, 6ms, 0)"), 22.0 + 6.0 * 0.577_216, 6.0 * 1.282_550),
        (json!({"name": "mixture", "of": ["2ms", "8ms"], "weights": [3, 1]}), 3.5, 3.0 * 3f64.sqrt() / 2.0),
        (json!({"name": "empirical", "samples": ["10ms", "12ms", "29ms"]}), 17.0, (218f64 / 3.0).sqrt()),
        (json!("jittered(1ms, gamma(2ms, 4), 50ms, 0.01)"), 3.5, (1.0 + 2500.0 * 0.01 * 0.99f64).sqrt()),
    ];
    for (value, mean, deviation) in cases {
        let n = 40_000;
        let drawn = draws(&value, n);
        let found = drawn.iter().sum::<f64>() / n as f64;
        let spread = (drawn.iter().map(|d| (d - found) * (d - found)).sum::<f64>() / n as f64).sqrt();
        assert!((found - mean).abs() <= 0.01 + 4.0 * deviation / (n as f64).sqrt(), "{value}: mean {found}");
        assert!(
            (spread - deviation).abs() <= 0.06 * deviation,
            "{value}: deviation {spread}, not {deviation}"
        );
        let stated = Latencies::default().read(&value).unwrap().mean().unwrap().seconds() * 1e3;
        assert!((stated - mean).abs() < 1e-4, "{value}: states a mean of {stated}");
    }
}

#[test]
fn a_heavy_tail_has_no_mean() {
    for value in
        [json!("pareto(1ms, 1)"), json!("gev(1ms, 1ms, 1)"), json!("jittered(1ms, 1ms, pareto(1ms, 1))")]
    {
        assert_eq!(Latencies::default().read(&value).unwrap().mean(), None, "{value}");
    }
    // A component that is never drawn does not count.
    let unused = json!({"name": "mixture", "of": ["2ms", "pareto(1ms, 1)"], "weights": [1, 0]});
    assert_eq!(Latencies::default().read(&unused).unwrap().mean(), Some(Span::from_millis(2)));
}

#[test]
fn every_example_builds_and_draws_the_same_again() {
    for row in Latencies::default().rows() {
        // The examples are flow YAML; their names and values are what JSON would quote.
        let example = crate::yaml::flow(row.example);
        assert_eq!(example["name"], row.name);
        assert_eq!(draws(&example, 50), draws(&example, 50), "{}", row.name);
    }
}

#[test]
fn bad_options_name_the_key_the_value_and_what_is_right() {
    let cases = [
        (json!("20"), "has no unit"),
        (json!(20), "has no unit"),
        (json!("-5ms"), "negative"),
        (json!("lognormal(2ms, -1)"), "sigma: `-1` is out of bounds; allowed: zero or more"),
        (json!("lognormal"), "missing field `median`; for example `{name: lognormal, median: 2ms"),
        (json!("lognormol(2ms)"), "did you mean `lognormal`?"),
        (json!({"name": "lognormal", "median": "2ms", "sgima": 1}), "unknown field `sgima`"),
        (json!({"name": "lognormal", "median": 2}), "median: the duration `2` has no unit"),
        (json!("uniform(3ms, 1ms)"), "max: `1ms` is out of bounds; allowed: at least `min`"),
        (json!("gamma(5ms, 0)"), "shape: `0` is out of bounds"),
        (json!("pareto(5ms, -1)"), "shape: `-1` is out of bounds"),
        (json!("gev(5ms, 0ms)"), "scale: `0` is out of bounds"),
        (json!({"name": "mixture", "of": []}), "of: `0` is out of bounds"),
        (json!({"name": "mixture", "of": ["1ms"], "weights": [1, 2]}), "weights: `2` is out of bounds"),
        (json!({"name": "mixture", "of": ["1ms"], "weights": [-1]}), "weights: `-1` is out of bounds"),
        (json!({"name": "mixture", "of": ["1ms", "gamma(5ms, 0)"]}), "of[1].shape: `0` is out of bounds"),
        (json!({"name": "empirical"}), "there are no samples"),
        (json!({"name": "empirical", "csv": "a.csv"}), "the samples in `a.csv` have not been read"),
        (json!("jittered(1ms, 1ms, 9ms, 2)"), "spike_probability: `2` is out of bounds; allowed: 0 to 1"),
        (json!("jittered(1ms, 7)"), "jitter: the duration `7` has no unit"),
        (json!(["20ms"]), "is not a choice"),
    ];
    for (value, part) in cases {
        let error = Latencies::default().read(&value).unwrap_err().to_string();
        assert!(error.contains(part), "{value}: {error}");
    }
}
