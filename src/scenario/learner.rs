//! The learner of a scenario, its errors with file and line.

use super::Written;
use super::plan::Plan;
use crate::error::UserError;
use crate::learn::Learner;
use crate::learn::engine::{LearnError, build};
use crate::learn::split::Holdings;
use crate::registry::Registry;
use std::sync::Arc;

impl Written {
    /// Builds what the plan trains. A timing-only run splits nothing: every node is said to hold all samples
    /// (or the first `training.shard_limit`), so that any number of workers can be studied.
    ///
    /// # Errors
    /// [`UserError`] for options out of bounds, missing or damaged files, too few samples.
    pub fn learner(&self, plan: &Plan, registry: &Registry) -> Result<Arc<dyn Learner>, UserError> {
        let mut learning = plan.learning.clone();
        let mut shards: Vec<Option<u32>> = plan.nodes.iter().map(|node| node.shard).collect();
        if plan.timing_only {
            learning.shards = 1;
            shards.iter_mut().flatten().for_each(|shard| *shard = 0);
        }
        build(&learning, plan.seeds, &registry.learn, &shards).map_err(|error| self.learn_error(error))
    }

    /// Reads the data of a plan and deals them out, without a model.
    ///
    /// # Errors
    /// As [`Written::learner`].
    pub fn holdings(&self, plan: &Plan, registry: &Registry) -> Result<Holdings, UserError> {
        Holdings::new(&plan.learning, plan.seeds.data, &registry.learn)
            .map_err(|error| self.learn_error(error))
    }

    pub(crate) fn learn_error(&self, error: LearnError) -> UserError {
        let section = error.key.split('.').next().unwrap_or_default();
        let path = match section {
            // The default has no options, so there are too many nodes.
            "partition" if !self.source.has("partition") => "topology".to_owned(),
            "model" | "data" | "partition" => error.key,
            _ => format!("training.{}", error.key),
        };
        self.source.option_error(&path, error.error)
    }
}
