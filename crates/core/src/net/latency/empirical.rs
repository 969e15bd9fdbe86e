//! Measured latencies: each draw is one of the samples.

use super::{BuildLatency, Latencies};
use crate::domain::units::Duration;
use crate::domain::{Choice, OptionError, Row, Span, Stream};
use crate::net::Distribution;
use serde::Deserialize;
use std::sync::Arc;

/// Every sample is equally likely; draws are independent.
#[derive(Clone, Debug, PartialEq)]
pub struct Empirical {
    samples: Vec<Span>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    #[serde(default)]
    samples: Vec<Duration>,
    /// Reading files is not the business of the pure core: the scenario replaces this by `samples`.
    #[serde(default)]
    csv: Option<String>,
}

/// The row of the table.
pub(super) fn row() -> Row<BuildLatency> {
    Row {
        name: "empirical",
        summary: "one of the measured `samples`, or of those in the file `csv`",
        example: "{name: empirical, samples: [10ms, 12ms, 30ms]}",
        positional: &[],
        build,
    }
}

fn build(choice: &Choice, _: &Latencies) -> Result<Arc<dyn Distribution>, OptionError> {
    let options: Options = choice.options()?;
    if let Some(path) = options.csv {
        return Err(OptionError::new(
            "csv",
            format!("the samples in `{path}` have not been read"),
            "`csv` in a scenario file, or `samples`",
        ));
    }
    let samples = options.samples.into_iter().map(|duration| duration.0).collect();
    Empirical::new(samples).map(|empirical| Arc::new(empirical) as Arc<dyn Distribution>)
}

impl Empirical {
    /// From measured latencies.
    ///
    /// # Errors
    /// [`OptionError`] when there are none.
    pub fn new(samples: Vec<Span>) -> Result<Self, OptionError> {
        if samples.is_empty() {
            return Err(OptionError::new("samples", "there are no samples", "one or more"));
        }
        Ok(Self { samples })
    }
}

impl Distribution for Empirical {
    fn sample(&self, stream: &mut Stream) -> Span {
        self.samples[stream.below(self.samples.len() as u64) as usize]
    }

    fn mean(&self) -> Option<Span> {
        let sum: u128 = self.samples.iter().map(|span| u128::from(span.0)).sum();
        Some(Span((sum / self.samples.len() as u128) as u64))
    }
}
