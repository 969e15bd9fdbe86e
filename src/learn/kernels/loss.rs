//! Softmax cross-entropy (negative log-likelihood after log-softmax is the same thing).

use super::{math, multiversion};

/// What a batch of predictions was worth.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct BatchLoss {
    /// Sum of the samples' losses, in order of the samples.
    pub sum: f64,
    /// Samples whose largest logit (the first of equals) is that of their label.
    pub correct: u64,
}

multiversion! {
    /// Softmax cross-entropy of rows of logits. Afterwards `logits` holds the gradient of
    /// `scale` x (sum of the losses): `scale` = 1 / samples for the mean.
    pub fn softmax_cross_entropy(logits: &mut [f32], labels: &[u32], classes: usize, scale: f32) -> BatchLoss {
        let mut result = BatchLoss::default();
        let mut at_label = 0f64;
        for (row, label) in logits.chunks_exact_mut(classes).zip(labels) {
            let mut best = 0;
            for (i, value) in row.iter().enumerate() {
                if *value > row[best] {
                    best = i;
                }
            }
            let label = *label as usize;
            result.correct += u64::from(best == label);
            let largest = row[best];
            for value in row.iter_mut() {
                *value -= largest;
            }
            at_label += f64::from(row[label]);
        }
        for value in logits.iter_mut() {
            *value = math::exp(*value);
        }
        for (row, label) in logits.chunks_exact_mut(classes).zip(labels) {
            let total = row.iter().fold(0f32, |total, value| total + value);
            result.sum += f64::from(math::ln(total));
            let factor = scale / total;
            for value in row.iter_mut() {
                *value *= factor;
            }
            row[*label as usize] -= scale;
        }
        result.sum -= at_label;
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learn::kernels::Isa;

    #[test]
    fn by_hand() {
        // Row 0: logits (0, ln 3), label 1: p = (1/4, 3/4). Row 1: equal logits, label 0.
        let mut logits = [0.0, 1.098_612_3, 2.0, 2.0];
        let loss = softmax_cross_entropy(Isa::best(), &mut logits, &[1, 0], 2, 0.5);
        let expected = -crate::domain::math::ln(0.75) + crate::domain::math::ln(2.0);
        assert!((loss.sum - expected).abs() < 1e-6);
        assert_eq!(loss.correct, 2, "the first of equal logits counts");
        for (got, want) in logits.iter().zip([0.125, -0.125, -0.25, 0.25]) {
            assert!((got - want).abs() < 1e-6, "{logits:?}");
        }
    }

    #[test]
    fn large_logits_do_not_overflow_and_nan_is_seen() {
        let mut logits = [1000.0, 0.0];
        assert_eq!(softmax_cross_entropy(Isa::best(), &mut logits, &[1], 2, 1.0).sum, 1000.0);
        let mut logits = [f32::NAN, 0.0];
        assert!(softmax_cross_entropy(Isa::best(), &mut logits, &[1], 2, 1.0).sum.is_nan());
    }
}
