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
use std::sync::Arc;

/// Makes a distribution from its options.
pub type BuildLatency = fn(&Choice) -> Result<Arc<dyn Distribution>, OptionError>;

/// Every distribution.
#[must_use]
pub fn table() -> Table<BuildLatency> {
    Table::new(
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
    )
}

/// The distribution that this choice names.
///
/// # Errors
/// [`OptionError`] when there is no such row or its options are wrong.
pub fn latency(choice: &Choice) -> Result<Arc<dyn Distribution>, OptionError> {
    let table = table();
    let (row, choice) = table.resolve(choice)?;
    (row.build)(&choice).map_err(|error| error.with_example(row.example))
}

/// The distribution that a scenario writes: `20ms` (constant), `lognormal(2ms, 0.5)` or
/// `{name: lognormal, median: 2ms, sigma: 0.5}`.
///
/// # Errors
/// [`OptionError`] when it is none of these.
pub fn latency_from_value(value: &Value) -> Result<Arc<dyn Distribution>, OptionError> {
    let text = match value {
        Value::String(text) => text.trim(),
        Value::Number(number) => &number.to_string(),
        other => return latency(&Choice::from_value(other)?),
    };
    if text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c)) {
        let Duration(span) = text.parse()?;
        return Ok(Arc::new(Constant { value: span }));
    }
    latency(&Choice::from_value(value)?)
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
