//! The storm: the code of deployed nodes in a modelled world that breaks. Stages, reliable delivery, bonds, checkpoints
//! and order logs are those of a deployment; clocks, connections, disks and processes are modelled, so that a seed says
//! everything that happens. Connections are cut, left half open and reset; processes are killed, paused and started
//! again; power fails; clocks drift. Two things are asked of every run: that it ends soon after the last fault (in its
//! commits, or with a reason), and that nothing of it is wrong: no update counts twice, every log explains its node to
//! the bit, no node keeps more than a few tensors. As TigerBeetle's simulator and `FoundationDB`'s do.

mod breaks;
mod connections;
mod desk;
mod edge;
pub mod fleet;
mod judge;
pub mod plain;
mod processes;
mod shrink;
mod weather;
mod world;

pub use shrink::shrink;
pub use weather::{Fault, Weather};

use std::path::Path;

/// What became of a run in the storm.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Events of all processes.
    pub events: u64,
    /// Processes that were started.
    pub lives: u64,
    /// Commits of the root, or of all peers.
    pub commits: u64,
    /// Virtual seconds.
    pub seconds: f64,
    /// The reason in words.
    pub end: String,
}

/// Lets a run go through its weather, with its files below `dir`, which must be empty.
///
/// # Errors
/// What went wrong, in a sentence.
pub fn run(weather: &Weather, dir: &Path) -> Result<Report, String> {
    let ready = world::Ready::new(weather)?;
    let mut world = world::World::new(weather, &ready, dir);
    world.run()?;
    judge::judge(&world, &ready, dir)
}
