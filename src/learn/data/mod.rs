//! Data sets, one file each.

mod blobs;
mod digits;
mod idx;
mod samples;
mod sources;

pub use samples::{Features, Labels, Overview, Owners, Samples};
pub use sources::{File, Source, source, sources};

use crate::domain::{Choice, OptionError, Stream, Table};
use crate::learn::model::DataShape;
use serde::{Deserialize, Deserializer};
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
    Table::new("data set", vec![digits::row(), idx::mnist(), idx::fashion_mnist(), blobs::row()])
}

/// A data set in memory.
#[derive(Clone, Debug)]
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
}

impl DataSet {
    /// Samples to train and to evaluate on, shuffled each epoch, every sample counting alike.
    #[must_use]
    pub fn new(shape: DataShape, train: Samples, test: Samples) -> Self {
        Self { shape, train, validation: None, test, order: Order::Shuffled, average: Average::Rows }
    }
}

/// How an epoch goes through a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// In a new random order each time.
    Shuffled,
    /// The same, but within pools of 100 batches samples are sorted by length, so that a batch needs little
    /// padding; batches come in random order (torchtext's BucketIterator).
    Bucketed,
    /// An epoch is the next window of so many samples in their own order, shuffled within; after the last whole
    /// window comes the first (DiNNO's online data).
    Windows(usize),
}

/// What the mean of an evaluation is taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Average {
    /// All rows that count.
    Rows,
    /// Batches in order of length, of the size of the training batches: the mean of their means, as several
    /// systems report it.
    Batches,
}

/// How pixels become f32: (pixel / divisor - mean) / deviation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    /// The largest pixel value.
    pub divisor: f32,
    /// Subtracted from the share of the largest value; 0 for none.
    pub mean: f32,
    /// What that is divided by; 1 for none.
    pub deviation: f32,
}

/// The option `normalise`: `unit` (pixel / largest value) or the mean and deviation of such values, as in
/// `[0.1307, 0.3081]`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Normalise {
    /// From 0 to 1.
    #[default]
    Unit,
    /// Then minus the mean, divided by the deviation.
    Standard(f32, f32),
}

impl Normalise {
    fn scale(self, divisor: f32) -> Scale {
        let (mean, deviation) = match self {
            Self::Unit => (0.0, 1.0),
            Self::Standard(mean, deviation) => (mean, deviation),
        };
        Scale { divisor, mean, deviation }
    }
}

impl<'de> Deserialize<'de> for Normalise {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Name(String),
            Pair(f32, f32),
        }
        const ALLOWED: &str =
            "allowed: unit, or [mean, deviation] with a deviation above 0, as in [0.1307, 0.3081]";
        match Written::deserialize(deserializer) {
            Ok(Written::Name(name)) if name == "unit" => Ok(Self::Unit),
            Ok(Written::Name(name)) => {
                Err(serde::de::Error::custom(format!("unknown normalisation `{name}`; {ALLOWED}")))
            }
            Ok(Written::Pair(mean, deviation))
                if mean.is_finite() && deviation > 0.0 && deviation.is_finite() =>
            {
                Ok(Self::Standard(mean, deviation))
            }
            Ok(Written::Pair(mean, deviation)) => {
                Err(serde::de::Error::custom(format!("normalisation [{mean}, {deviation}]; {ALLOWED}")))
            }
            Err(_) => Err(serde::de::Error::custom(format!("not a normalisation; {ALLOWED}"))),
        }
    }
}

/// Options of every set of images.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ImageOptions {
    /// How pixels become f32.
    pub normalise: Normalise,
}

/// A shuffled order of `len` samples, from a stream of this name.
fn shuffled(len: usize, seed: u64, purpose: &str) -> Vec<u32> {
    let mut order: Vec<u32> = (0..len as u32).collect();
    Stream::new(seed, purpose, 0, 0).shuffle(&mut order);
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normalisation_is_read_and_refused() {
        let read = |text: &str| serde_json::from_str::<Normalise>(text).map_err(|e| e.to_string());
        assert_eq!(read("\"unit\""), Ok(Normalise::Unit));
        assert_eq!(read("[0.5, 0.25]"), Ok(Normalise::Standard(0.5, 0.25)));
        for wrong in ["\"zscore\"", "[0.5, 0]", "[1]", "3"] {
            assert!(read(wrong).unwrap_err().contains("allowed: unit"), "{wrong}");
        }
    }
}
