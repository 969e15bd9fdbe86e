//! The controller's side of a deployment: looks at the hosts, brings them what they need, starts the supervisors, follows
//! them, and fetches what they wrote.

pub mod binary;
pub mod bundle;
pub mod check;
mod fetch;
mod fleet;
mod follow;
mod launch;
mod probe;
mod record;

pub use bundle::{Bundle, Identities, node_data};
pub use fetch::fetch;
pub use fleet::{ControlDir, Fleet, each};
pub use follow::{End, Follower, HostState, follow};
pub use launch::{Launched, clean, launch, order, start, stop};
pub use probe::Probe;
pub use record::{HostRecord, Record};

/// Exit code of `hcddl remote` when there is no supervisor, though it has not ended as it should.
pub const GONE: i32 = 3;
