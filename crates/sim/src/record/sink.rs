//! A file that only grows, knows its length, and can be cut back to an earlier one.

use super::RecordError;
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// An output file, buffered.
#[derive(Debug)]
pub struct Sink {
    path: PathBuf,
    file: BufWriter<File>,
    bytes: u64,
}

impl Sink {
    /// A new, empty file.
    pub fn create(path: PathBuf) -> Result<Self, RecordError> {
        let file = File::create(&path).map_err(RecordError::io("create", &path))?;
        Ok(Self { path, file: BufWriter::new(file), bytes: 0 })
    }

    /// An existing file, cut back to its first `bytes`, which must end a line.
    pub fn resume(path: PathBuf, bytes: u64) -> Result<Self, RecordError> {
        let mut file =
            OpenOptions::new().read(true).write(true).open(&path).map_err(RecordError::io("open", &path))?;
        let mut last = [b'\n'];
        if bytes > 0 {
            file.seek(SeekFrom::Start(bytes - 1))
                .and_then(|_| file.read_exact(&mut last))
                .map_err(|_| damaged(&path, "is shorter than its checkpoint says"))?;
        }
        if last != [b'\n'] {
            return Err(damaged(&path, "was changed after its checkpoint"));
        }
        file.set_len(bytes)
            .and_then(|()| file.seek(SeekFrom::End(0)))
            .map_err(RecordError::io("truncate", &path))?;
        Ok(Self { path, file: BufWriter::new(file), bytes })
    }

    /// Appends.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), RecordError> {
        self.bytes += bytes.len() as u64;
        self.file.write_all(bytes).map_err(RecordError::io("write", &self.path))
    }

    /// Hands everything to the operating system.
    pub fn flush(&mut self) -> Result<(), RecordError> {
        self.file.flush().map_err(RecordError::io("write", &self.path))
    }

    /// Bytes written so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// A file that does not fit its checkpoint.
pub fn damaged(path: &Path, problem: &str) -> RecordError {
    let dir = path.parent().unwrap_or(path).to_owned();
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    RecordError::Resume { dir, problem: format!("{file} {problem}; start the run again without --resume") }
}
