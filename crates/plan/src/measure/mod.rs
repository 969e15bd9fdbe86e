//! What is measured of a run, whoever carries its nodes: [`outcome`] (what a run reports), [`account`] (bytes,
//! staleness, time, energy), [`metrics`] (the open set of figures that a scenario can ask for).

pub mod account;
mod joules;
pub mod metrics;
pub mod outcome;
