//! Distributions of one-way latency (and of any other time span): one file and one row each.
//!
//! Evidence for the choice of rows: round trips over LTE follow a generalised extreme value distribution with
//! a long tail; the delay of 5G needs a mixture; excess delay on the Internet is close to exponential. LANs
//! and WiFi are described by a lognormal body and a rare Pareto spike (`jittered`).

mod constant;
mod empirical;
mod gamma;
mod gev;
mod jittered;
mod lognormal;
mod mixture;
mod pareto;
mod shifted_exponential;
mod uniform;

pub use constant::Constant;
pub use empirical::Empirical;
pub use gamma::Gamma;
pub use gev::Gev;
pub use jittered::Jittered;
pub use lognormal::Lognormal;
pub use mixture::Mixture;
pub use pareto::Pareto;
pub use shifted_exponential::ShiftedExponential;
pub use uniform::Uniform;

use super::Distribution;
use crate::domain::units::Duration;
use crate::domain::{Choice, OptionError, Table};
use serde_json::Value;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

/// Makes a distribution from its options; those that are made of others find them in the table.
pub type BuildLatency = fn(&Choice, &Latencies) -> Result<Arc<dyn Distribution>, OptionError>;

/// The distributions that a scenario can name.
#[derive(Clone, Debug)]
pub struct Latencies(Table<BuildLatency>);

impl Default for Latencies {
    fn default() -> Self {
        Self(Table::new(
            "latency",
            vec![
                constant::row(),
                uniform::row(),
                shifted_exponential::row(),
                lognormal::row(),
                gamma::row(),
                pareto::row(),
                gev::row(),
                mixture::row(),
                empirical::row(),
                jittered::row(),
            ],
        ))
    }
}

impl Deref for Latencies {
    type Target = Table<BuildLatency>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for Latencies {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl Latencies {
    /// The distribution that a scenario writes: `20ms` (constant), `lognormal(2ms, 0.5)` or
    /// `{name: lognormal, median: 2ms, sigma: 0.5}`.
    ///
    /// # Errors
    /// [`OptionError`] when it is none of these.
    pub fn read(&self, value: &Value) -> Result<Arc<dyn Distribution>, OptionError> {
        let text = match value {
            Value::String(text) => text.trim(),
            Value::Number(number) => &number.to_string(),
            other => return self.build(&Choice::from_value(other)?),
        };
        if text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c)) {
            let Duration(span) = text.parse()?;
            return Ok(Arc::new(Constant { value: span }));
        }
        self.build(&Choice::from_value(value)?)
    }

    fn build(&self, choice: &Choice) -> Result<Arc<dyn Distribution>, OptionError> {
        let (row, choice) = self.resolve(choice)?;
        (row.build)(&choice, self).map_err(|error| error.with_example(row.example))
    }
}

/// An option that is zero or more and finite.
fn not_negative(key: &str, value: f64) -> Result<(), OptionError> {
    OptionError::check(value >= 0.0 && value.is_finite(), key, value, "zero or more")
}

/// An option that is more than zero and finite.
fn positive(key: &str, value: f64) -> Result<(), OptionError> {
    OptionError::check(value > 0.0 && value.is_finite(), key, value, "more than zero")
}

#[cfg(test)]
mod tests;
