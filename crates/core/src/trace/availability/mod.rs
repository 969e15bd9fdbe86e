//! When a node is there: one file and one row each.

mod diurnal;
mod poisson;
mod weibull;

pub use diurnal::Diurnal;
pub use poisson::Poisson;
pub use weibull::Weibull;

use super::{Course, Recorded};
use crate::domain::units::Duration;
use crate::domain::{Build, OptionError, Pluggable, Stream, Table};
use std::sync::Arc;

/// When a node is there, and when it is away.
pub trait Availability: Send + Sync + std::fmt::Debug {
    /// Whether it is there, over time; draws from `stream` alone.
    fn course(&self, stream: Stream) -> Course<bool>;
}

/// Makes one from its options.
pub type BuildAvailability = Build<Arc<dyn Availability>>;

impl Pluggable for dyn Availability {
    type Build = BuildAvailability;
    const KIND: &'static str = "availability";
    const LIST: &'static str = "availabilities";
}

impl Availability for Recorded<bool> {
    fn course(&self, _: Stream) -> Course<bool> {
        Recorded::course(self)
    }
}

/// All generators of availability.
#[must_use]
pub fn table() -> Table<BuildAvailability> {
    Table::new::<dyn Availability>(vec![poisson::row(), weibull::row(), diurnal::row()])
}

/// A mean length that is more than nothing.
fn length(key: &str, value: Duration) -> Result<(), OptionError> {
    OptionError::check(value.0.0 > 0, key, value, "more than 0")
}

/// Whether a node is there at the start, if it is there for `on` of every `on + off`.
fn there_at_start(stream: &mut Stream, on: Duration, off: Duration) -> bool {
    let (on, off) = (on.0.seconds(), off.0.seconds());
    stream.uniform() < on / (on + off)
}
