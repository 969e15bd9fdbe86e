//! The sections `training` and `evaluation`.

use crate::plan::BestBy;
use crate::scenario::file::{OptimizerPick, Pick};
use hcddl_core::domain::units::Duration;
use hcddl_core::node::work::UpdateKind;
use hcddl_learn::local::NotFinite;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// How long and how training goes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TrainingFile {
    /// Ends the run after so many commits of the root: rounds of a synchronous server, updates of an
    /// asynchronous one, rounds of every peer. Default: 100 when neither `max_time` nor `target_accuracy` is
    /// given, else no limit.
    pub rounds: Option<u64>,
    /// Ends the run at this virtual time, a duration as in `10min`. Default: no limit.
    pub max_time: Option<Duration>,
    /// Ends the run when the test accuracy, from 0 to 1, reaches this at an evaluation. Default: no target.
    pub target_accuracy: Option<f64>,
    /// Samples in a batch.
    pub batch: u64,
    /// How much a node trains before it answers.
    pub local: LocalFile,
    /// The workers' local optimiser: a choice (`hcddl list local-optimizers`); options without a name are those
    /// of `sgd`. Without effect where workers send plain gradients.
    pub optimizer: OptimizerPick,
    /// How the local optimiser's learning rate changes: a choice (`hcddl list schedules`) that gives a factor
    /// for each of a node's own steps. Without effect where workers send plain gradients.
    pub schedule: Pick,
    /// Largest Euclidean norm of a gradient; longer ones are shortened to it. Bounds the gradient of each batch's
    /// loss, or the gradient that a worker sends. Default: no limit.
    pub clip_norm: Option<f64>,
    /// What becomes of a training job whose loss or parameters are not finite: `stop` ends the run, `skip` drops
    /// the update and goes on with the node's next batches.
    pub not_finite: NotFinite,
    /// Whether a node shuffles its shard anew each epoch.
    pub shuffle: bool,
    /// Whether the last, smaller batch of an epoch is dropped.
    pub drop_last: bool,
    /// Samples kept of each shard, the first ones. Default: all.
    pub shard_limit: Option<u64>,
    /// Factor mu of FedProx's proximal term mu/2 |x - x0|^2 in the local loss; 0 for none.
    pub proximal: f64,
    /// A safetensors file to start from, relative to this file. Default: a random initialisation.
    pub init_from: Option<PathBuf>,
    /// What workers send: `gradient`, `delta` or `model`; for all tiers that do not set it themselves.
    /// Default: as the policy needs.
    pub update: Option<UpdateKind>,
}

impl Default for TrainingFile {
    fn default() -> Self {
        Self {
            rounds: None,
            max_time: None,
            target_accuracy: None,
            batch: 32,
            local: LocalFile::default(),
            optimizer: OptimizerPick::default(),
            schedule: Pick::text("constant"),
            clip_norm: None,
            not_finite: NotFinite::Stop,
            shuffle: true,
            drop_last: false,
            shard_limit: None,
            proximal: 0.0,
            init_from: None,
            update: None,
        }
    }
}

/// How much a node trains before it answers: one of the two. Default: one step where gradients are sent, one
/// epoch where deltas or models are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LocalFile {
    /// Gradient steps (batches).
    pub steps: Option<u64>,
    /// Passes over the node's shard.
    pub epochs: Option<u64>,
}

/// What is measured, and when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EvaluationFile {
    /// Commits of the root (or rounds of the peers) between two evaluations; 0 for only the end.
    pub every: u64,
    /// Whether the untrained model is evaluated too.
    pub at_start: bool,
    /// What is measured: names of metrics (`hcddl list metrics`).
    pub metrics: Vec<String>,
    /// Whether each peer's own model is evaluated too.
    pub per_node: bool,
    /// Which evaluated model is kept as the best one, if the data has a validation split: that of the least
    /// `val_loss` or of the highest `val_accuracy`.
    pub best: BestBy,
}

impl Default for EvaluationFile {
    fn default() -> Self {
        Self {
            every: 10,
            at_start: true,
            metrics: vec!["accuracy".to_owned(), "loss".to_owned()],
            per_node: false,
            best: BestBy::ValLoss,
        }
    }
}
