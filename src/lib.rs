//! hcddl: hierarchical clustered distributed deep learning.

#[cfg(feature = "runtime")]
pub mod actor;
#[cfg(feature = "runtime")]
pub mod cli;
pub mod compress;
pub mod device;
pub mod domain;
pub mod error;
pub mod factory;
pub mod learn;
pub mod net;
pub mod node;
pub mod peer;
pub mod policy;
#[cfg(feature = "runtime")]
pub mod record;
pub mod registry;
#[cfg(feature = "runtime")]
pub mod report;
pub mod scenario;
pub mod sim;
pub mod topology;
#[cfg(feature = "runtime")]
pub mod transport;
