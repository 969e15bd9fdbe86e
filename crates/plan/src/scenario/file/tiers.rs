//! The sections `tiers` and `peers`.

use super::Pick;
use crate::plan::Traffic;
use hcddl_core::node::work::UpdateKind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Settings of a server.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TierFile {
    /// When and how it commits: a choice (`hcddl list policies`). Default: `sync`.
    pub policy: Option<Pick>,
    /// How it combines updates: a choice (`hcddl list folds`). Default: the policy's usual one.
    pub fold: Option<Pick>,
    /// How it applies the combined update to its model: a choice (`hcddl list optimizers`). Default: the
    /// policy's usual one; none at a local server that sends gradients, since it forwards the combined gradient
    /// and leaves its model alone.
    pub optimizer: Option<Pick>,
    /// What its children send: `gradient`, `delta` or `model`. Default: as the policy needs.
    pub update: Option<UpdateKind>,
    /// Largest Euclidean norm of a child's update (of a model: of its change); a longer one is shortened to it. It
    /// bounds what a broken or hostile child can do. Default: no limit; values that are not finite are refused anyway.
    pub max_norm: Option<f64>,
    /// How children get the new model: `broadcast` (the server sends it when its policy says so) or `pull` (it
    /// says that it is ready, and each child asks). Default: `broadcast`.
    pub traffic: Option<Traffic>,
    /// What a local server pushes to its parent.
    pub uplink: UplinkFile,
    /// What travels instead of raw values.
    pub compression: CompressionFile,
}

/// What a local server pushes to its parent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct UplinkFile {
    /// `every(k)`: after every k-th commit. `on_request`: when the parent has sent a model and at least one
    /// update has arrived since the last push. Default: `on_request` at an asynchronous local server of gradients
    /// below a server with rounds (as in the older HCDDL), else `every(1)`.
    pub push: Option<Pick>,
    /// What it pushes: `gradient` (the combined gradients since the last push), `delta` (its model minus the
    /// parent's) or `model`. Default: `gradient` where its children send gradients, else `delta`.
    pub send: Option<UpdateKind>,
    /// Whether its children wait until the parent has answered a push. Default: true for a policy with rounds,
    /// else false.
    pub wait: Option<bool>,
    /// Pushes that may wait for an answer of the parent (its next model), 1 or more. While there are so many, the
    /// server goes on and merges what it commits into the next push. Default: 1.
    pub window: Option<u64>,
    /// How much of the parent's model it takes: 1 replaces its own, 0 ignores the parent's. Default: 1.
    pub adopt: Option<f64>,
}

/// What travels instead of raw values.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CompressionFile {
    /// Codec of updates from the children: a choice (`hcddl list codecs`). Default: raw f32.
    pub up: Option<Pick>,
    /// Codec of models to the children: a choice (`hcddl list codecs`). Default: raw f32.
    pub down: Option<Pick>,
}

/// Settings of decentralised training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PeersFile {
    /// How peers mix: a choice (`hcddl list peers`).
    pub algorithm: Pick,
}

impl Default for PeersFile {
    fn default() -> Self {
        Self { algorithm: Pick::text("d_psgd") }
    }
}
