//! timeline.json: what each node did when, as Chrome trace events.
//!
//! The format is the "JSON array format" of the Trace Event Format (N. Duca, D. Sinclair, Google, 2016):
//! complete events (`ph: X`) with microseconds, one thread for each node, one process for each tier. It opens in
//! ui.perfetto.dev and in chrome://tracing, also when the closing bracket is missing after a crash.
//!
//! Complete events of one thread must nest, so a span that overlaps an earlier one of the same track goes
//! to a further track of the node: `worker3`, `worker3 (2)`, and for transfers `worker3 sends`.
//! A gap in a node's main track that no finished transfer covers is drawn as `wait`.

use super::RecordError;
use super::sink::Sink;
use hcddl_core::domain::{NodeId, Time};
use hcddl_plan::measure::outcome::{SpanKind, TimelineSpan};
use hcddl_plan::plan::{Plan, Role};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::PathBuf;

/// Spans after which the rest of a timeline is left out; Perfetto stays quick up to here.
pub const SPANS_MAX: u64 = 200_000;

/// The file and what is needed to place the next span.
#[derive(Debug)]
pub struct Timeline {
    sink: Sink,
    nodes: Vec<NodeTrack>,
    processes: Vec<String>,
    spans_max: u64,
    state: TimelineState,
    line: String,
}

/// Where a timeline stands, so that a resumed run can go on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TimelineState {
    bytes: u64,
    spans: u64,
    /// Start of the first span that was left out.
    cut_at: Option<Time>,
    /// Last end on each track of a node.
    tracks: BTreeMap<(NodeId, Group), Vec<Time>>,
    /// Last moment at which a node is known to have been busy.
    busy_until: BTreeMap<NodeId, Time>,
    processes_named: BTreeSet<u32>,
}

/// Tracks of a node that are filled apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Group {
    Main,
    Sends,
}

#[derive(Debug)]
struct NodeTrack {
    name: String,
    process: u32,
}

impl Timeline {
    /// A new file that takes `spans_max` spans.
    ///
    /// # Errors
    /// [`RecordError::Io`].
    pub fn create(path: PathBuf, plan: &Plan, spans_max: u64) -> Result<Self, RecordError> {
        let mut timeline = Self::over(Sink::create(path)?, plan, spans_max, TimelineState::default());
        timeline.sink.write(b"[\n")?;
        timeline.sink.flush()?;
        Ok(timeline)
    }

    /// An existing file, cut back to a state.
    ///
    /// # Errors
    /// [`RecordError`] when it is shorter or was changed.
    pub fn resume(
        path: PathBuf,
        plan: &Plan,
        spans_max: u64,
        state: TimelineState,
    ) -> Result<Self, RecordError> {
        Ok(Self::over(Sink::resume(path, state.bytes)?, plan, spans_max, state))
    }

    fn over(sink: Sink, plan: &Plan, spans_max: u64, state: TimelineState) -> Self {
        let tiers = plan.tiers.len() as u32;
        let process = |role| match role {
            Role::Server(tier) => u32::from(tier),
            Role::Worker => tiers,
            Role::Peer => tiers + 1,
        };
        let nodes = plan
            .nodes
            .iter()
            .map(|node| NodeTrack { name: node.name.to_string(), process: process(node.role) })
            .collect();
        let mut processes: Vec<String> =
            plan.tiers.iter().map(|tier| format!("servers: {}", tier.name)).collect();
        processes.extend(["workers".to_owned(), "peers".to_owned()]);
        Self { sink, nodes, processes, spans_max, state, line: String::new() }
    }

    /// Whether there is room for more.
    #[must_use]
    pub fn wants_more(&self) -> bool {
        self.state.cut_at.is_none()
    }

    /// Appends a span, and the wait before it.
    ///
    /// # Errors
    /// [`RecordError::Io`].
    pub fn push(&mut self, span: &TimelineSpan) -> Result<(), RecordError> {
        if self.state.spans >= self.spans_max {
            self.state.cut_at.get_or_insert(span.start);
            return Ok(());
        }
        self.state.spans += 1;
        let group = if span.kind == SpanKind::Send { Group::Sends } else { Group::Main };
        let track = self.track(span, group)?;
        if group == Group::Main && track == 0 {
            self.wait_before(span)?;
        }
        let busy = self.state.busy_until.entry(span.node).or_default();
        *busy = (*busy).max(span.end);
        let (category, name) = match (span.kind, span.other) {
            (SpanKind::Compute, _) => ("compute", span.label.clone()),
            (SpanKind::Down, _) => ("down", "down".to_owned()),
            (SpanKind::Send, None) => ("send", span.label.clone()),
            (SpanKind::Send, Some(to)) => {
                ("send", format!("{} to {}", span.label, self.nodes[to.index()].name))
            }
        };
        let bytes = (span.kind == SpanKind::Send).then_some(span.bytes);
        self.event(span.node, group, track, category, &name, (span.start, span.end), bytes)
    }

    /// The track of a group on which the span overlaps nothing; a new one if there is none.
    fn track(&mut self, span: &TimelineSpan, group: Group) -> Result<usize, RecordError> {
        let tracks = self.state.tracks.entry((span.node, group)).or_default();
        let free = tracks.iter().position(|end| *end <= span.start);
        let track = free.unwrap_or(tracks.len());
        if free.is_some() {
            tracks[track] = span.end;
        } else {
            tracks.push(span.end);
            self.name_track(span.node, group, track)?;
        }
        Ok(track)
    }

    fn wait_before(&mut self, span: &TimelineSpan) -> Result<(), RecordError> {
        let idle_from = self.state.busy_until.get(&span.node).copied().unwrap_or(Time::ZERO);
        if idle_from < span.start {
            self.event(span.node, Group::Main, 0, "wait", "wait", (idle_from, span.start), None)?;
        }
        Ok(())
    }

    /// Names a track at its first use, and its process.
    fn name_track(&mut self, node: NodeId, group: Group, track: usize) -> Result<(), RecordError> {
        let NodeTrack { name, process } = &self.nodes[node.index()];
        let pid = process + 1;
        let mut named = String::new();
        if self.state.processes_named.insert(pid) {
            let process_name = json(&self.processes[*process as usize]);
            let _ = write!(
                named,
                "{{\"name\":\"process_name\",\"ph\":\"M\",\"pid\":{pid},\"args\":{{\"name\":{process_name}}}}},\n\
                 {{\"name\":\"process_sort_index\",\"ph\":\"M\",\"pid\":{pid},\"args\":{{\"sort_index\":{pid}}}}},\n"
            );
        }
        let thread_name = json(&match (group, track) {
            (Group::Main, 0) => name.clone(),
            (Group::Main, n) => format!("{name} ({})", n + 1),
            (Group::Sends, 0) => format!("{name} sends"),
            (Group::Sends, n) => format!("{name} sends ({})", n + 1),
        });
        let tid = self.tid(node, group, track);
        let sort = u64::from(node.0) * 1000 + (2 * track + group as usize).min(999) as u64;
        let _ = writeln!(
            named,
            "{{\"name\":\"thread_name\",\"ph\":\"M\",\"pid\":{pid},\"tid\":{tid},\"args\":{{\"name\":{thread_name}}}}},\n\
             {{\"name\":\"thread_sort_index\",\"ph\":\"M\",\"pid\":{pid},\"tid\":{tid},\"args\":{{\"sort_index\":{sort}}}}},"
        );
        self.sink.write(named.as_bytes())
    }

    /// The main track of node i has thread id i + 1: Perfetto keeps 0 for the idle thread.
    fn tid(&self, node: NodeId, group: Group, track: usize) -> u64 {
        let layer = 2 * track as u64 + group as u64;
        layer * self.nodes.len() as u64 + u64::from(node.0) + 1
    }

    #[allow(clippy::too_many_arguments)] // the fields of one event, in the order of the format
    fn event(
        &mut self,
        node: NodeId,
        group: Group,
        track: usize,
        category: &str,
        name: &str,
        (start, end): (Time, Time),
        bytes: Option<u64>,
    ) -> Result<(), RecordError> {
        let pid = self.nodes[node.index()].process + 1;
        let tid = self.tid(node, group, track);
        self.line.clear();
        let _ = write!(
            self.line,
            "{{\"name\":{},\"cat\":\"{category}\",\"ph\":\"X\",\"ts\":{},\"dur\":{},\"pid\":{pid},\"tid\":{tid}",
            json(name),
            micros(start.0),
            micros(end.since(start).0),
        );
        if let Some(bytes) = bytes {
            let _ = write!(self.line, ",\"args\":{{\"bytes\":{bytes}}}");
        }
        self.line.push_str("},\n");
        self.sink.write(self.line.as_bytes())
    }

    /// Hands everything to the operating system.
    ///
    /// # Errors
    /// [`RecordError::Io`].
    pub fn flush(&mut self) -> Result<(), RecordError> {
        self.sink.flush()
    }

    /// Where it stands; everything before has been handed to the operating system.
    ///
    /// # Errors
    /// [`RecordError::Io`].
    pub fn state(&mut self) -> Result<TimelineState, RecordError> {
        self.sink.flush()?;
        self.state.bytes = self.sink.bytes();
        Ok(self.state.clone())
    }

    /// Closes the array. Returns a sentence when spans were left out.
    ///
    /// # Errors
    /// [`RecordError::Io`].
    pub fn finish(&mut self) -> Result<Option<String>, RecordError> {
        // The array may not end in a comma: a last event says how many spans there are.
        let spans = self.state.spans;
        let cut = self.state.cut_at;
        let end = json(&match cut {
            None => format!("{spans} spans"),
            Some(at) => format!("{spans} spans; those after {at} are left out"),
        });
        let last =
            format!("{{\"name\":\"timeline\",\"ph\":\"M\",\"pid\":1,\"args\":{{\"spans\":{end}}}}}\n]\n");
        self.sink.write(last.as_bytes())?;
        self.sink.flush()?;
        Ok(cut.map(|at| format!("timeline.json holds the first {spans} spans, up to {at} of virtual time")))
    }
}

/// Nanoseconds as microseconds with three decimals, exactly.
fn micros(nanos: u64) -> String {
    format!("{}.{:03}", nanos / 1000, nanos % 1000)
}

fn json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
