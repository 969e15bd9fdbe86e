//! Where each node's time went, and who did what when.

use super::super::figure::{Axis, Key, Quantity, Row, RowMark, Rows};
use super::super::page::Section;
use super::super::read::timeline::{Kind, Timeline};
use super::super::sheet::Sheet;
use super::Cx;

/// Nodes that a figure has room for.
const NODES: usize = 32;
/// Pixels of the Gantt chart's axis, about: spans that fall on one are joined.
const PIXELS: f64 = 2400.0;

/// Spans that a Gantt chart can show.
const SPANS: usize = 900;

const COMPUTING: usize = 0;
const SENDING: usize = 1;
const DOWN: usize = 3;
const WAITING: usize = super::super::figure::style::PALE;

pub(super) fn section(cx: &mut Cx<'_>) -> Option<Section> {
    let timeline = cx.run.timeline.as_ref().filter(|timeline| !timeline.spans.is_empty())?;
    let mut section = Section::new("Where the time goes");
    if let Some(cut) = &timeline.cut {
        section.text(format!("The timeline was cut off when the run was recorded: {cut}. What follows is about the part before."));
    }
    let splits: Vec<Split> = (0..timeline.nodes.len()).map(|node| Split::of(timeline, node)).collect();
    split_figure(cx, timeline, &splits, &mut section);
    gantt(cx, timeline, &mut section);
    let names = timeline.nodes.iter();
    let sheet = Sheet::new("time-split")
        .text("node", names.clone().map(|node| node.name.clone()))
        .text("group", names.map(|node| node.group.clone()))
        .float("compute", splits.iter().map(|split| split.compute))
        .float("send", splits.iter().map(|split| split.send))
        .float("down", splits.iter().map(|split| split.down))
        .float("wait", splits.iter().map(Split::wait));
    cx.sheet(sheet);
    Some(section)
}

/// Shares of a node's time.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Split {
    compute: f64,
    send: f64,
    down: f64,
}

impl Split {
    fn of(timeline: &Timeline, node: usize) -> Self {
        let spans = |kind: Kind| {
            let of_node = timeline.spans.iter().filter(move |span| span.node == node && span.kind == kind);
            of_node.map(|span| (span.start, span.end)).collect::<Vec<_>>()
        };
        let end = timeline.end().max(1e-12);
        let (down, compute, send) = (spans(Kind::Down), spans(Kind::Compute), spans(Kind::Send));
        let all =
            |parts: &[&Vec<(f64, f64)>]| length(parts.iter().flat_map(|part| part.iter().copied()).collect());
        let (down_alone, with_compute) = (all(&[&down]), all(&[&down, &compute]));
        Self {
            down: down_alone / end,
            compute: (with_compute - down_alone) / end,
            send: (all(&[&down, &compute, &send]) - with_compute) / end,
        }
    }

    fn wait(&self) -> f64 {
        (1.0 - self.compute - self.send - self.down).max(0.0)
    }
}

/// Length of a union of spans.
fn length(mut spans: Vec<(f64, f64)>) -> f64 {
    spans.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut total, mut until) = (0.0, f64::NEG_INFINITY);
    for (start, end) in spans {
        if end > until {
            total += end - start.max(until);
            until = end;
        }
    }
    total
}

fn keys(with_down: bool, waiting: bool) -> Vec<Key> {
    let mut keys = vec![(COMPUTING, "computing"), (SENDING, "sending (a message of its own is on its way)")];
    if with_down {
        keys.push((DOWN, "down"));
    }
    if waiting {
        keys.push((WAITING, "waiting or idle"));
    }
    keys.into_iter().map(|(series, label)| Key { series, label: label.to_owned() }).collect()
}

fn split_figure(cx: &Cx<'_>, timeline: &Timeline, splits: &[Split], section: &mut Section) {
    let row = |(node, split): (usize, &Split)| {
        let mut from = 0.0;
        let parts =
            [(COMPUTING, split.compute), (SENDING, split.send), (DOWN, split.down), (WAITING, split.wait())];
        let marks = parts.into_iter().map(|(series, share)| {
            from += share;
            RowMark::Bars(series, vec![(from - share, from)])
        });
        Row {
            label: timeline.nodes[node].name.clone(),
            marks: marks.collect(),
            note: format!("computing {}", Quantity::Share.text(split.compute)),
        }
    };
    let rows = splits.iter().enumerate().take(NODES).map(row).collect();
    let with_down = splits.iter().any(|split| split.down > 0.0);
    let x = Axis::from_zero("share of the node's time", Quantity::Share).between(0.0, 1.0);
    let title = "how each node spends its time".to_owned();
    let drawing = Rows { title, x, rows, keys: keys(with_down, true), thickness: 14.0 }.draw();
    section.figure(
        &cx.name("time-split"),
        drawing,
        format!("How each node spends its time.{}", more(splits.len())),
    );
}

fn more(nodes: usize) -> String {
    if nodes > NODES {
        format!(" The first {NODES} of {nodes} nodes; all are in the data.")
    } else {
        String::new()
    }
}

fn gantt(cx: &Cx<'_>, timeline: &Timeline, section: &mut Section) {
    let whole = timeline.end();
    let spans = timeline.spans.iter().filter(|span| span.node < NODES).count();
    // A long run is a grey mass: show as much of its beginning as can be read.
    let shown = if spans > SPANS { part_with(timeline, SPANS) } else { whole };
    let grain = shown / PIXELS;
    let rows = (0..timeline.nodes.len().min(NODES)).map(|node| {
        let of = |kind: Kind| {
            let spans = timeline
                .spans
                .iter()
                .filter(|span| span.node == node && span.kind == kind && span.start < shown);
            joined(spans.map(|span| (span.start, span.end.min(shown))).collect(), grain)
        };
        let marks = vec![
            RowMark::Bars(SENDING, of(Kind::Send)),
            RowMark::Bars(COMPUTING, of(Kind::Compute)),
            RowMark::Bars(DOWN, of(Kind::Down)),
        ];
        Row { label: timeline.nodes[node].name.clone(), marks, note: String::new() }
    });
    let with_down = timeline.spans.iter().any(|span| span.kind == Kind::Down);
    let rows: Vec<Row> = rows.collect();
    let x = Axis::from_zero(cx.run.time_label(), Quantity::Seconds).between(0.0, shown);
    let title = "who did what when".to_owned();
    let drawing = Rows { title, x, rows, keys: keys(with_down, false), thickness: 14.0 }.draw();
    let part = if shown < whole {
        format!(" The first {} of {}.", Quantity::Seconds.text(shown), Quantity::Seconds.text(whole))
    } else {
        String::new()
    };
    let caption = format!(
        "Who did what when; where nothing is drawn a node waits. Spans closer than a pixel are joined; timeline.json has \
         all of them (ui.perfetto.dev).{part}{}",
        more(timeline.nodes.len())
    );
    section.figure(&cx.name("gantt"), drawing, caption);
}

/// The moment before which so many spans begin.
fn part_with(timeline: &Timeline, spans: usize) -> f64 {
    let mut starts: Vec<f64> =
        timeline.spans.iter().filter(|span| span.node < NODES).map(|span| span.start).collect();
    starts.sort_by(f64::total_cmp);
    starts.get(spans).copied().unwrap_or_else(|| timeline.end()).max(1e-9)
}

/// Spans in order; those less than a grain apart are one.
fn joined(mut spans: Vec<(f64, f64)>, grain: f64) -> Vec<(f64, f64)> {
    spans.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut joined: Vec<(f64, f64)> = Vec::new();
    for (start, end) in spans {
        match joined.last_mut() {
            Some(last) if start - last.1 < grain => last.1 = last.1.max(end),
            _ => joined.push((start, end)),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlapping_spans_count_once() {
        assert_eq!(length(vec![(2.0, 3.0), (0.0, 1.0), (0.5, 2.5)]), 3.0);
        assert_eq!(joined(vec![(0.0, 1.0), (1.05, 2.0), (5.0, 6.0)], 0.1), [(0.0, 2.0), (5.0, 6.0)]);
    }
}
