//! Losses: what a network's outputs are worth against their targets.

use super::batch::{IGNORE, Targets};
use super::kernels::loss::{
    binary_cross_entropy, mean_squared, negative_log_likelihood, softmax_cross_entropy,
};
use super::kernels::{Isa, loss::BatchLoss};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A loss; always the mean over the rows that count (for values: over rows and columns).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Loss {
    /// Softmax and cross-entropy of logits against a class.
    #[default]
    CrossEntropy,
    /// Minus the output of the class; for outputs that are logarithms of probabilities.
    Nll,
    /// Binary cross-entropy of probabilities against values from 0 to 1.
    BinaryCrossEntropy,
    /// Mean of the squared differences.
    MeanSquared,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CrossEntropy => "cross_entropy",
            Self::Nll => "nll",
            Self::BinaryCrossEntropy => "binary_cross_entropy",
            Self::MeanSquared => "mean_squared",
        })
    }
}

impl Loss {
    /// Losses of `outputs` `[rows, width]`, and in `gradient` (of the same length) the gradient of their mean.
    ///
    /// # Panics
    /// If the targets have another kind or length than the loss and the outputs need.
    pub fn apply(
        self,
        isa: Isa,
        outputs: &[f32],
        targets: &Targets,
        width: usize,
        gradient: &mut [f32],
    ) -> BatchLoss {
        assert_eq!(outputs.len(), gradient.len(), "a gradient is as long as the outputs");
        match (self, targets) {
            (Self::CrossEntropy | Self::Nll, Targets::Classes(classes)) => {
                assert_eq!(outputs.len(), classes.len() * width, "a class for each row");
                let count = classes.iter().filter(|class| **class != IGNORE).count();
                let scale = 1.0 / count.max(1) as f32;
                if self == Self::Nll {
                    return negative_log_likelihood(isa, outputs, classes, width, scale, gradient);
                }
                gradient.copy_from_slice(outputs);
                softmax_cross_entropy(isa, gradient, classes, width, scale)
            }
            (Self::BinaryCrossEntropy | Self::MeanSquared, Targets::Values(values)) => {
                assert_eq!(outputs.len(), values.len(), "a value for each output");
                let scale = 1.0 / values.len().max(1) as f32;
                if self == Self::MeanSquared {
                    mean_squared(isa, outputs, values, scale, gradient)
                } else {
                    binary_cross_entropy(isa, outputs, values, scale, gradient)
                }
            }
            _ => panic!("{self:?} was given targets of another kind"),
        }
    }

    /// Whether targets are classes; otherwise they are values.
    #[must_use]
    pub fn wants_classes(self) -> bool {
        matches!(self, Self::CrossEntropy | Self::Nll)
    }
}
