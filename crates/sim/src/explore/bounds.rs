//! What delays are physically possible: from the least to a high quantile of what the scenario's own distributions
//! give, or to a factor of their mean.

use crate::run::rules::Beginning;
use hcddl_core::device::{JobCost, Profile};
use hcddl_core::domain::{OptionError, Span, Stream};
use hcddl_plan::plan::Plan;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// Where possible delays end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reach {
    /// At this quantile of the distribution, in (0.5, 1).
    Quantile(f64),
    /// At so many times the mean, at least 1.
    Factor(f64),
}

impl Default for Reach {
    fn default() -> Self {
        Self::Quantile(0.999)
    }
}

/// `p99.9` or `x3`.
impl std::str::FromStr for Reach {
    type Err = OptionError;

    fn from_str(text: &str) -> Result<Self, OptionError> {
        let number = |from: &str| from.parse::<f64>().ok();
        let reach = match (text.strip_prefix('p').and_then(number), text.strip_prefix('x').and_then(number)) {
            (Some(percent), _) if percent > 50.0 && percent < 100.0 => Some(Self::Quantile(percent / 100.0)),
            (_, Some(factor)) if factor >= 1.0 && factor.is_finite() => Some(Self::Factor(factor)),
            _ => None,
        };
        let allowed =
            "a quantile above p50 and below p100, as in `p99.9`, or a factor of 1 or more, as in `x3`";
        reach.ok_or_else(|| {
            OptionError::new("", format!("expected a limit of delays, found `{text}`"), allowed)
        })
    }
}

impl std::fmt::Display for Reach {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            // One decimal less than a float shows: 99.9 times 100 is not a round number.
            Self::Quantile(q) => write!(f, "p{}", (q * 1e8).round() / 1e6),
            Self::Factor(factor) => write!(f, "x{factor}"),
        }
    }
}

/// The least and the largest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Range {
    /// At least this, in nanoseconds.
    pub min: Span,
    /// At most this.
    pub max: Span,
}

impl Range {
    /// Whether there is anything to decide.
    #[must_use]
    pub fn is_wide(&self) -> bool {
        self.max > self.min
    }

    /// The value at this share of the way from the least to the largest.
    #[must_use]
    pub fn at(&self, share: f64) -> Span {
        self.clamp(self.min + (self.max - self.min).scale(share))
    }

    /// The nearest value within, in whole microseconds where that is exact enough, so that files are readable.
    #[must_use]
    pub fn clamp(&self, span: Span) -> Span {
        const MICRO: u64 = 1_000;
        let round = |span: Span| if span.0 >= 1_000 * MICRO { Span(span.0 / MICRO * MICRO) } else { span };
        round(span).clamp(self.min, self.max)
    }
}

/// Draws from which a distribution's ends are taken.
const DRAWS: usize = 20_000;

/// By class of device and cost (operations, bytes, steps), without the node's factor.
type Jobs = BTreeMap<(usize, [u64; 3]), Range>;

/// The possible delays of every kind of link and of every job. Clones share what they have worked out.
#[derive(Clone, Debug)]
pub struct Bounds {
    reach: Reach,
    /// In order of the plan's links.
    pub links: Vec<Range>,
    /// Hosts with equal devices share a class.
    class_of_host: Vec<usize>,
    devices: Vec<Profile>,
    jobs: Arc<Mutex<Jobs>>,
}

impl Bounds {
    /// The bounds of a plan.
    #[must_use]
    pub fn new(plan: &Plan, reach: Reach) -> Self {
        let link = |(i, link): (usize, &hcddl_plan::plan::LinkPlan)| {
            let mut stream = Stream::new(0, "bounds", 0, i as u64);
            range(reach, link.latency.mean(), || link.latency.sample(&mut stream))
        };
        let mut classes: BTreeMap<String, usize> = BTreeMap::new();
        let mut devices = Vec::new();
        let mut class_of_host = Vec::with_capacity(plan.hosts.len());
        for host in &plan.hosts {
            let class = *classes.entry(format!("{:?}", host.device)).or_insert(devices.len());
            if class == devices.len() {
                devices.push(host.device.clone());
            }
            class_of_host.push(class);
        }
        let links = plan.network.links.iter().enumerate().map(link).collect();
        Self { reach, links, class_of_host, devices, jobs: Arc::default() }
    }

    /// Every kind of job that was asked for: device, operations, steps, how long it may take.
    #[must_use]
    pub fn jobs(&self) -> Vec<(String, f64, u64, Range)> {
        let jobs = self.jobs.lock().expect("nobody panics while it holds the jobs");
        let one = |((class, [flops, _, steps]), range): (&(usize, [u64; 3]), &Range)| {
            (self.devices[*class].name.clone(), f64::from_bits(*flops), *steps, *range)
        };
        jobs.iter().map(one).collect()
    }

    /// The device of a job's node.
    #[must_use]
    pub fn device(&self, plan: &Plan, beginning: &Beginning<'_>) -> &Profile {
        &self.devices[self.class_of_host[plan.nodes[beginning.node.index()].host.index()]]
    }

    /// How long a job may take.
    pub fn job(&self, plan: &Plan, beginning: &Beginning<'_>) -> Range {
        let class = self.class_of_host[plan.nodes[beginning.node.index()].host.index()];
        let JobCost { flops, bytes, steps, .. } = *beginning.cost;
        let device = &self.devices[class];
        let reach = self.reach;
        let mut jobs = self.jobs.lock().expect("nobody panics while it holds the jobs");
        let alone = *jobs.entry((class, [flops.to_bits(), bytes.to_bits(), steps])).or_insert_with(|| {
            let mut stream = Stream::new(0, "bounds", 1, class as u64);
            let mut draw = || device.duration(beginning.cost, &mut stream);
            // A device without randomness draws nothing: one look is enough.
            if device.step_time.is_none() && device.jitter_sigma == 0.0 && matches!(reach, Reach::Quantile(_))
            {
                let only = draw();
                return Range { min: only, max: only };
            }
            range(reach, None, draw)
        });
        let scale = |span: Span| if beginning.factor == 1.0 { span } else { span.scale(beginning.factor) };
        Range { min: scale(alone.min), max: scale(alone.max) }
    }
}

fn range(reach: Reach, mean: Option<Span>, mut draw: impl FnMut() -> Span) -> Range {
    let first = draw();
    let mut draws: Vec<Span> = std::iter::once(first).chain((1..DRAWS).map(|_| draw())).collect();
    draws.sort_unstable();
    let min = draws[0];
    let max = match reach {
        Reach::Quantile(q) => draws[((q * DRAWS as f64) as usize).min(DRAWS - 1)],
        Reach::Factor(factor) => {
            let sum: u128 = draws.iter().map(|span| u128::from(span.0)).sum();
            mean.unwrap_or(Span((sum / DRAWS as u128) as u64)).scale(factor)
        }
    };
    Range { min, max: max.max(min) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reach_is_a_quantile_or_a_factor() {
        for text in ["p99.9", "p99", "x3", "x1.5"] {
            assert_eq!(text.parse::<Reach>().unwrap().to_string(), text);
        }
        for text in ["p100", "p50", "x0.5", "99.9", "", "pp", "xinf"] {
            assert!(text.parse::<Reach>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_range_goes_from_the_least_to_the_quantile_or_the_factor() {
        let uniform = hcddl_core::net::latency::Uniform { min: Span(1_000_000), max: Span(3_000_000) };
        let of = |reach| {
            let mut stream = Stream::new(1, "test", 0, 0);
            range(reach, None, || hcddl_core::net::Distribution::sample(&uniform, &mut stream))
        };
        let quantile = of(Reach::Quantile(0.9));
        assert!(quantile.min.0 < 1_001_000 && quantile.max.0.abs_diff(2_800_000) < 20_000, "{quantile:?}");
        assert!(of(Reach::Factor(4.0)).max.0.abs_diff(8_000_000) < 100_000);
        let range = Range { min: Span(1_000_500), max: Span(9_000_000) };
        assert_eq!((range.at(0.0), range.at(1.0)), (range.min, range.max));
        assert_eq!(range.clamp(Span(5_000_999)), Span(5_000_000));
        assert_eq!(range.clamp(Span(77_000_000)), range.max);
    }
}
