//! Which seed the variance comes from.

use super::super::figure::{Axis, Key, Quantity, Row, RowMark, Rows};
use super::super::page::Section;
use super::super::sheet::Sheet;
use super::Cx;
use hcddl_core::stats::sobol::{Decomposition, Index, decompose};
use hcddl_core::stats::{Interval, Resampling};

const SEEDS: [&str; 3] = ["data", "init", "interleaving"];

/// Settings that the figure has room for.
const SHOWN: usize = 8;

pub(super) fn section(cx: &mut Cx<'_>) -> Option<Section> {
    let (what, column) = if cx.study.head.timing_only {
        ("virtual time", "virtual_time_s")
    } else {
        ("final accuracy", "accuracy")
    };
    let mut section = Section::new("Where the variance comes from");
    let (mut found, mut rows) = (Vec::new(), Vec::new());
    for setting in cx.settings() {
        let Some(split) = split(cx, setting, column) else { continue };
        for index in &split.indices {
            if found.len() < SHOWN {
                rows.push(row(cx, setting, index));
            }
        }
        found.push((setting, split));
    }
    if found.is_empty() {
        return None;
    }
    let keys = vec![
        Key { series: 0, label: "first order: this seed alone".to_owned() },
        Key { series: 1, label: "total: with all its interactions".to_owned() },
    ];
    let x = Axis::from_zero("share of the variance", Quantity::Share).between(0.0, 1.0);
    let drawing =
        Rows { title: format!("Sobol indices of the {what}"), x, rows, keys, thickness: 13.0 }.draw();
    section.figure(&cx.name("variance"), drawing, caption(cx, what, &found));
    table(cx, &mut section, &found, what);
    Some(section)
}

/// The full grid of seeds of a setting, interleaving fastest; `None` when a run is missing.
fn split(cx: &Cx<'_>, setting: usize, column: &str) -> Option<Decomposition> {
    let seeds: Vec<&Vec<u64>> =
        SEEDS.iter().map(|name| cx.study.head.seeds.get(*name)).collect::<Option<_>>()?;
    let shape: Vec<usize> = seeds.iter().map(|seeds| seeds.len()).collect();
    let mut values = vec![f64::NAN; shape.iter().product()];
    for run in cx.study.of_setting(setting) {
        let run = &cx.study.runs[run];
        let mut at = 0;
        for (i, known) in seeds.iter().enumerate() {
            at = at * known.len() + known.iter().position(|seed| *seed == run.seeds[i])?;
        }
        values[at] = run.value(column);
    }
    decompose(&shape, &values, &Resampling { repetitions: 500, ..cx.how })
}

fn row(cx: &Cx<'_>, setting: usize, index: &Index) -> Row {
    let ends = |interval: Option<Interval>| interval.map(|interval| (interval.low, interval.high));
    let seed = SEEDS[index.factor];
    let label =
        if cx.settings().len() > 1 { format!("{}: {seed}", cx.label(setting)) } else { seed.to_owned() };
    let marks = vec![
        RowMark::Dot(0, index.first, ends(index.first_interval)),
        RowMark::Diamond(1, index.total, ends(index.total_interval)),
    ];
    let note = format!("{} / {}", Quantity::Share.text(index.first), Quantity::Share.text(index.total));
    Row { label, marks, note }
}

fn caption(cx: &Cx<'_>, what: &str, found: &[(usize, Decomposition)]) -> String {
    let strongest = found[0].1.indices.iter().max_by(|a, b| a.total.total_cmp(&b.total));
    let strongest = strongest.map_or(String::new(), |index| {
        format!(
            " With {}, the {} seed has a part in most of it: {}.",
            cx.label(found[0].0),
            SEEDS[index.factor],
            Quantity::Share.text(index.total)
        )
    });
    let clipped = if found.iter().any(|(_, split)| !split.clipped.is_empty()) {
        " Some components of variance came out negative and count as zero, in the shares and in the \
         variance that they are shares of (see the table)."
    } else {
        ""
    };
    let more = if found.len() > SHOWN {
        format!(" The first {SHOWN} settings; all are in the table.")
    } else {
        String::new()
    };
    format!(
        "Sobol indices of the {what} over crossed seeds: the share of the variance that a seed explains alone, and the \
         share that it has a part in. At the right: both numbers.{strongest}{clipped}{more} Intervals: 95 %, by \
         resampling levels; with few levels they are wide."
    )
}

fn table(cx: &mut Cx<'_>, section: &mut Section, found: &[(usize, Decomposition)], what: &str) {
    let mut rows = Vec::new();
    let (mut words, mut numbers) = ((Vec::new(), Vec::new()), Vec::<[f64; 7]>::new());
    for (setting, split) in found {
        let clipped: Vec<String> = split
            .clipped
            .iter()
            .map(|set| set.iter().map(|factor| SEEDS[*factor]).collect::<Vec<_>>().join(" x "))
            .collect();
        for index in &split.indices {
            let text = |share: f64, interval: Option<Interval>| {
                interval.map_or(format!("{share:.2}"), |ends| {
                    format!("{share:.2} [{:.2}, {:.2}]", ends.low, ends.high)
                })
            };
            rows.push(vec![
                cx.label(*setting),
                SEEDS[index.factor].to_owned(),
                format!("{:.2e}", split.variance.sqrt()),
                text(index.first, index.first_interval),
                text(index.total, index.total_interval),
                if clipped.is_empty() { "none".to_owned() } else { clipped.join(", ") },
            ]);
            words.0.push(cx.label(*setting));
            words.1.push(SEEDS[index.factor].to_owned());
            let ends = |interval: Option<Interval>| interval.map_or([f64::NAN; 2], |i| [i.low, i.high]);
            let ([a, b], [c, d]) = (ends(index.first_interval), ends(index.total_interval));
            numbers.push([split.variance, index.first, a, b, index.total, c, d]);
        }
    }
    section.table(
        &format!("Sobol indices of the {what}."),
        &[
            "setting",
            "seed",
            "standard deviation of a run",
            "first order [95 %]",
            "total [95 %]",
            "counted as zero",
        ],
        2,
        rows,
    );
    let mut sheet = Sheet::new("variance").text("setting", words.0).text("seed", words.1);
    let names = ["variance", "first", "first_low", "first_high", "total", "total_low", "total_high"];
    for (i, name) in names.into_iter().enumerate() {
        sheet = sheet.float(name, numbers.iter().map(|row| row[i]));
    }
    cx.sheet(sheet);
}
