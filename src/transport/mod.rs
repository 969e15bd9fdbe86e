//! What travels between processes: how it is written down, and the connections it takes.

pub mod identity;
pub mod links;
pub mod wire;

pub use identity::{Authority, Identity};
pub use links::{Credit, Input, LinkError, Links, LinksConfig, Neighbour, Stamp, Traffic};
