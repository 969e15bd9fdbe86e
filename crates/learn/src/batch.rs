//! A mini-batch in memory: what data sets fill and networks read.

/// The class of a row that counts neither for the loss nor for the accuracy: padding.
pub const IGNORE: u32 = u32::MAX;

/// Samples one after another; sequences time-major: all samples of step 0, then all of step 1.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// Inputs `[steps, samples, values of a row]`; token ids are whole numbers (exact below 2^24).
    pub x: Vec<f32>,
    /// What should come out.
    pub targets: Targets,
    /// Samples.
    pub samples: usize,
    /// Time steps of each sample: 1, or the longest sequence of the batch.
    pub steps: usize,
}

/// What should come out of a network for a batch.
#[derive(Clone, Debug, PartialEq)]
pub enum Targets {
    /// A class for each row, or [`IGNORE`].
    Classes(Vec<u32>),
    /// Values `[rows, values of an output row]`.
    Values(Vec<f32>),
}

impl Default for Targets {
    fn default() -> Self {
        Self::Classes(Vec::new())
    }
}

impl Targets {
    /// The vector of classes, emptied; values become classes.
    pub fn classes_mut(&mut self) -> &mut Vec<u32> {
        if let Self::Values(_) = self {
            *self = Self::Classes(Vec::new());
        }
        match self {
            Self::Classes(classes) => classes,
            Self::Values(_) => unreachable!("made classes above"),
        }
    }

    /// The vector of values; classes become values.
    pub fn values_mut(&mut self) -> &mut Vec<f32> {
        if let Self::Classes(_) = self {
            *self = Self::Values(Vec::new());
        }
        match self {
            Self::Values(values) => values,
            Self::Classes(_) => unreachable!("made values above"),
        }
    }
}

impl Batch {
    /// A batch of samples that are not sequences, with a class each.
    #[must_use]
    pub fn of_classes(x: Vec<f32>, classes: Vec<u32>) -> Self {
        let samples = classes.len();
        Self { x, targets: Targets::Classes(classes), samples, steps: 1 }
    }

    /// Rows of the input: samples x steps.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.samples * self.steps
    }
}
