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
use crate::domain::{Build, OptionError, Pluggable, Table};
use std::sync::Arc;

/// Makes a distribution from its options.
pub type BuildLatency = Build<Arc<dyn Distribution>>;

/// A duration alone, `20ms`, is a constant one.
impl Pluggable for dyn Distribution {
    type Build = BuildLatency;
    const KIND: &'static str = "latency";
    const LIST: &'static str = "latencies";
    const UNNAMED: Option<&'static str> = Some("constant");
}

/// All distributions.
#[must_use]
pub fn table() -> Table<BuildLatency> {
    Table::new::<dyn Distribution>(vec![
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
    ])
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
