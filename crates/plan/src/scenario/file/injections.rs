//! The section `injections`.

use super::Pick;
use hcddl_core::domain::units::Duration;
use hcddl_core::inject::Direction;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Latency that is injected, or nodes that are slowed down, somewhere for a while: exactly one of `add`, `scale`,
/// `replace` and `slow_down`. A message that several concern gets their changes in their order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InjectionFile {
    /// `all`, `lan` (links that end in a worker or a peer), `wan` (links between servers), a node (all its links; for
    /// `slow_down` the node itself), `random(n)` (n workers or peers, drawn once from the interleaving seed), or a
    /// link: its two nodes in brackets.
    #[serde(rename = "where")]
    pub place: PlaceFile,
    /// Only messages `up` (towards the root; of a link of peers, from the first to the second) or `down`.
    /// Default: both.
    #[serde(default)]
    pub direction: Option<Direction>,
    /// Active from this virtual time.
    #[serde(default)]
    pub from: Duration,
    /// Active until this virtual time. Default: the end.
    #[serde(default)]
    pub until: Option<Duration>,
    /// Within that time, active only in bursts. Default: all the time.
    #[serde(default)]
    pub bursts: Option<BurstsFile>,
    /// This is added to the latency: a duration, a choice (`hcddl list latencies`), or a recording
    /// `{name: trace, csv: FILE, repeat: false}` of the columns time_s and latency_ms, which starts at `from`.
    #[serde(default)]
    pub add: Option<Pick>,
    /// The latency is multiplied by this.
    #[serde(default)]
    pub scale: Option<f64>,
    /// This takes the place of the latency; written as `add`.
    #[serde(default)]
    pub replace: Option<Pick>,
    /// How much a drawn latency is like the one before it on the same link, from 0 (not at all) to below 1; mean and
    /// variance stay as they are.
    #[serde(default)]
    pub correlation: f64,
    /// Compute times are multiplied by this.
    #[serde(default)]
    pub slow_down: Option<f64>,
}

/// Where something is injected.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "a text or a list of two nodes")]
pub enum PlaceFile {
    /// `all`, `lan`, `wan`, `random(n)`, or the name of a node.
    Name(String),
    /// The two nodes of a link.
    Link([String; 2]),
}

/// When a burst is on and off.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BurstsFile {
    /// How long one lasts, a duration.
    pub on: Duration,
    /// How long there is none, a duration.
    pub off: Duration,
    /// Whether both are means of exponential lengths, off first; else they alternate, on first.
    #[serde(default)]
    pub random: bool,
}
