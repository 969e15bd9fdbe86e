//! Samples in memory, and how batches are made of them.

use super::Scale;
use crate::batch::{Batch, IGNORE};
use crate::kernels::{Isa, elementwise};
use hcddl_core::domain::OptionError;
use serde::{Deserialize, Serialize};

/// Samples one after another. Each is one row of `row_len` values, or a sequence of such rows.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Samples {
    features: Features,
    targets: Labels,
    row_len: usize,
    /// Of sequences: where each one's rows start, and the end.
    starts: Option<Vec<u32>>,
    owners: Option<Owners>,
}

/// Input values of all rows.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Features {
    /// Pixels as they came, made f32 batch by batch.
    Bytes {
        /// The pixels.
        pixels: Vec<u8>,
        /// How they become f32.
        scale: Scale,
    },
    /// Numbers.
    Floats(Vec<f32>),
    /// Token numbers; 0 is the padding of sequences that are shorter than the longest of their batch.
    Tokens(Vec<u32>),
}

/// What should come out.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Labels {
    /// A class for each sample.
    Classes(Vec<u16>),
    /// A class for each row.
    Tags(Vec<u16>),
    /// So many values for each row.
    Values {
        /// The values of all rows.
        values: Vec<f32>,
        /// Values of one row.
        len: usize,
    },
}

/// Who each sample comes from: a user, a speaker, a robot.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Owners {
    /// Number of the owner of each sample.
    pub of: Vec<u32>,
    /// Their names.
    pub names: Vec<String>,
}

impl Samples {
    /// Samples of one row each.
    ///
    /// # Panics
    /// If features and labels do not match.
    #[must_use]
    pub fn new(features: Features, targets: Labels, row_len: usize) -> Self {
        let samples = Self { features, targets, row_len, starts: None, owners: None };
        assert_eq!(samples.values(), samples.len() * row_len, "features and labels do not match");
        samples
    }

    /// Sequences: sample i is the rows from `starts[i]` to `starts[i + 1]`, at least one.
    ///
    /// # Panics
    /// If features, labels and starts do not match.
    #[must_use]
    pub fn sequences(features: Features, targets: Labels, row_len: usize, starts: Vec<u32>) -> Self {
        let rows = starts[starts.len() - 1] as usize;
        let samples = Self { features, targets, row_len, starts: Some(starts), owners: None };
        assert_eq!(samples.values(), rows * row_len, "features and sequences do not match");
        let labels = match &samples.targets {
            Labels::Classes(classes) => classes.len() == samples.len(),
            Labels::Tags(tags) => tags.len() == rows,
            Labels::Values { values, len } => values.len() == rows * len,
        };
        assert!(labels, "labels and sequences do not match");
        samples
    }

    /// Samples of `width` pixels and a class each.
    ///
    /// # Panics
    /// If there are not `width` pixels for each label.
    #[must_use]
    pub fn from_bytes(pixels: Vec<u8>, classes: Vec<u16>, width: usize, scale: Scale) -> Self {
        Self::new(Features::Bytes { pixels, scale }, Labels::Classes(classes), width)
    }

    /// Samples of `width` values and a class each.
    ///
    /// # Panics
    /// If there are not `width` values for each label.
    #[must_use]
    pub fn from_floats(values: Vec<f32>, classes: Vec<u16>, width: usize) -> Self {
        Self::new(Features::Floats(values), Labels::Classes(classes), width)
    }

    /// The same samples, with who they come from.
    ///
    /// # Panics
    /// If there is not an owner for each sample.
    #[must_use]
    pub fn owned_by(self, owners: Owners) -> Self {
        assert_eq!(owners.of.len(), self.len(), "an owner for each sample");
        Self { owners: Some(owners), ..self }
    }

    fn values(&self) -> usize {
        match &self.features {
            Features::Bytes { pixels, .. } => pixels.len(),
            Features::Floats(values) => values.len(),
            Features::Tokens(tokens) => tokens.len(),
        }
    }

    /// Number of samples.
    #[must_use]
    pub fn len(&self) -> usize {
        match (&self.starts, &self.targets) {
            (Some(starts), _) => starts.len() - 1,
            (None, Labels::Classes(labels) | Labels::Tags(labels)) => labels.len(),
            (None, Labels::Values { values, len }) => values.len() / len,
        }
    }

    /// True when there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Input values of all rows.
    #[must_use]
    pub fn features(&self) -> &Features {
        &self.features
    }

    /// What should come out, of all samples.
    #[must_use]
    pub fn targets(&self) -> &Labels {
        &self.targets
    }

    /// Where the values of a sample lie among all.
    ///
    /// # Panics
    /// If the index is out of range.
    #[must_use]
    pub fn place(&self, index: usize) -> std::ops::Range<usize> {
        let rows = self.rows(index);
        rows.start * self.row_len..rows.end * self.row_len
    }

    /// Class of each sample, if samples have classes.
    #[must_use]
    pub fn classes(&self) -> Option<&[u16]> {
        match &self.targets {
            Labels::Classes(classes) => Some(classes),
            Labels::Tags(_) | Labels::Values { .. } => None,
        }
    }

    /// The largest class or tag, if samples or rows have one.
    #[must_use]
    pub fn largest_label(&self) -> Option<u32> {
        match &self.targets {
            Labels::Classes(labels) | Labels::Tags(labels) => {
                labels.iter().max().map(|label| u32::from(*label))
            }
            Labels::Values { .. } => None,
        }
    }

    /// The largest token, if samples are made of tokens.
    #[must_use]
    pub fn largest_token(&self) -> Option<u32> {
        match &self.features {
            Features::Tokens(tokens) => tokens.iter().max().copied(),
            Features::Bytes { .. } | Features::Floats(_) => None,
        }
    }

    /// Who samples come from, if that is known.
    #[must_use]
    pub fn owners(&self) -> Option<&Owners> {
        self.owners.as_ref()
    }

    /// Rows of a sample: 1, or the length of its sequence.
    #[must_use]
    pub fn steps(&self, index: usize) -> usize {
        self.rows(index).len()
    }

    /// Mean rows of a sample.
    #[must_use]
    pub fn mean_steps(&self) -> f64 {
        self.starts
            .as_ref()
            .map_or(1.0, |starts| f64::from(starts[starts.len() - 1]) / (starts.len() - 1).max(1) as f64)
    }

    fn rows(&self, index: usize) -> std::ops::Range<usize> {
        match &self.starts {
            Some(starts) => starts[index] as usize..starts[index + 1] as usize,
            None => index..index + 1,
        }
    }

    /// Makes a batch of the samples of these indexes, in order.
    ///
    /// # Panics
    /// If an index is out of range.
    pub fn gather(&self, isa: Isa, indexes: impl ExactSizeIterator<Item = usize> + Clone, to: &mut Batch) {
        to.samples = indexes.len();
        to.steps = match &self.starts {
            Some(_) => indexes.clone().map(|i| self.steps(i)).max().unwrap_or(1),
            None => 1,
        };
        to.x.clear();
        to.x.resize(to.samples * to.steps * self.row_len, 0.0);
        match &self.targets {
            Labels::Classes(classes) => {
                let labels = to.targets.classes_mut();
                labels.clear();
                labels.extend(indexes.clone().map(|i| u32::from(classes[i])));
            }
            Labels::Tags(_) => {
                let labels = to.targets.classes_mut();
                labels.clear();
                labels.resize(to.samples * to.steps, IGNORE);
            }
            Labels::Values { len, .. } => {
                let values = to.targets.values_mut();
                values.clear();
                values.resize(to.samples * to.steps * len, 0.0);
            }
        }
        for (sample, index) in indexes.enumerate() {
            for (step, row) in self.rows(index).enumerate() {
                let place = step * to.samples + sample;
                self.row(isa, row, &mut to.x[place * self.row_len..(place + 1) * self.row_len]);
                match &self.targets {
                    Labels::Classes(_) => {}
                    Labels::Tags(tags) => to.targets.classes_mut()[place] = u32::from(tags[row]),
                    Labels::Values { values, len } => to.targets.values_mut()[place * len..(place + 1) * len]
                        .copy_from_slice(&values[row * len..(row + 1) * len]),
                }
            }
        }
    }

    fn row(&self, isa: Isa, row: usize, to: &mut [f32]) {
        let range = row * self.row_len..(row + 1) * self.row_len;
        match &self.features {
            Features::Floats(values) => to.copy_from_slice(&values[range]),
            Features::Tokens(tokens) => {
                to.iter_mut().zip(&tokens[range]).for_each(|(to, token)| *to = *token as f32);
            }
            Features::Bytes { pixels, scale } => match scale {
                Scale::Same { divisor, mean: 0.0, deviation: 1.0 } => {
                    elementwise::divide(isa, to, &pixels[range], *divisor);
                }
                Scale::Same { divisor, mean, deviation } => {
                    elementwise::normalise(isa, to, &pixels[range], *divisor, *mean, *deviation);
                }
                Scale::Each { divisor, mean, deviation } => {
                    elementwise::normalise_each(isa, to, &pixels[range], *divisor, mean, deviation);
                }
            },
        }
    }

    /// The samples of these indexes, in order, as a set of their own.
    ///
    /// # Panics
    /// If an index is out of range.
    #[must_use]
    pub fn select(&self, indexes: &[u32]) -> Self {
        let rows = |row_len: usize| {
            let rows = indexes.iter().flat_map(|i| self.rows(*i as usize));
            rows.flat_map(move |row| row * row_len..(row + 1) * row_len)
        };
        let features = match &self.features {
            Features::Bytes { pixels, scale } => Features::Bytes {
                pixels: rows(self.row_len).map(|i| pixels[i]).collect(),
                scale: scale.clone(),
            },
            Features::Floats(values) => Features::Floats(rows(self.row_len).map(|i| values[i]).collect()),
            Features::Tokens(tokens) => Features::Tokens(rows(self.row_len).map(|i| tokens[i]).collect()),
        };
        let targets = match &self.targets {
            Labels::Classes(classes) => {
                Labels::Classes(indexes.iter().map(|i| classes[*i as usize]).collect())
            }
            Labels::Tags(tags) => Labels::Tags(rows(1).map(|i| tags[i]).collect()),
            Labels::Values { values, len } => {
                Labels::Values { values: rows(*len).map(|i| values[i]).collect(), len: *len }
            }
        };
        let starts = self.starts.is_some().then(|| {
            let ends = indexes.iter().scan(0, |end, i| {
                *end += self.steps(*i as usize) as u32;
                Some(*end)
            });
            std::iter::once(0).chain(ends).collect()
        });
        let owners = self.owners.as_ref().map(|owners| Owners {
            of: indexes.iter().map(|i| owners.of[*i as usize]).collect(),
            names: owners.names.clone(),
        });
        Self { features, targets, row_len: self.row_len, starts, owners }
    }

    /// Keeps the first `limit` samples; all when that is not less.
    pub(crate) fn truncate(&mut self, limit: Option<usize>) {
        if let Some(limit) = limit.filter(|limit| *limit < self.len()) {
            *self = self.select(&(0..limit as u32).collect::<Vec<_>>());
        }
    }
}

/// What a partitioner may look at.
#[derive(Clone, Copy, Debug)]
pub struct Overview<'a> {
    /// Number of samples.
    pub len: usize,
    classes: Option<&'a [u16]>,
    owners: Option<&'a Owners>,
}

impl<'a> Overview<'a> {
    /// Of samples that have a class each.
    #[must_use]
    pub fn of_classes(classes: &'a [u16]) -> Self {
        Self { len: classes.len(), classes: Some(classes), owners: None }
    }

    /// The same, with who the samples come from.
    #[must_use]
    pub fn with_owners(self, owners: &'a Owners) -> Self {
        Self { owners: Some(owners), ..self }
    }

    /// Class of each sample.
    ///
    /// # Errors
    /// When samples have none.
    pub fn classes(&self) -> Result<&'a [u16], OptionError> {
        self.classes.ok_or_else(|| {
            let message = "these samples have no class of their own, which this partitioner goes by";
            OptionError::new("", message, "iid, or natural where samples have owners")
        })
    }

    /// Owner of each sample.
    ///
    /// # Errors
    /// When that is unknown.
    pub fn owners(&self) -> Result<&'a Owners, OptionError> {
        self.owners.ok_or_else(|| {
            let message = "these samples have no owners, which this partitioner goes by";
            OptionError::new("", message, "iid, dirichlet or another one")
        })
    }
}

impl Samples {
    /// What a partitioner may look at.
    #[must_use]
    pub fn overview(&self) -> Overview<'_> {
        Overview { len: self.len(), classes: self.classes(), owners: self.owners() }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Normalise;
    use super::*;
    use crate::batch::Targets;

    #[test]
    fn a_batch_is_gathered_in_the_order_of_its_indexes() {
        let scale = Normalise::Standard(0.5, 0.5).scale(10.0, 1, 2, &[]).unwrap();
        let samples = Samples::from_bytes(vec![0, 10, 5, 5, 10, 0], vec![7, 8, 9], 2, scale);
        let mut batch = Batch { x: vec![9.0; 50], ..Batch::of_classes(vec![], vec![1, 2, 3, 4]) };
        samples.gather(Isa::best(), [2usize, 0].into_iter(), &mut batch);
        assert_eq!(batch, Batch::of_classes(vec![1.0, -1.0, -1.0, 1.0], vec![9, 7]));
        let scale = Normalise::Channels(vec![0.0, 0.5], vec![2.0, 1.0]).scale(10.0, 2, 1, &[]).unwrap();
        let samples = Samples::from_bytes(vec![0, 10, 5, 5], vec![7, 8], 2, scale);
        samples.gather(Isa::best(), [1usize, 0].into_iter(), &mut batch);
        assert_eq!(batch, Batch::of_classes(vec![0.25, 0.0, 0.0, 0.5], vec![8, 7]));
    }

    #[test]
    fn sequences_are_padded_and_lie_time_major() {
        let samples = Samples::sequences(
            Features::Tokens(vec![5, 6, 7, 8]),
            Labels::Tags(vec![1, 2, 3, 4]),
            1,
            vec![0, 3, 4],
        );
        let mut batch = Batch::default();
        samples.gather(Isa::best(), [1usize, 0].into_iter(), &mut batch);
        assert_eq!((batch.samples, batch.steps), (2, 3));
        assert_eq!(batch.x, [8.0, 5.0, 0.0, 6.0, 0.0, 7.0]);
        assert_eq!(batch.targets, Targets::Classes(vec![4, 1, IGNORE, 2, IGNORE, 3]));
        let one = samples.select(&[1]);
        assert_eq!((one.len(), one.steps(0), samples.mean_steps()), (1, 1, 2.0));
    }
}
