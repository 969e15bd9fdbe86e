//! The controller's side of a deployment: looks at the hosts, brings them what they need, starts the supervisors, follows
//! them, and fetches what they wrote.

pub mod binary;
pub mod check;
pub mod checkout;
mod closing;
pub(crate) mod course;
pub(crate) mod fetch;
mod fleet;
mod follow;
mod hold;
mod launch;
mod parcel;
mod probe;
mod record;
mod unpack;

pub use closing::Closing;
pub use course::{End, HostState};
pub use fetch::fetch;
pub use fleet::{ControlDir, Fleet, each};
pub use follow::{Follower, follow};
pub use hold::{Hold, HoldError, Holder};
pub use launch::{Launched, Program, clean, launch, order, start, status, stop};
pub use parcel::{NodeParcel, Parcel, RunFile, random_hex};
pub use probe::Probe;
pub use record::{FILE as RECORD, HostRecord, Record};

/// Exit code of `hcddl remote` when there is no supervisor, though it has not ended as it should.
pub const GONE: i32 = 3;
