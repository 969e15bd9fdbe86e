//! What a difference in time between two runs comes from: the critical path of each (`super::super::run::path`) to the
//! same commit of the root, in parts by what was done, and by who did it.

use super::super::figure::Quantity;
use super::super::read::Run;
use super::super::read::timeline::{Kind, Timeline};
use super::super::run::path::{Cause, Piece, critical_path};
use super::{hints, table};
use std::collections::{BTreeMap, BTreeSet};

/// What time on the path went into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Computing,
    Coding,
    Sending,
    Behind,
    Folding,
    Waiting,
    Starting,
}

impl Part {
    const ALL: [(Self, &'static str); 7] = [
        (Self::Computing, "computing"),
        (Self::Coding, "coding (encode, decode)"),
        (Self::Sending, "sending"),
        (Self::Behind, "sending, behind another message of the same link"),
        (Self::Folding, "the servers' arithmetic"),
        (Self::Waiting, "waiting (timers, faults, a busy processor)"),
        (Self::Starting, "the start, up to the first commit"),
    ];

    /// The part that a job belongs to.
    pub(super) fn of_job(label: &str) -> Self {
        match label {
            "fold" => Self::Folding,
            "encode" | "decode" => Self::Coding,
            _ => Self::Computing,
        }
    }
}

/// Who did it: a node, or a link from one to another.
pub(super) type Who = (String, Option<String>);

/// A run's critical path to a commit, in seconds by part, and by part and who.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Account {
    parts: BTreeMap<Part, f64>,
    pub by: BTreeMap<(Part, Who), f64>,
}

impl Account {
    /// What is before `begun` is the start: processes that wait for each other, which says nothing about rounds.
    fn of(timeline: &Timeline, path: &[Piece], begun: f64) -> Self {
        let name = |node: usize| timeline.nodes[node].name.clone();
        let messages = by_link(timeline);
        let mut account = Self::default();
        for piece in path {
            let started = (piece.end.min(begun) - piece.start).max(0.0);
            if started > 0.0 {
                *account.parts.entry(Part::Starting).or_default() += started;
            }
            let piece = &Piece { start: piece.start.max(begun), ..*piece };
            let length = piece.end - piece.start;
            if length <= 0.0 {
                continue;
            }
            match piece.cause {
                Cause::Compute(node) => {
                    let label = piece.span.map_or("", |i| timeline.spans[i].label.as_str());
                    account.add(Part::of_job(label), (name(node), None), length);
                }
                Cause::Link(from, to) => {
                    let who = (name(from), Some(name(to)));
                    let behind = behind(&messages[&(from, to)], piece).min(length);
                    account.add(Part::Sending, who.clone(), length - behind);
                    account.add(Part::Behind, who, behind);
                }
                Cause::Unexplained(node) => account.add(Part::Waiting, (name(node), None), length),
            }
        }
        account
    }

    fn add(&mut self, part: Part, who: Who, seconds: f64) {
        *self.parts.entry(part).or_default() += seconds;
        *self.by.entry((part, who)).or_default() += seconds;
    }

    fn part(&self, part: Part) -> f64 {
        self.parts.get(&part).copied().unwrap_or(0.0)
    }
}

/// Begin and end of the messages of each link, by their begins.
type Messages = BTreeMap<(usize, usize), Vec<(f64, f64)>>;

fn by_link(timeline: &Timeline) -> Messages {
    let mut all = Messages::new();
    for span in timeline.spans.iter().filter(|span| span.kind == Kind::Send) {
        if let Some(to) = span.to {
            all.entry((span.node, to)).or_default().push((span.start, span.end));
        }
    }
    all.values_mut().for_each(|messages| messages.sort_by(|a, b| a.0.total_cmp(&b.0)));
    all
}

/// Messages of a link that may still be on their way when the next one begins.
const AHEAD: usize = 64;

/// How long a message had another one of its link before it that was not there yet.
fn behind(messages: &[(f64, f64)], piece: &Piece) -> f64 {
    let before = messages.partition_point(|(start, _)| *start < piece.start);
    let earlier = &messages[before.saturating_sub(AHEAD)..before];
    let until =
        earlier.iter().map(|(_, end)| *end).filter(|end| *end < piece.end).fold(piece.start, f64::max);
    until - piece.start
}

/// Moments of the root's commits that the timeline has.
fn commits(run: &Run, timeline: &Timeline) -> Option<(usize, Vec<f64>)> {
    let root = run.root()?;
    let node = timeline.nodes.iter().position(|node| node.name == root)?;
    let until = if timeline.cut.is_some() { timeline.end() } else { f64::INFINITY };
    let own = run.commits.iter().filter(|commit| commit.node == root && commit.time <= until);
    Some((node, own.map(|commit| commit.time).collect()))
}

/// What the runs are called in tables.
pub(super) fn names(a: &Run, b: &Run) -> [&'static str; 2] {
    match (a.deployed, b.deployed) {
        (true, false) => ["deployed", "simulated"],
        (false, true) => ["simulated", "deployed"],
        _ => ["A", "B"],
    }
}

/// What of a run is missing, and how to get it.
fn missing(run: &Run, name: &str) -> String {
    let dir = run.dir.display();
    let how = if run.deployed {
        "its nodes left no traces (nodes/<node>/life0/trace.csv): deploy it again with this version of hcddl, or fetch it \
         again with `hcddl deploy fetch`"
    } else {
        "record one with `hcddl sim`, without --no-timeline"
    };
    format!("{name}: `{dir}` has no timeline.json; {how}\n")
}

/// Rows of the table of nodes and links.
const SHOWN: usize = 8;

/// The sections about time, for two runs; nothing for two simulations of which one has no timeline.
pub(super) fn explain(a: &Run, b: &Run) -> String {
    let [name_a, name_b] = names(a, b);
    let (Some(of_a), Some(of_b)) = (&a.timeline, &b.timeline) else {
        if !a.deployed && !b.deployed {
            return String::new();
        }
        let lost = [(a, name_a), (b, name_b)].into_iter().filter(|(run, _)| run.timeline.is_none());
        let text: String = lost.map(|(run, name)| missing(run, name)).collect();
        return format!("\nwhat the difference in time comes from needs the timelines of both runs:\n{text}");
    };
    let nothing = || {
        "\nwhat the difference in time comes from cannot be said: a run has no commit in its timeline\n"
            .to_owned()
    };
    let (Some((root_a, times_a)), Some((root_b, times_b))) = (commits(a, of_a), commits(b, of_b)) else {
        return nothing();
    };
    let Some((&end_a, &end_b)) = times_a.iter().zip(&times_b).next_back() else { return nothing() };
    let count = times_a.len().min(times_b.len());
    let begun = |times: &[f64]| if count > 1 { times[0] } else { 0.0 };
    let account_a = Account::of(of_a, &critical_path(of_a, root_a, end_a), begun(&times_a));
    let account_b = Account::of(of_b, &critical_path(of_b, root_b, end_b), begun(&times_b));
    if account_a == account_b {
        return String::new();
    }
    let mut text = format!(
        "\ntime to the root's commit {count}, along the critical path (what it waited for, walked backwards):\n"
    );
    text += &parts_table([name_a, name_b], &account_a, &account_b, count, (end_a, end_b));
    let differences = differences(&account_a, &account_b);
    text += &who_table([name_a, name_b], &account_a, &account_b, &differences);
    text += &hints::hints(a, b, &differences, (end_a - end_b).abs());
    text
}

fn signed(seconds: f64) -> String {
    let text = Quantity::Seconds.text(seconds.abs());
    match seconds {
        s if s > 0.0 => format!("+{text}"),
        s if s < 0.0 => format!("-{text}"),
        _ => text,
    }
}

fn parts_table(
    [name_a, name_b]: [&str; 2],
    a: &Account,
    b: &Account,
    count: usize,
    (end_a, end_b): (f64, f64),
) -> String {
    let share = |difference: f64| {
        let share = difference / end_b;
        if share.is_finite() { format!("{:+.1} %", 100.0 * share) } else { "–".to_owned() }
    };
    let row = |what: &str, of_a: f64, of_b: f64| {
        let (a, b) = (Quantity::Seconds.text(of_a), Quantity::Seconds.text(of_b));
        let each = signed((of_a - of_b) / count as f64);
        vec![what.to_owned(), a, b, signed(of_a - of_b), each, share(of_a - of_b)]
    };
    let parts = Part::ALL.iter().map(|(part, what)| (what, a.part(*part), b.part(*part)));
    let mut rows: Vec<Vec<String>> =
        parts.filter(|(_, a, b)| a + b > 0.0).map(|(what, a, b)| row(what, a, b)).collect();
    rows.push(row("all", end_a, end_b));
    let difference = format!("{name_a} - {name_b}");
    let share = format!("of all, {name_b}");
    table(&["part", name_a, name_b, &difference, "for each commit", &share], rows)
}

/// By part and who, the largest difference first.
pub(super) fn differences(a: &Account, b: &Account) -> Vec<((Part, Who), f64)> {
    let all: BTreeSet<&(Part, Who)> = a.by.keys().chain(b.by.keys()).collect();
    let of = |account: &Account, key: &(Part, Who)| account.by.get(key).copied().unwrap_or(0.0);
    let mut all: Vec<_> = all.into_iter().map(|key| (key.clone(), of(a, key) - of(b, key))).collect();
    all.sort_by(|x, y| y.1.abs().total_cmp(&x.1.abs()).then(x.0.cmp(&y.0)));
    all
}

fn who_table(
    [name_a, name_b]: [&str; 2],
    a: &Account,
    b: &Account,
    differences: &[((Part, Who), f64)],
) -> String {
    let of = |account: &Account, key: &(Part, Who)| {
        Quantity::Seconds.text(account.by.get(key).copied().unwrap_or(0.0))
    };
    let word = |part: Part| match part {
        Part::Computing => "computes",
        Part::Coding => "codes",
        Part::Sending => "sends",
        Part::Behind => "sends, behind another",
        Part::Folding => "folds",
        Part::Waiting => "waits",
        Part::Starting => "starts",
    };
    let rows = differences.iter().filter(|(_, seconds)| *seconds != 0.0).take(SHOWN).map(|(key, seconds)| {
        let (part, (node, to)) = key;
        let who = to.as_ref().map_or(node.clone(), |to| format!("{node} → {to}"));
        vec![format!("{who} {}", word(*part)), of(a, key), of(b, key), signed(*seconds)]
    });
    let rows: Vec<Vec<String>> = rows.collect();
    if rows.is_empty() {
        return String::new();
    }
    let difference = format!("{name_a} - {name_b}");
    let more = differences.len().saturating_sub(SHOWN);
    let more = if more > 0 {
        format!("the {SHOWN} that differ most, of {}\n", differences.len())
    } else {
        String::new()
    };
    table(&["node or link", name_a, name_b, &difference], rows) + &more
}

#[cfg(test)]
mod tests {
    use super::super::super::read::timeline::{TimeSpan, TimelineNode};
    use super::*;

    fn span(node: usize, label: &str, start: f64, end: f64, to: Option<usize>) -> TimeSpan {
        let kind = if to.is_some() { Kind::Send } else { Kind::Compute };
        TimeSpan { node, kind, start, end, label: label.to_owned(), to, bytes: 0.0 }
    }

    #[test]
    fn the_parts_of_the_path_add_up_to_its_time() {
        let node = |name: &str| TimelineNode { name: name.to_owned(), group: "g".to_owned() };
        let spans = vec![
            span(0, "assign", 0.0, 1.0, Some(1)),
            span(1, "train", 1.0, 4.0, None),
            span(1, "encode", 4.0, 4.5, None),
            // Another message of the link is on its way until 5.5.
            span(1, "log", 4.2, 5.5, Some(0)),
            span(1, "update", 4.5, 7.0, Some(0)),
            span(0, "fold", 7.25, 8.0, None),
        ];
        let timeline = Timeline { nodes: vec![node("s"), node("w")], spans, cut: None };
        let account = Account::of(&timeline, &critical_path(&timeline, 0, 8.0), 0.0);
        let parts: Vec<(Part, f64)> = account.parts.iter().map(|(part, seconds)| (*part, *seconds)).collect();
        let expected = [
            (Part::Computing, 3.0),
            (Part::Coding, 0.5),
            (Part::Sending, 2.5),
            (Part::Behind, 1.0),
            (Part::Folding, 0.75),
            (Part::Waiting, 0.25),
        ];
        assert_eq!(parts, expected);
        let later = Account::of(&timeline, &critical_path(&timeline, 0, 8.0), 2.0);
        assert_eq!((later.part(Part::Starting), later.part(Part::Computing)), (2.0, 2.0));
        assert_eq!(later.parts.values().sum::<f64>(), 8.0);
        let none = Account::default();
        assert_eq!(differences(&account, &none)[0], ((Part::Computing, ("w".to_owned(), None)), 3.0));
    }
}
