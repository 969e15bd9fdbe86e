//! How often A beats B with the same seeds.
//!
//! Runs of two settings with the same seeds share all randomness that the setting leaves alone (common random
//! numbers), so they are compared pair by pair. The share of pairs that A wins, ties counted half, estimates
//! P(A better than B). When at least one time is censored, a pair counts as won only if that is certain: A reached
//! the target within what B took at least. If nobody can tell (both censored, or the one time lies beyond the
//! other's end), it counts half.

use super::crossed::{Design, weighted_mean};
use super::kaplan_meier::Outcome;
use super::{Interval, Resampling};
use serde::Serialize;

/// 1 when A was surely cheaper, 0 when B was, else 1/2.
#[must_use]
pub fn cheaper(a: Outcome, b: Outcome) -> f64 {
    match (a.reached, b.reached) {
        (true, true) => less(a.cost, b.cost),
        (true, false) if a.cost <= b.cost => 1.0,
        (false, true) if b.cost <= a.cost => 0.0,
        _ => 0.5,
    }
}

/// 1 when A is larger, 0 when B is, else 1/2.
#[must_use]
pub fn larger(a: f64, b: f64) -> f64 {
    less(b, a)
}

fn less(a: f64, b: f64) -> f64 {
    if a < b {
        1.0
    } else if b < a {
        0.0
    } else {
        0.5
    }
}

/// A mean over pairs, with its interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Paired {
    /// Pairs.
    pub pairs: usize,
    /// Mean over them.
    pub mean: f64,
    /// Its interval, when seeds were varied.
    pub interval: Option<Interval>,
}

/// Mean of a value for each pair (a score of [`cheaper`] or [`larger`], or a difference), over pairs that share
/// seeds as `design` says. `None` without pairs.
#[must_use]
pub fn mean_over_pairs(values: &[f64], design: &Design, how: &Resampling) -> Option<Paired> {
    let mean = weighted_mean(values, &vec![1.0; values.len()])?;
    Some(Paired { pairs: values.len(), mean, interval: design.mean_interval(values, how) })
}

/// As [`mean_over_pairs`] for scores in [0, 1]. Where all pairs agree a resample cannot tell how sure that is;
/// then the far end is where n pairs would all agree with probability 1 - confidence (the rule of three; n is the
/// number of levels of the seed that has the fewest).
#[must_use]
pub fn probability(scores: &[f64], design: &Design, how: &Resampling) -> Option<Paired> {
    let mut paired = mean_over_pairs(scores, design, how)?;
    let (Some(interval), Some(fewest)) = (&mut paired.interval, design.fewest()) else { return Some(paired) };
    interval.low = interval.low.clamp(0.0, 1.0);
    interval.high = interval.high.clamp(0.0, 1.0);
    let unanimous = crate::domain::math::pow(1.0 - how.confidence, 1.0 / fewest as f64);
    if paired.mean >= 1.0 {
        interval.low = unanimous;
    } else if paired.mean <= 0.0 {
        interval.high = 1.0 - unanimous;
    }
    Some(paired)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_won_only_when_that_is_certain() {
        let (at, over) = (|cost| Outcome { cost, reached: true }, |cost| Outcome { cost, reached: false });
        for (a, b, score) in [
            (at(1.0), at(2.0), 1.0),
            (at(2.0), at(2.0), 0.5),
            (at(3.0), at(2.0), 0.0),
            (at(2.0), over(2.0), 1.0),
            (at(3.0), over(2.0), 0.5), // B might have reached it between 2 and 3
            (over(2.0), at(1.0), 0.0),
            (over(2.0), at(3.0), 0.5),
            (over(2.0), over(9.0), 0.5),
        ] {
            assert_eq!(cheaper(a, b), score, "{a:?} {b:?}");
            assert_eq!(cheaper(b, a), 1.0 - score, "{b:?} {a:?}");
        }
    }

    #[test]
    fn unanimous_pairs_are_not_certain() {
        let design = Design::new(&[[1, 1, 1], [1, 1, 2], [1, 1, 3], [1, 1, 4], [1, 1, 5]]);
        let all = probability(&[1.0; 5], &design, &Resampling::default()).unwrap();
        let interval = all.interval.unwrap();
        assert_eq!((all.mean, interval.high), (1.0, 1.0));
        assert!((interval.low - 0.549).abs() < 0.001, "{interval:?}: 0.549^5 = 0.05");
        let none = probability(&[0.0; 5], &design, &Resampling::default()).unwrap().interval.unwrap();
        assert!((none.high - 0.451).abs() < 0.001 && none.low == 0.0);
    }
}
