//! Exploration: searches the orders of events that physically possible delays can bring about, for the worst result
//! and for broken laws. A schedule that breaks a law is shrunk to the few decisions that it needs.
//!
//! Read in this order: `bounds` (what is possible), `strategy` (what is tried), `laws` and `judge` (what must hold),
//! `attempt` (one run), `shrink`, `search` (all of it), `report`.

pub mod attempt;
pub mod bounds;
pub mod judge;
pub mod laws;
pub mod report;
pub mod search;
pub mod shrink;
pub mod strategy;

pub use bounds::Reach;
pub use search::{Exploration, ExploreOptions, Finding, Tried, explore};
pub use strategy::Strategy;
