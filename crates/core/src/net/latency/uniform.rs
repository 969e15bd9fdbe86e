//! Equally likely between two bounds.

use super::{BuildLatency, Latencies};
use crate::domain::units::Duration;
use crate::domain::{Choice, OptionError, Row, Span, Stream};
use crate::net::Distribution;
use serde::Deserialize;
use std::sync::Arc;

/// Every nanosecond from `min` to `max`, both included, is equally likely.
#[derive(Clone, Debug, PartialEq)]
pub struct Uniform {
    /// Smallest latency.
    pub min: Span,
    /// Largest latency.
    pub max: Span,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    min: Duration,
    max: Duration,
}

/// The row of the table.
pub(super) fn row() -> Row<BuildLatency> {
    Row {
        name: "uniform",
        summary: "equally likely from `min` to `max`",
        example: "{name: uniform, min: 1ms, max: 3ms}",
        positional: &["min", "max"],
        build,
    }
}

fn build(choice: &Choice, _: &Latencies) -> Result<Arc<dyn Distribution>, OptionError> {
    let options: Options = choice.options()?;
    OptionError::check(options.min <= options.max, "max", options.max, "at least `min`")?;
    Ok(Arc::new(Uniform { min: options.min.0, max: options.max.0 }))
}

impl Distribution for Uniform {
    fn sample(&self, stream: &mut Stream) -> Span {
        self.min + Span(stream.below((self.max - self.min).0.saturating_add(1)))
    }

    fn mean(&self) -> Option<Span> {
        Some(self.min + (self.max - self.min).scale(0.5))
    }
}
