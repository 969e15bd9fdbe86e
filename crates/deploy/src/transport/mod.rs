//! What travels between processes: how it is written down, and the connections it takes.

mod bulk;
mod control;
pub mod door;
mod edge;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
pub(crate) mod gate;
mod heads;
pub(crate) mod hello;
pub mod identity;
#[cfg(test)]
mod lab;
pub mod links;
mod listen;
mod meet;
mod ports;
mod queue;
pub(crate) mod rules;
#[cfg(test)]
mod security_tests;
mod stream;
mod together;
pub mod wire;

pub use identity::{Authority, Identity};
pub use links::{Credit, Input, LinkError, Links, LinksConfig, Neighbour, Stamp, Traffic};

pub use ports::free_ports;
