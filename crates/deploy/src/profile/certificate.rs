//! How well a profile predicts: time per round, staleness and utilisation of links, measured in a deployed run and
//! predicted by a simulation of the same scenario with the profile.

use super::Rounds;
use crate::deploy::trace::merge::union;
use crate::deploy::trace::observed::Observed;
use hcddl_core::domain::{NodeId, Time};
use hcddl_plan::measure::outcome::{CommitRow, EvaluationRow, Observer, Progress, SpanKind, TimelineSpan};
use hcddl_plan::plan::Plan;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

/// Commits of the root, or of the first peer, and the messages of all nodes, of a run of either kind.
#[derive(Clone, Debug, Default)]
pub struct Course {
    /// When, and how stale each update was.
    commits: Vec<(Time, Vec<u64>)>,
    /// Of each link in each direction: begin and end of its messages.
    ways: BTreeMap<(NodeId, NodeId), Vec<(u64, u64)>>,
}

/// Rows of commits.csv that are read at most.
const ROWS_MAX: usize = 10_000_000;

impl Course {
    /// Of a gathered run: its commits.csv, and what was observed.
    ///
    /// # Errors
    /// When commits.csv cannot be read.
    pub fn deployed(run: &Path, plan: &Plan, observed: &Observed) -> std::io::Result<Self> {
        let text = std::fs::read_to_string(run.join(hcddl_sim::record::rundir::file::COMMITS))?;
        let root = plan.nodes.first().map_or("", |node| node.name.as_str());
        let mut course = Self { commits: commits(&text, root), ways: BTreeMap::new() };
        for message in &observed.messages {
            if let Some(heard) = message.heard {
                course.ways.entry((message.from, message.to)).or_default().push((message.at.0, heard.0));
            }
        }
        Ok(course)
    }

    /// The moments at which rounds end.
    #[must_use]
    pub fn ends(&self) -> Vec<Time> {
        self.commits.iter().map(|commit| commit.0).collect()
    }

    /// The figures of some rounds; `None` when there is no such round.
    #[must_use]
    pub fn figures(&self, rounds: Rounds) -> Option<Figures> {
        let spans: Vec<(u64, u64)> = self
            .commits
            .windows(2)
            .enumerate()
            .filter(|(before, _)| rounds.has(before + 1))
            .map(|(_, pair)| (pair[0].0.0, pair[1].0.0))
            .collect();
        let all: u64 = spans.iter().map(|(from, to)| to.saturating_sub(*from)).sum();
        if spans.is_empty() || all == 0 {
            return None;
        }
        let stale = self.commits.iter().enumerate().filter(|(round, _)| rounds.has(*round));
        let mut stale: Vec<u64> = stale.flat_map(|(_, commit)| commit.1.iter().copied()).collect();
        stale.sort_unstable();
        let staleness_mean = stale.iter().sum::<u64>() as f64 / stale.len().max(1) as f64;
        // The same rank as in a run's summary: the smallest value that 99 % do not exceed.
        let rank = (0.99 * stale.len() as f64).ceil() as usize;
        let staleness_p99 = stale.get(rank.max(1) - 1).copied().unwrap_or(0) as f64;
        let busy = |ways: &Vec<(u64, u64)>| within(ways, &spans) as f64 / all as f64;
        let links = self.ways.iter().map(|(link, ways)| (*link, busy(ways))).collect();
        Some(Figures { round_s: all as f64 / 1e9 / spans.len() as f64, staleness_mean, staleness_p99, links })
    }
}

/// Moments and stalenesses of a node's commits; rows without meaning are left out.
fn commits(text: &str, root: &str) -> Vec<(Time, Vec<u64>)> {
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().unwrap_or("").split(',').collect();
    let place = |name: &str| header.iter().position(|column| *column == name);
    let (Some(node), Some(time), Some(stale)) = (place("node"), place("virtual_time_s"), place("staleness"))
    else {
        return Vec::new();
    };
    let row = |line: &str| {
        let fields: Vec<&str> = line.split(',').collect();
        if *fields.get(node)? != root {
            return None;
        }
        let at = fields.get(time)?.parse::<f64>().ok().filter(|at| (0.0..1e9).contains(at))?;
        let stale = fields.get(stale)?.split(';').filter_map(|number| number.parse().ok()).collect();
        Some((Time((at * 1e9).round() as u64), stale))
    };
    let mut all: Vec<(Time, Vec<u64>)> = lines.take(ROWS_MAX).filter_map(row).collect();
    all.sort_by_key(|commit| commit.0);
    all
}

/// How long of some times a link was busy.
fn within(ways: &[(u64, u64)], times: &[(u64, u64)]) -> u64 {
    let mut ways = ways.to_vec();
    ways.sort_unstable();
    // As one after the other: both lists are in order, and each piece of a way lies in one time.
    let mut joined: Vec<(u64, u64)> = Vec::new();
    for (from, to) in ways {
        match joined.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            _ => joined.push((from, to)),
        }
    }
    let mut pieces = Vec::new();
    let mut first = 0;
    for (from, to) in times {
        while first < joined.len() && joined[first].1 <= *from {
            first += 1;
        }
        let met = joined[first..].iter().take_while(|way| way.0 < *to);
        pieces.extend(met.map(|way| (way.0.max(*from), way.1.min(*to))));
    }
    union(pieces)
}

/// Watches a simulation for its course.
#[derive(Debug, Default)]
pub struct Watch(pub Course);

impl Observer for Watch {
    fn commit(&mut self, row: &CommitRow) {
        if row.node == NodeId(0) {
            let before = row.version.0.saturating_sub(1);
            let stale = row.contributors.iter().map(|part| before.saturating_sub(part.base.0));
            self.0.commits.push((row.at, stale.collect()));
        }
    }
    fn evaluation(&mut self, _: &EvaluationRow) {}
    fn span(&mut self, span: &TimelineSpan) {
        if let (SpanKind::Send, Some(to)) = (span.kind, span.other) {
            self.0.ways.entry((span.node, to)).or_default().push((span.start.0, span.end.0));
        }
    }
    fn progress(&mut self, _: &Progress) {}
}

/// What some rounds of a run were like.
#[derive(Clone, Debug, PartialEq)]
pub struct Figures {
    /// Mean seconds from commit to commit.
    pub round_s: f64,
    /// Mean staleness of updates, in versions.
    pub staleness_mean: f64,
    /// Its 99th percentile.
    pub staleness_p99: f64,
    /// Share of the time in which a message was on its way, of each link in each direction.
    pub links: BTreeMap<(NodeId, NodeId), f64>,
}

/// Predicted against measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Certificate {
    /// Name of the scenario.
    pub scenario: String,
    /// What the profile was fitted to, where the rounds that were measured are others; `None` where they are the same.
    pub held_out_from: Option<String>,
    /// Rounds that were measured.
    pub rounds: usize,
    /// How transfers share in the simulation.
    pub contention: String,
    /// Figure by figure.
    pub figures: Vec<Compared>,
}

/// A figure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Compared {
    /// What.
    pub what: String,
    /// Its unit; empty for numbers of versions.
    pub unit: String,
    /// By the simulation.
    pub predicted: f64,
    /// In the run.
    pub measured: f64,
    /// How much of the measured one the predicted one is wrong, in percent; `None` when 0 was measured and something else
    /// predicted.
    pub error_percent: Option<f64>,
}

impl Compared {
    fn new(what: String, unit: &str, predicted: f64, measured: f64) -> Self {
        let error = if predicted == measured { 0.0 } else { 100.0 * (predicted / measured - 1.0) };
        let error_percent = error.is_finite().then_some(error);
        Self { what, unit: unit.to_owned(), predicted, measured, error_percent }
    }
}

/// Links that the text of a certificate names.
const NAMED: usize = 16;

impl Certificate {
    /// Sets the figures side by side.
    #[must_use]
    pub fn new(
        plan: &Plan,
        contention: &str,
        (fitted_to, rounds): (Option<&str>, usize),
        predicted: &Figures,
        measured: &Figures,
    ) -> Self {
        let mut figures = vec![
            Compared::new("time per round".to_owned(), "s", predicted.round_s, measured.round_s),
            Compared::new(
                "staleness, mean".to_owned(),
                "",
                predicted.staleness_mean,
                measured.staleness_mean,
            ),
            Compared::new("staleness, p99".to_owned(), "", predicted.staleness_p99, measured.staleness_p99),
        ];
        let name = |node: &NodeId| plan.nodes[node.index()].name.to_string();
        for (link, busy) in &measured.links {
            let predicted = predicted.links.get(link).copied().unwrap_or(0.0);
            let what = format!("utilisation, {} to {}", name(&link.0), name(&link.1));
            figures.push(Compared::new(what, "%", 100.0 * predicted, 100.0 * busy));
        }
        Self {
            scenario: plan.name.clone(),
            held_out_from: fitted_to.map(str::to_owned),
            rounds,
            contention: contention.to_owned(),
            figures,
        }
    }

    /// The error of the time per round, as a share.
    #[must_use]
    pub fn round_error(&self) -> f64 {
        self.figures
            .first()
            .and_then(|figure| figure.error_percent)
            .map_or(f64::INFINITY, |error| error.abs() / 100.0)
    }

    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        let how = match &self.held_out_from {
            Some(fitted_to) => format!("held out: fitted to {fitted_to}, checked on the rounds between"),
            None => "not held out: fitted to these very rounds, since there are few".to_owned(),
        };
        let mut text = format!(
            "certificate of a profile: {}, {} rounds, network.contention {}\n{how}\n",
            self.scenario, self.rounds, self.contention
        );
        let _ = writeln!(text, "{:<44} {:>12} {:>12} {:>9}", "", "predicted", "measured", "error");
        for figure in self.figures.iter().take(3 + NAMED) {
            let value = |value: f64| match figure.unit.as_str() {
                "s" => format!("{:.2} ms", value * 1e3),
                "" => format!("{value:.2}"),
                unit => format!("{value:.1} {unit}"),
            };
            let error = figure.error_percent.map_or("-".to_owned(), |error| format!("{error:+.1} %"));
            let (predicted, measured) = (value(figure.predicted), value(figure.measured));
            let _ = writeln!(text, "{:<44} {predicted:>12} {measured:>12} {error:>9}", figure.what);
        }
        let more = self.figures.len().saturating_sub(3 + NAMED);
        if more > 0 {
            let _ = writeln!(text, "{more} more links: see the JSON beside it");
        }
        text
    }
}

/// Rounds of each kind that make it worth to hold some out.
const HELD_OUT_MIN: usize = 4;

/// Whether a run has enough rounds to fit to some and to check with others.
#[must_use]
pub fn can_hold_out(commits: usize) -> bool {
    // The first one counts nowhere.
    commits > 2 * HELD_OUT_MIN
}

/// Rounds among so many commits.
#[must_use]
pub fn count(commits: usize, rounds: Rounds) -> usize {
    (0..commits).filter(|round| rounds.has(*round)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    fn course() -> Course {
        let commits = (0..9).map(|i| (Time((i * i + 1) * S), vec![i % 3])).collect();
        let link = (NodeId(1), NodeId(0));
        Course { commits, ways: BTreeMap::from([(link, vec![(0, 3 * S), (2 * S, 4 * S), (60 * S, 80 * S)])]) }
    }

    #[test]
    fn rounds_that_are_held_out_are_not_those_that_are_fitted() {
        for round in 0..20 {
            assert!(!(Rounds::Fitted.has(round) && Rounds::HeldOut.has(round)));
            assert_eq!(Rounds::All.has(round), Rounds::Fitted.has(round) || Rounds::HeldOut.has(round));
        }
        let all = course().figures(Rounds::All).unwrap();
        assert_eq!(all.round_s, 8.0);
        assert_eq!((all.staleness_p99, all.staleness_mean), (2.0, 9.0 / 8.0));
        // From 1 to 4 s, and from 60 to 65 s, of 64 s.
        assert_eq!(all.links[&(NodeId(1), NodeId(0))], 8.0 / 64.0);
        // Rounds 2, 4, 6, 8 take 3, 7, 11, 15 s.
        let held_out = course().figures(Rounds::HeldOut).unwrap();
        assert_eq!(held_out.round_s, 9.0);
        assert_eq!(held_out.links[&(NodeId(1), NodeId(0))], 7.0 / 36.0);
        assert_eq!(Course::default().figures(Rounds::All), None);
    }

    #[test]
    fn commits_of_others_and_rows_without_meaning_are_left_out() {
        let text = "node,version,virtual_time_s,contributors,staleness,bytes\n\
                    global,1,0.5,a;b,0;1,9\nlocal1,1,0.6,a,0,9\nglobal,2,x,a,0,9\nglobal,2,-3,a,0,9\nglobal,2,1.5,a,2,9\n";
        assert_eq!(commits(text, "global"), [(Time(S / 2), vec![0, 1]), (Time(3 * S / 2), vec![2])]);
        assert_eq!(commits("a,b\n1,2\n", "global"), []);
    }

    #[test]
    fn errors_are_shares_of_what_was_measured() {
        let compared =
            |predicted, measured| Compared::new(String::new(), "s", predicted, measured).error_percent;
        assert!((compared(1.1, 1.0).unwrap() - 10.0).abs() < 1e-9);
        assert_eq!((compared(0.0, 0.0), compared(1.0, 0.0)), (Some(0.0), None));
    }
}
