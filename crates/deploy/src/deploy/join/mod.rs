//! Devices that register themselves: `hcddl node --join ADDRESS`, for fleets that the controller cannot reach by SSH.
//!
//! A device keeps one connection to the controller open and waits. When the controller wants something done, it sends a
//! script over it; the device runs it, the script's streams travel over the connection until it ends, and meanwhile the
//! device has opened the next. To everything above this is a [`Remote`](super::remote::Remote) like any other.

mod desk;
mod device;
mod frame;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod token;

pub use desk::{Desk, Joined};
pub use device::serve;
pub use token::{Token, write_tokens};

#[cfg(test)]
mod tests;
