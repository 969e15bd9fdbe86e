//! hcddl: hierarchical clustered distributed deep learning.

#[cfg(feature = "runtime")]
pub mod actor;
pub mod compress;
pub mod device;
pub mod domain;
pub mod error;
pub mod learn;
pub mod net;
pub mod node;
pub mod peer;
pub mod policy;
pub mod registry;
pub mod scenario;
pub mod sim;
pub mod topology;
