//! The directory of a run.

use super::csv::Csv;
use super::meter::Meter;
use super::timeline::Timeline;
use hcddl_core::error::UserError;
use hcddl_plan::measure::outcome::Summary;
use hcddl_sim::record::rundir::file;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// A row of commits.csv.
#[derive(Clone, Debug, PartialEq)]
pub struct Commit {
    /// Who committed.
    pub node: String,
    /// The new version.
    pub version: u64,
    /// Virtual seconds.
    pub time: f64,
    /// Whose updates went in, and how stale each was.
    pub contributors: Vec<(String, u64)>,
    /// Bytes sent towards the node since its last commit.
    pub bytes: f64,
}

/// Everything that a run left behind.
#[derive(Clone, Debug)]
pub struct Run {
    /// Its directory.
    pub dir: PathBuf,
    /// The end of it.
    pub summary: Summary,
    /// Evaluations: version, virtual_time_s, accuracy, loss and other metrics.
    pub metrics: Csv,
    /// In the order in which they happened.
    pub commits: Vec<Commit>,
    /// What each node did when; `None` when it was not recorded.
    pub timeline: Option<Timeline>,
    /// The scenario as it was run.
    pub plan: String,
    /// repeat.json; null when it is missing.
    pub repeat: Value,
    /// Whether it ran on real devices.
    pub deployed: bool,
    /// What was measured of its devices; empty tables of a simulation.
    pub measured: Measured,
}

/// What a deployed run has beside what a simulation has.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// How each node's clock was aligned.
    pub clocks: Csv,
    /// What crossed each link.
    pub links: Csv,
    /// Energy and load of each host.
    pub hosts: Csv,
    /// Load of each node.
    pub nodes: Csv,
    /// Readings of a meter that were given afterwards.
    pub meter: Option<Meter>,
}

impl Measured {
    fn read(dir: &Path) -> Result<Self, UserError> {
        let read = |name: &str| Csv::read_if_there(&dir.join(name));
        Ok(Self {
            clocks: read("clocks.csv")?,
            links: read("links.csv")?,
            hosts: read("hosts.csv")?,
            nodes: read("nodes.csv")?,
            meter: None,
        })
    }
}

const NEXT_STEP: &str = "the run has not ended: let it finish, or continue it with `hcddl sim --resume`";

impl Run {
    /// Reads the directory of a run that has ended.
    ///
    /// # Errors
    /// [`UserError`] when a file is missing or damaged.
    pub fn read(dir: &Path) -> Result<Self, UserError> {
        let timeline = dir.join(file::TIMELINE);
        let repeat = dir.join(file::REPEAT);
        Ok(Self {
            dir: dir.to_owned(),
            summary: super::json(&dir.join(file::SUMMARY), NEXT_STEP)?,
            metrics: Csv::read(&dir.join(file::METRICS), NEXT_STEP)?,
            commits: commits(&Csv::read(&dir.join(file::COMMITS), NEXT_STEP)?)?,
            timeline: if timeline.is_file() { Some(Timeline::read(&timeline)?) } else { None },
            plan: super::text(&dir.join(file::PLAN), NEXT_STEP)?,
            repeat: if repeat.is_file() { super::json(&repeat, NEXT_STEP)? } else { Value::Null },
            deployed: dir.join("deployment.json").is_file(),
            measured: Measured::read(dir)?,
        })
    }

    /// Takes the readings of an external meter for the run's energy.
    ///
    /// # Errors
    /// As [`Meter::read`].
    pub fn take_meter(&mut self, path: &Path) -> Result<(), UserError> {
        let clocks = &self.measured.clocks;
        let began = clocks
            .find("date_s")
            .and_then(|column| clocks.rows.iter().find_map(|row| row[column].parse().ok()));
        let meter = Meter::read(path, began, self.summary.virtual_time_s)?;
        self.summary.energy_j = meter.total();
        self.summary.energy_by_host_j = meter
            .joules
            .iter()
            .filter(|(host, _)| !host.is_empty())
            .map(|(host, joules)| (host.clone(), *joules))
            .collect();
        self.measured.meter = Some(meter);
        Ok(())
    }

    /// What its time is called: `virtual time` or `time`.
    #[must_use]
    pub fn time_label(&self) -> &'static str {
        if self.deployed { "time" } else { "virtual time" }
    }

    /// A metric against another column: pairs of which both are known.
    ///
    /// # Errors
    /// [`UserError`] when a field is not a number.
    pub fn curve(&self, x: &str, y: &str) -> Result<Vec<(f64, f64)>, UserError> {
        let (Some(x), Some(y)) = (self.metrics.find(x), self.metrics.find(y)) else { return Ok(Vec::new()) };
        let mut points = Vec::new();
        for row in 0..self.metrics.rows.len() {
            if let (Some(x), Some(y)) = (self.metrics.number(row, x)?, self.metrics.number(row, y)?) {
                points.push((x, y));
            }
        }
        Ok(points)
    }

    /// The node whose commits count: the one that commits last without contributing to another one's commit.
    #[must_use]
    pub fn root(&self) -> Option<&str> {
        let contributors: std::collections::BTreeSet<&str> = self
            .commits
            .iter()
            .flat_map(|commit| &commit.contributors)
            .map(|(name, _)| name.as_str())
            .collect();
        let root = self.commits.iter().rev().find(|commit| !contributors.contains(commit.node.as_str()));
        root.or(self.commits.last()).map(|commit| commit.node.as_str())
    }
}

fn commits(csv: &Csv) -> Result<Vec<Commit>, UserError> {
    let column = |name: &str| csv.column(name);
    let (node, version, time) = (column("node")?, column("version")?, column("virtual_time_s")?);
    let (contributors, staleness, bytes) = (column("contributors")?, column("staleness")?, column("bytes")?);
    let mut commits = Vec::new();
    for row in 0..csv.rows.len() {
        let fields = &csv.rows[row];
        let names = fields[contributors].split(';').filter(|name| !name.is_empty());
        let stale = fields[staleness].split(';').filter(|number| !number.is_empty());
        let mut both = Vec::new();
        for (name, stale) in names.zip(stale) {
            let stale = stale.parse().map_err(|_| csv.mistake(row, staleness, "whole numbers"))?;
            both.push((name.to_owned(), stale));
        }
        commits.push(Commit {
            node: fields[node].clone(),
            version: csv.whole(row, version)?,
            time: csv.number(row, time)?.unwrap_or(f64::NAN),
            contributors: both,
            bytes: csv.number(row, bytes)?.unwrap_or(0.0),
        });
    }
    Ok(commits)
}
