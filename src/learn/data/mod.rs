//! Data sets, one file each.

mod blobs;
mod digits;
mod idx;

use crate::domain::{Choice, OptionError, Stream, Table};
use crate::learn::kernels::{Isa, elementwise};
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
    /// Samples to evaluate on.
    pub test: Samples,
}

/// Samples one after another.
#[derive(Clone, Debug)]
pub struct Samples {
    features: Features,
    labels: Vec<u8>,
    /// Values of one sample.
    width: usize,
}

#[derive(Clone, Debug)]
enum Features {
    /// Pixels as they came, made f32 batch by batch.
    Bytes {
        pixels: Vec<u8>,
        scale: Scale,
    },
    Floats(Vec<f32>),
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

impl Samples {
    /// Samples of `width` pixels each.
    ///
    /// # Panics
    /// If there are not `width` pixels for each label.
    #[must_use]
    pub fn from_bytes(pixels: Vec<u8>, labels: Vec<u8>, width: usize, scale: Scale) -> Self {
        assert_eq!(pixels.len(), labels.len() * width, "pixels and labels do not match");
        Self { features: Features::Bytes { pixels, scale }, labels, width }
    }

    /// Samples of `width` values each.
    ///
    /// # Panics
    /// If there are not `width` values for each label.
    #[must_use]
    pub fn from_floats(values: Vec<f32>, labels: Vec<u8>, width: usize) -> Self {
        assert_eq!(values.len(), labels.len() * width, "values and labels do not match");
        Self { features: Features::Floats(values), labels, width }
    }

    /// Number of samples.
    #[must_use]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// True when there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Class of each sample.
    #[must_use]
    pub fn labels(&self) -> &[u8] {
        &self.labels
    }

    /// Writes the samples of these indexes one after another; `x` and `labels` are overwritten.
    ///
    /// # Panics
    /// If an index is out of range.
    pub fn gather(
        &self,
        isa: Isa,
        indexes: impl ExactSizeIterator<Item = usize>,
        x: &mut Vec<f32>,
        labels: &mut Vec<u32>,
    ) {
        x.resize(indexes.len() * self.width, 0.0);
        labels.clear();
        for (to, index) in x.chunks_exact_mut(self.width).zip(indexes) {
            labels.push(u32::from(self.labels[index]));
            let range = index * self.width..(index + 1) * self.width;
            match &self.features {
                Features::Floats(values) => to.copy_from_slice(&values[range]),
                Features::Bytes { pixels, scale } if scale.mean == 0.0 && scale.deviation == 1.0 => {
                    elementwise::divide(isa, to, &pixels[range], scale.divisor);
                }
                Features::Bytes { pixels, scale: Scale { divisor, mean, deviation } } => {
                    elementwise::normalise(isa, to, &pixels[range], *divisor, *mean, *deviation);
                }
            }
        }
    }

    /// Keeps the first `limit` samples; all when that is not less.
    fn truncate(&mut self, limit: Option<usize>) {
        let Some(limit) = limit.filter(|limit| *limit < self.len()) else { return };
        self.labels.truncate(limit);
        self.labels.shrink_to_fit();
        match &mut self.features {
            Features::Bytes { pixels, .. } => {
                pixels.truncate(limit * self.width);
                pixels.shrink_to_fit();
            }
            Features::Floats(values) => values.truncate(limit * self.width),
        }
    }
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
    /// Keep only the first so many training samples.
    pub limit_train: Option<usize>,
    /// Keep only the first so many test samples.
    pub limit_test: Option<usize>,
}

impl ImageOptions {
    /// Applies the limits.
    ///
    /// # Errors
    /// A limit of 0.
    fn limit(&self, set: &mut DataSet) -> Result<(), OptionError> {
        for (key, limit, len) in [
            ("limit_train", self.limit_train, set.train.len()),
            ("limit_test", self.limit_test, set.test.len()),
        ] {
            if limit == Some(0) {
                return Err(OptionError::new(
                    key,
                    format!("{key} is 0"),
                    format!("1 to {len}, or leave it out"),
                ));
            }
        }
        set.train.truncate(self.limit_train);
        set.test.truncate(self.limit_test);
        Ok(())
    }
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

    #[test]
    fn a_batch_is_gathered_in_the_order_of_its_indexes() {
        let scale = Normalise::Standard(0.5, 0.5).scale(10.0);
        let samples = Samples::from_bytes(vec![0, 10, 5, 5, 10, 0], vec![7, 8, 9], 2, scale);
        let (mut x, mut labels) = (vec![9.0; 50], vec![1, 2, 3, 4]);
        samples.gather(Isa::best(), [2usize, 0].into_iter(), &mut x, &mut labels);
        assert_eq!((x, labels), (vec![1.0, -1.0, -1.0, 1.0], vec![9, 7]));
    }
}
