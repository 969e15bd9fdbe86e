//! Lognormal: the logarithm is normal with standard deviation sigma.

use super::not_negative;
use super::{BuildLatency, Latencies};
use crate::domain::math;
use crate::domain::units::Duration;
use crate::domain::{Choice, OptionError, Row, Span, Stream};
use crate::net::Distribution;
use serde::Deserialize;
use std::sync::Arc;

/// median x exp(sigma z) with z standard normal; the mean is median x exp(sigma^2 / 2).
#[derive(Clone, Debug, PartialEq)]
pub struct Lognormal {
    /// Median latency.
    pub median: Span,
    /// Standard deviation of the natural logarithm.
    pub sigma: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    median: Duration,
    #[serde(default = "default_sigma")]
    sigma: f64,
}

fn default_sigma() -> f64 {
    0.5
}

/// The row of the table.
pub(super) fn row() -> Row<BuildLatency> {
    Row {
        name: "lognormal",
        summary: "median `median`, its logarithm normal with deviation `sigma`",
        example: "{name: lognormal, median: 2ms, sigma: 0.5}",
        positional: &["median", "sigma"],
        build,
    }
}

fn build(choice: &Choice, _: &Latencies) -> Result<Arc<dyn Distribution>, OptionError> {
    let options: Options = choice.options()?;
    not_negative("sigma", options.sigma)?;
    Ok(Arc::new(Lognormal { median: options.median.0, sigma: options.sigma }))
}

impl Distribution for Lognormal {
    fn sample(&self, stream: &mut Stream) -> Span {
        self.median.scale(math::exp(self.sigma * stream.normal()))
    }

    fn mean(&self) -> Option<Span> {
        Some(self.median.scale(math::exp(self.sigma * self.sigma / 2.0)))
    }
}
