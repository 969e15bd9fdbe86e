//! Pareto: rare, very long latencies.

use super::positive;
use super::{BuildLatency, Latencies};
use crate::domain::math;
use crate::domain::units::Duration;
use crate::domain::{Choice, OptionError, Row, Span, Stream};
use crate::net::Distribution;
use serde::Deserialize;
use std::sync::Arc;

/// min x U^(-1 / shape) with U uniform in (0, 1].
#[derive(Clone, Debug, PartialEq)]
pub struct Pareto {
    /// Smallest latency.
    pub min: Span,
    /// Tail index: P(latency > t) = (min / t)^shape. The mean is infinite up to 1, the variance up to 2.
    pub shape: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    min: Duration,
    #[serde(default = "default_shape")]
    shape: f64,
}

fn default_shape() -> f64 {
    1.5
}

/// The row of the table.
pub(super) fn row() -> Row<BuildLatency> {
    Row {
        name: "pareto",
        summary: "at least `min`; heavy tail, longer for a smaller `shape`",
        example: "{name: pareto, min: 20ms, shape: 1.5}",
        positional: &["min", "shape"],
        build,
    }
}

fn build(choice: &Choice, _: &Latencies) -> Result<Arc<dyn Distribution>, OptionError> {
    let options: Options = choice.options()?;
    positive("shape", options.shape)?;
    Ok(Arc::new(Pareto { min: options.min.0, shape: options.shape }))
}

impl Distribution for Pareto {
    fn sample(&self, stream: &mut Stream) -> Span {
        self.min.scale(math::pow(stream.uniform_open(), -1.0 / self.shape))
    }

    fn mean(&self) -> Option<Span> {
        (self.shape > 1.0).then(|| self.min.scale(self.shape / (self.shape - 1.0)))
    }
}
