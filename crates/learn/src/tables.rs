//! What of learning can be chosen by name, and what is wrong with a choice.

use super::augment::{self, BuildAugment};
use super::data::{self, BuildData};
use super::model::init::BuildInit;
use super::model::layers::BuildLayer;
use super::model::{self, BuildModel};
use super::partition::{self, BuildPartition};
use hcddl_core::domain::{AnyTable, OptionError, Table, Tables};
use std::any::{Any, TypeId};

/// What a learning section can name.
#[derive(Clone)]
pub struct LearnTables {
    /// Layers that the model `layers` can name.
    pub layers: Table<BuildLayer>,
    /// How parameters start: what the option `init` of models can name.
    pub inits: Table<BuildInit>,
    /// Models.
    pub models: Table<BuildModel>,
    /// Data sets.
    pub data: Table<BuildData>,
    /// Partitioners.
    pub partitions: Table<BuildPartition>,
    /// Changes of training images.
    pub augment: Table<BuildAugment>,
}

impl Default for LearnTables {
    fn default() -> Self {
        Self {
            layers: model::layers::table(),
            inits: model::init::table(),
            models: model::table(),
            data: data::table(),
            partitions: partition::table(),
            augment: augment::table(),
        }
    }
}

impl LearnTables {
    /// Each of them.
    #[must_use]
    pub fn all(&self) -> [&dyn AnyTable; 6] {
        [&self.models, &self.layers, &self.inits, &self.data, &self.augment, &self.partitions]
    }
}

impl Tables for LearnTables {
    fn find(&self, table: TypeId) -> Option<&dyn Any> {
        self.all().into_iter().find_map(|one| one.find(table))
    }
}

/// A learning section that cannot be built; the scenario adds file and line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {error}")]
pub struct LearnError {
    /// Path below the learning section: `model`, `data.limit_train`, `partition.alpha`, `batch`, ...
    pub key: String,
    /// What is wrong; its own key is empty.
    pub error: OptionError,
}

impl LearnError {
    pub(super) fn at(section: &str, mut error: OptionError) -> Self {
        let option = std::mem::take(&mut error.key);
        let key = if option.is_empty() { section.to_owned() } else { format!("{section}.{option}") };
        Self { key, error }
    }

    /// The section that the key lies in: `model`, `data`, `partition` or a key of training.
    #[must_use]
    pub fn section(&self) -> &str {
        self.key.split('.').next().unwrap_or_default()
    }
}
