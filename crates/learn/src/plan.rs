//! What is trained and how, once a scenario is checked.

use super::local::LocalRule;
use hcddl_core::domain::Choice;
use serde::Serialize;

/// What is trained.
#[derive(Clone, Debug)]
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
    /// What a node does with the gradients of its batches.
    pub rule: LocalRule,
    /// Whether any node sends plain gradients (peers always do): they cannot carry running statistics.
    pub gradients: bool,
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
