//! How stale updates were, and who contributed.

use super::super::figure::{Axis, Mark, Panel, Plot, Quantity, Row, RowMark, Rows};
use super::super::page::Section;
use super::super::sheet::Sheet;
use super::Cx;
use hcddl_core::stats::quantile::{quantile, sorted};
use std::collections::{BTreeMap, BTreeSet};

/// Nodes that a figure has room for.
const NODES: usize = 24;
/// Settings beside each other for every node.
const COMPARED: usize = 4;

pub(super) fn section(cx: &mut Cx<'_>) -> Option<Section> {
    let mut section = Section::new("Staleness and participation");
    histogram(cx, &mut section);
    participation(cx, &mut section);
    (!section.blocks.is_empty()).then_some(section)
}

/// Updates by staleness, over all runs of a setting.
fn counts(cx: &Cx<'_>, setting: usize) -> BTreeMap<u64, f64> {
    let runs: BTreeSet<usize> = cx.study.of_setting(setting).into_iter().collect();
    let mut counts = BTreeMap::new();
    for count in cx.study.staleness.iter().filter(|count| runs.contains(&count.run)) {
        *counts.entry(count.staleness).or_insert(0.0) += count.count;
    }
    counts
}

/// Share of the updates that are at least so stale.
fn tail(counts: &BTreeMap<u64, f64>) -> Vec<(f64, f64)> {
    let total: f64 = counts.values().sum();
    let mut left = total;
    let mut points = Vec::new();
    for (staleness, count) in counts {
        points.push((*staleness as f64, left / total));
        left -= count;
    }
    points
}

/// The staleness that a share of the updates does not exceed.
fn percentile(counts: &BTreeMap<u64, f64>, p: f64) -> u64 {
    let total: f64 = counts.values().sum();
    let mut reached = 0.0;
    for (staleness, count) in counts {
        reached += count;
        if reached >= p * total - 1e-9 {
            return *staleness;
        }
    }
    0
}

fn histogram(cx: &mut Cx<'_>, section: &mut Section) {
    if cx.study.staleness.is_empty() {
        return;
    }
    let mut panels = Vec::new();
    for facet in cx.facets() {
        let (mut shares, mut tails) = (Vec::new(), Vec::new());
        for (colour, setting) in &facet.settings {
            let counts = counts(cx, *setting);
            let (total, last) =
                (counts.values().sum::<f64>(), counts.keys().next_back().copied().unwrap_or(0));
            if total == 0.0 {
                continue;
            }
            let share = |s: u64| counts.get(&s).map_or(0.0, |count| count / total);
            // A step for each value; beyond a few hundred values they could not be told apart.
            let width = (last / 300 + 1).max(1);
            let bins = (0..=last / width).map(|bin| {
                let sum: f64 = (bin * width..(bin + 1) * width).map(share).sum();
                ((bin * width) as f64, sum / width as f64)
            });
            let mut steps: Vec<(f64, f64)> = bins.collect();
            steps.push((((last / width + 1) * width) as f64, 0.0));
            shares.push(Mark::Steps(*colour, steps));
            tails.push(Mark::Steps(*colour, tail(&counts)));
        }
        let title = |name: &str| {
            if facet.label.is_empty() { name.to_owned() } else { format!("{name}: {}", facet.label) }
        };
        let x = Axis::from_zero("staleness of an update, in versions", Quantity::Count);
        let y = Axis::from_zero("updates", Quantity::Share);
        panels.push(Panel { title: title("histogram"), x: x.clone(), y, marks: shares });
        let y =
            Axis { log: true, max: Some(1.0), ..Axis::fitted("updates at least so stale", Quantity::Share) };
        panels.push(Panel { title: title("tail"), x, y, marks: tails });
    }
    let title = "staleness of updates: histogram and tail".to_owned();
    let drawing = Plot { title, panels, columns: 2, keys: cx.keys(), height: 220.0 }.draw();
    let caption = format!(
        "Staleness: how many versions the server had moved on when it took an update in. Left: share of the updates; \
         right: share that is at least so stale, where the tail can be seen.{}",
        cx.left_out()
    );
    section.figure(&cx.name("staleness"), drawing, caption);
    table(cx, section);
}

/// The distribution in numbers.
fn table(cx: &mut Cx<'_>, section: &mut Section) {
    let mut rows = Vec::new();
    let (mut label, mut staleness, mut count) = (Vec::new(), Vec::new(), Vec::new());
    for setting in cx.settings() {
        let counts = counts(cx, setting);
        let total: f64 = counts.values().sum();
        if total == 0.0 {
            continue;
        }
        let mean = counts.iter().map(|(s, n)| *s as f64 * n).sum::<f64>() / total;
        let mut row = vec![cx.label(setting), Quantity::Count.text(total), format!("{mean:.2}")];
        row.extend([0.5, 0.9, 0.99, 0.999].map(|p| percentile(&counts, p).to_string()));
        row.push(counts.keys().next_back().map_or(String::new(), u64::to_string));
        rows.push(row);
        for (s, n) in counts {
            label.push(cx.label(setting));
            staleness.push(s as f64);
            count.push(n);
        }
    }
    section.table(
        "Staleness over all updates and runs of a setting.",
        &["setting", "updates", "mean", "median", "90 %", "99 %", "99.9 %", "largest"],
        1,
        rows,
    );
    cx.sheet(
        Sheet::new("staleness").text("setting", label).float("staleness", staleness).float("updates", count),
    );
}

/// Share of a run's contributions of each node, over the runs of a setting; nodes in order of their first mention.
fn shares(cx: &Cx<'_>, setting: usize) -> Vec<(String, Vec<f64>)> {
    let runs: BTreeSet<usize> = cx.study.of_setting(setting).into_iter().collect();
    let mut totals: BTreeMap<usize, f64> = BTreeMap::new();
    let of_setting = || cx.study.participation.iter().filter(|count| runs.contains(&count.run));
    for count in of_setting() {
        *totals.entry(count.run).or_default() += count.count;
    }
    let mut nodes: Vec<(String, Vec<f64>)> = Vec::new();
    let mut position: BTreeMap<&str, usize> = BTreeMap::new();
    for count in of_setting() {
        let at = *position.entry(&count.name).or_insert_with(|| {
            nodes.push((count.name.clone(), Vec::new()));
            nodes.len() - 1
        });
        nodes[at].1.push(count.count / totals[&count.run]);
    }
    nodes
}

/// Mean staleness of each node over the runs of a setting.
fn staleness_of(cx: &Cx<'_>, setting: usize) -> BTreeMap<String, f64> {
    let runs: BTreeSet<usize> = cx.study.of_setting(setting).into_iter().collect();
    let mut sums: BTreeMap<String, (f64, f64)> = BTreeMap::new();
    for count in cx.study.staleness.iter().filter(|count| runs.contains(&count.run)) {
        let sum = sums.entry(count.name.clone()).or_default();
        sum.0 += count.staleness as f64 * count.count;
        sum.1 += count.count;
    }
    sums.into_iter().map(|(name, (sum, n))| (name, sum / n)).collect()
}

fn participation(cx: &mut Cx<'_>, section: &mut Section) {
    if cx.study.participation.is_empty() {
        return;
    }
    let settings = spread_over(&cx.settings());
    let (mut words, mut numbers) = ((Vec::new(), Vec::new()), Vec::<[f64; 4]>::new());
    for setting in cx.settings() {
        let stale = staleness_of(cx, setting);
        for (node, shares) in shares(cx, setting) {
            let spread = ends(&shares);
            let staleness = stale.get(&node).copied().unwrap_or(f64::NAN);
            words.0.push(cx.label(setting));
            words.1.push(node);
            numbers.push([spread.0, spread.1, spread.2, staleness]);
        }
    }
    let of: Vec<_> =
        settings.iter().map(|setting| (shares(cx, *setting), staleness_of(cx, *setting))).collect();
    let nodes = of[0].0.len();
    let mut contributions = Vec::new();
    let mut stale = Vec::new();
    for i in 0..nodes.min(NODES) {
        let name = of[0].0[i].0.clone();
        let (mut marks, mut dots) = (Vec::new(), Vec::new());
        for (series, (shares, staleness)) in of.iter().enumerate() {
            if let Some((_, shares)) = shares.iter().find(|(node, _)| *node == name) {
                let (low, middle, high) = ends(shares);
                marks.push(RowMark::Dot(series, middle, Some((low, high))));
            }
            if let Some(mean) = staleness.get(&name) {
                dots.push(RowMark::Diamond(series, *mean, None));
            }
        }
        contributions.push(Row { label: name.clone(), marks, note: String::new() });
        stale.push(Row { label: name, marks: dots, note: String::new() });
    }
    let keys: Vec<_> = settings
        .iter()
        .enumerate()
        .map(|(series, setting)| super::super::figure::Key { series, label: cx.label(*setting) })
        .collect();
    let more = match (nodes > NODES, cx.settings().len() > COMPARED) {
        (false, false) => "",
        _ => " Some nodes and settings are drawn; all are in the data.",
    };
    let draw = |title: &str, x: Axis, rows: Vec<Row>| {
        Rows { title: title.to_owned(), x, rows, keys: keys.clone(), thickness: 11.0 }.draw()
    };
    let x = Axis::from_zero("share of a run's contributions", Quantity::Share);
    section.figure(
        &cx.name("participation"),
        draw("contributions of each node", x, contributions),
        format!("Who contributed: each node's share of the updates in commits; median and full range over the runs.{more}"),
    );
    let stale_at_all =
        |row: &Row| row.marks.iter().any(|mark| matches!(mark, RowMark::Diamond(_, mean, _) if *mean > 0.0));
    if stale.iter().any(stale_at_all) {
        let x = Axis::from_zero("mean staleness, in versions", Quantity::Plain);
        section.figure(
            &cx.name("staleness-nodes"),
            draw("mean staleness of each node", x, stale),
            format!("Mean staleness of each node's updates, over all runs.{more}"),
        );
    }
    let mut sheet = Sheet::new("participation").text("setting", words.0).text("node", words.1);
    for (i, name) in ["share_min", "share_median", "share_max", "staleness_mean"].into_iter().enumerate() {
        sheet = sheet.float(name, numbers.iter().map(|row| row[i]));
    }
    cx.sheet(sheet);
}

/// As many settings as can be compared, from the first to the last.
fn spread_over(settings: &[usize]) -> Vec<usize> {
    if settings.len() <= COMPARED {
        return settings.to_vec();
    }
    (0..COMPARED).map(|i| settings[i * (settings.len() - 1) / (COMPARED - 1)]).collect()
}

/// Least, median and largest.
fn ends(values: &[f64]) -> (f64, f64, f64) {
    let ascending = sorted(values.iter().copied());
    let at = |p| quantile(&ascending, p).unwrap_or(f64::NAN);
    (at(0.0), at(0.5), at(1.0))
}
