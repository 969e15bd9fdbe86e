//! A study's directory: what it is, and the runs that are finished.
//!
//! `finished.jsonl` is only ever appended to, one line for each run that is over, handed to the operating system before
//! the next one: a kill can tear the last line, never an earlier one. The tables are written from it.

use super::design::Study;
use super::outcome::{Finished, Status};
use super::{StudyError, tables};
use crate::record::rundir::file_name;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// File names in a study's directory.
pub mod file {
    /// What the study is.
    pub const STUDY: &str = "study.json";
    /// A copy of its file.
    pub const COPY: &str = "study.yml";
    /// The base as it was written.
    pub const SCENARIO: &str = "scenario.yml";
    /// A line for each run that is over, in order of their ends.
    pub const FINISHED: &str = "finished.jsonl";
    /// A row for each run.
    pub const RUNS: &str = "runs.csv";
    /// A row for each evaluation.
    pub const CURVES: &str = "curves.csv";
    /// Updates by run, contributor and staleness.
    pub const STALENESS: &str = "staleness.csv";
    /// Bytes by run and tier.
    pub const TRAFFIC: &str = "traffic.csv";
    /// Updates by run and contributor.
    pub const PARTICIPATION: &str = "participation.csv";
    /// Real seconds of each run.
    pub const WALL: &str = "wall.csv";
    /// Classes of the test samples, where they were asked for.
    pub const PREDICTIONS: &str = "predictions.csv";
}

/// study.json.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StudyJson {
    /// Of this directory's files.
    pub format: u32,
    /// Name of the study.
    pub name: String,
    /// What it answers.
    pub question: Option<String>,
    /// Name of the base.
    pub scenario: String,
    /// What is varied, with the labels of the levels.
    pub axes: Vec<AxisJson>,
    /// The seeds of every level combination.
    pub seeds: SeedsJson,
    /// Accuracy whose time is measured.
    pub target_accuracy: Option<f64>,
    /// Runs of the whole study.
    pub runs: u64,
    /// Whether all of them are here.
    pub complete: bool,
    /// Whether no gradients were computed.
    pub timing_only: bool,
    /// Whether predictions are kept.
    #[serde(default)]
    pub predictions: bool,
    /// The part of the runs that this directory is for, from 1, and of how many; `null` for all.
    #[serde(default)]
    pub shard: Option<[u64; 2]>,
    /// Of all that the runs are a function of.
    pub digest: String,
}

/// An axis in study.json.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AxisJson {
    /// Its name.
    pub name: String,
    /// Labels of its levels.
    pub levels: Vec<String>,
}

/// Seeds in study.json.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SeedsJson {
    /// Of the data.
    pub data: Vec<u64>,
    /// Of the initial parameters.
    pub init: Vec<u64>,
    /// Of the order of events.
    pub interleaving: Vec<u64>,
}

const FORMAT: u32 = 1;

impl StudyJson {
    /// What a study is.
    #[must_use]
    pub fn of(study: &Study<'_>, shard: Option<[u64; 2]>) -> Self {
        let axes = study.axes.iter().map(|axis| AxisJson {
            name: axis.name.clone(),
            levels: axis.levels.iter().map(|level| level.label.clone()).collect(),
        });
        Self {
            format: FORMAT,
            name: study.name.clone(),
            question: study.question.clone(),
            scenario: study.written.base.name().to_owned(),
            axes: axes.collect(),
            seeds: SeedsJson {
                data: study.seeds.data.0.clone(),
                init: study.seeds.init.0.clone(),
                interleaving: study.seeds.interleaving.0.clone(),
            },
            target_accuracy: study.target_accuracy,
            runs: study.runs,
            complete: false,
            timing_only: study.timing_only,
            predictions: !study.keep.is_empty(),
            shard,
            digest: study.digest.clone(),
        }
    }

    /// The numbers of the runs that this directory is for.
    #[must_use]
    pub fn numbers(&self) -> Vec<u64> {
        let [part, of] = self.shard.unwrap_or([1, 1]);
        (0..self.runs).filter(|run| run % of == part - 1).collect()
    }
}

/// Where a study writes unless told.
#[must_use]
pub fn default_dir(name: &str, shard: Option<[u64; 2]>) -> PathBuf {
    let part = shard.map_or(String::new(), |[part, of]| format!("-{part}of{of}"));
    Path::new("runs").join(format!("{}{part}", file_name(name)))
}

/// A study's directory, locked as long as this lives.
#[derive(Debug)]
pub struct StudyDir {
    path: PathBuf,
    /// What the study is.
    pub json: StudyJson,
    log: File,
    /// Where the line of each run that is over begins, and its length.
    lines: BTreeMap<u64, (u64, u64)>,
    /// Those of them that failed: they are tried again.
    failed: BTreeSet<u64>,
    end: u64,
}

impl StudyDir {
    /// Makes the directory of a study, or continues it.
    ///
    /// # Errors
    /// A directory of something else, one that another process writes to, a damaged one.
    pub fn open(path: &Path, json: StudyJson, copies: &[(&str, &str)]) -> Result<Self, StudyError> {
        fs::create_dir_all(path).map_err(StudyError::io("create", path))?;
        match read_json(path)? {
            Some(old) => check_same(path, &old, &json)?,
            None => {
                check_empty(path)?;
                for (name, text) in copies {
                    replace(&path.join(name), text.as_bytes())?;
                }
                // Last: a directory with it is a study's.
                replace(&path.join(file::STUDY), json_text(&json).as_bytes())?;
            }
        }
        let log_path = path.join(file::FINISHED);
        let log = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&log_path);
        let log = log.map_err(StudyError::io("open", &log_path))?;
        match log.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StudyError::dir(
                    path,
                    "is being written to by another process; wait for it to end",
                ));
            }
            Err(TryLockError::Error(error)) => return Err(StudyError::io("lock", &log_path)(error)),
        }
        let mut dir = Self {
            path: path.to_owned(),
            json,
            log,
            lines: BTreeMap::new(),
            failed: BTreeSet::new(),
            end: 0,
        };
        dir.index()?;
        Ok(dir)
    }

    /// Finds the lines of finished.jsonl and cuts a torn last one off.
    fn index(&mut self) -> Result<(), StudyError> {
        let path = self.path.join(file::FINISHED);
        let log = self.log.try_clone().map_err(StudyError::io("read", &path))?;
        let mut reader = BufReader::new(log);
        let (mut line, mut number, mut end) = (Vec::new(), 0u64, 0u64);
        loop {
            line.clear();
            let read = reader.read_until(b'\n', &mut line).map_err(StudyError::io("read", &path))? as u64;
            if read == 0 || line.last() != Some(&b'\n') {
                break;
            }
            number += 1;
            let finished: Finished = serde_json::from_slice(&line).map_err(|error| {
                let problem = format!(
                    "is damaged: line {number} of {}: {error}; delete that line, and its run is repeated",
                    file::FINISHED
                );
                StudyError::dir(&self.path, problem)
            })?;
            if finished.run >= self.json.runs {
                let problem = format!(
                    "is damaged: line {number} of {} is of run {}, and the study has {}; delete that line",
                    file::FINISHED,
                    finished.run,
                    self.json.runs
                );
                return Err(StudyError::dir(&self.path, problem));
            }
            self.take_down(&finished, (end, read));
            end += read;
        }
        self.end = end;
        self.log.set_len(end).map_err(StudyError::io("truncate", &path))?;
        Ok(())
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Notes where the line of a run is; a later one takes its place.
    fn take_down(&mut self, finished: &Finished, line: (u64, u64)) {
        self.lines.insert(finished.run, line);
        if finished.status == Status::Failed {
            self.failed.insert(finished.run);
        } else {
            self.failed.remove(&finished.run);
        }
    }

    /// Runs that are over, however they ended.
    #[must_use]
    pub fn finished(&self) -> u64 {
        self.lines.len() as u64
    }

    /// The runs that are still to be done, or failed, ascending.
    #[must_use]
    pub fn pending(&self) -> Vec<u64> {
        let all = self.json.numbers().into_iter();
        all.filter(|run| !self.lines.contains_key(run) || self.failed.contains(run)).collect()
    }

    /// Takes a run down.
    ///
    /// # Errors
    /// A full disk.
    pub fn push(&mut self, finished: &Finished) -> Result<(), StudyError> {
        let path = self.path.join(file::FINISHED);
        let line = serde_json::to_string(finished).expect("plain data") + "\n";
        let io = StudyError::io("write", &path);
        self.log
            .seek(SeekFrom::Start(self.end))
            .and_then(|_| self.log.write_all(line.as_bytes()))
            .map_err(io)?;
        self.take_down(finished, (self.end, line.len() as u64));
        self.end += line.len() as u64;
        Ok(())
    }

    /// Each run that is over, in order of their numbers.
    ///
    /// # Errors
    /// When finished.jsonl cannot be read, or what `tell` returns.
    pub fn each(&self, mut tell: impl FnMut(Finished) -> Result<(), StudyError>) -> Result<(), StudyError> {
        let path = self.path.join(file::FINISHED);
        let mut log = File::open(&path).map_err(StudyError::io("open", &path))?;
        let mut line = Vec::new();
        for (start, len) in self.lines.values() {
            line.resize(*len as usize, 0);
            log.seek(SeekFrom::Start(*start))
                .and_then(|_| log.read_exact(&mut line))
                .map_err(StudyError::io("read", &path))?;
            let finished = serde_json::from_slice(&line);
            tell(finished.map_err(|error| StudyError::dir(&self.path, format!("was changed: {error}")))?)?;
        }
        Ok(())
    }

    /// Writes the tables from what is finished, and whether that is all.
    ///
    /// # Errors
    /// A full disk.
    pub fn write_tables(&mut self) -> Result<(), StudyError> {
        let path = self.path.join(file::FINISHED);
        self.log.sync_data().map_err(StudyError::io("write", &path))?;
        tables::write(self)?;
        self.json.complete = self.finished() == self.json.runs;
        replace(&self.path.join(file::STUDY), json_text(&self.json).as_bytes())
    }
}

/// study.json of a directory; `None` when there is none.
///
/// # Errors
/// When it cannot be read or is damaged.
pub fn read_json(path: &Path) -> Result<Option<StudyJson>, StudyError> {
    let file = path.join(file::STUDY);
    let text = match fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StudyError::io("read", &file)(error)),
    };
    let damaged = |error: serde_json::Error| {
        StudyError::dir(path, format!("is damaged: {}: {error}; delete the directory", file::STUDY))
    };
    let value: Value = serde_json::from_str(&text).map_err(damaged)?;
    if value["format"] != FORMAT {
        let problem = format!("was made by another version of hcddl (format {})", value["format"]);
        return Err(StudyError::dir(path, problem));
    }
    serde_json::from_value(value).map(Some).map_err(damaged)
}

fn check_same(path: &Path, old: &StudyJson, new: &StudyJson) -> Result<(), StudyError> {
    if old.digest != new.digest {
        let problem = if old.name == new.name {
            format!(
                "holds runs of the study `{}` as it was before it was changed; name another directory with --out, or \
                 delete this one",
                old.name
            )
        } else {
            format!("holds the study `{}`; name another directory with --out", old.name)
        };
        return Err(StudyError::dir(path, problem));
    }
    if old.shard != new.shard {
        let part = |shard: Option<[u64; 2]>| match shard {
            Some([part, of]) => format!("shard {part}/{of}"),
            None => "the whole study".to_owned(),
        };
        let problem = format!(
            "is for {}, this would be {}; name another directory with --out",
            part(old.shard),
            part(new.shard)
        );
        return Err(StudyError::dir(path, problem));
    }
    Ok(())
}

/// Only copies that a killed process left may lie in a directory without study.json.
fn check_empty(path: &Path) -> Result<(), StudyError> {
    let own = [file::COPY, file::SCENARIO];
    for entry in fs::read_dir(path).map_err(StudyError::io("read", path))? {
        let name = entry.map_err(StudyError::io("read", path))?.file_name();
        let name = name.to_string_lossy();
        if !own.contains(&name.trim_end_matches(".new")) && name != "study.json.new" {
            let problem = "is not empty and holds no study; name another directory with --out";
            return Err(StudyError::dir(path, problem));
        }
    }
    Ok(())
}

fn json_text(json: &StudyJson) -> String {
    hcddl_files::json(json)
}

/// Replaces a file as a whole or not at all.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<(), StudyError> {
    hcddl_files::atomic::replace(path, bytes).map_err(StudyError::io("write", path))
}
