//! The section `traces`.

use hcddl_core::domain::Pick;
use hcddl_core::domain::units::{Duration, Rate};
use hcddl_core::trace::{Availability, Bandwidth};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What changes over time: rates, latencies, nodes that come and go. Recorded (`csv` or `records`) or generated (`rate`,
/// `up`, `down`, `available`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TraceFile {
    /// Whose: a node or a list of nodes, `all`, `workers` (or peers), `servers`; or, for rates alone, a line that many
    /// share: `lan`, `wan` (their `shared`), a cell of `network.cells`.
    #[serde(rename = "where")]
    pub place: TracePlaceFile,
    /// Which line of these nodes rates are of.
    #[serde(default)]
    pub line: LineFile,
    /// Records in a file, relative to the scenario's: a heading of names with units, `time_s` and at least one of
    /// `rate_mbit`, `up_mbit`, `down_mbit`, `latency_ms`, `rtt_ms`, `available` (or `state`: 0, 1, up, down); times grow.
    #[serde(default)]
    pub csv: Option<String>,
    /// The same here: each holds until the next one.
    #[serde(default)]
    pub records: Vec<TraceRecordFile>,
    /// Whether records begin again where the last one is.
    #[serde(default)]
    pub repeat: bool,
    /// Whether each node begins at a moment of its own of records that repeat, drawn once from the interleaving seed.
    #[serde(default)]
    pub random_start: bool,
    /// The trace begins at this virtual time.
    #[serde(default)]
    pub from: Duration,
    /// Both directions' rate: a choice (`hcddl list bandwidths`). Simulated only.
    #[serde(default)]
    pub rate: Option<Pick<dyn Bandwidth>>,
    /// The rate towards the network: a choice (`hcddl list bandwidths`). Simulated only.
    #[serde(default)]
    pub up: Option<Pick<dyn Bandwidth>>,
    /// The rate from the network: a choice (`hcddl list bandwidths`). Simulated only.
    #[serde(default)]
    pub down: Option<Pick<dyn Bandwidth>>,
    /// When the nodes are there: a choice (`hcddl list availabilities`). One that is not leaves as by
    /// `faults.events.N.leave`, and joins again. Simulated only.
    #[serde(default)]
    pub available: Option<Pick<dyn Availability>>,
}

/// Whose a trace is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "a text or a list of nodes")]
pub enum TracePlaceFile {
    /// One node, or all of a kind.
    Name(String),
    /// These nodes.
    Nodes(Vec<String>),
}

/// Which line of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LineFile {
    /// Its machine's network card.
    #[default]
    Card,
    /// The access line of a local server to its parent (`network.wan.rate`).
    Access,
}

/// What holds from one moment on. All records of a trace have the same keys.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TraceRecordFile {
    /// The moment, a duration since the trace's start.
    pub at: Duration,
    /// The rate of both directions, as in `10mbit`; 0 carries nothing. Simulated only.
    #[serde(default)]
    pub rate: Option<Rate>,
    /// The rate towards the network. Simulated only.
    #[serde(default)]
    pub up: Option<Rate>,
    /// The rate from the network. Simulated only.
    #[serde(default)]
    pub down: Option<Rate>,
    /// The one-way latency of all links of the nodes; deployed nodes inject it as well.
    #[serde(default)]
    pub latency: Option<Duration>,
    /// Whether the nodes are there. Simulated only.
    #[serde(default)]
    pub available: Option<bool>,
}
