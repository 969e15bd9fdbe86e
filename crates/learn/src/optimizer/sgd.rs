//! SGD with momentum (Polyak, 1964) or Nesterov's form of it, and an L2 penalty. As PyTorch's SGD without
//! dampening: d = g + weight_decay x; v = momentum v + d; x -= lr (nesterov ? d + momentum v : v).

use super::{LocalOptimizer, OptimizerRow, Step, check_lr, check_not_negative, check_share, direction};
use crate::kernels::{elementwise, multiversion};
use hcddl_core::domain::{Choice, OptionError};
use serde::Deserialize;
use std::sync::Arc;

pub(super) const ROW: OptimizerRow = OptimizerRow {
    name: "sgd",
    summary: "plain SGD, momentum or Nesterov's form of it, L2 penalty",
    example: "{name: sgd, lr: 0.1, momentum: 0.0, nesterov: false, weight_decay: 0.0, persistent: false}",
    positional: &["lr"],
    build,
};

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Sgd {
    /// Learning rate.
    pub(super) lr: f64,
    /// Momentum; 0 for plain SGD.
    pub(super) momentum: f64,
    /// Nesterov's form of momentum.
    pub(super) nesterov: bool,
    /// Factor of the L2 penalty, added to the gradient.
    pub(super) weight_decay: f64,
    /// Whether momentum survives from job to job.
    pub(super) persistent: bool,
}

impl Default for Sgd {
    fn default() -> Self {
        Self { lr: 0.1, momentum: 0.0, nesterov: false, weight_decay: 0.0, persistent: false }
    }
}

fn build(choice: &Choice) -> Result<Arc<dyn LocalOptimizer>, OptionError> {
    let sgd: Sgd = choice.options()?;
    check_lr(sgd.lr)?;
    check_share("momentum", sgd.momentum)?;
    check_not_negative("weight_decay", sgd.weight_decay)?;
    Ok(Arc::new(sgd))
}

impl LocalOptimizer for Sgd {
    fn name(&self) -> &'static str {
        "sgd"
    }

    fn lr(&self) -> f64 {
        self.lr
    }

    fn moments(&self) -> usize {
        usize::from(self.momentum != 0.0)
    }

    fn persistent(&self) -> bool {
        self.persistent
    }

    fn step(&self, step: Step<'_>) {
        let Step { isa, x, gradient, start, proximal, moments: [velocity, _], .. } = step;
        let (lr, decay, momentum) = (step.lr as f32, self.weight_decay as f32, self.momentum as f32);
        if momentum != 0.0 {
            with_momentum(isa, lr, decay, proximal, momentum, self.nesterov, x, gradient, start, velocity);
        } else if decay == 0.0 && proximal == 0.0 {
            elementwise::add_scaled(isa, x, -lr, gradient);
        } else {
            without_momentum(isa, lr, decay, proximal, x, gradient, start);
        }
    }
}

multiversion! {
    fn without_momentum(lr: f32, decay: f32, proximal: f32, x: &mut [f32], gradient: &[f32], start: &[f32]) {
        for ((x, g), s) in x.iter_mut().zip(gradient).zip(start) {
            *x = (-lr).mul_add(direction(*x, *g, *s, decay, proximal), *x);
        }
    }

    fn with_momentum(
        lr: f32,
        decay: f32,
        proximal: f32,
        momentum: f32,
        nesterov: bool,
        x: &mut [f32],
        gradient: &[f32],
        start: &[f32],
        velocity: &mut [f32],
    ) {
        for (((x, g), s), v) in x.iter_mut().zip(gradient).zip(start).zip(velocity) {
            let d = direction(*x, *g, *s, decay, proximal);
            *v = momentum.mul_add(*v, d);
            let d = if nesterov { momentum.mul_add(*v, d) } else { *v };
            *x = (-lr).mul_add(d, *x);
        }
    }
}
