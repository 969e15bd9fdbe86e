//! A fixed part and an exponential excess (memoryless queues; excess delay on the Internet).

use super::{BuildLatency, Latencies};
use crate::domain::units::Duration;
use crate::domain::{Choice, OptionError, Row, Span, Stream};
use crate::net::Distribution;
use serde::Deserialize;
use std::sync::Arc;

/// base + Exp with the given mean.
#[derive(Clone, Debug, PartialEq)]
pub struct ShiftedExponential {
    /// Smallest latency.
    pub base: Span,
    /// Mean of the excess over the base.
    pub mean: Span,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    base: Duration,
    mean: Duration,
}

/// The row of the table.
pub(super) fn row() -> Row<BuildLatency> {
    Row {
        name: "shifted_exponential",
        summary: "`base` plus an exponential excess of mean `mean`",
        example: "{name: shifted_exponential, base: 15ms, mean: 1ms}",
        positional: &["base", "mean"],
        build,
    }
}

fn build(choice: &Choice, _: &Latencies) -> Result<Arc<dyn Distribution>, OptionError> {
    let options: Options = choice.options()?;
    Ok(Arc::new(ShiftedExponential { base: options.base.0, mean: options.mean.0 }))
}

impl Distribution for ShiftedExponential {
    fn sample(&self, stream: &mut Stream) -> Span {
        self.base + self.mean.scale(stream.exponential())
    }

    fn mean(&self) -> Option<Span> {
        Some(self.base + self.mean)
    }
}
