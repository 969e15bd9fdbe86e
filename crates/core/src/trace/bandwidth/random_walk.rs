//! A rate that wanders between two bounds.

use super::{Bandwidth, BuildBandwidth};
use crate::domain::units::{Duration, Rate};
use crate::domain::{Choice, OptionError, Row, Span, Stream, Tables, math, options};
use crate::trace::Course;
use serde::Deserialize;
use std::sync::Arc;

/// The logarithm of the rate makes a normal step now and then and is reflected at the bounds, so in the long run all rates
/// are equally likely on a logarithmic scale. The steps of cellular links that mahimahi replays look like this (R.
/// Netravali et al.: Mahimahi, USENIX ATC 2015); how large they are is (assumed).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RandomWalk {
    /// Logarithms of the bounds in bytes per second.
    bounds: (f64, f64),
    /// The same of the first rate; drawn between the bounds if nothing is said.
    start: Option<f64>,
    step: Span,
    sigma: f64,
}

#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Options {
    /// The lowest rate, as in `1mbit`.
    min: Rate,
    /// The highest rate.
    max: Rate,
    /// The first rate. Default: drawn between the two.
    #[serde(default)]
    start: Option<Rate>,
    /// The time from one step to the next, a duration.
    #[serde(default = "second")]
    step: Duration,
    /// Standard deviation of the logarithm of a step, above 0 and up to 3.
    #[serde(default = "default_sigma")]
    sigma: f64,
}

fn second() -> Duration {
    Duration(Span::from_millis(1000))
}

fn default_sigma() -> f64 {
    0.2
}

/// The row of the table.
pub(super) fn row() -> Row<BuildBandwidth> {
    Row {
        name: "random_walk",
        summary: "wanders between two bounds, as cellular links do",
        example: "{name: random_walk, min: 1mbit, max: 50mbit, step: 1s, sigma: 0.2}",
        positional: &["min", "max"],
        options: options::<Options>,
        build,
    }
}

fn build(choice: &Choice, _: &dyn Tables) -> Result<Arc<dyn Bandwidth>, OptionError> {
    let Options { min, max, start, step, sigma } = choice.options()?;
    OptionError::check(min.0 > 0.0, "min", min, "above 0, as in `1mbit`")?;
    OptionError::check(max > min && max.0.is_finite(), "max", max, "more than `min`")?;
    let within = |rate: Rate| (min..=max).contains(&rate);
    OptionError::check(start.is_none_or(within), "start", start.unwrap_or(min), "from `min` to `max`")?;
    OptionError::check(step.0.0 > 0, "step", step, "more than 0")?;
    OptionError::check(sigma > 0.0 && sigma <= 3.0, "sigma", sigma, "above 0 and up to 3")?;
    let bounds = (math::ln(min.0), math::ln(max.0));
    Ok(Arc::new(RandomWalk { bounds, start: start.map(|rate| math::ln(rate.0)), step: step.0, sigma }))
}

/// A value mirrored at two bounds until it lies between them.
fn reflected(value: f64, (low, high): (f64, f64)) -> f64 {
    let width = high - low;
    let along = (value - low).rem_euclid(2.0 * width);
    low + if along > width { 2.0 * width - along } else { along }
}

impl Bandwidth for RandomWalk {
    fn course(&self, mut stream: Stream) -> Course<f64> {
        let Self { bounds, start, step, sigma } = *self;
        let drawn = bounds.0 + (bounds.1 - bounds.0) * stream.uniform();
        let mut next = Some((Span::ZERO, start.unwrap_or(drawn)));
        Box::new(std::iter::from_fn(move || {
            let (at, log) = next?;
            let moved = reflected(log + sigma * stream.normal(), bounds);
            next = at.0.checked_add(step.0).map(|at| (Span(at), moved));
            Some((at, math::exp(log)))
        }))
    }
}
