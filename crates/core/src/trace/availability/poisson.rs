//! Nodes that leave and come back after times of exponential length.

use super::{Availability, BuildAvailability, length, there_at_start};
use crate::domain::units::Duration;
use crate::domain::{Choice, OptionError, Row, Stream, Tables, options};
use crate::trace::{Course, alternate};
use serde::Deserialize;
use std::sync::Arc;

/// A two-state Markov process in its steady state: departures and returns are Poisson processes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Poisson {
    on: Duration,
    off: Duration,
}

#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Options {
    /// How long it is there in the mean, a duration.
    on: Duration,
    /// How long it is away in the mean, a duration.
    off: Duration,
}

/// The row of the table.
pub(super) fn row() -> Row<BuildAvailability> {
    Row {
        name: "poisson",
        summary: "leaves and comes back after times of exponential length",
        example: "{name: poisson, on: 60s, off: 20s}",
        positional: &["on", "off"],
        options: options::<Options>,
        build,
    }
}

fn build(choice: &Choice, _: &dyn Tables) -> Result<Arc<dyn Availability>, OptionError> {
    let Options { on, off } = choice.options()?;
    length("on", on)?;
    length("off", off)?;
    Ok(Arc::new(Poisson { on, off }))
}

impl Availability for Poisson {
    fn course(&self, mut stream: Stream) -> Course<bool> {
        let Self { on, off } = *self;
        let first = there_at_start(&mut stream, on, off);
        alternate(first, move |there| if there { on } else { off }.0.scale(stream.exponential()))
    }
}
