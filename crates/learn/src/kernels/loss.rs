//! Losses and their gradients, row by row.

use super::{math, multiversion};
use crate::batch::IGNORE;

/// What a batch of predictions was worth.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct BatchLoss {
    /// Sum of the losses that count, in order of the rows.
    pub sum: f64,
    /// Predictions that are right: the largest output (the first of equals) is that of the class; for values,
    /// the prediction lies on the same side of 1/2.
    pub correct: u64,
    /// Rows (for values: elements) that count.
    pub count: u64,
}

impl BatchLoss {
    /// The mean loss; 0 when nothing counts.
    #[must_use]
    pub fn mean(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.sum / self.count as f64 }
    }
}

/// Index of the largest value, the first of equals.
#[inline(always)]
fn largest(row: &[f32]) -> usize {
    let mut best = 0;
    for (i, value) in row.iter().enumerate() {
        if *value > row[best] {
            best = i;
        }
    }
    best
}

multiversion! {
    /// Softmax cross-entropy of rows of logits. Afterwards `logits` holds the gradient of
    /// `scale` x (sum of the losses): `scale` = 1 / count for the mean. Rows of the class [`IGNORE`] count for
    /// nothing.
    pub fn softmax_cross_entropy(logits: &mut [f32], labels: &[u32], classes: usize, scale: f32) -> BatchLoss {
        let mut result = BatchLoss::default();
        let mut at_label = 0f64;
        for (row, label) in logits.chunks_exact_mut(classes).zip(labels) {
            if *label == IGNORE {
                continue;
            }
            let best = largest(row);
            let label = *label as usize;
            result.correct += u64::from(best == label);
            result.count += 1;
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
            if *label == IGNORE {
                row.fill(0.0);
                continue;
            }
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

    /// Minus the output of the class; `gradient` is that of `scale` x (sum of the losses).
    pub fn negative_log_likelihood(outputs: &[f32], labels: &[u32], classes: usize, scale: f32, gradient: &mut [f32]) -> BatchLoss {
        let mut result = BatchLoss::default();
        gradient.fill(0.0);
        let rows = outputs.chunks_exact(classes).zip(gradient.chunks_exact_mut(classes));
        for ((row, gradient), label) in rows.zip(labels) {
            if *label == IGNORE {
                continue;
            }
            let label = *label as usize;
            result.correct += u64::from(largest(row) == label);
            result.count += 1;
            result.sum -= f64::from(row[label]);
            gradient[label] = -scale;
        }
        result
    }

    /// -(t ln p + (1 - t) ln(1 - p)) of probabilities; logarithms are cut off at -100, as PyTorch's BCELoss does.
    pub fn binary_cross_entropy(outputs: &[f32], targets: &[f32], scale: f32, gradient: &mut [f32]) -> BatchLoss {
        let mut result = BatchLoss::default();
        for ((p, t), gradient) in outputs.iter().zip(targets).zip(gradient.iter_mut()) {
            // `max` would lose a NaN.
            let cut = |x: f32| if x < -100.0 { -100.0 } else { x };
            let (yes, no) = (cut(math::ln(*p)), cut(math::ln(1.0 - p)));
            result.sum -= f64::from(*t) * f64::from(yes) + f64::from(1.0 - t) * f64::from(no);
            result.correct += u64::from((*p >= 0.5) == (*t >= 0.5));
            let slope = p * (1.0 - p);
            *gradient = scale * (p - t) / if slope < 1e-12 { 1e-12 } else { slope };
        }
        result.count = outputs.len() as u64;
        result
    }

    /// Squared differences.
    pub fn mean_squared(outputs: &[f32], targets: &[f32], scale: f32, gradient: &mut [f32]) -> BatchLoss {
        let mut result = BatchLoss::default();
        for ((y, t), gradient) in outputs.iter().zip(targets).zip(gradient.iter_mut()) {
            let difference = y - t;
            result.sum += f64::from(difference * difference);
            result.correct += u64::from((*y >= 0.5) == (*t >= 0.5));
            *gradient = 2.0 * scale * difference;
        }
        result.count = outputs.len() as u64;
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::Isa;

    #[test]
    fn by_hand() {
        // Row 0: logits (0, ln 3), label 1: p = (1/4, 3/4). Row 1: equal logits, label 0. Row 2 does not count.
        let mut logits = [0.0, 1.098_612_3, 2.0, 2.0, 5.0, 1.0];
        let loss = softmax_cross_entropy(Isa::best(), &mut logits, &[1, 0, IGNORE], 2, 0.5);
        let expected = -hcddl_core::domain::math::ln(0.75) + hcddl_core::domain::math::ln(2.0);
        assert!((loss.sum - expected).abs() < 1e-6);
        assert_eq!((loss.correct, loss.count), (2, 2), "the first of equal logits counts");
        for (got, want) in logits.iter().zip([0.125, -0.125, -0.25, 0.25, 0.0, 0.0]) {
            assert!((got - want).abs() < 1e-6, "{logits:?}");
        }
    }

    #[test]
    fn the_other_losses_by_hand() {
        let isa = Isa::best();
        let mut gradient = [9.0; 4];
        let loss =
            negative_log_likelihood(isa, &[-0.5, -1.0, -3.0, -0.1], &[1, IGNORE], 2, 1.0, &mut gradient);
        assert_eq!((loss.sum, loss.correct, loss.count, gradient), (1.0, 0, 1, [0.0, -1.0, 0.0, 0.0]));
        let loss = mean_squared(isa, &[1.0, 0.0], &[0.5, 2.0], 0.5, &mut gradient[..2]);
        assert_eq!((loss.sum, loss.correct, gradient[0], gradient[1]), (4.25, 1, 0.5, -2.0));
        let loss = binary_cross_entropy(isa, &[0.5, 0.0], &[1.0, 1.0], 1.0, &mut gradient[..2]);
        assert!((loss.sum - 100.0 - std::f64::consts::LN_2).abs() < 1e-6 && loss.correct == 1, "{loss:?}");
        assert_eq!(gradient[0], -2.0);
        assert!(binary_cross_entropy(isa, &[f32::NAN], &[1.0], 1.0, &mut gradient[..1]).sum.is_nan());
    }

    #[test]
    fn large_logits_do_not_overflow_and_nan_is_seen() {
        let mut logits = [1000.0, 0.0];
        assert_eq!(softmax_cross_entropy(Isa::best(), &mut logits, &[1], 2, 1.0).sum, 1000.0);
        let mut logits = [f32::NAN, 0.0];
        assert!(softmax_cross_entropy(Isa::best(), &mut logits, &[1], 2, 1.0).sum.is_nan());
    }
}
