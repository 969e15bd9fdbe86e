//! How the rate of a line changes over time: one file and one row each.

mod random_walk;

pub use random_walk::RandomWalk;

use super::{Course, Recorded};
use crate::domain::{Build, Pluggable, Stream, Table};
use std::sync::Arc;

/// The rate of a line over time.
pub trait Bandwidth: Send + Sync + std::fmt::Debug {
    /// Bytes per second over time, 0 for a line that carries nothing; draws from `stream` alone.
    fn course(&self, stream: Stream) -> Course<f64>;
}

/// Makes one from its options.
pub type BuildBandwidth = Build<Arc<dyn Bandwidth>>;

impl Pluggable for dyn Bandwidth {
    type Build = BuildBandwidth;
    const KIND: &'static str = "bandwidth";
    const LIST: &'static str = "bandwidths";
}

impl Bandwidth for Recorded<f64> {
    fn course(&self, _: Stream) -> Course<f64> {
        Recorded::course(self)
    }
}

/// All generators of rates.
#[must_use]
pub fn table() -> Table<BuildBandwidth> {
    Table::new::<dyn Bandwidth>(vec![random_walk::row()])
}
