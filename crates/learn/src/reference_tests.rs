//! candle's autograd as a second opinion on the models that it can express.

use super::*;
use crate::kernels::Isa;
use crate::model::gradient_tests::{Sample, ours, plain_networks, sample};

/// Largest difference, relative to the largest value of the expected gradient.
fn distance(got: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(got.len(), expected.len());
    let largest = expected.iter().fold(0f64, |m, v| m.max(v.abs()));
    got.iter().zip(expected).map(|(g, e)| (f64::from(*g) - e).abs()).fold(0f64, f64::max) / largest
}

#[test]
fn gradients_agree_with_candle() {
    for (name, network) in plain_networks() {
        let Sample { params, batch } = sample(&network, 5);
        let (loss, found) = ours(&network, &params, &batch, Isa::best());
        let (expected_loss, expected) = gradient(&network, &params, &batch, DType::F64).unwrap();
        assert!((loss - expected_loss).abs() < 1e-5 * expected_loss, "{name}: {loss} {expected_loss}");
        let distance = distance(&found, &expected);
        assert!(distance < 2e-6, "{name}: {distance}");
    }
}
