//! timeline.json, read again: who computed, sent and was down when.

use hcddl_core::error::UserError;
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

/// What a span shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A job of the node.
    Compute,
    /// A message of the node, until its last byte has arrived.
    Send,
    /// The node is down.
    Down,
}

/// One span, in seconds.
#[derive(Clone, Debug, PartialEq)]
pub struct TimeSpan {
    /// Whose: position in [`Timeline::nodes`].
    pub node: usize,
    /// What.
    pub kind: Kind,
    /// From.
    pub start: f64,
    /// To.
    pub end: f64,
    /// Kind of a job or of a message: `train`, `update`...
    pub label: String,
    /// Receiver of a message: position in [`Timeline::nodes`].
    pub to: Option<usize>,
    /// Bytes of a message.
    pub bytes: f64,
}

/// A node that appears in the timeline.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimelineNode {
    /// Its name.
    pub name: String,
    /// What kind of node: `servers: global`, `workers`, `peers`.
    pub group: String,
}

/// What each node did when.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Timeline {
    /// In the order of their identifiers.
    pub nodes: Vec<TimelineNode>,
    /// In the order of the file: by their ends.
    pub spans: Vec<TimeSpan>,
    /// Where it was cut off, in words.
    pub cut: Option<String>,
}

/// An event of the Trace Event Format.
#[derive(Deserialize)]
struct TraceEvent<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    cat: Cow<'a, str>,
    #[serde(borrow)]
    ph: Cow<'a, str>,
    #[serde(default)]
    ts: f64,
    #[serde(default)]
    dur: f64,
    #[serde(default)]
    pid: u64,
    #[serde(default)]
    tid: u64,
    #[serde(default)]
    args: Arguments,
}

#[derive(Default, Deserialize)]
struct Arguments {
    #[serde(default)]
    name: String,
    #[serde(default)]
    sort_index: u64,
    #[serde(default)]
    bytes: f64,
    #[serde(default)]
    spans: String,
}

const MICRO: f64 = 1e-6;

impl Timeline {
    /// Reads a file, also one whose end is missing.
    ///
    /// # Errors
    /// [`UserError`] with the line.
    pub fn read(path: &Path) -> Result<Self, UserError> {
        let next = "run it again: the file was changed";
        let text = super::text(path, next)?;
        Self::parse(&text).map_err(|(line, problem)| UserError {
            line: Some(line),
            ..UserError::in_file(&path.display().to_string(), format!("is damaged: {problem}"), next)
        })
    }

    /// Reads the text of a timeline, one event in each line.
    ///
    /// # Errors
    /// Line and problem.
    pub fn parse(text: &str) -> Result<Self, (usize, String)> {
        let lines: Vec<(usize, &str)> = text
            .lines()
            .enumerate()
            .map(|(i, line)| (i + 1, line.trim().trim_end_matches(',')))
            .filter(|(_, line)| !line.is_empty() && *line != "[" && *line != "]")
            .collect();
        let mut events = Vec::with_capacity(lines.len());
        for (position, (number, line)) in lines.iter().enumerate() {
            match serde_json::from_str::<TraceEvent<'_>>(line) {
                Ok(event) => events.push(event),
                // A crash may have torn the last line.
                Err(_) if position + 1 == lines.len() => {}
                Err(error) => return Err((*number, error.to_string())),
            }
        }
        let (nodes, tracks) = nodes(&events);
        let by_name: BTreeMap<&str, usize> =
            nodes.iter().enumerate().map(|(i, node)| (node.name.as_str(), i)).collect();
        let spans = events.iter().filter_map(|event| span(event, &tracks, &by_name)).collect();
        let end = events.iter().rev().find(|event| event.name == "timeline");
        let cut = end.map(|event| event.args.spans.clone()).filter(|text| text.contains("left out"));
        Ok(Self { nodes, spans, cut })
    }

    /// The last end of a span.
    #[must_use]
    pub fn end(&self) -> f64 {
        self.spans.iter().map(|span| span.end).fold(0.0, f64::max)
    }
}

/// Nodes in order, and the node of each track.
fn nodes(events: &[TraceEvent<'_>]) -> (Vec<TimelineNode>, BTreeMap<(u64, u64), usize>) {
    let metadata =
        |name: &'static str| events.iter().filter(move |event| event.ph == "M" && event.name == name);
    let groups: BTreeMap<u64, &str> =
        metadata("process_name").map(|event| (event.pid, event.args.name.as_str())).collect();
    let sort: BTreeMap<(u64, u64), u64> =
        metadata("thread_sort_index").map(|event| ((event.pid, event.tid), event.args.sort_index)).collect();
    // Tracks of a node differ in the last three digits of their position.
    let mut found: BTreeMap<(u64, String), u64> = BTreeMap::new();
    for event in metadata("thread_name") {
        let position = sort.get(&(event.pid, event.tid)).copied().unwrap_or(event.tid * 1000) / 1000;
        found.entry((position, node_name(&event.args.name).to_owned())).or_insert(event.pid);
    }
    let nodes: Vec<TimelineNode> = found
        .iter()
        .map(|((_, name), pid)| TimelineNode {
            name: name.clone(),
            group: groups.get(pid).map_or("nodes", |group| *group).to_owned(),
        })
        .collect();
    let position = |name: &str| nodes.iter().position(|node| node.name == name);
    let tracks = metadata("thread_name")
        .filter_map(|event| Some(((event.pid, event.tid), position(node_name(&event.args.name))?)))
        .collect();
    (nodes, tracks)
}

/// `worker3` of the tracks `worker3`, `worker3 (2)`, `worker3 sends (2)`.
fn node_name(track: &str) -> &str {
    let numbered = track.strip_suffix(')').and_then(|rest| rest.rsplit_once(" ("));
    let base = match numbered {
        Some((base, number)) if number.parse::<u32>().is_ok() => base,
        _ => track,
    };
    base.strip_suffix(" sends").unwrap_or(base)
}

fn span(
    event: &TraceEvent<'_>,
    tracks: &BTreeMap<(u64, u64), usize>,
    nodes: &BTreeMap<&str, usize>,
) -> Option<TimeSpan> {
    let kind = match (event.ph.as_ref(), event.cat.as_ref()) {
        ("X", "compute") => Kind::Compute,
        ("X", "send") => Kind::Send,
        ("X", "down") => Kind::Down,
        _ => return None,
    };
    let addressed = event.name.rsplit_once(" to ").filter(|_| kind == Kind::Send);
    let to = addressed.and_then(|(_, name)| nodes.get(name).copied());
    let label = if to.is_some() { addressed.map_or("", |(label, _)| label) } else { &event.name };
    Some(TimeSpan {
        node: *tracks.get(&(event.pid, event.tid))?,
        kind,
        start: event.ts * MICRO,
        end: (event.ts + event.dur) * MICRO,
        label: label.to_owned(),
        to,
        bytes: event.args.bytes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_tracks_are_names_of_nodes() {
        for (track, name) in [
            ("worker3", "worker3"),
            ("worker3 (2)", "worker3"),
            ("worker3 sends", "worker3"),
            ("worker3 sends (12)", "worker3"),
            ("pi (left)", "pi (left)"),
        ] {
            assert_eq!(node_name(track), name, "{track}");
        }
    }

    #[test]
    fn a_torn_timeline_is_read_up_to_there() {
        let text = r#"[
{"name":"process_name","ph":"M","pid":2,"args":{"name":"workers"}},
{"name":"thread_name","ph":"M","pid":2,"tid":2,"args":{"name":"worker1"}},
{"name":"thread_sort_index","ph":"M","pid":2,"tid":2,"args":{"sort_index":1000}},
{"name":"train","cat":"compute","ph":"X","ts":1000.000,"dur":500.000,"pid":2,"tid":2},
{"name":"train","cat":"com"#;
        let timeline = Timeline::parse(text).unwrap();
        assert_eq!(
            timeline.nodes,
            [TimelineNode { name: "worker1".to_owned(), group: "workers".to_owned() }]
        );
        assert_eq!((timeline.spans.len(), timeline.spans[0].kind), (1, Kind::Compute));
        assert_eq!((timeline.spans[0].label.as_str(), timeline.spans[0].to), ("train", None));
        let sent = text.replace("\"train\",\"cat\":\"compute\"", "\"update to worker1\",\"cat\":\"send\"");
        let sent = Timeline::parse(&sent).unwrap().spans.remove(0);
        assert_eq!((sent.label.as_str(), sent.to), ("update", Some(0)));
        assert!((timeline.end() - 0.0015).abs() < 1e-12 && timeline.cut.is_none());
        let middle = text.replace("\"dur\":500.000", "\"dur\":x");
        assert_eq!(Timeline::parse(&middle).unwrap_err().0, 5, "a damaged line in the middle is told");
    }
}
