//! What a node of a deployed run did when, by its own clock: `nodes/<node>/life<n>/trace.csv`. With the order log, which
//! has every arrival, it is all that a timeline over all nodes needs.
//!
//! | what | at | until | node | number | bytes | label |
//! |---|---|---|---|---|---|---|
//! | `born` | clock at the start of this life | the system's date, nanoseconds since 1970 | | which life, from 0 | | |
//! | `job` | begin | end | | steps of training, inputs of a fold, else 1 | of its tensors, each | `train`, `fold`... |
//! | `sent` | handed to the links | | receiver | ordinal, as in the order log | heads included | kind of message |
//! | `ping` | sent | back | neighbour | the neighbour's clock between | its life | |
//!
//! All times are nanoseconds. The date decides nothing: it tells where a reading of an external meter belongs, and stands
//! in where no message crossed between two nodes.

pub mod clocks;
pub mod merge;
pub mod observed;

use anyhow::Context;
use hcddl_core::domain::{NodeId, Time};
use hcddl_core::node::work::Work;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};

/// Name of the file.
pub const FILE: &str = "trace.csv";
const HEADER: &str = "what,at,until,node,number,bytes,label";
/// Rows of one life at most, in bytes about 25 MB; what comes after is left out.
pub const ROWS_MAX: u64 = 500_000;
/// Bytes of a file that is read at most: a row has less than 150.
const BYTES_MAX: u64 = 150 * ROWS_MAX;
/// The latest moment that a device's clock can show: a century, so that sums of a few of them have room.
const LATEST: u64 = 100 * 366 * 86_400 * 1_000_000_000;

/// A row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Row {
    /// A life of the node begins.
    Born {
        /// What its clock shows.
        at: Time,
        /// Nanoseconds since 1970.
        date: u64,
        /// How often it was started before.
        life: u32,
    },
    /// A job.
    Job {
        /// From.
        begin: Time,
        /// To.
        end: Time,
        /// Steps of training, inputs of a fold, else 1.
        count: u64,
        /// Of its tensor, or of each of its inputs.
        bytes: u64,
        /// `train`, `fold`, `encode` or `decode`.
        label: String,
    },
    /// A message was handed to the links.
    Sent {
        /// When.
        at: Time,
        /// The receiver.
        to: NodeId,
        /// Position among what this life sent to it, from 0.
        ordinal: u64,
        /// Its size, heads included.
        bytes: u64,
        /// Its kind.
        kind: String,
    },
    /// A sign of life that came back.
    Ping {
        /// When it was sent.
        sent: Time,
        /// When it was back.
        back: Time,
        /// Who sent it back.
        node: NodeId,
        /// Which life of it.
        life: u32,
        /// What its clock showed.
        theirs: Time,
    },
}

/// Count and bytes of a job, as a row has them.
#[must_use]
pub fn size_of(work: &Work) -> (u64, u64) {
    match work {
        Work::Train(train) => (train.steps, 0),
        Work::Fold(fold) => {
            let len = fold.inputs.first().map_or(0, |input| input.tensor.len());
            (fold.inputs.len() as u64, 4 * len as u64)
        }
        Work::Encode { tensor, .. } => (1, 4 * tensor.len() as u64),
        Work::Decode { data, .. } => (1, data.bytes()),
    }
}

/// Writes the rows of a life. An error of the disk ends the writing: the order log finds a full disk as well, and says
/// so.
#[derive(Debug)]
pub(crate) struct Writer {
    file: Option<BufWriter<File>>,
    rows: u64,
    line: String,
}

impl Writer {
    /// A new file in the directory of a life.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn create(dir: &Path) -> anyhow::Result<Self> {
        let path = dir.join(FILE);
        let file = File::create(&path).with_context(|| format!("cannot create `{}`", path.display()))?;
        let mut file = BufWriter::new(file);
        writeln!(file, "{HEADER}").with_context(|| format!("cannot write `{}`", path.display()))?;
        Ok(Self { file: Some(file), rows: 0, line: String::new() })
    }

    /// Appends a row, unless there are too many.
    pub fn push(&mut self, row: &Row) {
        self.rows += 1;
        if self.rows > ROWS_MAX {
            self.flush();
            self.file = None;
        }
        let Some(file) = &mut self.file else { return };
        self.line.clear();
        let line = &mut self.line;
        let _ = match row {
            Row::Born { at, date, life } => writeln!(line, "born,{},{date},,{life},,", at.0),
            Row::Job { begin, end, count, bytes, label } => {
                writeln!(line, "job,{},{},,{count},{bytes},{label}", begin.0, end.0)
            }
            Row::Sent { at, to, ordinal, bytes, kind } => {
                writeln!(line, "sent,{},,{},{ordinal},{bytes},{kind}", at.0, to.0)
            }
            Row::Ping { sent, back, node, life, theirs } => {
                writeln!(line, "ping,{},{},{},{},{life},", sent.0, back.0, node.0, theirs.0)
            }
        };
        if file.write_all(line.as_bytes()).is_err() {
            self.file = None;
        }
    }

    /// Hands everything to the operating system.
    pub fn flush(&mut self) {
        if self.file.as_mut().is_some_and(|file| file.flush().is_err()) {
            self.file = None;
        }
    }
}

/// The rows of a life, as a device wrote them: nothing about them is trusted. Rows without meaning, such as a last one
/// that was torn, are left out and counted.
#[must_use]
pub fn parse(text: &str, nodes: usize) -> (Vec<Row>, u64) {
    let mut lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    if lines.next().is_none_or(|header| header.trim_end() != HEADER) {
        return (Vec::new(), u64::from(!text.is_empty()));
    }
    let (mut rows, mut strange) = (Vec::new(), 0);
    for line in lines.take(ROWS_MAX as usize) {
        match row(line.trim_end(), nodes) {
            Some(row) => rows.push(row),
            None => strange += 1,
        }
    }
    (rows, strange)
}

fn row(line: &str, nodes: usize) -> Option<Row> {
    let fields: Vec<&str> = line.split(',').collect();
    let [what, at, until, node, number, bytes, label] = fields[..] else { return None };
    let time = |field: &str| field.parse().ok().filter(|at| *at <= LATEST).map(Time);
    let other = || node.parse::<u32>().ok().filter(|node| (*node as usize) < nodes).map(NodeId);
    let count = |field: &str| field.parse::<u64>().ok();
    let word = || is_word(label).then(|| label.to_owned());
    let row = match what {
        "born" => Row::Born { at: time(at)?, date: count(until)?, life: number.parse().ok()? },
        "job" => Row::Job {
            begin: time(at)?,
            end: time(until)?,
            count: count(number)?,
            bytes: count(bytes)?,
            label: word()?,
        },
        "sent" => Row::Sent {
            at: time(at)?,
            to: other()?,
            ordinal: count(number)?,
            bytes: count(bytes)?,
            kind: word()?,
        },
        "ping" => Row::Ping {
            sent: time(at)?,
            back: time(until)?,
            node: other()?,
            life: bytes.parse().ok()?,
            theirs: time(number)?,
        },
        _ => return None,
    };
    match &row {
        Row::Job { begin, end, .. } | Row::Ping { sent: begin, back: end, .. } if begin > end => None,
        _ => Some(row),
    }
}

/// Whether a word of a device is what jobs and messages are called.
fn is_word(word: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    !word.is_empty() && word.len() <= 40 && word.chars().all(plain)
}

/// Reads the trace of a life; nothing when there is none.
pub(crate) fn read(life: &Path, nodes: usize) -> (Vec<Row>, u64) {
    let mut text = String::new();
    let read = File::open(life.join(FILE)).and_then(|file| file.take(BYTES_MAX).read_to_string(&mut text));
    if read.is_err() { (Vec::new(), 0) } else { parse(&text, nodes) }
}

/// The directories of a node's lives, first to last.
pub(crate) fn lives(run: &Path, node: &str) -> Vec<PathBuf> {
    let node = run.join("nodes").join(node);
    (0..).map(|life| node.join(format!("life{life}"))).take_while(|life| life.is_dir()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Row> {
        vec![
            Row::Born { at: Time(5), date: 1_700_000_000_000_000_000, life: 2 },
            Row::Job { begin: Time(7), end: Time(9), count: 3, bytes: 0, label: "train".to_owned() },
            Row::Sent { at: Time(9), to: NodeId(1), ordinal: 4, bytes: 400, kind: "update".to_owned() },
            Row::Ping { sent: Time(10), back: Time(12), node: NodeId(0), life: 1, theirs: Time(1_000) },
        ]
    }

    #[test]
    fn what_is_written_is_read_up_to_a_torn_end() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = Writer::create(dir.path()).unwrap();
        rows().iter().for_each(|row| writer.push(row));
        writer.flush();
        assert_eq!(read(dir.path(), 2), (rows(), 0));
        let path = dir.path().join(FILE);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, &text[..text.len() - 3]).unwrap();
        assert_eq!(read(dir.path(), 2), (rows()[..3].to_vec(), 0));
    }

    #[test]
    fn rows_without_meaning_are_left_out_and_counted() {
        let bad = [
            "sent,9,,2,4,400,update",
            "sent,9,,1,4,400,<script>",
            "job,9,7,,3,0,train",
            "job,9,99999999999999999999,,3,0,train",
            "job,9,3200000000000000000,,3,0,train",
            "ping,1,2,0,3,-1,",
            "x,1,2,3,4,5,6",
            "job,1",
        ];
        let text = format!("{HEADER}\n{}\nsent,9,,1,4,400,update\n", bad.join("\n"));
        assert_eq!(parse(&text, 2), (vec![rows()[2].clone()], bad.len() as u64));
        assert_eq!(parse("something else\n", 2), (Vec::new(), 1));
    }
}
