//! Yogi: v -= (1 - b2) g^2 sign(v - g^2), so that v grows no faster than it falls (Zaheer et al., NeurIPS 2018;
//! FedYogi in arXiv 2003.00295, whose defaults these are).

use super::{OptimizerRow, ServerOptimizer, check_decay, check_eps, check_lr};
use crate::domain::{Choice, OptionError};
use serde::Deserialize;
use std::sync::Arc;

pub(super) const ROW: OptimizerRow = OptimizerRow {
    name: "yogi",
    summary: "Adam with an additive second moment (FedYogi)",
    example: "{name: yogi, lr: 0.01, beta1: 0.9, beta2: 0.99, eps: 1.0e-3}",
    positional: &["lr"],
    build,
};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Yogi {
    lr: f32,
    beta1: f32,
    beta2: f32,
    eps: f32,
}

impl Default for Yogi {
    fn default() -> Self {
        Self { lr: 0.01, beta1: 0.9, beta2: 0.99, eps: 1e-3 }
    }
}

fn build(choice: &Choice) -> Result<Arc<dyn ServerOptimizer>, OptionError> {
    let yogi: Yogi = choice.options()?;
    check_lr(yogi.lr)?;
    check_decay("beta1", yogi.beta1)?;
    check_decay("beta2", yogi.beta2)?;
    check_eps(yogi.eps)?;
    Ok(Arc::new(yogi))
}

impl ServerOptimizer for Yogi {
    fn name(&self) -> &'static str {
        "yogi"
    }

    fn slots(&self) -> usize {
        2
    }

    fn step(&self, model: &mut [f32], gradient: &[f32], slots: &mut [Vec<f32>], _: u64) {
        let (m, v) = slots.split_at_mut(1);
        for (((x, g), m), v) in model.iter_mut().zip(gradient).zip(&mut m[0]).zip(&mut v[0]) {
            let square = g * g;
            *m = self.beta1 * *m + (1.0 - self.beta1) * g;
            let sign = if *v > square {
                1.0
            } else if *v < square {
                -1.0
            } else {
                0.0
            };
            *v -= (1.0 - self.beta2) * square * sign;
            *x -= self.lr * *m / (v.sqrt() + self.eps);
        }
    }
}
