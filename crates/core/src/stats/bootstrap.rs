//! Confidence intervals for independent runs.
//!
//! Which of these covers as it says was measured (`tests/stats.rs`, docs/reports.md), and [`mean_interval`] and
//! [`median_interval`] are what came out best:
//!
//! - mean: Student's t below 5 runs, from there the studentised bootstrap (bootstrap-t; Efron, 1982; Hall, 1988),
//!   which is second-order correct and keeps its level for skewed values, as times are;
//! - median: order statistics, interpolated (Hettmansperger and Sheather, 1986), which need no resampling.
//!
//! The percentile (Efron, 1979) and BCa intervals (Efron, 1987) are here for any statistic.

use super::quantile::{deviation, mean, quantile, sorted};
use super::special::{normal_cdf, normal_quantile, student_quantile};
use super::{Interval, Resampling};
use crate::domain::{Stream, math};

/// Runs below which the mean's interval is Student's.
pub const STUDENT_BELOW: usize = 5;

/// The interval for the mean of independent runs that covers best; `None` below two.
#[must_use]
pub fn mean_interval(values: &[f64], how: &Resampling) -> Option<Interval> {
    if values.len() < STUDENT_BELOW { student(values, how) } else { studentised(values, how) }
}

/// Student's t interval for the mean; `None` below two values.
#[must_use]
pub fn student(values: &[f64], how: &Resampling) -> Option<Interval> {
    if values.len() < 2 {
        return None;
    }
    let n = values.len() as f64;
    let reach = student_quantile(1.0 - how.tail(), n - 1.0) * deviation(values) / n.sqrt();
    let mean = mean(values);
    Some(Interval { low: mean - reach, high: mean + reach })
}

/// The studentised bootstrap for the mean: resamples (mean* - mean) / error*. `None` below two values.
#[must_use]
pub fn studentised(values: &[f64], how: &Resampling) -> Option<Interval> {
    if values.len() < 2 {
        return None;
    }
    let n = values.len() as f64;
    let (centre, error) = (mean(values), deviation(values) / n.sqrt());
    if error == 0.0 {
        return Some(Interval { low: centre, high: centre });
    }
    let mut stream = Stream::new(how.seed, "bootstrap", 1, values.len() as u64);
    let ratios = (0..how.repetitions).map(|_| {
        // One pass: values lie around zero, so the sum of squares loses no digits.
        let (mut sum, mut squares) = (0.0, 0.0);
        for _ in 0..values.len() {
            let value = values[stream.below(values.len() as u64) as usize] - centre;
            sum += value;
            squares += value * value;
        }
        let variance = (squares - sum * sum / n) / (n - 1.0);
        // All draws equal: says nothing about the ratio.
        if variance > 1e-300 { (sum / n) / (variance / n).sqrt() } else { f64::NAN }
    });
    let ratios = sorted(ratios);
    let low = quantile(&ratios, 1.0 - how.tail())?;
    let high = quantile(&ratios, how.tail())?;
    Some(Interval { low: centre - low * error, high: centre - high * error })
}

/// The interval for the median of independent runs: interpolated order statistics (Hettmansperger and Sheather,
/// Statistics & Probability Letters 4, 1986). Below six values no order statistics are wide enough for 95 %:
/// then it is the whole range, which covers less. `None` below two.
#[must_use]
pub fn median_interval(values: &[f64], how: &Resampling) -> Option<Interval> {
    let ascending = sorted(values.iter().copied());
    let n = ascending.len();
    if n < 2 {
        return None;
    }
    // Confidence of (x_(k), x_(n-k+1)): 1 - 2 P(Binomial(n, 1/2) < k).
    let mut below = math::pow(0.5, n as f64);
    let mut probability = below;
    let confidence = |below: f64| 1.0 - 2.0 * below;
    if confidence(below) < how.confidence {
        return Some(Interval { low: ascending[0], high: ascending[n - 1] });
    }
    let mut k = 1;
    while k < n / 2 {
        probability *= (n - k + 1) as f64 / k as f64;
        if confidence(below + probability) < how.confidence {
            break;
        }
        below += probability;
        k += 1;
    }
    let (wide, narrow) = (confidence(below), confidence(below + probability));
    let part = if wide > narrow { (wide - how.confidence) / (wide - narrow) } else { 0.0 };
    let (count, index) = (n as f64, k as f64);
    let weight = ((count - index) * part / (index + (count - 2.0 * index) * part)).clamp(0.0, 1.0);
    let next = k.min(n - 1);
    Some(Interval {
        low: (1.0 - weight) * ascending[k - 1] + weight * ascending[next],
        high: (1.0 - weight) * ascending[n - k] + weight * ascending[n - 1 - next],
    })
}

/// The statistic of each resample, ascending.
fn resampled(values: &[f64], how: &Resampling, statistic: &impl Fn(&[f64]) -> f64) -> Vec<f64> {
    let mut stream = Stream::new(how.seed, "bootstrap", 2, values.len() as u64);
    let mut resample = vec![0.0; values.len()];
    sorted((0..how.repetitions).map(|_| {
        for slot in &mut resample {
            *slot = values[stream.below(values.len() as u64) as usize];
        }
        statistic(&resample)
    }))
}

/// The percentile interval of any statistic; `None` below two values.
#[must_use]
pub fn percentile(values: &[f64], how: &Resampling, statistic: impl Fn(&[f64]) -> f64) -> Option<Interval> {
    if values.len() < 2 {
        return None;
    }
    let resampled = resampled(values, how, &statistic);
    Some(Interval { low: quantile(&resampled, how.tail())?, high: quantile(&resampled, 1.0 - how.tail())? })
}

/// The bias-corrected and accelerated interval of any statistic; `None` below two values.
#[must_use]
pub fn bca(values: &[f64], how: &Resampling, statistic: impl Fn(&[f64]) -> f64) -> Option<Interval> {
    if values.len() < 2 {
        return None;
    }
    let resampled = resampled(values, how, &statistic);
    let estimate = statistic(values);
    let below = resampled.iter().filter(|value| **value < estimate).count() as f64;
    let equal = resampled.iter().filter(|value| **value == estimate).count() as f64;
    let bias = normal_quantile((below + 0.5 * equal) / resampled.len() as f64);
    if !bias.is_finite() {
        return Some(Interval { low: *resampled.first()?, high: *resampled.last()? });
    }
    let acceleration = acceleration(values, &statistic);
    let end = |p: f64| {
        let z = bias + normal_quantile(p);
        quantile(&resampled, normal_cdf(bias + z / (1.0 - acceleration * z)))
    };
    Some(Interval { low: end(how.tail())?, high: end(1.0 - how.tail())? })
}

/// A sixth of the skewness of the jackknife's values.
fn acceleration(values: &[f64], statistic: &impl Fn(&[f64]) -> f64) -> f64 {
    let without = |left_out: usize| {
        let rest: Vec<f64> =
            values.iter().enumerate().filter(|(i, _)| *i != left_out).map(|(_, value)| *value).collect();
        statistic(&rest)
    };
    let jackknife: Vec<f64> = (0..values.len()).map(without).collect();
    let centre = mean(&jackknife);
    let (mut squares, mut cubes) = (0.0, 0.0);
    for value in jackknife {
        let away = centre - value;
        squares += away * away;
        cubes += away * away * away;
    }
    if squares == 0.0 { 0.0 } else { cubes / (6.0 * squares * squares.sqrt()) }
}
