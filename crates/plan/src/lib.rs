//! From a scenario to what is to be done: [`scenario`] reads and checks the YAML, every mistake with its place; a
//! [`Plan`](plan::Plan) is what it means; the [`registry`] holds every table of names; the [`factory`] makes the nodes
//! of a plan. [`measure`] is what is measured of a run, whoever carries its nodes.
//!
//! **Invariant:** whoever holds a [`Plan`](plan::Plan) holds one that can be run: nothing in it has to be checked
//! again, and nothing in it is text that is yet to be understood.
//!
//! **Boundary:** `sim` and `deploy` take plans; only `scenario` makes them. The shape of the YAML
//! (`scenario::file`) is known to nobody else.

pub mod factory;
// Public for the tests of the crates above alone.
#[doc(hidden)]
pub mod fixture;
#[cfg(test)]
mod laws;
pub mod measure;
pub mod plan;
pub mod registry;
pub mod scenario;

pub use registry::Registry;
