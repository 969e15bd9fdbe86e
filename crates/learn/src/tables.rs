//! What of learning can be chosen by name, and what is wrong with a choice.

use super::augment::{self, BuildAugment};
use super::data::{self, BuildData};
use super::model::init::{BuildInit, Init};
use super::model::layers::BuildLayer;
use super::model::{self, BuildModel};
use super::partition::{self, BuildPartition};
use hcddl_core::domain::{Choice, OptionError, Table};

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
    /// A model's choice with its option `init` in the words of the models themselves, which know no rows from outside.
    pub(super) fn with_init(&self, model: &Choice) -> Result<Choice, LearnError> {
        let mut model = model.clone();
        if let Some(init) = model.options.get_mut("init") {
            let read = Init::read(&self.inits, init);
            *init = read.map_err(|error| LearnError::at("model", error.below("init")))?.to_value();
        }
        Ok(model)
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
