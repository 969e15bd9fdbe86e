//! What was asked, and a row for each setting.

use super::super::figure::Quantity;
use super::super::page::{Block, Section};
use super::super::sheet::Sheet;
use super::{Cx, with_interval};
use hcddl_core::stats::quantile::{Spread, mean};

pub(super) fn section(cx: &mut Cx<'_>) -> Section {
    let mut section = Section::new("Results");
    section.blocks.push(Block::Facts(facts(cx)));
    let (header, columns) = columns(cx);
    let settings = cx.settings();
    let rows = settings
        .iter()
        .map(|setting| {
            let runs = cx.study.of_setting(*setting);
            let mut row = vec![cx.label(*setting), runs.len().to_string()];
            row.extend(columns.iter().map(|(quantity, column)| {
                let values = cx.study.values(&runs, column);
                let known: Vec<f64> = values.iter().copied().filter(|value| !value.is_nan()).collect();
                if known.is_empty() {
                    return "–".to_owned();
                }
                with_interval(*quantity, mean(&known), cx.study.design(&runs).mean_interval(&values, &cx.how))
            }));
            row
        })
        .collect();
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    let caption = format!("Means of final values for each setting. {}", cx.intervals());
    section.table(&caption, &header, 1, rows);
    sheet(cx, &columns);
    section
}

fn columns(cx: &Cx<'_>) -> (Vec<String>, Vec<(Quantity, &'static str)>) {
    let all = [
        ("final accuracy", Quantity::Share, "accuracy"),
        ("final loss", Quantity::Plain, "loss"),
        ("virtual time", Quantity::Seconds, "virtual_time_s"),
        ("energy", Quantity::Joules, "energy_j"),
    ];
    let known = |column: &str| cx.study.runs.iter().any(|run| !run.value(column).is_nan());
    let all: Vec<_> = all.into_iter().filter(|(_, _, column)| known(column)).collect();
    let mut header = vec!["setting".to_owned(), "runs".to_owned()];
    header.extend(all.iter().map(|(name, ..)| (*name).to_owned()));
    (header, all.into_iter().map(|(_, quantity, column)| (quantity, column)).collect())
}

fn facts(cx: &Cx<'_>) -> Vec<(String, String)> {
    let head = &cx.study.head;
    let mut facts: Vec<(String, String)> = Vec::new();
    let mut say = |subject: &str, text: String| facts.push((subject.to_owned(), text));
    say("scenario", head.scenario.clone());
    for axis in &head.axes {
        say("varied", format!("{}: {}", axis.name, axis.levels.join(", ")));
    }
    let seeds = ["data", "init", "interleaving"].iter().filter_map(|name| {
        let seeds = head.seeds.get(*name)?;
        Some(format!("{} {name}", seeds.len()))
    });
    let crossed = seeds.collect::<Vec<_>>().join(" x ");
    say("seeds", format!("{crossed}; the same for every setting (common random numbers)"));
    if let Some(target) = head.target_accuracy {
        say("target", format!("an accuracy of {}", Quantity::Share.text(target)));
    }
    let count = |status: &str| cx.study.runs.iter().filter(|run| run.status == status).count();
    let mut runs = format!("{} of {} have ended", cx.study.runs.len(), head.runs);
    for (status, what) in [("stalled", "stalled"), ("failed", "failed and are left out")] {
        if count(status) > 0 {
            runs += &format!(", {} {what}", count(status));
        }
    }
    if !head.complete {
        runs += "; the study is not complete, so settings may have different seeds";
    }
    say("runs", runs);
    facts
}

/// A number of a summary.
type Pick = (&'static str, fn(Spread) -> f64);

const SPREAD: [Pick; 5] = [
    ("mean", |spread| spread.mean),
    ("sd", |spread| spread.sd),
    ("p5", |spread| spread.p5),
    ("median", |spread| spread.median),
    ("p95", |spread| spread.p95),
];

fn sheet(cx: &mut Cx<'_>, columns: &[(Quantity, &str)]) {
    let mut sheet = Sheet::new("settings");
    let settings = cx.settings();
    sheet = sheet.text("setting", settings.iter().map(|setting| cx.label(*setting)));
    let spread =
        |setting: &usize, column: &str| Spread::of(&cx.study.values(&cx.study.of_setting(*setting), column));
    sheet = sheet.float("runs", settings.iter().map(|setting| cx.study.of_setting(*setting).len() as f64));
    for (_, column) in columns {
        for (name, value) in SPREAD {
            let values = settings.iter().map(|setting| spread(setting, column).map_or(f64::NAN, value));
            sheet = sheet.float(&format!("{column}_{name}"), values);
        }
        let interval = |setting: &usize| {
            let runs = cx.study.of_setting(*setting);
            cx.study.design(&runs).mean_interval(&cx.study.values(&runs, column), &cx.how)
        };
        let intervals: Vec<_> = settings.iter().map(interval).collect();
        let end = |which: fn(hcddl_core::stats::Interval) -> f64| {
            intervals.iter().map(move |i| i.map_or(f64::NAN, which))
        };
        sheet = sheet.float(&format!("{column}_mean_low"), end(|i| i.low));
        sheet = sheet.float(&format!("{column}_mean_high"), end(|i| i.high));
    }
    cx.sheet(sheet);
}
