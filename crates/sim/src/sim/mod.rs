//! The simulator: many nodes, one virtual clock, real gradients.
//!
//! The conductor pops the earliest event, hands it to the node concerned, takes the node's effects, and turns
//! them into later events. The order is decided by the heap alone, whatever the runner, the threads or the
//! cores. Read in this order: `heap`, `conductor`, `effects`, `network`.

mod bonds;
pub mod checkpoint;
mod conductor;
mod effects;
mod evaluate;
mod faults;
mod heap;
mod jobs;
pub(crate) mod network;
pub mod order_gate;
mod run;
mod silence;
mod traces;

pub use run::{Ended, Imposed, Parts, RunResult, Start, run, run_directed, run_imposed};
