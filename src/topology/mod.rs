//! Topologies.

pub mod draw;
#[cfg(test)]
pub(crate) mod fixture;
