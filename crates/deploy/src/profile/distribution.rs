//! A distribution from samples, as a scenario writes it.
//!
//! Eight samples or fewer, or ones that hardly differ, are a constant. Else a lognormal above a least value
//! (`jittered`), as delays of networks and steps of busy processors are; the least value is the one of a few candidates
//! with the greatest likelihood, among them the estimate from three quantiles (Cohen and Whitten, "Estimation in the
//! three-parameter lognormal distribution", JASA 75, 1980). Where that does not fit, an `empirical` one: the means of a
//! hundred parts of the samples, equal in number, so that the mean is kept to the last digit. It does not fit when its
//! greatest distance from the samples (Kolmogorov, Smirnov) exceeds the 5 % point by more than two per cent, or when its
//! mean is wrong by more than two per cent.

use hcddl_core::domain::math;
use serde_json::{Value, json};

/// A distribution, its mean in nanoseconds, and what kind it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Fitted {
    /// As a scenario writes it.
    pub written: Value,
    /// Nanoseconds.
    pub mean: f64,
    /// Samples behind it.
    pub samples: usize,
}

/// Samples below which there is no distribution.
const FEW: usize = 8;
/// Values whose 5th and 95th percentile are nearer than this share of the median are one.
const SAME: f64 = 0.01;
/// Parts of an empirical distribution.
const PARTS: usize = 100;
/// What a fit may be wrong by, beside chance.
const SLACK: f64 = 0.02;

/// The distribution of these nanoseconds; `None` of none.
#[must_use]
pub fn fit(samples: &[f64]) -> Option<Fitted> {
    let mut sorted: Vec<f64> = samples.iter().copied().filter(|x| x.is_finite() && *x >= 0.0).collect();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len();
    if n == 0 {
        return None;
    }
    let mean = sorted.iter().sum::<f64>() / n as f64;
    let at = |share: f64| sorted[((n - 1) as f64 * share).round() as usize];
    let spread = at(0.95) - at(0.05);
    if n <= FEW || spread <= SAME * at(0.5) {
        let value = if n <= FEW { at(0.5) } else { mean };
        return Some(Fitted { written: json!(nanos(value)), mean: value, samples: n });
    }
    let written = match shifted_lognormal(&sorted, mean) {
        Some(shape) => shape.written(),
        None => empirical(&sorted),
    };
    Some(Fitted { written, mean, samples: n })
}

/// Nanoseconds as a scenario writes them.
pub(super) fn nanos(value: f64) -> String {
    format!("{:.0}ns", value.max(0.0))
}

/// `base` plus a lognormal.
#[derive(Clone, Copy, Debug)]
struct Shape {
    base: f64,
    /// Mean and deviation of the logarithm.
    mu: f64,
    sigma: f64,
}

impl Shape {
    fn written(&self) -> Value {
        let sigma = (self.sigma * 1e4).round() / 1e4;
        let jitter = json!({"name": "lognormal", "median": nanos(math::exp(self.mu)), "sigma": sigma});
        if self.base < 1.0 {
            jitter
        } else {
            json!({"name": "jittered", "base": nanos(self.base), "jitter": jitter})
        }
    }

    fn mean(&self) -> f64 {
        self.base + math::exp(self.mu + self.sigma * self.sigma / 2.0)
    }

    /// Of these samples above a base.
    fn above(sorted: &[f64], base: f64) -> Option<Self> {
        let n = sorted.len() as f64;
        let logs: Vec<f64> = sorted.iter().map(|x| math::ln(x - base)).collect();
        let mu = logs.iter().sum::<f64>() / n;
        let sigma = (logs.iter().map(|log| (log - mu).powi(2)).sum::<f64>() / n).sqrt();
        (mu.is_finite() && sigma.is_finite() && sigma > 0.0).then_some(Self { base, mu, sigma })
    }

    /// Mean logarithm of the density at the samples, but for a constant.
    fn likelihood(&self) -> f64 {
        -self.mu - math::ln(self.sigma)
    }

    /// The greatest distance from the samples.
    fn distance(&self, sorted: &[f64]) -> f64 {
        let n = sorted.len() as f64;
        let far = |(i, x): (usize, &f64)| {
            let share = normal_share((math::ln(x - self.base) - self.mu) / self.sigma);
            (share - i as f64 / n).abs().max((share - (i + 1) as f64 / n).abs())
        };
        sorted.iter().enumerate().map(far).fold(0.0, f64::max)
    }
}

fn shifted_lognormal(sorted: &[f64], mean: f64) -> Option<Shape> {
    let n = sorted.len();
    let at = |share: f64| sorted[((n - 1) as f64 * share).round() as usize];
    let (low, middle, high) = (at(0.05), at(0.5), at(0.95));
    // The likelihood grows without bounds as the base comes near the least sample: it has to stay below it.
    let most = sorted[0] - 0.05 * (middle - sorted[0]).max(1.0);
    if most <= 0.0 {
        return None;
    }
    let quantiles = (low * high - middle * middle) / (low + high - 2.0 * middle);
    let candidates = [0.0, 0.5 * most, 0.9 * most, most, quantiles];
    let shapes = candidates.into_iter().filter(|base| (0.0..=most).contains(base));
    let best = shapes
        .filter_map(|base| Shape::above(sorted, base))
        .max_by(|a, b| a.likelihood().total_cmp(&b.likelihood()))?;
    let allowed = 1.36 / (n as f64).sqrt() + SLACK;
    let fits = best.distance(sorted) <= allowed && (best.mean() / mean - 1.0).abs() <= SLACK;
    fits.then_some(best)
}

fn empirical(sorted: &[f64]) -> Value {
    let n = sorted.len();
    let parts = PARTS.min(n);
    let mean = |part: usize| {
        let (from, to) = (part * n / parts, (part + 1) * n / parts);
        sorted[from..to].iter().sum::<f64>() / (to - from) as f64
    };
    let samples: Vec<String> = (0..parts).map(|part| nanos(mean(part))).collect();
    json!({"name": "empirical", "samples": samples})
}

/// The share of a standard normal variable below z.
fn normal_share(z: f64) -> f64 {
    0.5 * math::erfc(-z / std::f64::consts::SQRT_2)
}

/// The middle value; `None` of none.
pub(super) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hcddl_core::domain::Stream;

    fn drawn(n: u64, of: impl Fn(&mut Stream) -> f64) -> Vec<f64> {
        (0..n).map(|i| of(&mut Stream::new(7, "test", 0, i))).collect()
    }

    #[test]
    fn a_lognormal_above_a_base_is_found_again() {
        let samples = drawn(2_000, |stream| 2e6 + 1e6 * math::exp(0.6 * stream.normal()));
        let fitted = fit(&samples).unwrap();
        assert_eq!(fitted.written["name"], "jittered", "{fitted:?}");
        let number = |value: &Value| value.as_str().unwrap().trim_end_matches("ns").parse::<f64>().unwrap();
        assert!((number(&fitted.written["base"]) / 2e6 - 1.0).abs() < 0.1, "{fitted:?}");
        assert!((number(&fitted.written["jitter"]["median"]) / 1e6 - 1.0).abs() < 0.2, "{fitted:?}");
        assert!((fitted.written["jitter"]["sigma"].as_f64().unwrap() / 0.6 - 1.0).abs() < 0.2, "{fitted:?}");
    }

    #[test]
    fn what_has_two_humps_is_kept_as_it_is_with_its_mean() {
        let samples =
            drawn(1_000, |stream| if stream.uniform() < 0.3 { 9e6 } else { 1e6 } + 1e5 * stream.uniform());
        let fitted = fit(&samples).unwrap();
        assert_eq!(fitted.written["name"], "empirical");
        let parts = fitted.written["samples"].as_array().unwrap();
        let of = |value: &Value| value.as_str().unwrap().trim_end_matches("ns").parse::<f64>().unwrap();
        let mean = parts.iter().map(of).sum::<f64>() / parts.len() as f64;
        assert!((mean / fitted.mean - 1.0).abs() < 1e-5 && parts.len() == 100, "{mean} {}", fitted.mean);
    }

    #[test]
    fn few_samples_and_equal_ones_are_a_constant() {
        assert_eq!(fit(&[3.0, 1.0, 2.0]).unwrap().written, "2ns");
        assert_eq!(fit(&[1e6; 50]).unwrap().written, "1000000ns");
        assert_eq!(fit(&[]), None);
        assert!((normal_share(1.959_964) - 0.975).abs() < 1e-6);
    }
}
