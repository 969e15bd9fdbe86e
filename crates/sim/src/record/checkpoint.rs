//! Checkpoints: one value in one file, replaced as a whole or not at all.
//!
//! The file holds a magic word, the format version, the length, a digest and the bytes of
//! [`hcddl_files::bytes::to_bytes`]. It is written beside the old one, synced and renamed over it, so a
//! crash or a full disk leaves the previous checkpoint intact.

use hcddl_core::domain::digest::of_bytes;
use hcddl_files::atomic::Replacement;
use hcddl_files::bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Name of the file in a run directory.
pub const FILE: &str = "checkpoint.bin";
/// Version of what is stored; raised whenever a stored type changes.
pub const CHECKPOINT_VERSION: u32 = 5;

const MAGIC: [u8; 8] = *b"hcddlckp";
const HEAD: usize = 8 + 4 + 8 + 16;

/// Why a checkpoint cannot be written or read.
#[derive(Debug, Error)]
pub enum CheckpointError {
    /// There is none.
    #[error("no checkpoint in `{0}`; the run ended before its first one: start it again without --resume")]
    Missing(PathBuf),
    /// Not a checkpoint, or a damaged one.
    #[error("the checkpoint `{path}` {problem}; start the run again without --resume")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Written by another version of the program.
    #[error(
        "the checkpoint `{path}` has format {found}, this program reads {CHECKPOINT_VERSION}; \
         resume with the hcddl version that repeat.json names"
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// The value cannot be encoded: a bug, not the user's fault.
    #[error(transparent)]
    Encode(#[from] bytes::BytesError),
    /// The operating system said no.
    #[error("cannot {doing} `{path}`: {error}")]
    Io {
        /// Write, read...
        doing: &'static str,
        /// Which file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
}

/// Replaces the checkpoint of a directory.
///
/// # Errors
/// [`CheckpointError::Io`] when the disk is full or the directory is gone; the old checkpoint is kept.
pub fn write<T: Serialize>(dir: &Path, value: &T) -> Result<(), CheckpointError> {
    let payload = bytes::to_bytes(value)?;
    let mut head = Vec::with_capacity(HEAD);
    head.extend_from_slice(&MAGIC);
    head.extend_from_slice(&CHECKPOINT_VERSION.to_le_bytes());
    head.extend_from_slice(&(payload.len() as u64).to_le_bytes());
    head.extend_from_slice(&of_bytes(&payload).0.to_le_bytes());
    let path = dir.join(FILE);
    let written = Replacement::create(&path).and_then(|mut file| {
        file.write_all(&head)?;
        file.write_all(&payload)?;
        file.keep()
    });
    written.map_err(|error| CheckpointError::Io { doing: "write", path, error })
}

/// Reads the checkpoint of a directory.
///
/// # Errors
/// [`CheckpointError`] when there is none, when it is cut short or damaged, or of another format.
pub fn read<T: DeserializeOwned>(dir: &Path) -> Result<T, CheckpointError> {
    let path = dir.join(FILE);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(CheckpointError::Missing(dir.to_owned()));
        }
        Err(error) => return Err(CheckpointError::Io { doing: "read", path, error }),
    };
    decode(path, &bytes)
}

/// Reads the bytes of a checkpoint.
pub fn decode<T: DeserializeOwned>(path: PathBuf, bytes: &[u8]) -> Result<T, CheckpointError> {
    let damaged = |problem: String| CheckpointError::Damaged { path: path.clone(), problem };
    let Some((head, payload)) = bytes.split_at_checked(HEAD) else {
        return Err(damaged(format!("is cut short ({} bytes)", bytes.len())));
    };
    if head[..8] != MAGIC {
        return Err(damaged("is not a checkpoint of hcddl".to_owned()));
    }
    let found = u32::from_le_bytes([head[8], head[9], head[10], head[11]]);
    if found != CHECKPOINT_VERSION {
        return Err(CheckpointError::Version { path, found });
    }
    let mut numbers = [0; 24];
    numbers.copy_from_slice(&head[12..]);
    let (length, digest) = numbers.split_at(8);
    if length != (payload.len() as u64).to_le_bytes() {
        return Err(damaged(format!("is cut short ({} bytes)", bytes.len())));
    }
    if digest != of_bytes(payload).0.to_le_bytes() {
        return Err(damaged("is damaged: its digest does not match".to_owned()));
    }
    bytes::from_bytes(payload, payload.len() as u64).map_err(|error| damaged(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Value = (u64, Vec<f32>, Option<String>);

    fn value(n: u64) -> Value {
        (n, vec![1.5; 100], Some("label".to_owned()))
    }

    #[test]
    fn the_last_one_written_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(read::<Value>(dir.path()), Err(CheckpointError::Missing(_))));
        write(dir.path(), &value(1)).unwrap();
        write(dir.path(), &value(2)).unwrap();
        assert_eq!(read::<Value>(dir.path()).unwrap(), value(2));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn every_cut_and_every_changed_byte_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), &value(1)).unwrap();
        let path = dir.path().join(FILE);
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            fs::write(&path, &whole[..at]).unwrap();
            assert!(matches!(read::<Value>(dir.path()), Err(CheckpointError::Damaged { .. })), "cut at {at}");
            let mut changed = whole.clone();
            changed[at] ^= 1;
            fs::write(&path, changed).unwrap();
            match (at, read::<Value>(dir.path())) {
                (8..12, Err(CheckpointError::Version { found, .. })) => assert_ne!(found, CHECKPOINT_VERSION),
                (8..12, other) => panic!("version byte {at}: {other:?}"),
                (_, other) => assert!(matches!(other, Err(CheckpointError::Damaged { .. })), "byte {at}"),
            }
        }
    }

    #[test]
    fn a_failed_write_keeps_the_old_one() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), &value(1)).unwrap();
        // A directory in the place of the temporary file: creating it fails, whoever the user is.
        fs::create_dir(dir.path().join(format!(".{FILE}.part"))).unwrap();
        assert!(matches!(write(dir.path(), &value(2)), Err(CheckpointError::Io { doing: "write", .. })));
        assert_eq!(read::<Value>(dir.path()).unwrap(), value(1));
    }
}
