//! The two CSV files: metrics.csv and commits.csv.
//!
//! Lists within a field are joined by `;`. Times are exact decimal seconds; an absent value is an empty field.

use super::RecordError;
use super::sink::Sink;
use hcddl_core::domain::{NodeId, Time};
use hcddl_plan::measure::outcome::{CommitRow, EvaluationRow};
use hcddl_plan::plan::Plan;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

/// metrics.csv: `version, virtual_time_s, updates, bytes, energy_j, accuracy, loss`, then the other metrics by name.
///
/// A metric that nobody announced gets a column of its own when it first appears; earlier rows leave it empty.
#[derive(Debug)]
pub struct MetricsFile {
    sink: Sink,
    columns: Vec<String>,
    rows: u64,
}

/// The first columns of metrics.csv.
pub const FIXED: [&str; 5] = ["version", "virtual_time_s", "updates", "bytes", "energy_j"];

impl MetricsFile {
    /// A new file with the columns that the plan names.
    ///
    /// # Errors
    /// [`RecordError::Io`].
    pub fn create(path: PathBuf, plan: &Plan) -> Result<Self, RecordError> {
        let mut columns = vec!["accuracy".to_owned(), "loss".to_owned()];
        for name in &plan.evaluation.metrics {
            if !columns.contains(name) && !FIXED.contains(&name.as_str()) {
                columns.push(name.clone());
            }
        }
        let mut sink = Sink::create(path)?;
        sink.write(header(&columns).as_bytes())?;
        sink.flush()?;
        Ok(Self { sink, columns, rows: 0 })
    }

    /// An existing file, cut back to its first `rows` rows and, of its own columns, the first `columns`.
    ///
    /// # Errors
    /// [`RecordError`] when it has fewer of either.
    pub fn resume(path: PathBuf, rows: u64, columns: usize) -> Result<Self, RecordError> {
        let text = fs::read_to_string(&path).map_err(RecordError::io("read", &path))?;
        let lines: Vec<&str> =
            text.split_inclusive('\n').take(1 + rows as usize).filter(|line| line.ends_with('\n')).collect();
        let fields = |line: &str| line.trim_end().split(',').map(str::to_owned).collect::<Vec<_>>();
        let names = lines.first().map_or(Vec::new(), |line| fields(line));
        if lines.len() as u64 != 1 + rows || names.len() < FIXED.len() + columns {
            return Err(super::sink::damaged(&path, "is shorter than its checkpoint says"));
        }
        let mut sink = Sink::create(path)?;
        for line in lines {
            sink.write((fields(line)[..FIXED.len() + columns].join(",") + "\n").as_bytes())?;
        }
        sink.flush()?;
        Ok(Self { sink, columns: names[FIXED.len()..][..columns].to_vec(), rows })
    }

    /// Appends a row and hands it to the operating system: evaluations are rare and precious.
    ///
    /// # Errors
    /// [`RecordError::Io`].
    pub fn push(&mut self, row: &EvaluationRow) -> Result<(), RecordError> {
        let by_column: BTreeMap<String, f64> =
            row.values.iter().map(|(name, value)| (column(name), *value)).collect();
        let known = |name: &&String| self.columns.contains(name) || FIXED.contains(&name.as_str());
        let new: Vec<String> = by_column.keys().filter(|name| !known(name)).cloned().collect();
        if !new.is_empty() {
            self.widen(new)?;
        }
        let mut line = format!("{},{}", row.version.0, seconds(row.at));
        // The metric `bytes` says the same; a deployed node knows only its own.
        let bytes = row.bytes.map(|bytes| bytes as f64).or(by_column.get("bytes").copied());
        for value in [row.updates.map(|updates| updates as f64), bytes, row.energy_j] {
            line.push(',');
            if let Some(value) = value {
                let _ = write!(line, "{value}");
            }
        }
        for name in &self.columns {
            line.push(',');
            if let Some(value) = by_column.get(name) {
                let _ = write!(line, "{value}");
            }
        }
        line.push('\n');
        self.rows += 1;
        self.sink.write(line.as_bytes())?;
        self.sink.flush()
    }

    /// Rows written so far, all of them in the file.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Columns of its own: all but version and time.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.columns.len()
    }

    /// Writes the file anew with more columns.
    fn widen(&mut self, new: Vec<String>) -> Result<(), RecordError> {
        let path = self.sink.path().to_owned();
        let old = fs::read_to_string(&path).map_err(RecordError::io("read", &path))?;
        let empty = ",".repeat(new.len());
        self.columns.extend(new);
        let mut text = header(&self.columns);
        for line in old.lines().skip(1) {
            text.push_str(line);
            text.push_str(&empty);
            text.push('\n');
        }
        self.sink = Sink::create(path)?;
        self.sink.write(text.as_bytes())
    }
}

/// commits.csv: a row for each commit of each server, or finished round of each peer.
#[derive(Debug)]
pub struct CommitsFile {
    sink: Sink,
    names: Vec<String>,
    line: String,
}

/// The columns of commits.csv.
pub const COMMIT_COLUMNS: &str = "node,version,virtual_time_s,contributors,base_versions,staleness,bytes";

impl CommitsFile {
    /// A new file.
    ///
    /// # Errors
    /// [`RecordError::Io`].
    pub fn create(path: PathBuf, plan: &Plan) -> Result<Self, RecordError> {
        let mut sink = Sink::create(path)?;
        sink.write(format!("{COMMIT_COLUMNS}\n").as_bytes())?;
        sink.flush()?;
        Ok(Self { sink, names: names(plan), line: String::new() })
    }

    /// An existing file, cut back to its first `bytes` bytes.
    ///
    /// # Errors
    /// [`RecordError`] when it is shorter or was changed.
    pub fn resume(path: PathBuf, plan: &Plan, bytes: u64) -> Result<Self, RecordError> {
        Ok(Self { sink: Sink::resume(path, bytes)?, names: names(plan), line: String::new() })
    }

    /// Appends a row.
    ///
    /// # Errors
    /// [`RecordError::Io`].
    pub fn push(&mut self, row: &CommitRow) -> Result<(), RecordError> {
        let line = &mut self.line;
        line.clear();
        let before = row.version.0.saturating_sub(1);
        let _ = write!(line, "{},{},{},", self.names[row.node.index()], row.version.0, seconds(row.at));
        join(line, row.contributors.iter().map(|c| &self.names[c.node.index()]));
        line.push(',');
        join(line, row.contributors.iter().map(|c| c.base.0));
        line.push(',');
        join(line, row.contributors.iter().map(|c| before.saturating_sub(c.base.0)));
        let _ = writeln!(line, ",{}", row.bytes_in);
        self.sink.write(self.line.as_bytes())
    }

    /// Hands everything to the operating system.
    ///
    /// # Errors
    /// [`RecordError::Io`].
    pub fn flush(&mut self) -> Result<(), RecordError> {
        self.sink.flush()
    }

    /// Bytes written so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.sink.bytes()
    }
}

/// Nodes' names as CSV fields, in order of [`NodeId`].
fn names(plan: &Plan) -> Vec<String> {
    let names: Vec<String> = plan.nodes.iter().map(|node| column(&node.name).replace(';', "_")).collect();
    debug_assert!(plan.nodes.len() <= NodeId(u32::MAX).index());
    names
}

/// A name as a field that needs no quotes: separators and control characters become `_`.
fn column(name: &str) -> String {
    name.chars().map(|c| if matches!(c, ',' | '"') || c.is_control() { '_' } else { c }).collect()
}

fn header(columns: &[String]) -> String {
    let names: Vec<String> =
        FIXED.iter().map(|name| (*name).to_owned()).chain(columns.iter().map(|name| column(name))).collect();
    names.join(",") + "\n"
}

fn join(line: &mut String, items: impl Iterator<Item = impl std::fmt::Display>) {
    for (i, item) in items.enumerate() {
        let _ = write!(line, "{}{item}", if i == 0 { "" } else { ";" });
    }
}

/// Exact decimal seconds: `1.25`, `0.000000001`.
pub fn seconds(time: Time) -> String {
    let text = format!("{}.{:09}", time.0 / 1_000_000_000, time.0 % 1_000_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
