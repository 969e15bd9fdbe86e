//! Several runs in the same figures.

use super::super::figure::{Axis, Key, Mark, Panel, Plot, Quantity};
use super::super::page::{Part, Section};
use super::super::read::Run;
use hcddl_core::error::UserError;

/// Runs that lines can tell apart.
const RUNS: usize = 8;

/// A part that shows runs together; `None` for less than two.
///
/// # Errors
/// [`UserError`] when a file of a run is damaged.
pub fn together(runs: &[&Run]) -> Result<Option<Part>, UserError> {
    if runs.len() < 2 {
        return Ok(None);
    }
    let names = names(runs);
    let mut section = Section::new("Curves and results");
    let mut panels = Vec::new();
    for (y, quantity) in [("accuracy", Quantity::Share), ("loss", Quantity::Plain)] {
        let mut marks = Vec::new();
        for (series, run) in runs.iter().take(RUNS).enumerate() {
            marks.push(Mark::Line(series, run.curve("virtual_time_s", y)?));
        }
        if marks.iter().any(|mark| matches!(mark, Mark::Line(_, points) if !points.is_empty())) {
            let x = Axis::from_zero("virtual time", Quantity::Seconds);
            let y = Axis { log: y == "loss", ..Axis::fitted(y, quantity) };
            panels.push(Panel { title: String::new(), x, y, marks });
        }
    }
    if !panels.is_empty() {
        let keys = names.iter().take(RUNS).cloned().enumerate().map(|(series, label)| Key { series, label });
        let title = "accuracy and loss of several runs".to_owned();
        let columns = panels.len();
        let drawing = Plot { title, panels, columns, keys: keys.collect(), height: 250.0 }.draw();
        let more = if runs.len() > RUNS {
            format!(" The first {RUNS} of {} runs.", runs.len())
        } else {
            String::new()
        };
        section.figure(
            "side-by-side",
            drawing,
            format!("Test accuracy and loss of the runs against virtual time.{more}"),
        );
    }
    let rows = runs.iter().zip(&names).map(|(run, name)| {
        let summary = &run.summary;
        let known = |value: Option<f64>, quantity: Quantity| quantity.text(value.unwrap_or(f64::NAN));
        vec![
            name.clone(),
            known(summary.accuracy, Quantity::Share),
            known(summary.loss, Quantity::Plain),
            Quantity::Seconds.text(summary.virtual_time_s),
            Quantity::Count.text(summary.commits as f64),
            Quantity::Bytes.text((summary.bytes_up + summary.bytes_down) as f64),
            Quantity::Joules.text(summary.energy_j),
        ]
    });
    let header = ["run", "accuracy", "loss", "virtual time", "commits", "traffic", "energy"];
    section.table(
        "How the runs ended. Single runs: what differs may be luck; a study tells.",
        &header,
        1,
        rows.collect(),
    );
    Ok(Some(Part { title: "Side by side".to_owned(), about: String::new(), sections: vec![section] }))
}

/// Names of runs; with their directories where several have the same.
fn names(runs: &[&Run]) -> Vec<String> {
    let same = |name: &str| runs.iter().filter(|run| run.summary.name == name).count() > 1;
    let of = |run: &&Run| {
        let dir = run.dir.file_name().map_or(String::new(), |name| name.to_string_lossy().into_owned());
        if same(&run.summary.name) {
            format!("{} ({dir})", run.summary.name)
        } else {
            run.summary.name.clone()
        }
    };
    runs.iter().map(of).collect()
}
