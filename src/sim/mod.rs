//! The simulator.
pub mod outcome;
