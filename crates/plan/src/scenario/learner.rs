//! The learner of a scenario, its errors with file and line.

use super::Written;
use crate::plan::Plan;
use crate::registry::Registry;
use hcddl_core::domain::Choice;
use hcddl_core::error::UserError;
use hcddl_learn::Learner;
use hcddl_learn::engine::{Engine, build};
use hcddl_learn::plan::LearningPlan;
use hcddl_learn::split::Holdings;
use hcddl_learn::tables::LearnError;
use std::sync::Arc;

/// The learner of more nodes than the data can be dealt to: one shard of an equal share, which all of them hold.
fn shared(plan: &Plan, registry: &Registry, shards: &[Option<u32>]) -> Result<Arc<dyn Learner>, LearnError> {
    let learning = LearningPlan { shards: 1, partition: Choice::named("iid"), ..plan.learning.clone() };
    let mut holdings = Holdings::new(&learning, plan.seeds.data, &registry.learn)?;
    let (trainers, samples) = (plan.learning.shards, holdings.data.train.len());
    let share = (samples / trainers.max(1)).max(1);
    holdings.shards[0].truncate(share);
    holdings.data.notes.push(format!(
        "{samples} training samples cannot be dealt to {trainers} nodes: in this timing-only run each is taken to hold \
         {share}"
    ));
    let zeros: Vec<Option<u32>> = shards.iter().map(|shard| shard.map(|_| 0)).collect();
    let engine = Engine::of(holdings, &learning, plan.seeds, &registry.learn, &zeros)?;
    Ok(Arc::new(engine))
}

impl Written {
    /// Builds what the plan trains. In a timing-only run the shards are those of the full one, whose sizes decide the
    /// steps of an epoch; where there are more nodes than the data can be dealt to, each is taken to hold an equal
    /// share, so that any number of workers can be studied.
    ///
    /// # Errors
    /// [`UserError`] for options out of bounds, missing or damaged files, too few samples.
    pub fn learner(&self, plan: &Plan, registry: &Registry) -> Result<Arc<dyn Learner>, UserError> {
        let shards: Vec<Option<u32>> = plan.nodes.iter().map(|node| node.shard).collect();
        let built = match build(&plan.learning, plan.seeds, &registry.learn, &shards) {
            Err(error) if plan.timing_only && error.section() == "partition" => {
                shared(plan, registry, &shards)
            }
            built => built,
        };
        built.map_err(|error| self.learn_error(error))
    }

    /// Reads the data of a plan and deals them out, without a model.
    ///
    /// # Errors
    /// As [`Written::learner`].
    pub fn holdings(&self, plan: &Plan, registry: &Registry) -> Result<Holdings, UserError> {
        Holdings::new(&plan.learning, plan.seeds.data, &registry.learn)
            .map_err(|error| self.learn_error(error))
    }

    pub fn learn_error(&self, error: LearnError) -> UserError {
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
