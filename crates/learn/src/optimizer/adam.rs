//! Adam (Kingma and Ba, arXiv 1412.6980) with an L2 penalty, as PyTorch has it: g += weight_decay x;
//! m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g^2; x -= lr / (1 - b1^t) m / (sqrt(v) / sqrt(1 - b2^t) + epsilon).
//! The factors of a step are computed in f64 and rounded once.

use super::{LocalOptimizer, OptimizerRow, Step, check_lr, check_not_negative, check_share, direction};
use crate::kernels::multiversion;
use hcddl_core::domain::{Choice, OptionError, Tables, math, options};
use serde::Deserialize;
use std::sync::Arc;

pub(super) const ROW: OptimizerRow = OptimizerRow {
    name: "adam",
    summary: "Adam with an L2 penalty",
    example: "{name: adam, lr: 0.001, beta1: 0.9, beta2: 0.999, epsilon: 1.0e-8, weight_decay: 0.0, \
              persistent: false}",
    positional: &["lr"],
    options: options::<Adam>,
    build,
};

#[derive(Clone, Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Adam {
    /// Learning rate.
    lr: f64,
    /// Decay of the mean of the gradients.
    beta1: f64,
    /// Decay of the mean of their squares.
    beta2: f64,
    /// Added to the denominator.
    epsilon: f64,
    /// Factor of the L2 penalty, added to the gradient.
    weight_decay: f64,
    /// Whether both means survive from job to job.
    persistent: bool,
}

impl Default for Adam {
    fn default() -> Self {
        Self { lr: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.0, persistent: false }
    }
}

fn build(choice: &Choice, _: &dyn Tables) -> Result<Arc<dyn LocalOptimizer>, OptionError> {
    let adam: Adam = choice.options()?;
    check(adam.lr, [adam.beta1, adam.beta2], adam.epsilon, adam.weight_decay)?;
    Ok(Arc::new(adam))
}

/// The bounds that [`super::adamw`] shares.
pub(super) fn check(lr: f64, betas: [f64; 2], epsilon: f64, weight_decay: f64) -> Result<(), OptionError> {
    check_lr(lr)?;
    check_share("beta1", betas[0])?;
    check_share("beta2", betas[1])?;
    OptionError::check(epsilon > 0.0 && epsilon.is_finite(), "epsilon", epsilon, "above 0")?;
    check_not_negative("weight_decay", weight_decay)
}

impl LocalOptimizer for Adam {
    fn name(&self) -> &'static str {
        "adam"
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
        let rates = Rates::new(&step, [self.beta1, self.beta2], self.epsilon, 0.0);
        let penalties = [self.weight_decay as f32, step.proximal];
        let Step { isa, x, gradient, start, moments: [m, v], .. } = step;
        descend(isa, rates, penalties, x, gradient, start, m, v);
    }
}

/// The factors of one step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rates {
    /// lr / (1 - b1^t).
    rate: f32,
    /// 1 - b1.
    new1: f32,
    beta2: f32,
    /// 1 - b2.
    new2: f32,
    /// 1 / sqrt(1 - b2^t).
    scale: f32,
    epsilon: f32,
    /// 1 - lr times the decoupled decay.
    kept: f32,
}

impl Rates {
    /// `decoupled` is the weight decay of AdamW.
    pub(super) fn new(step: &Step<'_>, [beta1, beta2]: [f64; 2], epsilon: f64, decoupled: f64) -> Self {
        let t = step.number as f64;
        Self {
            rate: (step.lr / (1.0 - math::pow(beta1, t))) as f32,
            new1: (1.0 - beta1) as f32,
            beta2: beta2 as f32,
            new2: (1.0 - beta2) as f32,
            scale: (1.0 / (1.0 - math::pow(beta2, t)).sqrt()) as f32,
            epsilon: epsilon as f32,
            kept: (1.0 - step.lr * decoupled) as f32,
        }
    }
}

multiversion! {
    /// `penalties`: factors of the L2 penalty and of the proximal term.
    pub(super) fn descend(
        rates: Rates,
        penalties: [f32; 2],
        x: &mut [f32],
        gradient: &[f32],
        start: &[f32],
        m: &mut [f32],
        v: &mut [f32],
    ) {
        for ((((x, g), s), m), v) in x.iter_mut().zip(gradient).zip(start).zip(m).zip(v) {
            let d = direction(*x, *g, *s, penalties[0], penalties[1]);
            *m = rates.new1.mul_add(d - *m, *m);
            *v = rates.beta2.mul_add(*v, rates.new2 * d * d);
            let denominator = v.sqrt().mul_add(rates.scale, rates.epsilon);
            *x = (-rates.rate).mul_add(*m / denominator, rates.kept * *x);
        }
    }
}
