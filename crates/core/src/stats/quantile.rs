//! Quantiles and the usual summary of some values.

use serde::Serialize;

/// The values in ascending order, those that are not numbers left out.
#[must_use]
pub fn sorted(values: impl IntoIterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.into_iter().filter(|value| !value.is_nan()).collect();
    values.sort_by(f64::total_cmp);
    values
}

/// Quantile `p` of ascending values, linear between order statistics (type 7 of Hyndman and Fan, 1996: the
/// default of R and NumPy). `None` when there are no values.
#[must_use]
pub fn quantile(ascending: &[f64], p: f64) -> Option<f64> {
    let last = ascending.len().checked_sub(1)?;
    let position = p.clamp(0.0, 1.0) * last as f64;
    let below = position.floor() as usize;
    let (a, b) = (ascending[below], ascending[(below + 1).min(last)]);
    let part = position - below as f64;
    // Infinite values (never reached) must not turn into NaN.
    Some(if part == 0.0 || a == b { a } else { a + (b - a) * part })
}

/// Quantile `p` of ascending values that stand for a number of copies each: the least value at which the share
/// of copies reaches `p`.
#[must_use]
pub fn weighted_quantile(ascending: &[(f64, f64)], p: f64) -> Option<f64> {
    let total: f64 = ascending.iter().map(|(_, weight)| weight).sum();
    if total <= 0.0 {
        return None;
    }
    let mut reached = 0.0;
    for (i, (value, weight)) in ascending.iter().enumerate() {
        reached += weight;
        // A median of an even number of copies lies between two values, as usual.
        if reached > p * total + 1e-9 {
            return Some(*value);
        }
        if (reached - p * total).abs() <= 1e-9 {
            let next = ascending[i + 1..].iter().find(|(_, weight)| *weight > 0.0);
            return Some(
                next.map_or(*value, |(next, _)| if next == value { *value } else { 0.5 * (value + next) }),
            );
        }
    }
    ascending.last().map(|(value, _)| *value)
}

/// Mean.
#[must_use]
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Standard deviation with n - 1; NaN below two values.
#[must_use]
pub fn deviation(values: &[f64]) -> f64 {
    let mean = mean(values);
    let squares: f64 = values.iter().map(|value| (value - mean) * (value - mean)).sum();
    (squares / (values.len() as f64 - 1.0)).sqrt()
}

/// The usual summary of some values.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// How many.
    pub n: usize,
    /// Mean.
    pub mean: f64,
    /// Standard deviation (n - 1); NaN for one value.
    pub sd: f64,
    /// 5th percentile.
    pub p5: f64,
    /// First quartile.
    pub q1: f64,
    /// Median.
    pub median: f64,
    /// Third quartile.
    pub q3: f64,
    /// 95th percentile.
    pub p95: f64,
}

impl Spread {
    /// Of these values; `None` when there are none.
    #[must_use]
    pub fn of(values: &[f64]) -> Option<Self> {
        let ascending = sorted(values.iter().copied());
        let at = |p| quantile(&ascending, p);
        Some(Self {
            n: ascending.len(),
            p5: at(0.05)?,
            q1: at(0.25)?,
            median: at(0.5)?,
            q3: at(0.75)?,
            p95: at(0.95)?,
            mean: mean(&ascending),
            sd: deviation(&ascending),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_by_hand() {
        let values = sorted([4.0, 1.0, f64::NAN, 3.0, 2.0]);
        assert_eq!(values, [1.0, 2.0, 3.0, 4.0]);
        assert_eq!([0.0, 0.25, 0.5, 1.0].map(|p| quantile(&values, p).unwrap()), [1.0, 1.75, 2.5, 4.0]);
        assert_eq!(quantile(&[], 0.5), None);
        assert_eq!(quantile(&[1.0, f64::INFINITY, f64::INFINITY], 0.9), Some(f64::INFINITY));
        let spread = Spread::of(&[1.0, 2.0, 3.0, 6.0]).unwrap();
        assert_eq!((spread.mean, spread.median, spread.n), (3.0, 2.5, 4));
        assert!((spread.sd - (14.0_f64 / 3.0).sqrt()).abs() < 1e-12);
    }

    #[test]
    fn weights_are_copies() {
        let weighted = [(1.0, 1.0), (2.0, 0.0), (3.0, 2.0), (9.0, 1.0)];
        assert_eq!(weighted_quantile(&weighted, 0.5), Some(3.0));
        assert_eq!(
            weighted_quantile(&weighted, 0.25),
            Some(2.0),
            "between 1 and 3: a copy of 2 does not exist"
        );
        assert_eq!(weighted_quantile(&[(1.0, 0.0)], 0.5), None);
    }
}
