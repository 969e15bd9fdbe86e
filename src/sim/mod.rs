//! The simulator: many nodes, one virtual clock, real gradients.
//!
//! The conductor pops the earliest event, hands it to the node concerned, takes the node's effects, and turns
//! them into later events. The order is decided by the heap alone, whatever the runner, the threads or the
//! cores. Read in this order: [`outcome`], `heap`, `conductor`, `network`, `compute`, `pool`, `probe`.

pub mod outcome;

pub mod account;
#[cfg(feature = "runtime")]
mod bonds;
#[cfg(feature = "runtime")]
pub mod checkpoint;
#[cfg(feature = "runtime")]
pub(crate) mod compute;
#[cfg(feature = "runtime")]
mod conductor;
pub mod director;
#[cfg(feature = "runtime")]
mod effects;
#[cfg(feature = "runtime")]
pub(crate) mod execute;
#[cfg(feature = "runtime")]
mod faults;
#[cfg(feature = "runtime")]
pub mod guide;
#[cfg(feature = "runtime")]
mod heap;
#[cfg(feature = "runtime")]
mod jobs;
#[cfg(feature = "runtime")]
pub mod lead;
pub mod metrics;
#[cfg(feature = "runtime")]
pub(crate) mod network;
#[cfg(feature = "runtime")]
pub(crate) mod pool;
#[cfg(feature = "runtime")]
pub(crate) mod probe;
#[cfg(feature = "runtime")]
mod run;
#[cfg(feature = "runtime")]
pub(crate) mod runner;
#[cfg(feature = "runtime")]
mod silence;

#[cfg(feature = "runtime")]
pub use run::{RunResult, SimError, run, run_directed};
