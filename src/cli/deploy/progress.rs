//! Where a deployed run stands: a line that is drawn again on a terminal, now and then a new one elsewhere.

use hcddl_core::domain::text::in_cell;
use hcddl_core::node::Reason;
use hcddl_deploy::deploy::agent::NodeStatus;
use hcddl_deploy::deploy::controller::{Follower, HostState, Record};
use hcddl_deploy::deploy::deployment::NodeState;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// Characters of what a host says in a table or line.
const CELL_MAX: usize = 100;
/// Time between two lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Shows a run on stderr.
pub struct Progress<'a> {
    record: &'a Record,
    bar: Option<ProgressBar>,
    /// When something was said last, and what was wrong then.
    said: Option<(Instant, String)>,
    quiet: bool,
}

impl<'a> Progress<'a> {
    pub fn new(record: &'a Record, quiet: bool) -> Self {
        let bar = (!quiet && std::io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::with_draw_target(record.rounds, ProgressDrawTarget::stderr_with_hz(5));
            let template = if record.rounds.is_some() {
                "{elapsed} [{bar:24}] {msg}"
            } else {
                "{elapsed} {spinner} {msg}"
            };
            bar.set_style(
                ProgressStyle::with_template(template).expect("a fixed template").progress_chars("=> "),
            );
            bar
        });
        Self { record, bar, said: None, quiet }
    }

    pub fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Follower for Progress<'_> {
    fn changed(&mut self, hosts: &[HostState]) {
        if self.quiet {
            return;
        }
        let text = line(self.record, hosts);
        if let Some(bar) = &self.bar {
            bar.set_position(
                root(self.record, hosts).and_then(|node| node.progress.as_ref()).map_or(0, |p| p.commits),
            );
            bar.set_message(text);
            return;
        }
        let problems = remarks(self.record, hosts);
        let due =
            self.said.as_ref().is_none_or(|(at, before)| at.elapsed() >= LINE_EVERY || *before != problems);
        if due {
            crate::cli::output::note("progress", &text);
            self.said = Some((Instant::now(), problems));
        }
    }
}

/// The node whose commits are the run's: the root, or the first peer.
fn root<'s>(record: &Record, hosts: &'s [HostState]) -> Option<&'s NodeStatus> {
    let mut nodes = hosts.iter().filter_map(|host| host.status.as_ref()).flat_map(|status| &status.nodes);
    match &record.root {
        Some(name) => nodes.find(|node| node.name == *name),
        None => nodes.next(),
    }
}

/// `version 12/50, accuracy 0.8123, staleness 1.50; 7 nodes: 6 running, 1 finished; pi3: cannot be reached`
pub fn line(record: &Record, hosts: &[HostState]) -> String {
    let mut parts = Vec::new();
    if let Some(progress) = root(record, hosts).and_then(|node| node.progress.as_ref()) {
        let of = record.rounds.map_or(String::new(), |rounds| format!("/{rounds}"));
        parts.push(format!("version {}{of}", progress.commits));
        parts.extend(progress.accuracy.map(|value| format!("accuracy {value:.4}")));
        parts.extend(progress.loss.map(|value| format!("loss {value:.4}")));
        parts.extend(progress.staleness.map(|value| format!("staleness {value:.2}")));
    }
    let mut counts = [0_usize; 5];
    for host in hosts.iter().zip(&record.hosts) {
        match (&host.0.status, &host.0.problem) {
            (Some(status), None) => status.nodes.iter().for_each(|node| counts[state(node)] += 1),
            _ => counts[4] += host.1.nodes.len(),
        }
    }
    let words = ["starting", "running", "finished", "failed", "not heard of"];
    let counted = counts.iter().zip(words).filter(|(count, _)| **count > 0);
    let counted: Vec<String> = counted.map(|(count, word)| format!("{count} {word}")).collect();
    let nodes: usize = record.hosts.iter().map(|host| host.nodes.len()).sum();
    let mut text = parts.join(", ");
    if !text.is_empty() {
        text += "; ";
    }
    text += &format!("{nodes} nodes: {}", counted.join(", "));
    text + &remarks(record, hosts)
}

/// What keeps nodes and hosts from going on, and who is waited for.
fn remarks(record: &Record, hosts: &[HostState]) -> String {
    let nodes = || hosts.iter().filter_map(|host| host.status.as_ref()).flat_map(|status| &status.nodes);
    let running = || nodes().filter(|node| node.pid.is_some());
    let mut text = String::new();
    let paused = names(running().filter(|node| node.paused).map(|node| node.name.clone()));
    if !paused.is_empty() {
        text += &format!("; held by a signal (SIGSTOP): {paused}");
    }
    let failed = names(nodes().filter(|node| state(node) == FAILED).map(|node| {
        let reason = node.progress.as_ref().and_then(|progress| progress.reason.as_ref()?.problem());
        format!("{} ({})", node.name, reason.or(node.ended.as_deref()).unwrap_or("it did not say why"))
    }));
    if !failed.is_empty() {
        text += &format!("; failed: {failed}");
    }
    let lost = running().filter_map(|node| {
        let lost = &node.progress.as_ref()?.lost;
        (!lost.is_empty()).then(|| format!("{} has lost {}", node.name, names(lost.iter().cloned())))
    });
    let lost = names(lost);
    if !lost.is_empty() {
        text += &format!("; {lost}");
    }
    if record.root.is_some()
        && root(record, hosts).is_some_and(|node| node.ended.is_some() && node.pid.is_none())
    {
        let waiting = names(running().map(|node| node.name.clone()));
        if !waiting.is_empty() {
            text += &format!("; waiting for {waiting} to end");
        }
    }
    for (state, host) in hosts.iter().zip(&record.hosts) {
        if let Some(problem) = &state.problem {
            text += &format!("; {}: {}", host.host.name, in_cell(problem, CELL_MAX));
        }
    }
    text
}

/// The first few names, and how many there are besides.
fn names(mut all: impl Iterator<Item = String>) -> String {
    let first: Vec<String> = all.by_ref().take(3).map(|name| in_cell(&name, CELL_MAX)).collect();
    let more = all.count();
    first.join(", ") + &if more > 0 { format!(" and {more} more") } else { String::new() }
}

const FAILED: usize = 3;

/// Starting, running, finished, failed.
fn state(node: &NodeStatus) -> usize {
    let says = node.progress.as_ref().map_or(NodeState::Starting, |progress| progress.state);
    match (node.pid, says) {
        (Some(_), NodeState::Starting) => 0,
        (Some(_), _) => 1,
        (None, _) if node.ended.is_none() => 0,
        (None, _) if node.succeeded() => 2,
        (None, _) => FAILED,
    }
}

/// A table of all nodes: what became of them.
pub fn table(record: &Record, hosts: &[HostState]) -> String {
    let mut rows =
        vec![["node", "host", "state", "commits", "sent", "received", "memory"].map(str::to_owned)];
    for (host, state) in record.hosts.iter().zip(hosts) {
        for name in &host.nodes {
            let node =
                state.status.as_ref().and_then(|status| status.nodes.iter().find(|node| node.name == *name));
            let progress = node.and_then(|node| node.progress.clone()).unwrap_or_default();
            let what = match (node, &state.problem) {
                (Some(node), _) if node.ended.is_some() => {
                    match progress.reason.as_ref().and_then(Reason::problem) {
                        Some(reason) if !node.succeeded() => {
                            format!("{}: {reason}", node.ended.clone().unwrap_or_default())
                        }
                        _ if node.succeeded() => "finished".to_owned(),
                        _ => node.ended.clone().unwrap_or_default(),
                    }
                }
                (_, Some(problem)) => problem.clone(),
                (Some(node), None) if node.paused => "held by a signal (SIGSTOP)".to_owned(),
                (Some(node), None) if node.pid.is_some() => match &progress.lost[..] {
                    [] => "running".to_owned(),
                    lost => format!("running; has lost {}", names(lost.iter().cloned())),
                },
                _ => "not started".to_owned(),
            };
            let bytes = |bytes: u64| hcddl_report::terminal::count(bytes as f64) + "B";
            rows.push([
                name.clone(),
                host.host.name.clone(),
                in_cell(&what, CELL_MAX),
                progress.commits.to_string(),
                bytes(progress.bytes_sent),
                bytes(progress.bytes_received),
                node.filter(|node| node.memory_bytes > 0)
                    .map_or("-".to_owned(), |node| bytes(node.memory_bytes)),
            ]);
        }
    }
    let widths: Vec<usize> =
        (0..7).map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)).collect();
    let line = |row: &[String; 7]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}
