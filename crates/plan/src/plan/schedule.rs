//! Schedules: delays and fates that are decided instead of drawn, as a sparse list. With the scenario's seeds a
//! schedule says exactly which order of events is meant; `hcddl explore` writes them, `hcddl sim` repeats them.

use super::{Plan, StopPlan};
use hcddl_core::domain::units::Duration;
use hcddl_core::domain::{NodeId, Span, Time};
use serde::{Deserialize, Serialize};
use std::fmt::Write;

/// A checked schedule.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Schedule {
    /// Ends the run after so many commits of the root, if it would not end before.
    pub rounds: Option<u64>,
    /// What is decided; everything else is drawn.
    pub decisions: Vec<Decision>,
}

/// One decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// What becomes of a message.
    Message {
        /// The sender.
        from: NodeId,
        /// The receiver.
        to: NodeId,
        /// How many messages it makes in this direction, from 1.
        number: u64,
        /// Its latency, one way.
        latency: Option<Span>,
        /// Whether it is lost.
        lost: Option<bool>,
        /// Whether it arrives twice.
        duplicate: Option<bool>,
    },
    /// How long a job takes on its device, if nothing else runs there.
    Job {
        /// Whose.
        node: NodeId,
        /// How many jobs it makes for the node, from 1.
        number: u64,
        /// How long.
        duration: Span,
    },
    /// When a fault of the scenario happens.
    Fault {
        /// Its place among the scenario's faults in order of time, from 0.
        index: u32,
        /// When.
        at: Time,
    },
}

impl Schedule {
    /// Ends a run earlier.
    pub fn shorten(&self, stop: &mut StopPlan) {
        if let Some(rounds) = self.rounds {
            stop.rounds = Some(stop.rounds.map_or(rounds, |before| before.min(rounds)));
        }
    }
}

/// A schedule as its file has it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScheduleFile {
    /// Name of the scenario that it belongs to.
    pub scenario: String,
    /// Digest of that scenario and its options (`scenario::Written::digest`).
    #[serde(default)]
    pub digest: Option<String>,
    /// Ends the run after so many commits of the root.
    #[serde(default)]
    pub rounds: Option<u64>,
    /// How it came about: for readers.
    #[serde(default)]
    pub found: Option<serde_json::Map<String, serde_json::Value>>,
    /// What is decided.
    pub decisions: Vec<DecisionFile>,
}

/// A decision as written: about a message, a job or a fault.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DecisionFile {
    /// Number of a message in its direction, from 1.
    pub message: Option<u64>,
    /// Its sender.
    pub from: Option<String>,
    /// Its receiver.
    pub to: Option<String>,
    /// Its latency.
    pub latency: Option<Duration>,
    /// Whether it is lost.
    pub lost: Option<bool>,
    /// Whether it arrives twice.
    pub duplicate: Option<bool>,
    /// Number of a job of its node, from 1.
    pub job: Option<u64>,
    /// Its node.
    pub node: Option<String>,
    /// How long it takes.
    pub duration: Option<Duration>,
    /// Number of a fault of the scenario in order of time, from 0.
    pub fault: Option<u32>,
    /// When it happens.
    pub at: Option<Duration>,
}

/// The text of a schedule's file. `found` are lines about its origin: key and value.
#[must_use]
pub fn text(schedule: &Schedule, plan: &Plan, digest: &str, found: &[(&str, String)]) -> String {
    let mut text = String::from(
        "# Delays and fates that are decided instead of drawn; everything else is as in the scenario.\n",
    );
    let _ = writeln!(text, "scenario: {}", quoted(&plan.name));
    let _ = writeln!(text, "digest: {}", quoted(digest));
    if let Some(rounds) = schedule.rounds {
        let _ = writeln!(text, "rounds: {rounds}");
    }
    if !found.is_empty() {
        text.push_str("found:\n");
    }
    for (key, value) in found {
        let _ = writeln!(text, "  {key}: {}", quoted(value));
    }
    if schedule.decisions.is_empty() {
        text.push_str("decisions: []\n");
        return text;
    }
    text.push_str("decisions:\n");
    for decision in &schedule.decisions {
        let _ = writeln!(text, "  - {{{}}}", line(decision, plan));
    }
    text
}

/// A decision in one line: `message: 3, from: worker1, to: global, latency: 8.2ms`.
#[must_use]
pub fn line(decision: &Decision, plan: &Plan) -> String {
    let name = |node: NodeId| quoted(&plan.nodes[node.index()].name);
    match *decision {
        Decision::Message { from, to, number, latency, lost, duplicate } => {
            let mut line = format!("message: {number}, from: {}, to: {}", name(from), name(to));
            if let Some(latency) = latency {
                let _ = write!(line, ", latency: {}", Duration(latency));
            }
            for (key, value) in [("lost", lost), ("duplicate", duplicate)] {
                if let Some(value) = value {
                    let _ = write!(line, ", {key}: {value}");
                }
            }
            line
        }
        Decision::Job { node, number, duration } => {
            format!("job: {number}, node: {}, duration: {}", name(node), Duration(duration))
        }
        Decision::Fault { index, at } => format!("fault: {index}, at: {}", Duration(Span(at.0))),
    }
}

/// Text as YAML reads it: plain where it can be taken for nothing else, else as JSON.
fn quoted(text: &str) -> String {
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c));
    let word = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"];
    if plain && !word.contains(&text.to_ascii_lowercase().as_str()) {
        text.to_owned()
    } else {
        serde_json::Value::from(text).to_string()
    }
}
