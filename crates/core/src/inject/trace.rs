//! Recorded latencies over time.

use crate::domain::units::Duration;
use crate::domain::{Choice, OptionError, Span, Time};
use serde::Deserialize;
use std::sync::Arc;

/// A latency for each moment: that of the last record, before the first one the first.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    /// Moments since the injection's start, ascending, and the latency from then on.
    records: Arc<[(Span, Span)]>,
    /// Whether it begins again after its last record.
    repeat: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    /// Reading files is not the business of the pure core: the scenario replaces this by `records`.
    #[serde(default)]
    csv: Option<String>,
    #[serde(default)]
    records: Vec<(Duration, Duration)>,
    #[serde(default)]
    repeat: bool,
}

impl Trace {
    /// The trace of a choice: `{name: trace, csv: FILE, repeat: false}`.
    ///
    /// # Errors
    /// No records, times that go back, a file that was not read.
    pub fn of(choice: &Choice) -> Result<Self, OptionError> {
        let options: Options = choice.options()?;
        if let Some(path) = options.csv {
            let message = format!("the records in `{path}` have not been read");
            return Err(OptionError::new("csv", message, "`csv` in a scenario file, or `records`"));
        }
        let records: Vec<(Span, Span)> = options.records.into_iter().map(|(at, l)| (at.0, l.0)).collect();
        if records.is_empty() {
            let message = "a trace without records";
            return Err(OptionError::new("", message, "`csv`: a file of time_s,latency_ms"));
        }
        if let Some(i) = records.windows(2).position(|pair| pair[1].0 <= pair[0].0) {
            let message = format!("record {} is not later than the one before it", i + 1);
            return Err(OptionError::new("records", message, "times that grow"));
        }
        if options.repeat && records.len() < 2 {
            return Err(OptionError::new("repeat", "one record cannot be repeated", "2 or more records"));
        }
        Ok(Self { records: records.into(), repeat: options.repeat })
    }

    /// The latency at a moment, of a trace that starts at another.
    #[must_use]
    pub fn at(&self, start: Time, now: Time) -> Span {
        let mut since = now.since(start);
        // It begins again where its last record is.
        if let (true, Some((length, _))) = (self.repeat, self.records.last()) {
            let first = self.records[0].0;
            let period = length.0 - first.0;
            since = if since < first { since } else { Span(first.0 + (since.0 - first.0) % period) };
        }
        let after = self.records.partition_point(|(at, _)| *at <= since);
        self.records[after.saturating_sub(1)].1
    }
}
