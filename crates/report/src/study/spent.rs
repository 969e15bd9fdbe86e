//! Where time, bytes and energy went.

use super::super::figure::style::PALE;
use super::super::figure::{Axis, Key, Quantity, Row, RowMark, Rows};
use super::super::page::Section;
use super::super::sheet::Sheet;
use super::{Cx, SETTINGS, with_interval};
use hcddl_core::stats::quantile::mean;
use std::collections::{BTreeMap, BTreeSet};

/// Column, what it means, colour.
const PARTS: [(&str, &str, usize); 4] = [
    ("worker_compute", "computing", 0),
    ("worker_send", "sending", 1),
    ("worker_wait", "waiting", PALE),
    ("worker_idle", "idle", 4),
];

pub(super) fn section(cx: &mut Cx<'_>) -> Option<Section> {
    let mut section = Section::new("Where the time and the bytes go");
    time(cx, &mut section);
    traffic(cx, &mut section);
    (!section.blocks.is_empty()).then_some(section)
}

/// Bars one after the other.
fn stacked(parts: impl IntoIterator<Item = (usize, f64)>) -> Vec<RowMark> {
    let mut from = 0.0;
    let mut marks = Vec::new();
    for (series, length) in parts {
        marks.push(RowMark::Bars(series, vec![(from, from + length)]));
        from += length;
    }
    marks
}

fn more(cx: &Cx<'_>) -> String {
    let all = cx.settings().len();
    if all > SETTINGS { format!(" The first {SETTINGS} of {all} settings.") } else { String::new() }
}

fn time(cx: &mut Cx<'_>, section: &mut Section) {
    let mean_of = |cx: &Cx<'_>, setting: usize, column: &str| {
        let values = cx.study.values(&cx.study.of_setting(setting), column);
        let known: Vec<f64> = values.into_iter().filter(|value| !value.is_nan()).collect();
        if known.is_empty() { f64::NAN } else { mean(&known) }
    };
    let mut rows = Vec::new();
    for setting in cx.shown(SETTINGS) {
        let parts = PARTS.map(|(column, _, series)| (series, mean_of(cx, setting, column)));
        if parts.iter().any(|part| part.1.is_nan()) {
            continue;
        }
        let note = format!("computing {}", Quantity::Share.text(parts[0].1));
        rows.push(Row { label: cx.label(setting), marks: stacked(parts), note });
    }
    if rows.is_empty() {
        return;
    }
    let keys = PARTS.map(|(_, what, series)| Key { series, label: what.to_owned() }).to_vec();
    let x = Axis::from_zero("share of the workers' time", Quantity::Share).between(0.0, 1.0);
    let title = "how workers spend their time".to_owned();
    let drawing = Rows { title, x, rows, keys, thickness: 15.0 }.draw();
    let caption = format!(
        "How training nodes spend virtual time, mean over nodes and runs. Sending: not computing, and a message of \
         their own is on its way. Waiting: for an answer.{}",
        more(cx)
    );
    section.figure(&cx.name("time-split"), drawing, caption);
    let settings = cx.settings();
    let mut sheet =
        Sheet::new("time-split").text("setting", settings.iter().map(|setting| cx.label(*setting)));
    for (column, ..) in PARTS {
        sheet = sheet.float(column, settings.iter().map(|setting| mean_of(cx, *setting, column)));
    }
    cx.sheet(sheet);
}

fn traffic(cx: &mut Cx<'_>, section: &mut Section) {
    let tiers: Vec<String> = cx
        .study
        .traffic
        .iter()
        .map(|count| count.name.clone())
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    if tiers.is_empty() {
        return;
    }
    let mut by_setting: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
    for count in &cx.study.traffic {
        let setting = cx.study.runs[count.run].setting;
        let runs = cx.study.of_setting(setting).len().max(1) as f64;
        let sums = by_setting.entry(setting).or_insert_with(|| vec![0.0; tiers.len()]);
        if let Ok(tier) = tiers.binary_search(&count.name) {
            sums[tier] += count.count / runs;
        }
    }
    let shown: BTreeSet<usize> = cx.shown(SETTINGS).into_iter().collect();
    let rows = by_setting.iter().filter(|(setting, _)| shown.contains(setting)).map(|(setting, sums)| Row {
        label: cx.label(*setting),
        marks: stacked(sums.iter().copied().enumerate()),
        note: Quantity::Bytes.text(sums.iter().sum()),
    });
    let keys = tiers.iter().enumerate().map(|(series, label)| Key { series, label: label.clone() }).collect();
    let x = Axis::from_zero("bytes sent in a run", Quantity::Bytes);
    let title = "traffic of each tier of links".to_owned();
    let drawing = Rows { title, x, rows: rows.collect(), keys, thickness: 15.0 }.draw();
    let caption = format!(
        "Bytes sent in a run by tier of links (depth 1 ends at the root; up is towards it), mean over runs; the total is \
         at the right.{}",
        more(cx)
    );
    section.figure(&cx.name("traffic"), drawing, caption);
    let mut sheet =
        Sheet::new("traffic").text("setting", by_setting.keys().map(|setting| cx.label(*setting)));
    for (tier, name) in tiers.iter().enumerate() {
        sheet = sheet.float(name, by_setting.values().map(|sums| sums[tier]));
    }
    cx.sheet(sheet);
}

pub(super) fn energy(cx: &mut Cx<'_>) -> Option<Section> {
    let known = cx.study.runs.iter().any(|run| run.value("energy_j") > 0.0);
    if !known {
        return None;
    }
    let mut section = Section::new("Energy and carbon");
    let mut rows = Vec::new();
    let mut table = Vec::new();
    let mut numbers = Vec::new();
    for setting in cx.settings() {
        let runs = cx.study.of_setting(setting);
        let of = |column: &str| {
            let values = cx.study.values(&runs, column);
            (mean(&values), cx.study.design(&runs).mean_interval(&values, &cx.how))
        };
        let (all, idle_too) = of("energy_j");
        let (marginal, above_idle) = of("energy_marginal_j");
        let ends = |interval: Option<hcddl_core::stats::Interval>| interval.map(|i| (i.low, i.high));
        rows.push(Row {
            label: cx.label(setting),
            marks: vec![
                RowMark::Dot(0, all, ends(idle_too)),
                RowMark::Diamond(1, marginal, ends(above_idle)),
            ],
            note: format!("{} CO2", cx.carbon.text(all)),
        });
        table.push(vec![
            cx.label(setting),
            with_interval(Quantity::Joules, all, idle_too),
            with_interval(Quantity::Joules, marginal, above_idle),
            cx.carbon.text(all),
            cx.carbon.text(marginal),
        ]);
        numbers.push([all, marginal, cx.carbon.grams(all), cx.carbon.grams(marginal)]);
    }
    rows.truncate(SETTINGS);
    let keys = vec![
        Key { series: 0, label: "all energy, idle included".to_owned() },
        Key { series: 1, label: "above idle".to_owned() },
    ];
    let x = Axis::from_zero("energy of a run", Quantity::Joules);
    let drawing = Rows { title: "energy of a run".to_owned(), x, rows, keys, thickness: 13.0 }.draw();
    let caption = format!(
        "Energy of all hosts in a run, mean and interval; CO2 at the right is for all of it. {}{}",
        cx.carbon.assumption(),
        more(cx)
    );
    section.figure(&cx.name("energy"), drawing, caption);
    let header = ["setting", "energy [95 %]", "above idle [95 %]", "CO2", "CO2 above idle"];
    section.table("Energy and carbon of a run.", &header, 1, table);
    let settings = cx.settings();
    let mut sheet = Sheet::new("energy").text("setting", settings.iter().map(|setting| cx.label(*setting)));
    for (i, name) in ["energy_j", "energy_marginal_j", "co2_g", "co2_marginal_g"].into_iter().enumerate() {
        sheet = sheet.float(name, numbers.iter().map(|row| row[i]));
    }
    cx.sheet(sheet);
    Some(section)
}
