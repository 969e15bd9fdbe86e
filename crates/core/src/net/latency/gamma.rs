//! Gamma: a sum of exponential stages; the larger the shape, the steadier.

use super::positive;
use super::{BuildLatency, Latencies};
use crate::domain::units::Duration;
use crate::domain::{Choice, OptionError, Row, Span, Stream};
use crate::net::Distribution;
use serde::Deserialize;
use std::sync::Arc;

/// Gamma of this shape, scaled to the given mean.
#[derive(Clone, Debug, PartialEq)]
pub struct Gamma {
    /// Mean latency.
    pub mean: Span,
    /// Shape; the coefficient of variation is 1 / sqrt(shape).
    pub shape: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    mean: Duration,
    shape: f64,
}

/// The row of the table.
pub(super) fn row() -> Row<BuildLatency> {
    Row {
        name: "gamma",
        summary: "mean `mean`; the larger `shape`, the steadier",
        example: "{name: gamma, mean: 5ms, shape: 4}",
        positional: &["mean", "shape"],
        build,
    }
}

fn build(choice: &Choice, _: &Latencies) -> Result<Arc<dyn Distribution>, OptionError> {
    let options: Options = choice.options()?;
    positive("shape", options.shape)?;
    Ok(Arc::new(Gamma { mean: options.mean.0, shape: options.shape }))
}

impl Distribution for Gamma {
    fn sample(&self, stream: &mut Stream) -> Span {
        self.mean.scale(stream.gamma(self.shape) / self.shape)
    }

    fn mean(&self) -> Option<Span> {
        Some(self.mean)
    }
}
