//! The CSV files of a study, written from the runs that are finished. Cells that are not known are empty.

use super::StudyError;
use super::dir::{StudyDir, StudyJson, file};
use super::outcome::{Finished, Point};
use crate::record::table::seconds;
use csv::Writer;
use hcddl_files::atomic::Replacement;
use hcddl_plan::measure::outcome::TimeSplit;
use std::path::{Path, PathBuf};

/// A table that replaces the old one when it is whole.
struct Csv {
    path: PathBuf,
    writer: Writer<Replacement>,
}

impl Csv {
    fn create(dir: &Path, name: &str, header: &[&str]) -> Result<Self, StudyError> {
        let path = dir.join(name);
        let file = Replacement::create(&path).map_err(StudyError::io("create", &path))?;
        let mut csv = Self { path, writer: Writer::from_writer(file) };
        csv.row(header.iter().map(|cell| (*cell).to_owned()))?;
        Ok(csv)
    }

    fn row(&mut self, cells: impl IntoIterator<Item = String>) -> Result<(), StudyError> {
        let io = |error: csv::Error| StudyError::io("write", &self.path)(std::io::Error::other(error));
        self.writer.write_record(cells).map_err(io)
    }

    fn close(self) -> Result<(), StudyError> {
        let written = self.writer.into_inner().map_err(|error| error.into_error());
        written.and_then(Replacement::keep).map_err(StudyError::io("write", &self.path))
    }
}

/// Columns of runs.csv behind those of the axes.
const RUNS: [&str; 35] = [
    "data_seed",
    "init_seed",
    "interleaving_seed",
    "status",
    "reason",
    "virtual_time_s",
    "commits",
    "client_fits",
    "gradient_steps",
    "accuracy",
    "loss",
    "best_accuracy",
    "time_to_target_s",
    "commits_to_target",
    "updates_to_target",
    "bytes_to_target",
    "energy_to_target_j",
    "staleness_mean",
    "staleness_p50",
    "staleness_p90",
    "staleness_p99",
    "staleness_max",
    "bytes_up",
    "bytes_down",
    "messages",
    "updates_dropped",
    "updates_lost",
    "energy_j",
    "energy_marginal_j",
    "worker_compute",
    "worker_send",
    "worker_wait",
    "worker_idle",
    "trace_digest",
    "weight_digest",
];

/// Writes all tables.
///
/// # Errors
/// A full disk.
pub fn write(dir: &StudyDir) -> Result<(), StudyError> {
    let (path, json) = (dir.path(), &dir.json);
    let axes = json.axes.iter().map(|axis| axis.name.as_str());
    let columns: Vec<&str> = ["run"].into_iter().chain(axes).chain(RUNS).collect();
    let mut runs = Csv::create(path, file::RUNS, &columns)?;
    let curve = ["run", "version", "virtual_time_s", "updates", "bytes", "energy_j", "accuracy", "loss"];
    let mut curves = Csv::create(path, file::CURVES, &curve)?;
    let mut staleness = Csv::create(path, file::STALENESS, &["run", "node", "staleness", "count"])?;
    let mut traffic = Csv::create(path, file::TRAFFIC, &["run", "tier", "bytes"])?;
    let mut participation = Csv::create(path, file::PARTICIPATION, &["run", "node", "contributions"])?;
    let mut wall = Csv::create(path, file::WALL, &["run", "wall_time_s"])?;
    let kept = |name| Csv::create(path, name, &["run", "predictions"]);
    let mut predictions = json.predictions.then(|| kept(file::PREDICTIONS)).transpose()?;
    dir.each(|finished| {
        let run = finished.run.to_string();
        runs.row(run_row(json, &finished))?;
        for point in &finished.curve {
            curves.row(curve_row(&run, point))?;
        }
        for (node, value, count) in &finished.staleness {
            staleness.row([run.clone(), node.clone(), value.to_string(), count.to_string()])?;
        }
        let tiers = finished.summary.iter().flat_map(|summary| &summary.bytes_by_tier);
        for (tier, bytes) in tiers {
            traffic.row([run.clone(), tier.clone(), bytes.to_string()])?;
        }
        for (node, count) in &finished.participation {
            participation.row([run.clone(), node.clone(), count.to_string()])?;
        }
        wall.row([run.clone(), finished.wall_time_s.to_string()])?;
        if let (Some(csv), Some(predicted)) = (&mut predictions, finished.predictions) {
            csv.row([run, predicted])?;
        }
        Ok(())
    })?;
    [runs, curves, staleness, traffic, participation, wall].into_iter().try_for_each(Csv::close)?;
    predictions.map_or(Ok(()), Csv::close)
}

/// The labels of a run's levels and its seeds, as the design orders them.
fn place(json: &StudyJson, run: u64) -> Vec<String> {
    let mut rest = run as usize;
    let mut take = |count: usize| {
        let index = rest % count.max(1);
        rest /= count.max(1);
        index
    };
    let seeds = [&json.seeds.interleaving, &json.seeds.init, &json.seeds.data];
    let seeds = seeds.map(|list| list[take(list.len())].to_string());
    let levels = json.axes.iter().rev().map(|axis| axis.levels[take(axis.levels.len())].clone());
    let mut cells: Vec<String> = seeds.into_iter().chain(levels).collect();
    // Taken from the fastest to the slowest.
    cells.reverse();
    cells
}

fn run_row(json: &StudyJson, finished: &Finished) -> Vec<String> {
    let mut cells = vec![finished.run.to_string()];
    cells.extend(place(json, finished.run));
    cells.push(finished.status.name().to_owned());
    cells.push(finished.reason.clone());
    let width = 1 + json.axes.len() + RUNS.len();
    let Some(summary) = &finished.summary else {
        cells.resize(width, String::new());
        return cells;
    };
    let number = |value: Option<f64>| value.map_or(String::new(), |value| value.to_string());
    let reached = finished.reached(json.target_accuracy);
    cells.extend([
        summary.virtual_time_s.to_string(),
        summary.commits.to_string(),
        summary.client_fits.to_string(),
        summary.gradient_steps.to_string(),
        number(summary.accuracy),
        number(summary.loss),
        number(finished.best_accuracy()),
        reached.map_or(String::new(), |point| seconds(point.at)),
    ]);
    let counts = reached.map(|point| [point.version, point.updates, point.bytes]);
    cells.extend((0..3).map(|i| counts.map_or(String::new(), |counts| counts[i].to_string())));
    let stale = &summary.staleness;
    let split = ["worker", "peer"].iter().find_map(|kind| summary.time_split.get(*kind));
    let TimeSplit { compute, send, wait, idle, .. } = split.copied().unwrap_or_default();
    cells.extend([
        number(reached.map(|point| point.energy_j)),
        stale.mean.to_string(),
        stale.p50.to_string(),
        stale.p90.to_string(),
        stale.p99.to_string(),
        stale.max.to_string(),
        summary.bytes_up.to_string(),
        summary.bytes_down.to_string(),
        summary.messages.to_string(),
        summary.dropped_updates.values().sum::<u64>().to_string(),
        summary.lost_updates.to_string(),
        summary.energy_j.to_string(),
        summary.energy_marginal_j.to_string(),
        compute.to_string(),
        send.to_string(),
        wait.to_string(),
        idle.to_string(),
        summary.trace_digest.clone(),
        summary.weight_digest.clone(),
    ]);
    cells
}

fn curve_row(run: &str, point: &Point) -> [String; 8] {
    let number = |value: Option<f64>| value.map_or(String::new(), |value| value.to_string());
    [
        run.to_owned(),
        point.version.to_string(),
        seconds(point.at),
        point.updates.to_string(),
        point.bytes.to_string(),
        point.energy_j.to_string(),
        number(point.accuracy),
        number(point.loss),
    ]
}
