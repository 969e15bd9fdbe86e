//! Recorded latencies over time.

use crate::domain::units::Duration;
use crate::domain::{Choice, OptionError, Span, Time};
use crate::trace::Recorded;
use serde::Deserialize;

/// A latency for each moment: that of the last record, before the first one the first.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace(Recorded<Span>);

#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Recording {
    // Reading files is not the business of the pure core: the scenario replaces this by `records`.
    /// A file of the columns time_s and latency_ms, relative to the scenario's.
    #[serde(default)]
    csv: Option<String>,
    /// The same here: pairs of a time and a latency.
    #[serde(default)]
    records: Vec<(Duration, Duration)>,
    /// Whether it begins again after its last record.
    #[serde(default)]
    repeat: bool,
}

impl From<Recorded<Span>> for Trace {
    fn from(records: Recorded<Span>) -> Self {
        Self(records)
    }
}

impl Trace {
    /// The trace of a choice: `{name: trace, csv: FILE, repeat: false}`.
    ///
    /// # Errors
    /// No records, times that go back, a file that was not read.
    pub fn of(choice: &Choice) -> Result<Self, OptionError> {
        let options: Recording = choice.options()?;
        if let Some(path) = options.csv {
            let message = format!("the records in `{path}` have not been read");
            return Err(OptionError::new("csv", message, "`csv` in a scenario file, or `records`"));
        }
        if options.records.is_empty() {
            let message = "a trace without records";
            return Err(OptionError::new("", message, "`csv`: a file of time_s,latency_ms"));
        }
        let records = options.records.into_iter().map(|(at, latency)| (at.0, latency.0)).collect();
        Recorded::new(records, options.repeat).map(Self)
    }

    /// The latency at a moment, of a trace that starts at another.
    #[must_use]
    pub fn at(&self, start: Time, now: Time) -> Span {
        self.0.at(now.since(start))
    }
}
