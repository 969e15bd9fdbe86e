//! Heavy-ball momentum: m = beta m + g; x -= lr m. Nesterov: x -= lr (g + beta m) (Sutskever et al., 2013). As an
//! outer optimiser on deltas this is FedAvgM and the outer step of DiLoCo (arXiv 2311.08105).

use super::{OptimizerRow, ServerOptimizer, check_decay, check_lr};
use crate::domain::{Choice, OptionError};
use serde::Deserialize;
use std::sync::Arc;

pub(super) const ROW: OptimizerRow = OptimizerRow {
    name: "momentum",
    summary: "SGD with heavy-ball or Nesterov momentum (FedAvgM)",
    example: "{name: momentum, lr: 0.1, beta: 0.9, nesterov: false}",
    positional: &["lr", "beta"],
    build,
};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Momentum {
    lr: f32,
    beta: f32,
    nesterov: bool,
}

impl Default for Momentum {
    fn default() -> Self {
        Self { lr: 0.1, beta: 0.9, nesterov: false }
    }
}

fn build(choice: &Choice) -> Result<Arc<dyn ServerOptimizer>, OptionError> {
    let momentum: Momentum = choice.options()?;
    check_lr(momentum.lr)?;
    check_decay("beta", momentum.beta)?;
    Ok(Arc::new(momentum))
}

impl ServerOptimizer for Momentum {
    fn name(&self) -> &'static str {
        "momentum"
    }

    fn slots(&self) -> usize {
        1
    }

    fn step(&self, model: &mut [f32], gradient: &[f32], slots: &mut [Vec<f32>], _: u64) {
        for ((x, g), m) in model.iter_mut().zip(gradient).zip(&mut slots[0]) {
            *m = self.beta * *m + g;
            let direction = if self.nesterov { g + self.beta * *m } else { *m };
            *x -= self.lr * direction;
        }
    }
}
