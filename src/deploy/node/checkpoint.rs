//! Checkpoints of the root server: its state after a commit, written beside the run and replaced as a whole.

use super::Place;
use crate::domain::{Time, Version};
use crate::measure::account::Account;
use crate::node::NodeState;
use crate::record::checkpoint::{self, CheckpointError};
use crate::run::probe::ProbeState;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::thread::JoinHandle;

/// What is kept.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Saved {
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
pub(super) fn load(place: &Place) -> anyhow::Result<Option<Saved>> {
    match checkpoint::read::<Saved>(&place.own) {
        Ok(saved) if place.birth > 0 => Ok(Some(saved)),
        Ok(_) | Err(CheckpointError::Missing(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Reads the bytes of a checkpoint, without its head.
#[cfg(feature = "fuzzing")]
pub(crate) fn read_bytes(bytes: &[u8]) {
    let _ = crate::files::bytes::from_bytes::<Saved>(bytes, bytes.len() as u64);
}

/// Writes checkpoints on a thread of its own, one at a time.
pub(super) struct Saver {
    dir: PathBuf,
    number: u64,
    writing: Option<JoinHandle<Result<(), CheckpointError>>>,
}

impl Saver {
    pub fn new(place: &Place, number: u64) -> Self {
        Self { dir: place.own.clone(), number, writing: None }
    }

    pub fn is_busy(&self) -> bool {
        self.writing.as_ref().is_some_and(|writing| !writing.is_finished())
    }

    pub fn next_number(&mut self) -> u64 {
        self.number += 1;
        self.number
    }

    pub fn start(&mut self, saved: Saved) {
        let dir = self.dir.clone();
        self.writing = Some(std::thread::spawn(move || checkpoint::write(&dir, &saved)));
    }

    /// The error of a checkpoint that could not be written.
    pub fn check(&mut self) -> anyhow::Result<()> {
        if self.is_busy() { Ok(()) } else { self.finish() }
    }

    /// Waits for the checkpoint that is being written.
    pub fn finish(&mut self) -> anyhow::Result<()> {
        match self.writing.take().map(JoinHandle::join) {
            Some(Ok(written)) => Ok(written?),
            Some(Err(_)) => anyhow::bail!("the thread that writes checkpoints died"),
            None => Ok(()),
        }
    }
}
