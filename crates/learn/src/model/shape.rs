//! What samples look like: what a data set offers and a model is fitted to.

use serde::{Deserialize, Serialize};
use std::fmt;

/// What the samples of a data set look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataShape {
    /// One row of input: a sample, or one time step of it.
    pub input: Input,
    /// Whether samples are sequences of rows.
    pub sequence: bool,
    /// What should come out.
    pub output: Output,
}

/// One row of input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Input {
    /// An image, or plain features as an image of one channel and height 1.
    Values {
        /// Channels; 1 for plain features.
        channels: usize,
        /// Height; 1 for plain features.
        height: usize,
        /// Width, or the number of features.
        width: usize,
    },
    /// The number of a token.
    Token {
        /// Number of different tokens.
        vocabulary: usize,
    },
}

impl Input {
    /// Plain values without the shape of an image.
    #[must_use]
    pub fn flat(width: usize) -> Self {
        Self::Values { channels: 1, height: 1, width }
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Values { channels: 1, height: 1, width } => write!(f, "{width} values"),
            Self::Values { channels, height, width } => write!(f, "{channels} x {height} x {width} values"),
            Self::Token { vocabulary } => write!(f, "tokens (of {vocabulary})"),
        }
    }
}

/// What should come out of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Output {
    /// One of so many classes for each sample.
    Classes(usize),
    /// One of so many classes for each time step.
    Tags(usize),
    /// So many probabilities for each row.
    Probabilities(usize),
    /// So many numbers for each row.
    Numbers(usize),
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Classes(n) => write!(f, "one of {n} classes for each sample"),
            Self::Tags(n) => write!(f, "one of {n} classes for each time step"),
            Self::Probabilities(n) => write!(f, "{n} probabilities"),
            Self::Numbers(n) => write!(f, "{n} numbers"),
        }
    }
}

impl DataShape {
    /// Images with one of `classes`.
    #[must_use]
    pub fn images(channels: usize, height: usize, width: usize, classes: usize) -> Self {
        let input = Input::Values { channels, height, width };
        Self { input, sequence: false, output: Output::Classes(classes) }
    }

    /// Plain features with one of `classes`.
    #[must_use]
    pub fn features(count: usize, classes: usize) -> Self {
        Self::images(1, 1, count, classes)
    }

    /// Values of one row of input; a token is one value.
    #[must_use]
    pub fn row_len(&self) -> usize {
        match self.input {
            Input::Values { channels, height, width } => channels * height * width,
            Input::Token { .. } => 1,
        }
    }

    /// Values of one row of output.
    #[must_use]
    pub fn output_len(&self) -> usize {
        match self.output {
            Output::Classes(n) | Output::Tags(n) | Output::Probabilities(n) | Output::Numbers(n) => n,
        }
    }
}
