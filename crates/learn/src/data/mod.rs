//! Data sets, one file each.

mod blobs;
mod cifar;
mod conllu;
mod csv;
mod digits;
mod files;
mod folders;
mod idx;
mod leaf;
mod lidar;
mod look;
mod normalise;
mod npz;
mod samples;
mod sources;
mod synthetic;
mod text;

pub(crate) use files::of_set;
pub use normalise::{Normalise, Scale};
pub use samples::{Features, Labels, Overview, Owners, Samples};
pub use sources::{File, Source, source, sources};

use crate::model::DataShape;
use hcddl_core::domain::{Choice, OptionError, Stream, Table};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What a data set may depend on besides its options.
#[derive(Clone, Debug, Default)]
pub struct DataContext {
    /// Where files are looked for.
    pub data_dir: Option<PathBuf>,
    /// The run's data seed, for generated data.
    pub seed: u64,
}

/// Reads or makes a data set.
pub type BuildData = fn(&Choice, &DataContext) -> Result<DataSet, OptionError>;

/// All data sets.
#[must_use]
pub fn table() -> Table<BuildData> {
    Table::new(
        "data set",
        vec![
            digits::row(),
            idx::mnist(),
            idx::fashion_mnist(),
            idx::emnist(),
            cifar::cifar10(),
            cifar::cifar100(),
            conllu::ud_english_ewt(),
            conllu::row(),
            leaf::femnist(),
            leaf::shakespeare(),
            leaf::row(),
            text::tinyshakespeare(),
            text::row(),
            csv::occupancy(),
            csv::susy(),
            csv::row(),
            npz::row(),
            folders::cinic10(),
            folders::row(),
            lidar::row(),
            synthetic::row(),
            blobs::row(),
        ],
    )
}

/// A data set in memory.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DataSet {
    /// What its samples look like.
    pub shape: DataShape,
    /// Samples to train on.
    pub train: Samples,
    /// Samples to choose the best model by, if any.
    pub validation: Option<Samples>,
    /// Samples to evaluate on.
    pub test: Samples,
    /// How an epoch goes through a shard.
    pub order: Order,
    /// What the mean of an evaluation is taken over.
    pub average: Average,
    /// What the reader decided or doubts, each a sentence for the user.
    pub notes: Vec<String>,
}

impl DataSet {
    /// Samples to train and to evaluate on, shuffled each epoch, every sample counting alike.
    #[must_use]
    pub fn new(shape: DataShape, train: Samples, test: Samples) -> Self {
        Self {
            shape,
            train,
            validation: None,
            test,
            order: Order::Shuffled,
            average: Average::Rows,
            notes: Vec::new(),
        }
    }

    /// The same without any samples.
    #[must_use]
    pub fn clone_without_samples(&self) -> Self {
        let none = self.train.select(&[]);
        Self { order: self.order, average: self.average, ..Self::new(self.shape, none.clone(), none) }
    }
}

/// How an epoch goes through a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// In a new random order each time.
    Shuffled,
    /// The same, but within pools of 100 batches samples are sorted by length, so that a batch needs little
    /// padding; batches come in random order (torchtext's BucketIterator).
    Bucketed,
    /// An epoch is a window of so many samples in their own order, shuffled within; each starts `step` samples
    /// after the one before, and after the last whole one comes the first (DiNNO's online data).
    Windows {
        /// Samples of a window.
        len: usize,
        /// Samples from the start of a window to that of the next.
        step: usize,
    },
}

/// What the mean of an evaluation is taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Average {
    /// All rows that count.
    Rows,
    /// Batches in order of length, of the size of the training batches: the mean of their means, as several
    /// systems report it.
    Batches,
}

/// Options of every set of images.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ImageOptions {
    /// How pixels become f32.
    pub normalise: Normalise,
}

impl ImageOptions {
    /// These options of a choice, and the others as the set's own type.
    ///
    /// # Errors
    /// Options that cannot be read, by key.
    fn of<Own: DeserializeOwned>(choice: &Choice) -> Result<(Self, Own), OptionError> {
        let (mut common, mut own) = (choice.clone(), choice.clone());
        common.options.retain(|key, _| Self::KEYS.contains(&key.as_str()));
        own.options.retain(|key, _| !Self::KEYS.contains(&key.as_str()));
        Ok((common.options()?, own.options()?))
    }

    const KEYS: [&str; 1] = ["normalise"];
}

/// A shuffled order of `len` samples, from a stream of this name.
fn shuffled(len: usize, seed: u64, purpose: &str) -> Vec<u32> {
    let mut order: Vec<u32> = (0..len as u32).collect();
    Stream::new(seed, purpose, 0, 0).shuffle(&mut order);
    order
}
