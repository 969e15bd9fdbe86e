//! x -= lr g.

use super::{OptimizerRow, ServerOptimizer, check_lr};
use crate::domain::{Choice, OptionError};
use serde::Deserialize;
use std::sync::Arc;

pub(super) const ROW: OptimizerRow = OptimizerRow {
    name: "sgd",
    summary: "x -= lr g; for deltas with lr 1 plain averaging",
    example: "{name: sgd, lr: 0.1}",
    positional: &["lr"],
    build,
};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Sgd {
    /// Learning rate.
    lr: f32,
}

impl Default for Sgd {
    fn default() -> Self {
        Self { lr: 0.1 }
    }
}

fn build(choice: &Choice) -> Result<Arc<dyn ServerOptimizer>, OptionError> {
    let sgd: Sgd = choice.options()?;
    check_lr(sgd.lr)?;
    Ok(Arc::new(sgd))
}

impl ServerOptimizer for Sgd {
    fn name(&self) -> &'static str {
        "sgd"
    }

    fn slots(&self) -> usize {
        0
    }

    fn step(&self, model: &mut [f32], gradient: &[f32], _: &mut [Vec<f32>], _: u64) {
        for (x, g) in model.iter_mut().zip(gradient) {
            *x -= self.lr * g;
        }
    }
}
