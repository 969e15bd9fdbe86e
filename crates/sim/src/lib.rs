//! The simulator: nodes under a virtual clock. [`run`] is what every carrier of nodes shares, deployed ones too;
//! [`sim`] the conductor with its heap and network; [`record`] the run directory; [`study`] many runs of one scenario;
//! [`explore`] the search of other orders of events.
//!
//! **Invariant:** the same plan and seeds give the same order of events and the same weights, to the bit, whatever the
//! threads and the runner.
//!
//! **Boundary:** time and delivery come from here; what nodes do does not. Real computation runs on threads beside the
//! loop, and a result is looked at only when virtual time reaches its end.

pub mod explore;
pub mod record;
pub mod run;
pub mod sim;
pub mod simulate;
pub mod study;

pub use simulate::{SimulateError, simulate, simulate_text};
