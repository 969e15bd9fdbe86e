//! The critical path over commits: which devices and links the run's duration hangs on.
//!
//! As a node reacts at once to what it is told, whatever it does begins when something else has ended: a job of its
//! own or a message to it. So from the root's last commit the path is walked backwards: at each moment to the span of this
//! node, or the message to it, that ended last; along a message to its sender; until the start (the critical path of a
//! program activity graph: C.-Q. Yang, B. P. Miller, ICDCS 1988). Time that no span explains (timers, waiting for a
//! fault to end) is its own part. The parts add up to the time of the last commit, and each is blamed on a device or a
//! link.
//!
//! The what-if numbers are first order: something that is a tenth faster saves a tenth of its part of the path. The
//! true gain can be smaller, since another path takes over, and asynchronous commits come in another order; `hcddl sim`
//! with the faster device or link tells exactly.

use super::super::figure::style::PALE;
use super::super::figure::{Axis, Quantity, Row, RowMark, Rows};
use super::super::page::Section;
use super::super::read::Run;
use super::super::read::timeline::{Kind, Timeline};
use super::super::sheet::Sheet;
use super::Cx;
use std::collections::BTreeMap;

/// What a piece of the path hangs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// A job of a node.
    Compute(usize),
    /// A message from a node to another one.
    Link(usize, usize),
    /// Nothing that was recorded: a node waited.
    Unexplained(usize),
}

/// A piece of the path.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Piece {
    /// What it hangs on.
    pub cause: Cause,
    /// The job or message: position in [`Timeline::spans`].
    pub span: Option<usize>,
    /// From.
    pub start: f64,
    /// To.
    pub end: f64,
}

/// Ends that are nearer than this are the same moment: the timeline has nanoseconds.
const SAME: f64 = 2e-9;

/// The path that ends at a node at a moment, from its start on.
#[must_use]
pub fn critical_path(timeline: &Timeline, node: usize, end: f64) -> Vec<Piece> {
    // What could have let a node act, by the moment of its end.
    let mut ended: Vec<Vec<(f64, usize)>> = vec![Vec::new(); timeline.nodes.len()];
    for (i, span) in timeline.spans.iter().enumerate() {
        match (span.kind, span.to) {
            (Kind::Compute, _) => ended[span.node].push((span.end, i)),
            (Kind::Send, Some(to)) => ended[to].push((span.end, i)),
            _ => {}
        }
    }
    for spans in &mut ended {
        // At one moment a job comes after a message: it is what the message started, or what it waited for.
        let rank = |i: usize| timeline.spans[i].kind == Kind::Compute;
        spans.sort_by(|a, b| a.0.total_cmp(&b.0).then(rank(a.1).cmp(&rank(b.1))).then(a.1.cmp(&b.1)));
    }
    let (mut node, mut at) = (node, end);
    let mut path = Vec::new();
    while at > SAME {
        let spans = &ended[node];
        let mut before = spans.partition_point(|(end, _)| *end <= at + SAME);
        // A span without length would lead to itself.
        while before > 0 && timeline.spans[spans[before - 1].1].start >= at {
            before -= 1;
        }
        let Some((end, i)) = before.checked_sub(1).map(|last| spans[last]) else {
            path.push(Piece { cause: Cause::Unexplained(node), span: None, start: 0.0, end: at });
            break;
        };
        if at - end > SAME {
            path.push(Piece { cause: Cause::Unexplained(node), span: None, start: end, end: at });
        }
        let span = &timeline.spans[i];
        let cause = match span.to {
            Some(to) => Cause::Link(span.node, to),
            None => Cause::Compute(span.node),
        };
        path.push(Piece { cause, span: Some(i), start: span.start, end: end.min(at) });
        (node, at) = (span.node, span.start);
    }
    path.reverse();
    path
}

/// The path to the root's last commit within the timeline.
#[must_use]
pub fn of_run(run: &Run) -> Option<(Vec<Piece>, f64)> {
    let timeline = run.timeline.as_ref().filter(|timeline| !timeline.spans.is_empty())?;
    let root = run.root()?;
    let node = timeline.nodes.iter().position(|node| node.name == root)?;
    let until = if timeline.cut.is_some() { timeline.end() } else { f64::INFINITY };
    let last = run.commits.iter().rev().find(|commit| commit.node == root && commit.time <= until)?;
    Some((critical_path(timeline, node, last.time), last.time))
}

/// Seconds by cause, the most first.
fn blame<K: Ord + Clone>(path: &[Piece], key: impl Fn(Cause) -> K) -> Vec<(K, f64)> {
    let mut sums: BTreeMap<K, f64> = BTreeMap::new();
    for piece in path {
        *sums.entry(key(piece.cause)).or_default() += piece.end - piece.start;
    }
    let mut sums: Vec<(K, f64)> = sums.into_iter().collect();
    sums.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    sums
}

fn in_words(timeline: &Timeline, cause: Cause) -> String {
    let name = |node: usize| &timeline.nodes[node].name;
    match cause {
        Cause::Compute(node) => format!("{} computes", name(node)),
        Cause::Link(from, to) => format!("{} → {}", name(from), name(to)),
        Cause::Unexplained(node) => format!("{} waits", name(node)),
    }
}

/// Kinds of devices and links.
fn class(timeline: &Timeline, cause: Cause) -> String {
    let group = |node: usize| &timeline.nodes[node].group;
    match cause {
        Cause::Compute(node) => format!("computing of {}", group(node)),
        Cause::Link(from, to) => format!("links from {} to {}", group(from), group(to)),
        Cause::Unexplained(_) => "waiting (timers, faults)".to_owned(),
    }
}

/// Rows of the figure.
const SHOWN: usize = 14;

pub(super) fn section(cx: &mut Cx<'_>) -> Option<Section> {
    let (path, time) = of_run(cx.run)?;
    let timeline = cx.run.timeline.as_ref()?;
    let mut section = Section::new("Critical path");
    section.text(format!(
        "The chain of jobs and messages that the last commit at {} hangs on, walked backwards from it: at each moment to \
         the job or message that ended last and so let the node act. {} pieces, which add up to that time.",
        Quantity::Seconds.text(time),
        path.len()
    ));
    let by_cause = blame(&path, |cause| cause);
    let colour = |cause: &Cause| match cause {
        Cause::Compute(_) => 0,
        Cause::Link(..) => 1,
        Cause::Unexplained(_) => PALE,
    };
    let rows = by_cause.iter().take(SHOWN).map(|(cause, seconds)| Row {
        label: in_words(timeline, *cause),
        marks: vec![RowMark::Bars(colour(cause), vec![(0.0, *seconds)])],
        note: Quantity::Share.text(seconds / time),
    });
    let key = |series, label: &str| super::super::figure::Key { series, label: label.to_owned() };
    let mut keys = vec![key(0, "computing"), key(1, "message on a link")];
    if by_cause.iter().take(SHOWN).any(|(cause, _)| colour(cause) == PALE) {
        keys.push(key(PALE, "waiting"));
    }
    let x = Axis::from_zero("time on the critical path", Quantity::Seconds);
    let title = "who the critical path hangs on".to_owned();
    let drawing = Rows { title, x, rows: rows.collect(), keys, thickness: 14.0 }.draw();
    let more = if by_cause.len() > SHOWN {
        format!(" The first {SHOWN} of {}.", by_cause.len())
    } else {
        String::new()
    };
    let caption =
        format!("Blame: how much of the time to the last commit hangs on each device and link.{more}");
    section.figure(&cx.name("critical-path"), drawing, caption);
    let classes = blame(&path, |cause| class(timeline, cause));
    let rows = classes.iter().map(|(what, seconds)| {
        let faster = if what.starts_with("waiting") {
            "–".to_owned()
        } else {
            Quantity::Seconds.text(0.1 * seconds)
        };
        vec![what.clone(), Quantity::Seconds.text(*seconds), Quantity::Share.text(seconds / time), faster]
    });
    section.table(
        "What if they were 10 % faster? A first-order estimate: a tenth of their part of the path. The true gain can be \
         smaller, since another path takes over; run the scenario with the change to know.",
        &["devices and links", "on the path", "share", "10 % faster saves"],
        1,
        rows.collect(),
    );
    let sheet = Sheet::new("critical-path")
        .text("cause", path.iter().map(|piece| in_words(timeline, piece.cause)))
        .text("class", path.iter().map(|piece| class(timeline, piece.cause)))
        .float("start_s", path.iter().map(|piece| piece.start))
        .float("end_s", path.iter().map(|piece| piece.end));
    cx.sheet(sheet);
    Some(section)
}

#[cfg(test)]
mod tests {
    use super::super::super::read::timeline::{TimeSpan, TimelineNode};
    use super::*;

    fn span(node: usize, kind: Kind, start: f64, end: f64, to: Option<usize>) -> TimeSpan {
        TimeSpan { node, kind, start, end, label: String::new(), to, bytes: 0.0 }
    }

    /// A server and two workers: the slow worker decides.
    #[test]
    fn the_path_goes_through_whoever_was_last() {
        let node = |name: &str| TimelineNode { name: name.to_owned(), group: "g".to_owned() };
        let spans = vec![
            span(0, Kind::Send, 0.0, 1.0, Some(1)),
            span(0, Kind::Send, 0.0, 1.0, Some(2)),
            span(1, Kind::Compute, 1.0, 2.0, None),
            span(1, Kind::Send, 2.0, 3.0, Some(0)),
            span(2, Kind::Compute, 1.0, 5.0, None),
            span(2, Kind::Send, 5.0, 6.5, Some(0)),
            span(0, Kind::Compute, 6.5, 7.0, None),
        ];
        let timeline = Timeline { nodes: vec![node("s"), node("a"), node("b")], spans, cut: None };
        let path = critical_path(&timeline, 0, 7.0);
        let causes: Vec<Cause> = path.iter().map(|piece| piece.cause).collect();
        assert_eq!(causes, [Cause::Link(0, 2), Cause::Compute(2), Cause::Link(2, 0), Cause::Compute(0)]);
        let total: f64 = path.iter().map(|piece| piece.end - piece.start).sum();
        assert!((total - 7.0).abs() < 1e-9);
        assert_eq!(blame(&path, |cause| cause)[0], (Cause::Compute(2), 4.0));
        // A timer: nothing ended when the server acted.
        let late = critical_path(&timeline, 0, 9.0);
        assert_eq!(late.last().unwrap().cause, Cause::Unexplained(0));
        assert!((late.iter().map(|piece| piece.end - piece.start).sum::<f64>() - 9.0).abs() < 1e-9);
    }
}
