//! Nodes that are there for a part of each day.

use super::{Availability, BuildAvailability, length};
use crate::domain::units::Duration;
use crate::domain::{Choice, OptionError, Row, Span, Stream, Tables, options};
use crate::trace::{Course, alternate};
use serde::Deserialize;
use std::sync::Arc;

/// There for one share of each period, away for the rest. Where a node's share begins is drawn once, so that with a small
/// spread all are there at the same hours: phones that train while they charge at night make the number of participants
/// of one time zone vary by four times over a day (K. Bonawitz et al.: Towards Federated Learning at Scale, MLSys 2019).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Diurnal {
    period: Duration,
    share: f64,
    phase: Duration,
    spread: f64,
}

#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Options {
    /// How long a day is, a duration.
    #[serde(default = "day")]
    period: Duration,
    /// For which share of it a node is there, above 0 and below 1.
    share: f64,
    /// When in the period the first nodes come, a duration below it.
    #[serde(default)]
    phase: Duration,
    /// Over which share of the period nodes come, each at a moment drawn once: 0 (all at once) to 1 (at all hours).
    #[serde(default = "default_spread")]
    spread: f64,
}

fn day() -> Duration {
    Duration(Span::from_millis(86_400_000))
}

fn default_spread() -> f64 {
    0.25
}

/// The row of the table.
pub(super) fn row() -> Row<BuildAvailability> {
    Row {
        name: "diurnal",
        summary: "there for a share of each day, each node from an hour of its own",
        example: "{name: diurnal, period: 24h, share: 0.4, phase: 0ns, spread: 0.25}",
        positional: &["period", "share"],
        options: options::<Options>,
        build,
    }
}

fn build(choice: &Choice, _: &dyn Tables) -> Result<Arc<dyn Availability>, OptionError> {
    let Options { period, share, phase, spread } = choice.options()?;
    length("period", period)?;
    OptionError::check(share > 0.0 && share < 1.0, "share", share, "above 0 and below 1")?;
    OptionError::check(phase < period, "phase", phase, "less than `period`")?;
    OptionError::check((0.0..=1.0).contains(&spread), "spread", spread, "0 to 1")?;
    Ok(Arc::new(Diurnal { period, share, phase, spread }))
}

impl Availability for Diurnal {
    fn course(&self, mut stream: Stream) -> Course<bool> {
        let period = self.period.0.0;
        let on = self.period.0.scale(self.share).0;
        let drawn = self.period.0.scale(self.spread * stream.uniform()).0;
        // It comes at `begins` of each period and goes `on` later, perhaps in the next one.
        let begins = self.phase.0.0.saturating_add(drawn) % period;
        let since = (period - begins) % period;
        let first = since < on;
        let mut rest = Some(if first { on - since } else { period - since });
        alternate(first, move |there| Span(rest.take().unwrap_or(if there { on } else { period - on })))
    }
}
