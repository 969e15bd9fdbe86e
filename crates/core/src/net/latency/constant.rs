//! The same latency every time.

use super::{BuildLatency, Latencies};
use crate::domain::units::Duration;
use crate::domain::{Choice, OptionError, Row, Span, Stream};
use crate::net::Distribution;
use serde::Deserialize;
use std::sync::Arc;

/// The same latency every time.
#[derive(Clone, Debug, PartialEq)]
pub struct Constant {
    /// The latency.
    pub value: Span,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    value: Duration,
}

/// The row of the table.
pub(super) fn row() -> Row<BuildLatency> {
    Row {
        name: "constant",
        summary: "the same every time; a plain `20ms` means this",
        example: "{name: constant, value: 20ms}",
        positional: &["value"],
        build,
    }
}

fn build(choice: &Choice, _: &Latencies) -> Result<Arc<dyn Distribution>, OptionError> {
    let options: Options = choice.options()?;
    Ok(Arc::new(Constant { value: options.value.0 }))
}

impl Distribution for Constant {
    fn sample(&self, _: &mut Stream) -> Span {
        self.value
    }

    fn mean(&self) -> Option<Span> {
        Some(self.value)
    }
}
