//! AdamW (Loshchilov and Hutter, arXiv 1711.05101), as PyTorch has it: first x *= 1 - lr weight_decay, then a step
//! of Adam without a penalty.

use super::adam::{Rates, check, descend};
use super::{LocalOptimizer, OptimizerRow, Step};
use hcddl_core::domain::{Choice, OptionError};
use serde::Deserialize;
use std::sync::Arc;

pub(super) const ROW: OptimizerRow = OptimizerRow {
    name: "adamw",
    summary: "Adam with decoupled weight decay",
    example: "{name: adamw, lr: 0.001, beta1: 0.9, beta2: 0.999, epsilon: 1.0e-8, weight_decay: 0.01, \
              persistent: false}",
    positional: &["lr"],
    build,
};

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct AdamW {
    /// Learning rate.
    lr: f64,
    /// Decay of the mean of the gradients.
    beta1: f64,
    /// Decay of the mean of their squares.
    beta2: f64,
    /// Added to the denominator.
    epsilon: f64,
    /// Share of a parameter that a step with learning rate 1 would take away.
    weight_decay: f64,
    /// Whether both means survive from job to job.
    persistent: bool,
}

impl Default for AdamW {
    fn default() -> Self {
        Self { lr: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.01, persistent: false }
    }
}

fn build(choice: &Choice) -> Result<Arc<dyn LocalOptimizer>, OptionError> {
    let adamw: AdamW = choice.options()?;
    check(adamw.lr, [adamw.beta1, adamw.beta2], adamw.epsilon, adamw.weight_decay)?;
    Ok(Arc::new(adamw))
}

impl LocalOptimizer for AdamW {
    fn name(&self) -> &'static str {
        "adamw"
    }

    fn lr(&self) -> f64 {
        self.lr
    }

    fn moments(&self) -> usize {
        2
    }

    fn persistent(&self) -> bool {
        self.persistent
    }

    fn step(&self, step: Step<'_>) {
        let rates = Rates::new(&step, [self.beta1, self.beta2], self.epsilon, self.weight_decay);
        let proximal = step.proximal;
        let Step { isa, x, gradient, start, moments: [m, v], .. } = step;
        descend(isa, rates, [0.0, proximal], x, gradient, start, m, v);
    }
}
