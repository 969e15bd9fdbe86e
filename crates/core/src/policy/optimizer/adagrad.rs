//! Adagrad: v += g^2; x -= lr m / (sqrt v + eps) (Duchi et al., JMLR 2011; FedAdagrad in arXiv 2003.00295).

use super::{OptimizerRow, ServerOptimizer, check_decay, check_eps, check_lr};
use crate::domain::{Choice, OptionError};
use serde::Deserialize;
use std::sync::Arc;

pub(super) const ROW: OptimizerRow = OptimizerRow {
    name: "adagrad",
    summary: "steps shrink with the sum of squared gradients (FedAdagrad)",
    example: "{name: adagrad, lr: 0.1, beta1: 0.0, eps: 1.0e-3}",
    positional: &["lr"],
    build,
};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Adagrad {
    lr: f32,
    beta1: f32,
    eps: f32,
}

impl Default for Adagrad {
    fn default() -> Self {
        Self { lr: 0.1, beta1: 0.0, eps: 1e-3 }
    }
}

fn build(choice: &Choice) -> Result<Arc<dyn ServerOptimizer>, OptionError> {
    let adagrad: Adagrad = choice.options()?;
    check_lr(adagrad.lr)?;
    check_decay("beta1", adagrad.beta1)?;
    check_eps(adagrad.eps)?;
    Ok(Arc::new(adagrad))
}

impl ServerOptimizer for Adagrad {
    fn name(&self) -> &'static str {
        "adagrad"
    }

    fn slots(&self) -> usize {
        2
    }

    fn step(&self, model: &mut [f32], gradient: &[f32], slots: &mut [Vec<f32>], _: u64) {
        let (m, v) = slots.split_at_mut(1);
        for (((x, g), m), v) in model.iter_mut().zip(gradient).zip(&mut m[0]).zip(&mut v[0]) {
            *m = self.beta1 * *m + (1.0 - self.beta1) * g;
            *v += g * g;
            *x -= self.lr * *m / (v.sqrt() + self.eps);
        }
    }
}
