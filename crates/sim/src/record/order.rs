//! The order log: what a node of a deployed run was told, in order, with the moments that it read. With the
//! scenario it is enough to execute the run again to the same bits: tensors are computed anew, not stored.
//!
//! One file for each node, records of 40 bytes, little-endian; the first one is a head.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 8 | nanoseconds since the node started (of the head: magic `hcddlord`) |
//! | 8 | 1 | kind |
//! | 12 | 4 | another node |
//! | 16 | 24 | three words, by kind |
//!
//! Each record is handed to the operating system before the node's effects are carried out, so what a killed process
//! has sent is in its log.

use super::RecordError;
use hcddl_core::domain::{Digest, JobId, NodeId, Time, Token, Version};
use hcddl_core::node::Reason;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Bytes of a record.
pub const RECORD_BYTES: usize = 40;
const MAGIC: u64 = u64::from_le_bytes(*b"hcddlord");
/// Version of the format; a reader refuses any other.
pub const ORDER_VERSION: u64 = 1;

/// A record: when, and what.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Nanoseconds since the node started, as it read them.
    pub now: Time,
    /// What.
    pub what: What,
}

/// What a record says. The first group are the node's inputs, the second checks on its outputs.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// The node's process begins this life of it, from 0.
    Born {
        /// How often it was started before.
        life: u32,
        /// The checkpoint that it continues from, by its number.
        checkpoint: Option<u64>,
    },
    /// [`Event::Start`](hcddl_core::node::Event::Start).
    Start,
    /// The `ordinal`th message that `from` sent to this node in this life of it.
    Received {
        /// The sender.
        from: NodeId,
        /// The sender's life.
        life: u32,
        /// Position among what it sent to this node in that life, from 0.
        ordinal: u64,
    },
    /// A job ended.
    Done {
        /// Which.
        job: JobId,
        /// Gradient steps of a training job that was given up before its end; `None` for a whole job.
        steps: Option<u64>,
    },
    /// A timer ran down.
    Timer(Token),
    /// A neighbour is there again.
    Up(NodeId),
    /// A neighbour is lost.
    Down(NodeId),
    /// The connection to a neighbour was lost and is there again.
    Reconnected(NodeId),
    /// The run must end.
    Stop(Reason),
    /// The node committed a version.
    Commit {
        /// The version.
        version: Version,
        /// Digest of the model.
        digest: Digest,
    },
    /// The node's state after the last event was saved.
    Checkpoint {
        /// Number of the checkpoint, from 1.
        number: u64,
    },
}

const NONE: u64 = u64::MAX;

impl Entry {
    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; RECORD_BYTES] {
        let (kind, node, words) = match &self.what {
            What::Born { life, checkpoint } => (1, 0, [u64::from(*life), checkpoint.unwrap_or(NONE), 0]),
            What::Start => (2, 0, [0; 3]),
            What::Received { from, life, ordinal } => (3, from.0, [*ordinal, u64::from(*life), 0]),
            What::Done { job, steps } => (4, 0, [job.0, steps.unwrap_or(NONE), 0]),
            What::Timer(token) => (5, 0, [token.0, 0, 0]),
            What::Up(node) => (6, node.0, [0; 3]),
            What::Down(node) => (7, node.0, [0; 3]),
            What::Reconnected(node) => (8, node.0, [0; 3]),
            What::Stop(reason) => (9, 0, [reason_word(reason), 0, 0]),
            What::Commit { version, digest } => {
                (10, 0, [version.0, digest.0 as u64, (digest.0 >> 64) as u64])
            }
            What::Checkpoint { number } => (11, 0, [*number, 0, 0]),
        };
        record(self.now.0, kind, node, words)
    }

    /// The entry of these bytes; `None` if they mean nothing.
    #[must_use]
    pub fn decode(bytes: &[u8; RECORD_BYTES]) -> Option<Self> {
        let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
        let node = NodeId(u32::from_le_bytes(bytes[12..16].try_into().expect("four bytes")));
        let [a, b, c] = [word(16), word(24), word(32)];
        let some = |word: u64| (word != NONE).then_some(word);
        let what = match bytes[8] {
            1 => What::Born { life: u32::try_from(a).ok()?, checkpoint: some(b) },
            2 => What::Start,
            3 => What::Received { from: node, life: u32::try_from(b).ok()?, ordinal: a },
            4 => What::Done { job: JobId(a), steps: some(b) },
            5 => What::Timer(Token(a)),
            6 => What::Up(node),
            7 => What::Down(node),
            8 => What::Reconnected(node),
            9 => What::Stop(reason_of(a)?),
            10 => What::Commit { version: Version(a), digest: Digest(u128::from(b) | (u128::from(c) << 64)) },
            11 => What::Checkpoint { number: a },
            _ => return None,
        };
        Some(Self { now: Time(word(0)), what })
    }
}

fn record(first: u64, kind: u8, node: u32, words: [u64; 3]) -> [u8; RECORD_BYTES] {
    let mut bytes = [0; RECORD_BYTES];
    bytes[..8].copy_from_slice(&first.to_le_bytes());
    bytes[8] = kind;
    bytes[12..16].copy_from_slice(&node.to_le_bytes());
    for (at, word) in bytes[16..].chunks_exact_mut(8).zip(words) {
        at.copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

/// Only reasons that a node is told have a word; a stall is found by the node itself.
fn reason_word(reason: &Reason) -> u64 {
    match reason {
        Reason::Rounds => 0,
        Reason::Target => 1,
        Reason::TimeLimit => 2,
        Reason::Interrupted => 3,
        Reason::Stalled(_) => 4,
        Reason::Failed(_) => 5,
    }
}

fn reason_of(word: u64) -> Option<Reason> {
    Some(match word {
        0 => Reason::Rounds,
        1 => Reason::Target,
        2 => Reason::TimeLimit,
        3 => Reason::Interrupted,
        4 => Reason::Stalled("told to stop".to_owned()),
        5 => Reason::Failed("told to stop".to_owned()),
        _ => return None,
    })
}

/// Writes a node's log.
#[derive(Debug)]
pub struct OrderLog {
    file: File,
    path: PathBuf,
}

impl OrderLog {
    /// Opens the log of a node; a later life of the node goes on where the former ended.
    ///
    /// # Errors
    /// [`RecordError::Io`].
    pub fn open(path: &Path, node: NodeId) -> Result<Self, RecordError> {
        let io = RecordError::io("create", path);
        let mut file = OpenOptions::new().create(true).append(true).open(path).map_err(io)?;
        let io = |error| RecordError::io("write", path)(error);
        let len = file.metadata().map_err(&io)?.len();
        // A power cut may have left part of a record, or of the head.
        let whole = len - len % RECORD_BYTES as u64;
        file.set_len(whole).map_err(&io)?;
        if whole == 0 {
            file.write_all(&record(MAGIC, 0, node.0, [ORDER_VERSION, 0, 0])).map_err(&io)?;
        }
        Ok(Self { file, path: path.to_owned() })
    }

    /// The file, to be synchronised: a checkpoint must not be on the disk before the entries that lead to it, or a run
    /// that goes on from it after a power cut cannot be explained.
    ///
    /// # Errors
    /// When the system has no file to give.
    pub fn file(&self) -> Result<File, RecordError> {
        self.file.try_clone().map_err(RecordError::io("synchronise", &self.path))
    }

    /// Writes an entry.
    ///
    /// # Errors
    /// [`RecordError::Io`], for example when the disk is full.
    pub fn push(&mut self, entry: &Entry) -> Result<(), RecordError> {
        self.file.write_all(&entry.encode()).map_err(RecordError::io("write", &self.path))
    }
}

/// Reads a node's log; an unfinished record at its end is left out.
///
/// # Errors
/// [`RecordError::Order`] when the file is not an order log or holds a record without meaning; [`RecordError::Io`].
pub fn read(path: &Path) -> Result<(NodeId, Vec<Entry>), RecordError> {
    let bytes = std::fs::read(path).map_err(RecordError::io("read", path))?;
    parse(path, &bytes)
}

/// Reads the bytes of a node's log.
pub fn parse(path: &Path, bytes: &[u8]) -> Result<(NodeId, Vec<Entry>), RecordError> {
    let damaged = |problem: String| RecordError::Order { path: path.to_owned(), problem };
    let (records, _) = bytes.as_chunks::<RECORD_BYTES>();
    let Some((head, records)) = records.split_first() else {
        return Err(damaged("is empty".to_owned()));
    };
    let word = |at: usize| u64::from_le_bytes(head[at..at + 8].try_into().expect("eight bytes"));
    if word(0) != MAGIC || head[8] != 0 {
        return Err(damaged("is not an order log of hcddl".to_owned()));
    }
    if word(16) != ORDER_VERSION {
        return Err(damaged(format!("has format {}, this program reads {ORDER_VERSION}", word(16))));
    }
    let node = NodeId(u32::from_le_bytes(head[12..16].try_into().expect("four bytes")));
    let entries = records.iter().enumerate().map(|(i, record)| {
        Entry::decode(record).ok_or_else(|| damaged(format!("is damaged: record {} has no meaning", i + 1)))
    });
    Ok((node, entries.collect::<Result<_, _>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries() -> Vec<Entry> {
        let all = [
            What::Born { life: 2, checkpoint: Some(7) },
            What::Born { life: 0, checkpoint: None },
            What::Start,
            What::Received { from: NodeId(3), life: 1, ordinal: 1 << 40 },
            What::Done { job: JobId(9), steps: None },
            What::Done { job: JobId(10), steps: Some(3) },
            What::Timer(Token(1 << 63)),
            What::Up(NodeId(4)),
            What::Down(NodeId(5)),
            What::Reconnected(NodeId(6)),
            What::Stop(Reason::Target),
            What::Commit { version: Version(12), digest: Digest(u128::MAX / 3) },
            What::Checkpoint { number: 5 },
        ];
        all.into_iter()
            .enumerate()
            .map(|(i, what)| Entry { now: Time(i as u64 * 1_000_000_007), what })
            .collect()
    }

    #[test]
    fn what_is_written_is_read_also_over_two_lives_and_a_torn_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("order.log");
        let all = entries();
        let mut log = OrderLog::open(&path, NodeId(8)).unwrap();
        all[..5].iter().for_each(|entry| log.push(entry).unwrap());
        drop(log);
        OpenOptions::new().append(true).open(&path).unwrap().write_all(&[1, 2, 3]).unwrap();
        assert_eq!(read(&path).unwrap(), (NodeId(8), all[..5].to_vec()));
        let mut log = OrderLog::open(&path, NodeId(8)).unwrap();
        all[5..].iter().for_each(|entry| log.push(entry).unwrap());
        assert_eq!(read(&path).unwrap(), (NodeId(8), all));
    }

    #[test]
    fn a_torn_head_is_written_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("order.log");
        for kept in [0, 1, RECORD_BYTES - 1] {
            let head = record(MAGIC, 0, 3, [ORDER_VERSION, 0, 0]);
            std::fs::write(&path, &head[..kept]).unwrap();
            let start = Entry { now: Time(1), what: What::Start };
            OrderLog::open(&path, NodeId(3)).unwrap().push(&start).unwrap();
            assert_eq!(read(&path).unwrap(), (NodeId(3), vec![start]), "{kept} bytes");
        }
    }

    #[test]
    fn damaged_logs_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("order.log");
        let mut log = OrderLog::open(&path, NodeId(1)).unwrap();
        entries().iter().for_each(|entry| log.push(entry).unwrap());
        let good = std::fs::read(&path).unwrap();
        for (at, value, says) in [(0, 0, "not an order log"), (16, 9, "format 9"), (88, 77, "record 2")] {
            let mut bad = good.clone();
            bad[at] = value;
            std::fs::write(&path, bad).unwrap();
            let error = read(&path).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
