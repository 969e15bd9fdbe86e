//! How far runs drift apart that differ in the timing of messages alone.

use super::super::figure::{Axis, Mark, Panel, Plot, Quantity};
use super::super::page::Section;
use super::super::read::study::Point;
use super::super::sheet::Sheet;
use super::Cx;
use hcddl_core::stats::quantile::{deviation, mean, quantile, sorted};
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn section(cx: &mut Cx<'_>) -> Option<Section> {
    let groups: Vec<(usize, Vec<Vec<usize>>)> =
        cx.settings().into_iter().map(|setting| (setting, groups(cx, setting))).collect();
    if groups.iter().all(|(_, groups)| groups.is_empty()) {
        return None;
    }
    let mut section = Section::new("Divergence between interleavings");
    section.text(
        "Runs of the same setting, data seed and init seed start from the same model on the same data. All that \
         differs is when messages arrive.",
    );
    growth(cx, &mut section);
    table(cx, &mut section, &groups);
    Some(section)
}

/// Runs of a setting that share data and init seed, where there are two or more.
fn groups(cx: &Cx<'_>, setting: usize) -> Vec<Vec<usize>> {
    let mut groups: BTreeMap<[u64; 2], Vec<usize>> = BTreeMap::new();
    for run in cx.study.of_setting(setting) {
        let [data, init, _] = cx.study.runs[run].seeds;
        groups.entry([data, init]).or_default().push(run);
    }
    groups.into_values().filter(|runs| runs.len() > 1).collect()
}

/// Standard deviation between the interleavings of a group, by version, mean over the groups.
fn spread(cx: &Cx<'_>, setting: usize, y: fn(&Point) -> f64) -> Vec<(f64, f64)> {
    let mut by_version: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    for group in groups(cx, setting) {
        let mut values: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
        for point in group.iter().flat_map(|run| &cx.study.curves[*run]) {
            if !y(point).is_nan() {
                values.entry(point.version as u64).or_default().push(y(point));
            }
        }
        for (version, values) in values.into_iter().filter(|(_, values)| values.len() == group.len()) {
            by_version.entry(version).or_default().push(deviation(&values));
        }
    }
    by_version.into_iter().map(|(version, deviations)| (version as f64, mean(&deviations))).collect()
}

fn growth(cx: &mut Cx<'_>, section: &mut Section) {
    let ys = cx.measures();
    let mut panels = Vec::new();
    let (mut words, mut numbers) = ((Vec::new(), Vec::new()), (Vec::new(), Vec::new()));
    for facet in cx.facets() {
        for (name, quantity, y) in &ys {
            let mut marks = Vec::new();
            for (colour, setting) in &facet.settings {
                let line = spread(cx, *setting, *y);
                words.0.extend(line.iter().map(|_| cx.label(*setting)));
                words.1.extend(line.iter().map(|_| (*name).to_owned()));
                numbers.0.extend(line.iter().map(|point| point.0));
                numbers.1.extend(line.iter().map(|point| point.1));
                marks.push(Mark::Line(*colour, line));
            }
            let title =
                if facet.label.is_empty() { String::new() } else { format!("{name}: {}", facet.label) };
            let y = Axis::from_zero(&format!("standard deviation of {name}"), *quantity);
            panels.push(Panel { title, x: Axis::from_zero("commits", Quantity::Count), y, marks });
        }
    }
    if panels.is_empty() {
        return;
    }
    let title = "standard deviation between interleavings against commits".to_owned();
    let drawing = Plot { title, panels, columns: ys.len(), keys: cx.keys(), height: 220.0 }.draw();
    let caption = format!(
        "How far runs that differ in the interleaving alone are apart after a number of commits: the standard \
         deviation between them, averaged over data and init seeds.{}",
        cx.left_out()
    );
    section.figure(&cx.name("divergence"), drawing, caption);
    let sheet = Sheet::new("divergence").text("setting", words.0).text("metric", words.1);
    cx.sheet(sheet.float("version", numbers.0).float("standard_deviation", numbers.1));
}

/// The first evaluation at which runs of a group are not all equal.
fn first_difference(cx: &Cx<'_>, group: &[usize]) -> Option<f64> {
    let (first, others) = group.split_first()?;
    let differs = |point: &Point| {
        others.iter().any(|run| {
            let same = cx.study.curves[*run].iter().find(|other| other.version == point.version);
            same.is_some_and(|other| {
                other.accuracy.to_bits() != point.accuracy.to_bits()
                    || other.loss.to_bits() != point.loss.to_bits()
            })
        })
    };
    cx.study.curves[*first].iter().find(|point| differs(point)).map(|point| point.version)
}

/// Share of test samples that two runs of a group classify differently, over all pairs.
fn disagreements(cx: &Cx<'_>, group: &[usize]) -> Vec<f64> {
    let mut shares = Vec::new();
    for (i, a) in group.iter().enumerate() {
        for b in &group[i + 1..] {
            let (Some(a), Some(b)) = (cx.study.predictions.get(a), cx.study.predictions.get(b)) else {
                continue;
            };
            if a.len() == b.len() && !a.is_empty() {
                let different = a.bytes().zip(b.bytes()).filter(|(a, b)| a != b).count();
                shares.push(different as f64 / a.len() as f64);
            }
        }
    }
    shares
}

fn table(cx: &mut Cx<'_>, section: &mut Section, groups: &[(usize, Vec<Vec<usize>>)]) {
    let mut rows = Vec::new();
    let with_predictions = !cx.study.predictions.is_empty();
    for (setting, groups) in groups.iter().filter(|(_, groups)| !groups.is_empty()) {
        let runs: usize = groups.iter().map(Vec::len).sum();
        let models: usize = groups
            .iter()
            .map(|group| {
                group.iter().map(|run| &cx.study.runs[*run].weight_digest).collect::<BTreeSet<_>>().len()
            })
            .sum();
        let first = sorted(groups.iter().filter_map(|group| first_difference(cx, group)));
        let ranges = groups.iter().map(|group| {
            let values = sorted(cx.study.values(group, "accuracy"));
            values.last().zip(values.first()).map_or(f64::NAN, |(most, least)| most - least)
        });
        let ranges = sorted(ranges);
        let number =
            |value: Option<f64>, quantity: Quantity| value.map_or("–".to_owned(), |v| quantity.text(v));
        let mut row = vec![
            cx.label(*setting),
            if cx.study.head.timing_only { "–".to_owned() } else { format!("{models} of {runs}") },
            number(quantile(&first, 0.5), Quantity::Count),
            number(quantile(&ranges, 0.5), Quantity::Share),
            number(ranges.last().copied(), Quantity::Share),
        ];
        if with_predictions {
            let all: Vec<f64> = groups.iter().flat_map(|group| disagreements(cx, group)).collect();
            row.push(number((!all.is_empty()).then(|| mean(&all)), Quantity::Share));
        }
        rows.push(row);
    }
    let mut header = vec![
        "setting",
        "different final models",
        "first evaluation that differs (commit, median)",
        "range of final accuracy (median)",
        "largest range",
    ];
    if with_predictions {
        header.push("test samples classified differently");
    }
    section.table("Runs that differ in the interleaving alone.", &header, 1, rows);
}
