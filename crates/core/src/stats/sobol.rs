//! Which seed the variance comes from: Sobol indices of crossed seeds.
//!
//! A run is a function of its seeds, and the seeds are independent draws, so its result splits into an effect of
//! each seed, of each pair and of all three (Hoeffding; I. M. Sobol, 1993). First-order index: the share of the
//! variance that a seed explains alone. Total-order index (T. Homma, A. Saltelli, 1996): the share that would
//! remain if all others were known, interactions included. In a full crossing the components are those of a balanced
//! random-effects analysis of variance, estimated without bias from mean squares (Searle, Casella, McCulloch:
//! Variance Components, 1992, chapter 4): E MS_u = sum over v containing u of (product of the other levels) x
//! sigma^2_v. Such an estimate can be negative; it then counts as zero, both in the
//! indices and in the variance that they are shares of (so shares add up to 1 at most, and are a little too small for
//! the others: the price of shares within [0, 1]), and reports say which ones were.
//!
//! Intervals: the levels of each seed are resampled ([`super::crossed`]). In that world the truth is known: it is
//! the grid itself, with each level equally likely. So the resampled indices tell how far an estimate strays from its truth, and
//! the interval is the estimate with these errors turned around (the basic bootstrap: Davison and Hinkley, 1997,
//! section 5.2), which a plain percentile interval would miss, since repeated levels shrink components.

use super::quantile::{quantile, sorted};
use super::{Interval, Resampling};
use crate::domain::Stream;
use serde::Serialize;

/// Indices of one factor.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Index {
    /// Which factor, by its position in the shape.
    pub factor: usize,
    /// Share that it explains alone.
    pub first: f64,
    /// Share that it takes part in.
    pub total: f64,
    /// Interval of the first-order index.
    pub first_interval: Option<Interval>,
    /// Interval of the total-order index.
    pub total_interval: Option<Interval>,
}

/// A variance and where it comes from.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Decomposition {
    /// Variance of a single run with fresh seeds.
    pub variance: f64,
    /// Factors with two levels or more, in order.
    pub indices: Vec<Index>,
    /// Components that came out negative and count as zero: sets of factors.
    pub clipped: Vec<Vec<usize>>,
}

/// Splits the variance of a full grid: `values` has the last factor fastest. `None` when fewer than two factors are
/// varied, the grid is not full, or nothing varies.
#[must_use]
pub fn decompose(shape: &[usize], values: &[f64], how: &Resampling) -> Option<Decomposition> {
    let full =
        shape.iter().product::<usize>() == values.len() && values.iter().all(|value| value.is_finite());
    let varied: Vec<usize> = (0..shape.len()).filter(|factor| shape[*factor] > 1).collect();
    if !full || varied.len() < 2 {
        return None;
    }
    // Factors with one level add no dimension to the grid.
    let grid = Grid { shape: varied.iter().map(|factor| shape[*factor]).collect(), values: values.to_vec() };
    let squares = grid.squares();
    let raw = grid.components(&squares);
    let (variance, shares) = indices(&raw, varied.len())?;
    let mut result = Decomposition {
        variance,
        indices: Vec::new(),
        clipped: (1..raw.len())
            .filter(|set| raw[*set] < 0.0)
            .map(|set| members(set, varied.len()).map(|i| varied[i]).collect())
            .collect(),
    };
    let errors = grid.errors(&squares, how);
    for (i, factor) in varied.iter().enumerate() {
        let interval = |which: usize, estimate: f64| {
            errors.as_ref().and_then(|errors| {
                let errors = &errors[which];
                let low = estimate - quantile(errors, 1.0 - how.tail())?;
                let high = estimate - quantile(errors, how.tail())?;
                // An estimate of zero that was clipped must lie within.
                Some(Interval { low: low.clamp(0.0, estimate), high: high.clamp(estimate, 1.0) })
            })
        };
        let (first, total) = shares[i];
        result.indices.push(Index {
            factor: *factor,
            first,
            total,
            first_interval: interval(2 * i, first),
            total_interval: interval(2 * i + 1, total),
        });
    }
    Some(result)
}

/// Factors in a set, which is a number with a bit for each.
fn members(set: usize, factors: usize) -> impl Iterator<Item = usize> {
    (0..factors).filter(move |factor| set >> factor & 1 == 1)
}

/// Variance, and first and total index of each factor, of components by set; negative ones count as zero.
fn indices(components: &[f64], factors: usize) -> Option<(f64, Vec<(f64, f64)>)> {
    let at_least_zero = |set: usize| components[set].max(0.0);
    let variance: f64 = (1..components.len()).map(at_least_zero).sum();
    if variance <= 0.0 {
        return None;
    }
    let shares = (0..factors).map(|factor| {
        let with = (1..components.len()).filter(|set| set >> factor & 1 == 1);
        (at_least_zero(1 << factor) / variance, with.map(at_least_zero).sum::<f64>() / variance)
    });
    Some((variance, shares.collect()))
}

/// A full grid, the last factor fastest.
struct Grid {
    shape: Vec<usize>,
    values: Vec<f64>,
}

impl Grid {
    fn sets(&self) -> usize {
        1 << self.shape.len()
    }

    /// Product of the numbers of levels (or of those less one) of the factors in a set.
    fn product(&self, set: usize, less: usize) -> f64 {
        members(set, self.shape.len()).map(|factor| (self.shape[factor] - less) as f64).product()
    }

    /// Position of a run among the combinations of the levels that a set has.
    fn position(&self, set: usize, run: usize) -> usize {
        let (mut rest, mut position, mut stride) = (run, 0, 1);
        for factor in (0..self.shape.len()).rev() {
            let level = rest % self.shape[factor];
            rest /= self.shape[factor];
            if set >> factor & 1 == 1 {
                position += level * stride;
                stride *= self.shape[factor];
            }
        }
        position
    }

    /// Sum of squares of the effects of each set.
    fn squares(&self) -> Vec<f64> {
        let all = self.sets() - 1;
        // Means over the runs that share the levels of a set.
        let means: Vec<Vec<f64>> = (0..self.sets())
            .map(|set| {
                let mut means = vec![0.0; self.product(set, 0) as usize];
                let share = 1.0 / self.product(all & !set, 0);
                for (run, value) in self.values.iter().enumerate() {
                    means[self.position(set, run)] += value * share;
                }
                means
            })
            .collect();
        let effect = |set: usize, run: usize| -> f64 {
            // Inclusion and exclusion over the subsets.
            let subsets = (0..self.sets()).filter(|subset| subset & set == *subset);
            subsets
                .map(|subset| {
                    let sign = if (set ^ subset).count_ones().is_multiple_of(2) { 1.0 } else { -1.0 };
                    sign * means[subset][self.position(subset, run)]
                })
                .sum()
        };
        (0..self.sets())
            .map(|set| (0..self.values.len()).map(|run| effect(set, run)).map(|effect| effect * effect).sum())
            .collect()
    }

    /// Unbiased components of variance by set: larger sets first, since they are in the mean squares of smaller ones.
    fn components(&self, squares: &[f64]) -> Vec<f64> {
        let all = self.sets() - 1;
        let mut components = vec![0.0; self.sets()];
        for set in (1..self.sets()).rev() {
            let mean_square = squares[set] / self.product(set, 1);
            let above: f64 = (set + 1..self.sets())
                .filter(|larger| larger & set == set)
                .map(|larger| self.product(all & !larger, 0) * components[larger])
                .sum();
            components[set] = (mean_square - above) / self.product(all & !set, 0);
        }
        components
    }

    /// Errors of the resampled indices (first and total of each factor), ascending.
    fn errors(&self, squares: &[f64], how: &Resampling) -> Option<Vec<Vec<f64>>> {
        let factors = self.shape.len();
        let of_grid: Vec<f64> = squares.iter().map(|sum| sum / self.values.len() as f64).collect();
        let (_, truth) = indices(&of_grid, factors)?;
        let mut stream = Stream::new(how.seed, "bootstrap", 4, self.values.len() as u64);
        let mut errors = vec![Vec::new(); 2 * factors];
        for _ in 0..how.repetitions {
            let resampled = self.resampled(&mut stream);
            let Some((_, shares)) = indices(&resampled.components(&resampled.squares()), factors) else {
                continue;
            };
            for (factor, ((first, total), (true_first, true_total))) in shares.iter().zip(&truth).enumerate()
            {
                errors[2 * factor].push(first - true_first);
                errors[2 * factor + 1].push(total - true_total);
            }
        }
        Some(errors.into_iter().map(sorted).collect())
    }

    fn resampled(&self, stream: &mut Stream) -> Self {
        let levels: Vec<Vec<usize>> = self
            .shape
            .iter()
            .map(|levels| (0..*levels).map(|_| stream.below(*levels as u64) as usize).collect())
            .collect();
        let source = |run: usize| {
            let (mut rest, mut source, mut stride) = (run, 0, 1);
            for (size, drawn) in self.shape.iter().zip(&levels).rev() {
                source += drawn[rest % size] * stride;
                rest /= size;
                stride *= size;
            }
            source
        };
        let values = (0..self.values.len()).map(|run| self.values[source(run)]).collect();
        Self { shape: self.shape.clone(), values }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::math;
    use std::f64::consts::PI;

    const QUICK: Resampling = Resampling { confidence: 0.95, repetitions: 40, seed: 1 };

    /// Values of a function of three uniform seeds on a grid of 32 strata, one draw in each.
    fn on_grid(levels: usize, f: impl Fn(f64, f64, f64) -> f64) -> Vec<f64> {
        let axis = |factor: u64| -> Vec<f64> {
            let mut stream = Stream::new(5, "strata", factor, 0);
            (0..levels).map(|level| (level as f64 + stream.uniform()) / levels as f64).collect()
        };
        let (a, b, c) = (axis(0), axis(1), axis(2));
        a.iter()
            .flat_map(|a| b.iter().flat_map(|b| c.iter().map(|c| f(*a, *b, *c))).collect::<Vec<_>>())
            .collect()
    }

    fn check(name: &str, f: impl Fn(f64, f64, f64) -> f64, known: [(f64, f64); 3]) {
        let found = decompose(&[32, 32, 32], &on_grid(32, f), &QUICK).unwrap();
        for (index, (first, total)) in found.indices.iter().zip(known) {
            let near = (index.first - first).abs() < 0.05 && (index.total - total).abs() < 0.05;
            assert!(near, "{name} {index:?}, known {first} {total}");
        }
    }

    #[test]
    fn known_functions_at_32_levels() {
        let ishigami = |a: f64, b: f64, c: f64| {
            let x = |u: f64| PI * (2.0 * u - 1.0);
            let sin = |u| math::sin(x(u));
            sin(a) + 7.0 * sin(b) * sin(b) + 0.1 * x(c) * x(c) * x(c) * x(c) * sin(a)
        };
        check("ishigami", ishigami, [(0.3139, 0.5576), (0.4424, 0.4424), (0.0, 0.2437)]);
        // Sobol's g-function with a = 0, 1, 9: V_i = 1 / 3 (1 + a_i)^2, V = prod(1 + V_i) - 1.
        let g = |u: f64, a: f64| ((4.0 * u - 2.0).abs() + a) / (1.0 + a);
        let v = [0.0, 1.0, 9.0].map(|a: f64| 1.0 / (3.0 * (1.0 + a) * (1.0 + a)));
        let all = v.iter().map(|v| 1.0 + v).product::<f64>() - 1.0;
        let known = |i: usize| {
            let others: f64 = (0..3).filter(|j| *j != i).map(|j| 1.0 + v[j]).product();
            (v[i] / all, v[i] * others / all)
        };
        check("g", |a, b, c| g(a, 0.0) * g(b, 1.0) * g(c, 9.0), [known(0), known(1), known(2)]);
        // A product of centred factors is all interaction: no first order, everything total.
        check("product", |a, b, c| (a - 0.5) * (b - 0.5) * (c - 0.5), [(0.0, 1.0); 3]);
        check("sum", |a, b, _| a + 2.0 * b, [(0.2, 0.2), (0.8, 0.8), (0.0, 0.0)]);
    }

    /// With seeds that are random draws a single estimate strays, but there is no bias: the mean over many studies.
    #[test]
    fn components_of_random_levels_are_unbiased() {
        let (mut mean, studies) = ([0.0; 3], 4000);
        for study in 0..studies {
            let draw = |factor: u64| {
                let mut stream = Stream::new(study, "levels", factor, 0);
                (0..4).map(|_| stream.normal()).collect::<Vec<f64>>()
            };
            let (a, b) = (draw(0), draw(1));
            // Variances 1, 4 and 1 (the product).
            let values = a.iter().flat_map(|a| b.iter().map(move |b| a + 2.0 * b + a * b)).collect();
            let grid = Grid { shape: vec![4, 4], values };
            let components = grid.components(&grid.squares());
            for (mean, set) in mean.iter_mut().zip([1, 2, 3]) {
                *mean += components[set] / f64::from(studies as u32);
            }
        }
        let near = mean.iter().zip([1.0, 4.0, 1.0]).all(|(found, known)| (found - known).abs() < 0.2);
        assert!(near, "{mean:?}");
    }

    #[test]
    fn what_cannot_be_split_is_not() {
        assert_eq!(decompose(&[5, 1, 1], &[1.0, 2.0, 3.0, 4.0, 5.0], &QUICK), None, "one factor");
        assert_eq!(decompose(&[2, 2], &[1.0; 4], &QUICK), None, "nothing varies");
        assert_eq!(decompose(&[2, 2], &[1.0, 2.0, 3.0], &QUICK), None, "a run is missing");
        let pure = decompose(&[3, 1, 2], &[0.0, 0.0, 1.0, 1.0, 2.0, 2.0], &QUICK).unwrap();
        assert_eq!((pure.indices[0].factor, pure.indices[1].factor), (0, 2));
        assert_eq!((pure.indices[0].first, pure.indices[0].total, pure.indices[1].total), (1.0, 1.0, 0.0));
    }
}
