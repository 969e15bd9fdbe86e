//! The section `faults`.

use hcddl_core::domain::units::Duration;
use hcddl_core::domain::{Pick, Span};
use hcddl_core::trace::Loss;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What goes wrong, and when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FaultsFile {
    /// How long it takes others to notice that a node is lost or back, a duration.
    pub detection: Duration,
    /// Things that happen to nodes and links at a moment, in any order.
    pub events: Vec<FaultEventFile>,
    /// Things that happen to messages between two moments.
    pub messages: Vec<MessageRuleFile>,
}

impl Default for FaultsFile {
    fn default() -> Self {
        Self { detection: Duration(Span::from_millis(1000)), events: Vec::new(), messages: Vec::new() }
    }
}

/// One fault: a moment and exactly one of the others.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FaultEventFile {
    /// When, as virtual time since the start: `10s`.
    pub at: Duration,
    /// This node loses its memory and stops.
    #[serde(default)]
    pub crash: Option<String>,
    /// This crashed node starts again, without its memory.
    #[serde(default)]
    pub restart: Option<String>,
    /// This node says good-bye and stops.
    #[serde(default)]
    pub leave: Option<String>,
    /// This node comes: back if it had left, else it was absent until now.
    #[serde(default)]
    pub join: Option<String>,
    /// This node gets slower; a factor of 1 heals it.
    #[serde(default)]
    pub slow_down: Option<SlowDownFile>,
    /// Messages between these two nodes wait until the link is up again.
    #[serde(default)]
    pub link_down: Option<[String; 2]>,
    /// The link between these two nodes is up again.
    #[serde(default)]
    pub link_up: Option<[String; 2]>,
    /// Groups of nodes that cannot reach each other; a node named in no group reaches all.
    #[serde(default)]
    pub partition: Option<Vec<Vec<String>>>,
    /// `true` ends a partition.
    #[serde(default)]
    pub heal: Option<bool>,
}

/// A node and how much slower it computes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SlowDownFile {
    /// The node's name.
    pub node: String,
    /// Its compute times are multiplied by this.
    pub factor: f64,
}

/// A rule about messages.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MessageRuleFile {
    /// Active from this virtual time.
    pub from: Duration,
    /// Active until this virtual time. Default: the end.
    pub until: Option<Duration>,
    /// Only messages of this node. Default: of all.
    pub sender: Option<String>,
    /// Only messages to this node. Default: to all.
    pub receiver: Option<String>,
    /// How messages get lost: a probability from 0 to 1, or a choice (`hcddl list losses`).
    pub loss: Pick<Loss>,
    /// Probability that a message arrives twice, from 0 to 1.
    pub duplicate: f64,
    /// Added to the latency, a duration.
    pub delay: Duration,
}

impl Default for MessageRuleFile {
    fn default() -> Self {
        Self {
            from: Duration::default(),
            until: None,
            sender: None,
            receiver: None,
            loss: serde_json::json!(0.0).into(),
            duplicate: 0.0,
            delay: Duration::default(),
        }
    }
}
