//! What an uplink is told once.

use crate::domain::NodeId;
use crate::node::work::UpdateKind;
use crate::policy::fold::FoldRule;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What a local server pushes to its parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UplinkPlan {
    /// When it pushes.
    pub push: Push,
    /// What it pushes.
    pub send: UpdateKind,
    /// Whether its children wait until the parent has answered a push.
    pub wait: bool,
    /// Pushes that may wait for an answer of the parent, at least 1.
    pub window: u64,
    /// How much of the parent's model it takes, in thousandths: 1000 replaces its own, 0 ignores it.
    pub adopt_permille: u16,
}

/// When a local server pushes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Push {
    /// After every k-th commit.
    Every(u64),
    /// When the parent has sent a model and at least one update has arrived since the last push.
    OnRequest,
}

/// What an uplink is told once.
#[derive(Clone)]
pub struct UplinkConfig {
    /// The parent.
    pub parent: NodeId,
    /// When and what to push, and how to adopt.
    pub plan: UplinkPlan,
    /// How aggregates of several commits are combined before they are forwarded.
    pub combine: Arc<dyn FoldRule>,
    /// Whether the server has an optimiser of its own.
    pub own_model: bool,
    /// Codec of what it pushes: index into the plan's codecs.
    pub codec_up: Option<u16>,
    /// Codec of the parent's models.
    pub codec_down: Option<u16>,
}

impl UplinkConfig {
    /// Whether the aggregates themselves are sent on.
    ///
    /// Not for deltas of a server with a model of its own: its optimiser has made something else of them.
    #[must_use]
    pub fn forwards(&self, update: UpdateKind) -> bool {
        self.plan.send == update && (!self.own_model || update == UpdateKind::Gradient)
    }
}
