//! Staleness and participation of a run.

use super::super::figure::{Axis, Mark, Panel, Plot, Quantity, Row, RowMark, Rows};
use super::super::page::Section;
use super::super::sheet::Sheet;
use super::Cx;
use hcddl_core::stats::quantile::Spread;
use std::collections::BTreeMap;

/// Nodes that a figure has room for.
const NODES: usize = 32;

pub(super) fn section(cx: &mut Cx<'_>) -> Option<Section> {
    let mut by_node: Vec<(String, Vec<f64>)> = Vec::new();
    let mut position: BTreeMap<&str, usize> = BTreeMap::new();
    for (name, stale) in cx.run.commits.iter().flat_map(|commit| &commit.contributors) {
        let at = *position.entry(name).or_insert_with(|| {
            by_node.push((name.clone(), Vec::new()));
            by_node.len() - 1
        });
        by_node[at].1.push(*stale as f64);
    }
    if by_node.is_empty() {
        return None;
    }
    by_node.sort_by_key(|(name, _)| natural(name));
    let mut section = Section::new("Staleness and participation");
    histogram(cx, &by_node, &mut section);
    workers(cx, &by_node, &mut section);
    Some(section)
}

/// Order in which `worker10` comes after `worker9`.
fn natural(name: &str) -> (String, u64) {
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    (stem.to_owned(), name[stem.len()..].parse().unwrap_or(0))
}

fn histogram(cx: &Cx<'_>, by_node: &[(String, Vec<f64>)], section: &mut Section) {
    let mut counts: BTreeMap<u64, f64> = BTreeMap::new();
    for stale in by_node.iter().flat_map(|(_, values)| values) {
        *counts.entry(*stale as u64).or_default() += 1.0;
    }
    let total: f64 = counts.values().sum();
    let bars =
        counts.iter().map(|(stale, n)| (*stale as f64 - 0.4, *stale as f64 + 0.4, n / total)).collect();
    let mut left = total;
    let tail = counts.iter().map(|(stale, n)| {
        left -= n;
        (*stale as f64, (left + n) / total)
    });
    let tail: Vec<(f64, f64)> = tail.collect();
    let last = counts.keys().next_back().copied().unwrap_or(0) as f64;
    let x = Axis::from_zero("staleness of an update, in versions", Quantity::Count).between(-0.5, last + 0.5);
    let y = Axis::from_zero("updates", Quantity::Share);
    let log =
        Axis { log: true, max: Some(1.0), ..Axis::fitted("updates at least so stale", Quantity::Share) };
    let panels = vec![
        Panel { title: "histogram".to_owned(), x: x.clone(), y, marks: vec![Mark::Bars(0, bars)] },
        Panel { title: "tail".to_owned(), x, y: log, marks: vec![Mark::Steps(0, tail)] },
    ];
    let title = "staleness of updates: histogram and tail".to_owned();
    let drawing = Plot { title, panels, columns: 2, keys: Vec::new(), height: 200.0 }.draw();
    let caption = "Staleness of all updates in commits, of servers on every tier: how many versions the server had moved \
                   on when it took an update in. Right: share that is at least so stale.";
    section.figure(&cx.name("staleness"), drawing, caption);
}

fn workers(cx: &mut Cx<'_>, by_node: &[(String, Vec<f64>)], section: &mut Section) {
    let total: f64 = by_node.iter().map(|(_, values)| values.len() as f64).sum();
    let spreads: Vec<Spread> = by_node.iter().filter_map(|(_, values)| Spread::of(values)).collect();
    let rows = by_node.iter().zip(&spreads).take(NODES).map(|((name, values), spread)| Row {
        label: name.clone(),
        marks: vec![RowMark::Box(0, [spread.p5, spread.q1, spread.median, spread.q3, spread.p95])],
        note: format!("mean {:.2}, {} updates", spread.mean, values.len()),
    });
    let x = Axis::from_zero("staleness, in versions", Quantity::Plain);
    let title = "staleness of each node's updates".to_owned();
    let drawing = Rows { title, x, rows: rows.collect(), keys: Vec::new(), thickness: 15.0 }.draw();
    let all = by_node.len();
    let more = if all > NODES {
        format!(" The first {NODES} of {all} nodes; all are in the data.")
    } else {
        String::new()
    };
    let caption = format!(
        "Staleness of each node's updates: 5th percentile, quartiles, median, 95th percentile; at the right the mean and how \
         many of its updates went into commits.{more}"
    );
    section.figure(&cx.name("staleness-nodes"), drawing, caption);
    let sheet = Sheet::new("contributors")
        .text("node", by_node.iter().map(|(name, _)| name.clone()))
        .float("updates", by_node.iter().map(|(_, values)| values.len() as f64))
        .float("share", by_node.iter().map(|(_, values)| values.len() as f64 / total))
        .float("staleness_mean", spreads.iter().map(|spread| spread.mean))
        .float("staleness_p95", spreads.iter().map(|spread| spread.p95));
    cx.sheet(sheet);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbered_nodes_are_in_order() {
        assert!(natural("worker9") < natural("worker10") && natural("local2") < natural("worker1"));
    }
}
