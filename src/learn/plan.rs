//! What is trained and how, once a scenario is checked.

use crate::domain::Choice;
use serde::Serialize;

/// What is trained.
#[derive(Clone, Debug, Serialize)]
pub struct LearningPlan {
    /// Row of the model table.
    pub model: Choice,
    /// Row of the data table.
    pub data: Choice,
    /// Where data files are looked for.
    pub data_dir: Option<std::path::PathBuf>,
    /// Row of the partitioner table.
    pub partition: Choice,
    /// Samples kept of each shard, the first ones; `None` for all.
    pub shard_limit: Option<usize>,
    /// Samples in a batch.
    pub batch: usize,
    /// Whether a node shuffles its shard anew each epoch.
    pub shuffle: bool,
    /// Whether the last, smaller batch of an epoch is dropped.
    pub drop_last: bool,
    /// How long one job trains.
    pub local: LocalWork,
    /// The local optimiser.
    pub optimizer: LocalOptimizer,
    /// Factor mu of the proximal term mu/2 |x - x0|^2 (FedProx); 0 for none.
    pub proximal: f64,
    /// Number of training nodes, hence shards.
    pub shards: usize,
    /// A safetensors file to start from instead of a random initialisation.
    pub init_from: Option<std::path::PathBuf>,
}

/// How long one training job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum LocalWork {
    /// So many gradient steps.
    Steps(u64),
    /// So many passes over the shard.
    Epochs(u64),
}

/// The optimiser of a worker's local steps.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LocalOptimizer {
    /// Learning rate.
    pub lr: f64,
    /// Momentum of SGD; 0 for plain SGD.
    pub momentum: f64,
    /// Nesterov's form of momentum.
    pub nesterov: bool,
    /// L2 penalty added to the gradient.
    pub weight_decay: f64,
    /// Whether momentum survives from job to job.
    pub persistent: bool,
}

impl Default for LocalOptimizer {
    fn default() -> Self {
        Self { lr: 0.1, momentum: 0.0, nesterov: false, weight_decay: 0.0, persistent: false }
    }
}
