//! Checkpoints of the root server: its state after a commit, written beside the run and replaced as a whole.

use super::Place;
use hcddl_core::domain::{Time, Version};
use hcddl_core::node::NodeState;
use hcddl_plan::measure::account::Account;
use hcddl_sim::record::checkpoint::{self, CheckpointError};
use hcddl_sim::run::probe::ProbeState;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// What is kept.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Saved {
    /// Counts the checkpoints of a run.
    pub number: u64,
    /// The node's clock.
    pub now: Time,
    pub state: NodeState,
    pub version: Version,
    pub account: Account,
    pub probe: ProbeState,
}

/// The last checkpoint of a node that was started before; none before the first.
pub(crate) fn load(place: &Place) -> anyhow::Result<Option<Saved>> {
    match checkpoint::read::<Saved>(&place.own) {
        Ok(saved) if place.life > 0 => Ok(Some(saved)),
        Ok(_) | Err(CheckpointError::Missing(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Reads the bytes of a checkpoint, without its head.
#[cfg(feature = "fuzzing")]
pub fn read_bytes(bytes: &[u8]) {
    let _ = hcddl_files::bytes::from_bytes::<Saved>(bytes, bytes.len() as u64);
}

/// Replaces the checkpoint of a node.
///
/// # Errors
/// A full disk; the old one is kept.
pub(crate) fn write(own: &Path, saved: &Saved) -> Result<(), CheckpointError> {
    checkpoint::write(own, saved)
}
