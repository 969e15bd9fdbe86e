//! Times of which some are only known to be longer: runs that ended before they reached the target.
//!
//! The product-limit estimator (E. L. Kaplan, P. Meier, JASA 53, 1958), Greenwood's variance, bands on the
//! log-log scale (Kalbfleisch and Prentice), and intervals of quantiles where the band crosses (R. Brookmeyer,
//! J. Crowley, Biometrics 38, 1982).

use super::crossed::Design;
use super::quantile::{quantile, sorted};
use super::special::normal_quantile;
use super::{Interval, Resampling};
use crate::domain::math;
use serde::Serialize;

/// How long it took, or how long it is known to have taken at least.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Outcome {
    /// Seconds (or any other cost) until the target, or until the run ended.
    pub cost: f64,
    /// Whether the target was reached.
    pub reached: bool,
}

/// One step of the estimated curve.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Step {
    /// Cost at which runs reach the target.
    pub cost: f64,
    /// Runs that had neither reached it nor ended before.
    pub at_risk: f64,
    /// Runs that reach it here.
    pub reached: f64,
    /// Share that has not reached it after this.
    pub survival: f64,
    /// Pointwise band of the survival.
    pub band: Interval,
}

/// The estimated distribution of the cost of reaching the target.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Curve {
    /// How many runs it tells of.
    pub runs: usize,
    /// Ascending.
    pub steps: Vec<Step>,
    /// Costs at which a run ended without it, ascending.
    pub censored: Vec<f64>,
}

impl Curve {
    /// Of these runs, for independent ones.
    #[must_use]
    pub fn of(outcomes: &[Outcome], confidence: f64) -> Self {
        let mut censored: Vec<f64> =
            outcomes.iter().filter(|outcome| !outcome.reached).map(|outcome| outcome.cost).collect();
        censored.sort_by(f64::total_cmp);
        let z = normal_quantile(0.5 + 0.5 * confidence);
        let mut greenwood = 0.0;
        let weights = vec![1.0; outcomes.len()];
        let steps = survival(outcomes, &order(outcomes), &weights)
            .into_iter()
            .map(|(cost, at_risk, reached, survival)| {
                greenwood += reached / (at_risk * (at_risk - reached));
                Step { cost, at_risk, reached, survival, band: band(survival, greenwood, z) }
            })
            .collect();
        Self { runs: outcomes.len(), steps, censored }
    }

    /// Without the end that few runs tell of: steps after runs were censored at which less than a fifth of all runs
    /// is still under way (S. Pocock, T. Clayton, D. Altman, Lancet 359, 2002).
    #[must_use]
    pub fn trusted(mut self) -> Self {
        let kept = trusted(self.steps.iter().map(|step| (step.at_risk, step.reached)), self.runs as f64);
        self.steps.truncate(kept);
        self
    }

    /// The least cost by which a share `p` of the runs has reached the target; `None` when fewer do.
    #[must_use]
    pub fn quantile(&self, p: f64) -> Option<f64> {
        first_below(self.steps.iter().map(|step| (step.cost, step.survival)), 1.0 - p)
    }

    /// The interval of a quantile where the band crosses; infinite where it does not.
    #[must_use]
    pub fn quantile_interval(&self, p: f64) -> Interval {
        let crosses = |end: fn(&Interval) -> f64| {
            first_below(self.steps.iter().map(|step| (step.cost, end(&step.band))), 1.0 - p)
        };
        Interval {
            low: crosses(|band| band.low).unwrap_or(f64::INFINITY),
            high: crosses(|band| band.high).unwrap_or(f64::INFINITY),
        }
    }

    /// Share of the runs that reach the target in the end.
    #[must_use]
    pub fn reached(&self) -> f64 {
        self.steps.last().map_or(0.0, |step| 1.0 - step.survival)
    }
}

/// The interval of a quantile for runs that share seeds: the curve of resampled levels. A resample in which too
/// few runs reach the target counts as infinite. `None` when no seed is varied.
#[must_use]
pub fn crossed_quantile(outcomes: &[Outcome], design: &Design, p: f64, how: &Resampling) -> Option<Interval> {
    let order = order(outcomes);
    design.interval(how, |weights| {
        let steps = trusted_survival(outcomes, &order, weights);
        let steps = steps.into_iter().map(|(cost, _, _, survival)| (cost, survival));
        Some(first_below(steps, 1.0 - p).unwrap_or(f64::INFINITY))
    })
}

/// The pointwise band of the survival at some costs, for runs that share seeds. `None` when no seed is varied.
#[must_use]
pub fn crossed_band(
    outcomes: &[Outcome],
    design: &Design,
    costs: &[f64],
    how: &Resampling,
) -> Option<Vec<Interval>> {
    let tail = design.tail(how)?;
    let order = order(outcomes);
    let mut shares = vec![Vec::new(); costs.len()];
    design.resample(how, |weights| {
        let steps = trusted_survival(outcomes, &order, weights);
        for (share, cost) in shares.iter_mut().zip(costs) {
            let before = steps.iter().rev().find(|(at, ..)| at <= cost);
            share.push(before.map_or(1.0, |step| step.3));
        }
    });
    let band = |shares: Vec<f64>| {
        let shares = sorted(shares);
        Some(Interval { low: quantile(&shares, tail)?, high: quantile(&shares, 1.0 - tail)? })
    };
    shares.into_iter().map(band).collect()
}

fn first_below(mut steps: impl Iterator<Item = (f64, f64)>, bound: f64) -> Option<f64> {
    // Products of shares miss a round bound by a few last bits.
    steps.find(|(_, share)| *share <= bound + 1e-12).map(|(cost, _)| cost)
}

/// Runs by cost; at the same cost those that reach the target first, so that the others were still at risk.
fn order(outcomes: &[Outcome]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..outcomes.len()).collect();
    let key = |i: &usize| (outcomes[*i].cost, !outcomes[*i].reached);
    order.sort_by(|a, b| {
        let ((a, late_a), (b, late_b)) = (key(a), key(b));
        a.total_cmp(&b).then(late_a.cmp(&late_b))
    });
    order
}

/// Cost, number at risk, number that reach the target, and survival after it.
fn survival(outcomes: &[Outcome], order: &[usize], weights: &[f64]) -> Vec<(f64, f64, f64, f64)> {
    let mut at_risk: f64 = weights.iter().sum();
    let mut share = 1.0;
    let mut steps = Vec::new();
    let mut from = 0;
    while from < order.len() {
        let cost = outcomes[order[from]].cost;
        let same = order[from..].iter().take_while(|i| outcomes[**i].cost == cost).count();
        let group = &order[from..from + same];
        let reached: f64 = group.iter().filter(|i| outcomes[**i].reached).map(|i| weights[*i]).sum();
        if reached > 0.0 {
            share *= 1.0 - reached / at_risk;
            steps.push((cost, at_risk, reached, share));
        }
        at_risk -= group.iter().map(|i| weights[*i]).sum::<f64>();
        from += same;
    }
    steps
}

/// As [`survival`], without the end that few runs tell of.
fn trusted_survival(outcomes: &[Outcome], order: &[usize], weights: &[f64]) -> Vec<(f64, f64, f64, f64)> {
    let mut steps = survival(outcomes, order, weights);
    steps.truncate(trusted(steps.iter().map(|step| (step.1, step.2)), weights.iter().sum()));
    steps
}

/// How many steps (number at risk, number that reach it) enough runs tell of.
fn trusted(steps: impl Iterator<Item = (f64, f64)>, total: f64) -> usize {
    let mut reached_before = 0.0;
    let mut few = |(at_risk, reached): &(f64, f64)| {
        let censored_before = total - at_risk - reached_before;
        reached_before += reached;
        censored_before > 1e-9 && *at_risk < 0.2 * total
    };
    steps.take_while(|step| !few(step)).count()
}

/// The band of ln(-ln S): stays within 0 and 1. No width where S is 0 (as lifelines has it).
fn band(survival: f64, greenwood: f64, z: f64) -> Interval {
    if survival <= 0.0 {
        return Interval { low: 0.0, high: 0.0 };
    }
    if survival >= 1.0 {
        return Interval { low: 1.0, high: 1.0 };
    }
    let log = math::ln(survival);
    let reach = z * greenwood.sqrt() / log;
    let end = |reach: f64| math::exp(-math::exp(math::ln(-log) + reach));
    Interval { low: end(-reach), high: end(reach) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_that_few_runs_tell_of_is_left_out() {
        // Nine of ten end without the target, the last one reaches it: no median follows from that.
        let mut outcomes: Vec<Outcome> =
            (1..10).map(|cost| Outcome { cost: f64::from(cost), reached: false }).collect();
        outcomes.push(Outcome { cost: 20.0, reached: true });
        assert_eq!(Curve::of(&outcomes, 0.95).quantile(0.5), Some(20.0));
        assert_eq!(Curve::of(&outcomes, 0.95).trusted().quantile(0.5), None);
        // All reach it: nothing is left out, though at the end only one is under way.
        let all: Vec<Outcome> =
            (1..11).map(|cost| Outcome { cost: f64::from(cost), reached: true }).collect();
        let curve = Curve::of(&all, 0.95).trusted();
        assert_eq!(
            (curve.steps.len(), curve.quantile(0.5), curve.quantile(1.0)),
            (10, Some(5.0), Some(10.0))
        );
    }
}
