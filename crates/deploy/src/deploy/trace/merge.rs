//! From what was observed to the files of a run directory: timeline.json over all nodes, in the format of a simulated
//! run's; clocks.csv, how well each node's clock is known; links.csv, what crossed each link.

use super::observed::{Job, Observed};
use anyhow::Context;
use hcddl_core::domain::{NodeId, Time};
use hcddl_core::node::kinds::ASSIGN;
use hcddl_plan::measure::outcome::{SpanKind, TimelineSpan};
use hcddl_plan::plan::{Plan, Role};
use hcddl_sim::record::rundir::file;
use hcddl_sim::record::timeline::{SPANS_MAX, Timeline};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

/// How each life's clock was aligned.
pub const CLOCKS: &str = "clocks.csv";
/// What crossed each link, in each direction.
pub const LINKS: &str = "links.csv";

/// What crossed a link in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Crossed {
    /// Messages that were sent.
    pub messages: u64,
    /// Of them, those that the receiver was told of.
    pub heard: u64,
    /// Their bytes, heads included.
    pub bytes: u64,
    /// Nanoseconds in which at least one was on its way.
    pub busy: u64,
}

/// Writes the three files. Returns sentences that a user should know.
///
/// # Errors
/// Files that cannot be written.
pub fn write(run: &Path, plan: &Plan, observed: &Observed) -> anyhow::Result<Vec<String>> {
    let mut warnings = Vec::new();
    if observed.is_empty() {
        return Ok(warnings);
    }
    if observed.strange > 0 {
        let text =
            format!("{} rows of the nodes' {} mean nothing and are left out", observed.strange, super::FILE);
        warnings.push(text);
    }
    let mut timeline = Timeline::create(run.join(file::TIMELINE), plan, SPANS_MAX)?;
    let mut of_node: BTreeMap<NodeId, u64> = BTreeMap::new();
    for span in spans(observed) {
        // One device that makes things up must leave room for the others.
        let count = of_node.entry(span.node).or_insert(0);
        *count += 1;
        if *count <= SPANS_MAX / 2 {
            timeline.push(&span)?;
        }
    }
    warnings.extend(timeline.finish()?);
    let put = |name: &str, text: String| {
        hcddl_files::atomic::replace(&run.join(name), text.as_bytes())
            .with_context(|| format!("cannot write `{}`", run.join(name).display()))
    };
    put(CLOCKS, clocks_text(plan, observed))?;
    put(LINKS, links_text(plan, &links(observed)))?;
    let unknown = observed.clocks.values().filter(|clock| clock.uncertainty.is_none()).count();
    if unknown > 0 {
        warnings.push(format!(
            "the clocks of {unknown} nodes are placed in the timeline by their hosts' dates: no message went there and \
             back ({CLOCKS})"
        ));
    }
    Ok(warnings)
}

/// All spans by their ends, as a simulation writes them.
fn spans(observed: &Observed) -> Vec<TimelineSpan> {
    let job = |job: &Job| TimelineSpan {
        node: job.node,
        kind: SpanKind::Compute,
        start: job.begin,
        end: job.end,
        label: job.label.clone(),
        other: None,
        bytes: 0,
    };
    let mut spans: Vec<TimelineSpan> = observed.jobs.iter().map(job).collect();
    spans.extend(observed.messages.iter().filter_map(|message| {
        Some(TimelineSpan {
            node: message.from,
            kind: SpanKind::Send,
            start: message.at,
            end: message.heard?,
            label: message.kind.clone(),
            other: Some(message.to),
            bytes: message.bytes,
        })
    }));
    spans.extend(observed.down.iter().map(|(node, start, end)| TimelineSpan {
        node: *node,
        kind: SpanKind::Down,
        start: *start,
        end: *end,
        label: "down".to_owned(),
        other: None,
        bytes: 0,
    }));
    spans.sort_by_key(|span| (span.end, span.start, span.node));
    spans
}

fn clocks_text(plan: &Plan, observed: &Observed) -> String {
    let mut text = "node,life,behind_s,drift_ppm,uncertainty_s,through,date_s\n".to_owned();
    for ((node, life), clock) in &observed.clocks {
        let name = |node: u32| plan.nodes.get(node as usize).map_or("", |node| node.name.as_str());
        let uncertainty = clock.uncertainty.map_or(String::new(), |nanos| format!("{:.9}", nanos / 1e9));
        let through = clock.through.map_or("", |through| name(through.0));
        // Where readings of a meter with dates belong.
        let date = observed.date.filter(|_| (*node, *life) == (0, 0));
        let date = date.map_or(String::new(), |date| format!("{:.3}", date as f64 / 1e9));
        let (behind, drift) = (clock.behind() / 1e9, clock.drift() * 1e6);
        let _ =
            writeln!(text, "{},{life},{behind:.9},{drift:.3},{uncertainty},{through},{date}", name(*node));
    }
    text
}

/// What crossed each link, by sender and receiver.
#[must_use]
pub fn links(observed: &Observed) -> BTreeMap<(NodeId, NodeId), Crossed> {
    let mut ways: BTreeMap<(NodeId, NodeId), Vec<(u64, u64)>> = BTreeMap::new();
    let mut all: BTreeMap<(NodeId, NodeId), Crossed> = BTreeMap::new();
    for message in &observed.messages {
        let link = (message.from, message.to);
        let crossed = all.entry(link).or_default();
        crossed.messages += 1;
        crossed.bytes = crossed.bytes.saturating_add(message.bytes);
        if let Some(heard) = message.heard {
            crossed.heard += 1;
            ways.entry(link).or_default().push((message.at.0, heard.0));
        }
    }
    for (link, ways) in ways {
        all.entry(link).or_default().busy = union(ways);
    }
    all
}

fn links_text(plan: &Plan, links: &BTreeMap<(NodeId, NodeId), Crossed>) -> String {
    let mut text = "from,to,messages,heard,bytes,busy_s\n".to_owned();
    for ((from, to), crossed) in links {
        let name = |node: &NodeId| &plan.nodes[node.index()].name;
        let Crossed { messages, heard, bytes, busy } = crossed;
        let busy = *busy as f64 / 1e9;
        let _ = writeln!(text, "{},{},{messages},{heard},{bytes},{busy:.6}", name(from), name(to));
    }
    text
}

/// Length of a union of spans.
#[must_use]
pub fn union(mut spans: Vec<(u64, u64)>) -> u64 {
    spans.sort_unstable();
    let (mut total, mut until) = (0, 0);
    for (start, end) in spans {
        total += end.saturating_sub(start.max(until));
        until = until.max(end);
    }
    total
}

/// Bytes by tier of link, keys as in a simulation's summary.
#[must_use]
pub fn bytes_by_tier(plan: &Plan, links: &BTreeMap<(NodeId, NodeId), Crossed>) -> BTreeMap<String, u64> {
    let mut tiers: BTreeMap<String, u64> = BTreeMap::new();
    for ((from, to), crossed) in links {
        let (a, b) = (&plan.nodes[from.index()], &plan.nodes[to.index()]);
        let tier = match (a.role, a.depth > b.depth) {
            (Role::Peer, _) => "peers".to_owned(),
            (_, true) => format!("depth {} up", a.depth),
            (_, false) => format!("depth {} down", b.depth),
        };
        let bytes = tiers.entry(tier).or_insert(0);
        *bytes = bytes.saturating_add(crossed.bytes);
    }
    tiers
}

/// Nanoseconds in which a node computed, and in which it did not but a message of its own was on its way; of each node
/// that left a trace.
#[must_use]
pub fn busy(observed: &Observed) -> BTreeMap<NodeId, (u64, u64)> {
    let mut jobs: BTreeMap<NodeId, Vec<(u64, u64)>> = BTreeMap::new();
    let mut all: BTreeMap<NodeId, Vec<(u64, u64)>> = BTreeMap::new();
    for job in &observed.jobs {
        jobs.entry(job.node).or_default().push((job.begin.0, job.end.0));
        all.entry(job.node).or_default().push((job.begin.0, job.end.0));
    }
    for message in &observed.messages {
        if let Some(heard) = message.heard {
            all.entry(message.from).or_default().push((message.at.0, heard.0));
        }
    }
    all.into_iter()
        .map(|(node, spans)| {
            let computing = union(jobs.remove(&node).unwrap_or_default());
            (node, (computing, union(spans) - computing))
        })
        .collect()
}

/// Mean seconds in which a child got its model and settings from its server: the older HCDDL's t_conf.
#[must_use]
pub fn configuring_s(observed: &Observed) -> Option<f64> {
    let assigned = observed.messages.iter().filter(|message| message.kind == ASSIGN.name());
    let took = |message: &super::observed::Sent| Some(message.heard?.since(message.at).0);
    let all: Vec<u64> = assigned.filter_map(took).collect();
    let sum: u128 = all.iter().map(|nanos| u128::from(*nanos)).sum();
    (!all.is_empty()).then(|| sum as f64 / all.len() as f64 / 1e9)
}

/// A moment of one node's life on the run's clock, in seconds.
pub(crate) fn on_one_clock(observed: &Observed, life: super::clocks::Life, seconds: f64) -> Option<f64> {
    let nanos = (seconds * 1e9).round();
    let clock = observed.clocks.get(&life)?;
    (0.0..1e18).contains(&nanos).then(|| Time(clock.aligned(nanos as u64)).seconds())
}

#[cfg(test)]
mod tests {
    use super::super::observed::Sent;
    use super::*;

    fn sent(at: u64, heard: Option<u64>, kind: &str) -> Sent {
        let (from, to, bytes) = (NodeId(0), NodeId(1), 100);
        Sent { from, to, at: Time(at), heard: heard.map(Time), bytes, kind: kind.to_owned() }
    }

    #[test]
    fn what_overlaps_counts_once() {
        let mut observed = Observed {
            messages: vec![sent(0, Some(10), "assign"), sent(5, Some(25), "assign"), sent(90, None, "x")],
            ..Observed::default()
        };
        let expected = Crossed { messages: 3, heard: 2, bytes: 300, busy: 25 };
        assert_eq!(links(&observed), BTreeMap::from([((NodeId(0), NodeId(1)), expected)]));
        assert_eq!(configuring_s(&observed), Some(15.0 / 1e9));
        let job = Job {
            node: NodeId(0),
            begin: Time(20),
            end: Time(40),
            label: "fold".to_owned(),
            count: 1,
            bytes: 4,
        };
        observed.jobs.push(job);
        assert_eq!(busy(&observed), BTreeMap::from([(NodeId(0), (20, 20))]));
        let ends: Vec<u64> = spans(&observed).iter().map(|span| span.end.0).collect();
        assert_eq!(ends, [10, 25, 40], "what was never heard is no span");
    }
}
