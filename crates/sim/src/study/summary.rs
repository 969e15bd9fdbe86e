//! The final table: how the runs of each level combination went.

use super::StudyError;
use super::dir::StudyDir;
use super::outcome::{Finished, Status};
use comfy_table::{CellAlignment, Table, presets};
use hcddl_core::domain::Span;

/// What is shown of a level combination.
#[derive(Clone, Debug, Default, PartialEq)]
struct Row {
    runs: u64,
    failed: u64,
    stalled: u64,
    accuracies: Vec<f64>,
    /// Virtual seconds of each run.
    durations: Vec<f64>,
    /// Virtual seconds to the target; infinite for runs that did not reach it.
    times: Vec<f64>,
}

impl Row {
    fn add(&mut self, finished: &Finished, target: Option<f64>) {
        self.runs += 1;
        self.failed += u64::from(finished.status == Status::Failed);
        self.stalled += u64::from(finished.status == Status::Stalled);
        let Some(summary) = &finished.summary else { return };
        self.accuracies.extend(summary.accuracy);
        self.durations.push(summary.virtual_time_s);
        if target.is_some() {
            let reached = finished.reached(target);
            self.times.push(reached.map_or(f64::INFINITY, |point| point.at.seconds()));
        }
    }
}

/// The quantile `q` of values, between neighbours in proportion (R's type 7); `None` of no values.
#[must_use]
pub fn quantile(values: &[f64], q: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = q * (sorted.len().checked_sub(1)?) as f64;
    let (low, share) = (at as usize, at - at.floor());
    let (a, b) = (sorted[low], sorted[(low + 1).min(sorted.len() - 1)]);
    // Infinite minus infinite is not a number.
    Some(if share == 0.0 || a == b { a } else { a + share * (b - a) })
}

/// The table of a study's directory; ends in a line break.
///
/// # Errors
/// When the finished runs cannot be read.
pub fn table(dir: &StudyDir) -> Result<String, StudyError> {
    let json = &dir.json;
    let each = [&json.seeds.data, &json.seeds.init, &json.seeds.interleaving];
    let each: u64 = each.iter().map(|seeds| seeds.len() as u64).product();
    let mut rows = vec![Row::default(); (json.runs / each.max(1)) as usize];
    dir.each(|finished| {
        rows[(finished.run / each) as usize].add(&finished, json.target_accuracy);
        Ok(())
    })?;
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY);
    let mut header: Vec<String> = json.axes.iter().map(|axis| axis.name.clone()).collect();
    header.push("runs".to_owned());
    if !json.timing_only {
        header.extend(["accuracy", "quartiles"].map(str::to_owned));
    }
    if let Some(target) = json.target_accuracy.filter(|_| !json.timing_only) {
        header.extend([format!("reached {target}"), "time to it".to_owned()]);
    }
    header.push("virtual time".to_owned());
    table.set_header(&header);
    for (combination, row) in rows.iter().enumerate() {
        let mut cells = labels(dir, combination);
        cells.extend(measured(row, json.timing_only, json.target_accuracy.is_some()));
        table.add_row(cells);
    }
    for column in table.column_iter_mut().skip(json.axes.len()) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let (done, runs) = (dir.finished(), json.runs);
    let state = if done == runs { format!("{runs} runs") } else { format!("{done} of {runs} runs") };
    let note = if json.timing_only { "" } else { "; median and quartiles over runs" };
    Ok(format!("{}: {state}{note}\n{table}\n", json.name))
}

/// The labels of a level combination; the last axis changes fastest.
fn labels(dir: &StudyDir, mut combination: usize) -> Vec<String> {
    let take = |axis: &super::dir::AxisJson| {
        let label = axis.levels[combination % axis.levels.len()].clone();
        combination /= axis.levels.len();
        label
    };
    let mut labels: Vec<String> = dir.json.axes.iter().rev().map(take).collect();
    labels.reverse();
    labels
}

fn measured(row: &Row, timing_only: bool, target: bool) -> Vec<String> {
    let mut runs = row.runs.to_string();
    for (count, what) in [(row.failed, "failed"), (row.stalled, "stalled")] {
        if count > 0 {
            runs.push_str(&format!(", {count} {what}"));
        }
    }
    let mut cells = vec![runs];
    let of = |values: &[f64], q: f64| quantile(values, q);
    if !timing_only {
        let accuracy = |q| of(&row.accuracies, q).map_or(String::new(), |value| format!("{value:.4}"));
        cells.push(accuracy(0.5));
        let quartiles = [0.25, 0.75].map(accuracy);
        cells.push(if row.accuracies.is_empty() { String::new() } else { quartiles.join(" to ") });
    }
    if target && !timing_only {
        let reached = row.times.iter().filter(|time| time.is_finite()).count();
        let share = 100.0 * reached as f64 / row.times.len().max(1) as f64;
        cells.push(if row.times.is_empty() { String::new() } else { format!("{share:.0} %") });
        cells.push(match of(&row.times, 0.5) {
            Some(time) if time.is_finite() => Span::from_seconds(time).to_string(),
            Some(_) => "not reached".to_owned(),
            None => String::new(),
        });
    }
    cells.push(of(&row.durations, 0.5).map_or(String::new(), |time| Span::from_seconds(time).to_string()));
    cells
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_between_neighbours() {
        let values = [4.0, 1.0, 3.0, 2.0];
        assert_eq!([0.0, 0.25, 0.5, 1.0].map(|q| quantile(&values, q).unwrap()), [1.0, 1.75, 2.5, 4.0]);
        assert_eq!(quantile(&[], 0.5), None);
        let censored = [1.0, f64::INFINITY, f64::INFINITY];
        assert_eq!(quantile(&censored, 0.5), Some(f64::INFINITY));
        assert_eq!(quantile(&[1.0, 2.0, f64::INFINITY], 0.5), Some(2.0));
    }
}
