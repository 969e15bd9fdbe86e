//! Intervals for runs that share levels of crossed seeds.
//!
//! The pigeonhole bootstrap (A. B. Owen: The pigeonhole bootstrap, Annals of Applied Statistics 1, 2007): the
//! levels of each factor are resampled on their own, and a run counts as often as the product of its levels'
//! counts. Resampling single runs would take 125 runs of 5 x 5 x 5 seeds for 125 independent ones and give
//! intervals that are much too narrow.
//!
//! With few levels a percentile interval is too narrow as well. It is expanded as Hesterberg proposes (What
//! teachers should know about the bootstrap, The American Statistician 69, 2015): by the factor by which Student's
//! interval is wider than the normal one with n rather than n - 1, for the factor with the fewest levels.

use super::quantile::{quantile, sorted};
use super::special::{normal_cdf, student_quantile};
use super::{Interval, Resampling};
use crate::domain::Stream;

/// Which levels the runs have: of each run, the level of each factor.
#[derive(Clone, Debug, PartialEq)]
pub struct Design {
    levels: Vec<usize>,
    runs: Vec<Vec<usize>>,
}

impl Design {
    /// The design of these runs: of each, the seed of each factor (any numbers).
    #[must_use]
    pub fn new(seeds: &[[u64; 3]]) -> Self {
        let mut levels = Vec::new();
        let mut runs = vec![Vec::new(); seeds.len()];
        for factor in 0..3 {
            let mut known: Vec<u64> = seeds.iter().map(|seeds| seeds[factor]).collect();
            known.sort_unstable();
            known.dedup();
            levels.push(known.len());
            for (run, seeds) in runs.iter_mut().zip(seeds) {
                run.push(known.binary_search(&seeds[factor]).unwrap_or(0));
            }
        }
        Self { levels, runs }
    }

    /// Number of levels of each factor.
    #[must_use]
    pub fn levels(&self) -> &[usize] {
        &self.levels
    }

    /// Levels of the varied factor with the fewest; `None` when none is varied.
    #[must_use]
    pub fn fewest(&self) -> Option<usize> {
        self.levels.iter().copied().filter(|levels| *levels > 1).min()
    }

    /// Whether only one factor is varied and no level occurs twice: the runs are independent.
    #[must_use]
    pub fn independent(&self) -> bool {
        self.levels.iter().filter(|levels| **levels > 1).count() <= 1
            && self.levels.contains(&self.runs.len())
    }

    /// How often each run counts in one resample.
    fn weights(&self, stream: &mut Stream, counts: &mut [Vec<f64>], weights: &mut [f64]) {
        for (count, levels) in counts.iter_mut().zip(&self.levels) {
            count.fill(0.0);
            for _ in 0..*levels {
                count[stream.below(*levels as u64) as usize] += 1.0;
            }
        }
        for (weight, run) in weights.iter_mut().zip(&self.runs) {
            *weight = run.iter().zip(counts.iter()).map(|(level, count)| count[*level]).product();
        }
    }

    /// Calls with how often each run counts, once for each repetition.
    pub fn resample(&self, how: &Resampling, mut each: impl FnMut(&[f64])) {
        let mut stream = Stream::new(how.seed, "bootstrap", 3, self.runs.len() as u64);
        let mut counts: Vec<Vec<f64>> = self.levels.iter().map(|levels| vec![0.0; *levels]).collect();
        let mut weights = vec![0.0; self.runs.len()];
        for _ in 0..how.repetitions {
            self.weights(&mut stream, &mut counts, &mut weights);
            each(&weights);
        }
    }

    /// Share of resamples left out at each end: less than the nominal one, since there are few levels. `None` when
    /// no factor is varied.
    #[must_use]
    pub fn tail(&self, how: &Resampling) -> Option<f64> {
        let fewest = self.fewest()? as f64;
        let expansion = (fewest / (fewest - 1.0)).sqrt();
        Some(normal_cdf(expansion * student_quantile(how.tail(), fewest - 1.0)))
    }

    /// The interval of a statistic of weighted runs. `None` when no factor is varied or the statistic is never
    /// defined.
    #[must_use]
    pub fn interval(&self, how: &Resampling, statistic: impl Fn(&[f64]) -> Option<f64>) -> Option<Interval> {
        let tail = self.tail(how)?;
        let mut values = Vec::new();
        self.resample(how, |weights| values.extend(statistic(weights)));
        let values = sorted(values);
        Some(Interval { low: quantile(&values, tail)?, high: quantile(&values, 1.0 - tail)? })
    }

    /// The interval of the mean of one value for each run: for independent runs the one of
    /// [`bootstrap::mean_interval`](super::bootstrap::mean_interval).
    #[must_use]
    pub fn mean_interval(&self, values: &[f64], how: &Resampling) -> Option<Interval> {
        if self.independent() {
            let known: Vec<f64> = values.iter().copied().filter(|value| !value.is_nan()).collect();
            return super::bootstrap::mean_interval(&known, how);
        }
        self.interval(how, |weights| weighted_mean(values, weights))
    }

    /// The interval of the median of one value for each run.
    #[must_use]
    pub fn median_interval(&self, values: &[f64], how: &Resampling) -> Option<Interval> {
        if self.independent() {
            return super::bootstrap::median_interval(values, how);
        }
        let mut order: Vec<usize> = (0..values.len()).filter(|i| !values[*i].is_nan()).collect();
        order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
        self.interval(how, |weights| {
            let ascending: Vec<(f64, f64)> = order.iter().map(|i| (values[*i], weights[*i])).collect();
            super::quantile::weighted_quantile(&ascending, 0.5)
        })
    }
}

/// Mean of values that count several times; `None` when none counts.
#[must_use]
pub fn weighted_mean(values: &[f64], weights: &[f64]) -> Option<f64> {
    let (mut sum, mut total) = (0.0, 0.0);
    for (value, weight) in values.iter().zip(weights) {
        if !value.is_nan() {
            sum += value * weight;
            total += weight;
        }
    }
    (total > 0.0).then(|| sum / total)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(n: u64) -> Vec<[u64; 3]> {
        (0..n).flat_map(|d| (0..n).flat_map(move |i| (0..n).map(move |x| [d, 10 + i, 7 * x]))).collect()
    }

    #[test]
    fn levels_are_resampled_and_not_runs() {
        let seeds = grid(5);
        let design = Design::new(&seeds);
        assert_eq!(design.levels(), [5, 5, 5]);
        // All variance comes from the data seed, so these 125 runs are worth five.
        let values: Vec<f64> = seeds.iter().map(|seeds| seeds[0] as f64).collect();
        let how = Resampling::default();
        let crossed = design.mean_interval(&values, &how).unwrap();
        let five = super::super::bootstrap::student(&[0.0, 1.0, 2.0, 3.0, 4.0], &how).unwrap();
        let naive = super::super::bootstrap::student(&values, &how).unwrap();
        let width = |interval: Interval| interval.high - interval.low;
        assert!((0.75..1.1).contains(&(width(crossed) / width(five))), "{crossed:?} {five:?}");
        assert!(width(naive) < 0.2 * width(five));
    }

    #[test]
    fn a_resample_of_a_full_grid_has_as_many_runs() {
        let design = Design::new(&grid(3));
        let total = design.interval(&Resampling::default(), |weights| Some(weights.iter().sum())).unwrap();
        assert_eq!(total, Interval { low: 27.0, high: 27.0 });
    }

    #[test]
    fn one_run_has_no_interval() {
        let design = Design::new(&[[1, 1, 1]]);
        assert_eq!(design.mean_interval(&[1.0], &Resampling::default()), None);
        assert!(Design::new(&[[1, 1, 1], [1, 1, 2]]).independent());
    }
}
