//! Learning: models, data, partitions and gradients over flat parameter vectors.
//!
//! In reading order: [`Learner`], what the rest of the crate sees. [`quadratic`], the simplest one.
//! [`engine`], the real one: a [`model`] (a sequence of [`layer`]s over one flat vector), [`data`], its
//! [`partition`] over the nodes ([`split`]), changes of images ([`augment`]), the steps of a [`local`] job (by an
//! [`optimizer`] and a [`schedule`]), and the [`kernels`] that do the arithmetic with the same bits on every
//! machine. `candle` takes models written in candle; `reference` is an independent second engine to
//! check gradients against. This file, `quadratic`, `local`, `optimizer`, `schedule` and `kernels` are pure.

pub mod augment;
pub mod batch;
pub mod calibrate;
#[cfg(feature = "candle")]
pub mod candle;
pub mod data;
pub mod engine;
pub mod kernels;
pub mod layer;
pub mod local;
pub mod loss;
pub mod model;
pub mod optimizer;
pub mod partition;
pub mod plan;
pub mod portion;
pub mod quadratic;
#[cfg(feature = "candle")]
pub mod reference;
pub mod safetensors;
pub mod schedule;
mod shard;
pub mod split;
pub mod tables;

use hcddl_core::domain::NodeId;
pub use hcddl_core::domain::operation::Operations;
pub use hcddl_core::domain::work::{Cost, Train, Trained};

/// Asked before each step of a job: whether it may go on.
pub type GoOn<'a> = &'a (dyn Fn() -> bool + Sync);

/// What a run trains: one model, one data set split over the nodes. Shared by all nodes of a run and called
/// from the threads of the pool; every method that returns something is a pure function of its arguments.
pub trait Learner: Send + Sync {
    /// Number of f32 parameters.
    fn params_len(&self) -> usize;
    /// Initial parameters from a seed.
    fn init(&self, seed: u64) -> Vec<f32>;
    /// Does `job.steps` gradient steps on the node's shard (see [`Train`] for what is returned).
    ///
    /// # Errors
    /// A message that says what failed: an empty shard, a loss that is not finite.
    fn train(&self, node: NodeId, job: &Train) -> Result<Trained, String>;
    /// As [`Learner::train`], but the job ends before its next step when `go_on` says no; the result then is that of
    /// a job with the steps done so far, which may be none. A learner that cannot stop does them all.
    ///
    /// # Errors
    /// As [`Learner::train`].
    fn train_while(&self, node: NodeId, job: &Train, go_on: GoOn<'_>) -> Result<Trained, String> {
        let _ = go_on;
        self.train(node, job)
    }
    /// Tells how many threads compute the jobs of this run. Where jobs are few and large, a learner may then compute
    /// one on several; no result depends on it.
    fn offer_threads(&self, _threads: usize) {}
    /// Tells how many runs use this learner at the same time; no result depends on it.
    fn offer_runs(&self, _runs: usize) {}
    /// Evaluates a part of a split. Parts are independent, so they can run in parallel; the caller adds
    /// them up in order of `part`.
    fn evaluate(&self, model: &[f32], split: Split, part: usize) -> EvalPart;
    /// How many classes the model tells apart; `None` where its outputs are not classes.
    fn classes(&self) -> Option<usize> {
        None
    }
    /// The class that a model gives each target of a part of a split, in order; empty where there are no classes.
    fn predict(&self, _model: &[f32], _split: Split, _part: usize) -> Vec<u32> {
        Vec::new()
    }
    /// Whether there is a validation split.
    fn has_validation(&self) -> bool {
        false
    }
    /// Number of parts of a split (1 or more; a fixed number of samples each, whatever the threads).
    fn eval_parts(&self, split: Split) -> usize;
    /// Samples on a node's shard.
    fn shard_len(&self, node: NodeId) -> usize;
    /// Batches in one epoch of a node's shard; at least 1.
    fn batches_per_epoch(&self, node: NodeId) -> u64;
    /// Counted cost of the model, for the device model.
    fn cost(&self) -> Cost;
    /// What a job does at a size of batch, kernel by kernel, for the device model; empty where nothing is known of it
    /// but [`Learner::cost`].
    fn operations(&self, _batch: usize) -> Operations {
        Operations::default()
    }
    /// Where running statistics (of batch normalisation) lie in the flat vector, ascending. An update holds their values
    /// there, not changes of them, and servers average them.
    fn statistics(&self) -> Vec<std::ops::Range<usize>> {
        Vec::new()
    }
    /// What the user should know about data and model, each a sentence.
    fn notes(&self) -> Vec<String> {
        Vec::new()
    }
    /// Named slices of the flat vector, in order: tensor name, shape.
    fn tensors(&self) -> Vec<(String, Vec<usize>)>;
    /// What its data look like; may take a while.
    fn look(&self) -> Look {
        Look::default()
    }
}

/// What data look like to a person.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// A part of the data and a sentence about its samples.
    pub lines: Vec<(String, String)>,
    /// What is unlikely about them, each a sentence.
    pub doubts: Vec<String>,
}

/// Which samples to evaluate on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// The test set.
    Test,
    /// The validation set; the test set where there is none.
    Validation,
    /// A node's own training shard.
    Shard(NodeId),
}

/// Sums over one part of a split.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct EvalPart {
    /// Sum of the losses of the rows, or of the mean losses of the batches.
    pub loss_sum: f64,
    /// Rows predicted right, or the sum of the batches' accuracies; meaningless for numbers.
    pub correct: f64,
    /// Rows (or batches) counted.
    pub count: u64,
}
