//! The directory of a study.

use super::csv::Csv;
use hcddl_core::error::UserError;
use hcddl_core::stats::crossed::Design;
use hcddl_core::stats::kaplan_meier::Outcome;
use hcddl_sim::study::StudyError;
use hcddl_sim::study::dir::{StudyDir, file, read_json};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The file that makes a directory that of a study.
pub const HEAD: &str = "study.json";

/// What was asked: study.json.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Head {
    /// Version of the format.
    pub format: u64,
    /// Its name.
    pub name: String,
    /// The question in words.
    #[serde(default)]
    pub question: Option<String>,
    /// Name of the scenario that was varied.
    #[serde(default)]
    pub scenario: String,
    /// What was varied, besides seeds; the first is the slowest.
    #[serde(default)]
    pub axes: Vec<StudyAxis>,
    /// Seeds by purpose.
    pub seeds: BTreeMap<String, Vec<u64>>,
    /// Accuracy that runs were to reach.
    #[serde(default)]
    pub target_accuracy: Option<f64>,
    /// Runs that it consists of.
    pub runs: u64,
    /// Whether all are done.
    pub complete: bool,
    /// Whether no gradients were computed.
    #[serde(default)]
    pub timing_only: bool,
}

/// A key that was varied.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct StudyAxis {
    /// The key.
    pub name: String,
    /// Its values, as labels.
    pub levels: Vec<String>,
}

/// One run of a study.
#[derive(Clone, Debug, PartialEq)]
pub struct StudyRun {
    /// Its number.
    pub number: u64,
    /// Which setting it has: position in [`Study::settings`].
    pub setting: usize,
    /// Seeds: data, init, interleaving.
    pub seeds: [u64; 3],
    /// How it ended: finished, stalled or failed.
    pub status: String,
    /// Digest of its final model.
    pub weight_digest: String,
    values: BTreeMap<String, f64>,
}

impl StudyRun {
    /// A number of runs.csv; NaN when it is not known.
    #[must_use]
    pub fn value(&self, column: &str) -> f64 {
        self.values.get(column).copied().unwrap_or(f64::NAN)
    }

    /// What reaching the target cost, or how much was spent without reaching it.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        let time = self.value("time_to_target_s");
        if time.is_nan() {
            Outcome { cost: self.value("virtual_time_s"), reached: false }
        } else {
            Outcome { cost: time, reached: true }
        }
    }
}

/// A level of every axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Positions in the axes' levels.
    pub levels: Vec<usize>,
    /// In words: `latency 10ms, policy async`.
    pub label: String,
}

/// One evaluation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Version of the model.
    pub version: f64,
    /// Virtual seconds.
    pub time: f64,
    /// Client fits so far.
    pub updates: f64,
    /// Bytes sent so far.
    pub bytes: f64,
    /// Joules so far; NaN when not known.
    pub energy: f64,
    /// Accuracy; NaN when not known.
    pub accuracy: f64,
    /// Loss; NaN when not known.
    pub loss: f64,
}

/// A count for a node (or a tier) of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Count {
    /// Position in [`Study::runs`].
    pub run: usize,
    /// Node or tier.
    pub name: String,
    /// Staleness, where that is counted.
    pub staleness: u64,
    /// How many, or bytes.
    pub count: f64,
}

/// Everything that a study found.
#[derive(Clone, Debug, PartialEq)]
pub struct Study {
    /// Its directory.
    pub dir: PathBuf,
    /// What was asked.
    pub head: Head,
    /// Every combination of levels, the first axis slowest.
    pub settings: Vec<Setting>,
    /// Finished runs by number.
    pub runs: Vec<StudyRun>,
    /// Evaluations of each run.
    pub curves: Vec<Vec<Point>>,
    /// Updates by contributor and staleness.
    pub staleness: Vec<Count>,
    /// Bytes by tier.
    pub traffic: Vec<Count>,
    /// Updates by contributor.
    pub participation: Vec<Count>,
    /// Final predictions of each run, one class for each character; empty when not kept.
    pub predictions: BTreeMap<usize, String>,
}

const NEXT_STEP: &str = "let `hcddl study` finish or continue the study";

/// Writes the tables of a study that was interrupted from what is finished of it; one that goes on in another process
/// has those of its last pause.
fn complete_tables(dir: &Path) -> Result<(), UserError> {
    let there = dir.join("runs.csv").is_file();
    if !dir.join(file::FINISHED).is_file() {
        return Ok(());
    }
    let fail =
        |error: StudyError| UserError::in_file(&dir.display().to_string(), error.to_string(), NEXT_STEP);
    let Some(json) = read_json(dir).map_err(fail)?.filter(|json| !there || !json.complete) else {
        return Ok(());
    };
    match StudyDir::open(dir, json, &[]).and_then(|mut study| study.write_tables()) {
        Err(error) if !there => Err(fail(error)),
        _ => Ok(()),
    }
}

impl Study {
    /// Reads the directory of a study, also of one that was interrupted.
    ///
    /// # Errors
    /// [`UserError`] when a file is missing or damaged, or holds no run.
    pub fn read(dir: &Path) -> Result<Self, UserError> {
        let head: Head = super::json(&dir.join(HEAD), NEXT_STEP)?;
        complete_tables(dir)?;
        let settings = settings(&head.axes);
        let runs = runs(&Csv::read(&dir.join("runs.csv"), NEXT_STEP)?, &head)?;
        if runs.is_empty() {
            let file = dir.join("runs.csv").display().to_string();
            return Err(UserError::in_file(&file, "no run has finished yet", NEXT_STEP));
        }
        let position: BTreeMap<u64, usize> =
            runs.iter().enumerate().map(|(i, run)| (run.number, i)).collect();
        let csv = |file: &str| Csv::read_if_there(&dir.join(file));
        let curves = curves(&csv("curves.csv")?, &position, runs.len())?;
        let counts = |file: &str, name: &str, count: &str| counts(&csv(file)?, &position, name, count);
        let predictions = csv("predictions.csv")?;
        let mut by_run = BTreeMap::new();
        for row in 0..predictions.rows.len() {
            if let Some(run) = position.get(&predictions.whole(row, predictions.column("run")?)?) {
                by_run.insert(*run, predictions.rows[row].last().cloned().unwrap_or_default());
            }
        }
        Ok(Self {
            dir: dir.to_owned(),
            settings,
            curves,
            staleness: counts("staleness.csv", "node", "count")?,
            traffic: counts("traffic.csv", "tier", "bytes")?,
            participation: counts("participation.csv", "node", "contributions")?,
            predictions: by_run,
            runs,
            head,
        })
    }

    /// Positions of the runs of a setting that did not fail.
    #[must_use]
    pub fn of_setting(&self, setting: usize) -> Vec<usize> {
        let runs = self.runs.iter().enumerate();
        runs.filter(|(_, run)| run.setting == setting && run.status != "failed").map(|(i, _)| i).collect()
    }

    /// A number of each of some runs.
    #[must_use]
    pub fn values(&self, runs: &[usize], column: &str) -> Vec<f64> {
        runs.iter().map(|run| self.runs[*run].value(column)).collect()
    }

    /// Which seeds some runs share.
    #[must_use]
    pub fn design(&self, runs: &[usize]) -> Design {
        Design::new(&runs.iter().map(|run| self.runs[*run].seeds).collect::<Vec<_>>())
    }

    /// Runs of two settings with the same seeds.
    #[must_use]
    pub fn pairs(&self, a: usize, b: usize) -> Vec<(usize, usize)> {
        let of_b: BTreeMap<[u64; 3], usize> =
            self.of_setting(b).into_iter().map(|run| (self.runs[run].seeds, run)).collect();
        let pair = |run: usize| Some((run, *of_b.get(&self.runs[run].seeds)?));
        self.of_setting(a).into_iter().filter_map(pair).collect()
    }

    /// Whether runs were to reach an accuracy.
    #[must_use]
    pub fn has_target(&self) -> bool {
        self.head.target_accuracy.is_some() && !self.head.timing_only
    }
}

/// Names of axes as short as they can be told apart.
#[must_use]
pub fn short_names(axes: &[StudyAxis]) -> Vec<String> {
    let last = |name: &str| name.rsplit('.').next().unwrap_or(name).to_owned();
    let short: Vec<String> = axes.iter().map(|axis| last(&axis.name)).collect();
    let unique = |name: &String| short.iter().filter(|other| *other == name).count() == 1;
    axes.iter().zip(&short).map(|(axis, name)| if unique(name) { name } else { &axis.name }.clone()).collect()
}

fn settings(axes: &[StudyAxis]) -> Vec<Setting> {
    let names = short_names(axes);
    let mut all = vec![Vec::new()];
    for axis in axes {
        all = all
            .into_iter()
            .flat_map(|levels: Vec<usize>| {
                (0..axis.levels.len()).map(move |level| {
                    let mut levels = levels.clone();
                    levels.push(level);
                    levels
                })
            })
            .collect();
    }
    let label = |levels: &[usize]| {
        let parts =
            levels.iter().enumerate().map(|(i, level)| format!("{} {}", names[i], axes[i].levels[*level]));
        let parts: Vec<String> = parts.collect();
        if parts.is_empty() { "all runs".to_owned() } else { parts.join(", ") }
    };
    all.into_iter().map(|levels| Setting { label: label(&levels), levels }).collect()
}

fn runs(csv: &Csv, head: &Head) -> Result<Vec<StudyRun>, UserError> {
    let number = csv.column("run")?;
    let status = csv.column("status")?;
    let digest = csv.find("weight_digest");
    let seed_columns = ["data_seed", "init_seed", "interleaving_seed"];
    let words = ["run", "status", "reason", "trace_digest", "weight_digest"];
    let is_number = |name: &String| {
        !words.contains(&name.as_str())
            && !seed_columns.contains(&name.as_str())
            && !head.axes.iter().any(|axis| axis.name == *name)
    };
    let numbers: Vec<usize> =
        (0..csv.header.len()).filter(|column| is_number(&csv.header[*column])).collect();
    let mut runs = Vec::new();
    for row in 0..csv.rows.len() {
        let mut setting = 0;
        for axis in &head.axes {
            let column = csv.column(&axis.name)?;
            let level = axis.levels.iter().position(|level| *level == csv.rows[row][column]);
            let level = level.ok_or_else(|| csv.mistake(row, column, &axis.levels.join(", ")))?;
            setting = setting * axis.levels.len() + level;
        }
        let mut seeds = [0; 3];
        for (seed, name) in seeds.iter_mut().zip(seed_columns) {
            *seed = csv.whole(row, csv.column(name)?)?;
        }
        let mut values = BTreeMap::new();
        for column in &numbers {
            if let Some(value) = csv.number(row, *column)? {
                values.insert(csv.header[*column].clone(), value);
            }
        }
        runs.push(StudyRun {
            number: csv.whole(row, number)?,
            setting,
            seeds,
            status: csv.rows[row][status].clone(),
            weight_digest: digest.map_or(String::new(), |column| csv.rows[row][column].clone()),
            values,
        });
    }
    Ok(runs)
}

fn curves(csv: &Csv, position: &BTreeMap<u64, usize>, runs: usize) -> Result<Vec<Vec<Point>>, UserError> {
    let mut curves = vec![Vec::new(); runs];
    if csv.rows.is_empty() {
        return Ok(curves);
    }
    let run = csv.column("run")?;
    let names = ["version", "virtual_time_s", "updates", "bytes", "energy_j", "accuracy", "loss"];
    let columns = names.map(|name| csv.find(name));
    for row in 0..csv.rows.len() {
        let Some(at) = position.get(&csv.whole(row, run)?) else { continue };
        let mut values = [f64::NAN; 7];
        for (value, column) in values.iter_mut().zip(columns) {
            if let Some(column) = column {
                *value = csv.number(row, column)?.unwrap_or(f64::NAN);
            }
        }
        let [version, time, updates, bytes, energy, accuracy, loss] = values;
        curves[*at].push(Point { version, time, updates, bytes, energy, accuracy, loss });
    }
    Ok(curves)
}

fn counts(
    csv: &Csv,
    position: &BTreeMap<u64, usize>,
    name: &str,
    count: &str,
) -> Result<Vec<Count>, UserError> {
    if csv.rows.is_empty() {
        return Ok(Vec::new());
    }
    let (run, name, count) = (csv.column("run")?, csv.column(name)?, csv.column(count)?);
    let staleness = csv.find("staleness");
    let mut counts = Vec::new();
    for row in 0..csv.rows.len() {
        let Some(at) = position.get(&csv.whole(row, run)?) else { continue };
        counts.push(Count {
            run: *at,
            name: csv.rows[row][name].clone(),
            staleness: staleness.map_or(Ok(0), |column| csv.whole(row, column))?,
            count: csv.number(row, count)?.unwrap_or(0.0),
        });
    }
    Ok(counts)
}
