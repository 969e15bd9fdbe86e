//! Adam (Kingma and Ba, arXiv 1412.6980), in the form of its section 2 that Keras uses: lr_t = lr sqrt(1 - b2^t) /
//! (1 - b1^t), x -= lr_t m / (sqrt v + eps). FedAdam (arXiv 2003.00295) has no bias correction, beta2 .99, eps 1e-3.

use super::{OptimizerRow, ServerOptimizer, check_decay, check_eps, check_lr};
use crate::domain::{Choice, OptionError, math};
use serde::Deserialize;
use std::sync::Arc;

pub(super) const ROW: OptimizerRow = OptimizerRow {
    name: "adam",
    summary: "Adam; FedAdam with beta2 .99, eps 1e-3 and no bias correction",
    example: "{name: adam, lr: 0.001, beta1: 0.9, beta2: 0.999, eps: 1.0e-7, bias_correction: true}",
    positional: &["lr"],
    build,
};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Adam {
    lr: f32,
    beta1: f32,
    beta2: f32,
    eps: f32,
    bias_correction: bool,
}

impl Default for Adam {
    fn default() -> Self {
        Self { lr: 1e-3, beta1: 0.9, beta2: 0.999, eps: 1e-7, bias_correction: true }
    }
}

fn build(choice: &Choice) -> Result<Arc<dyn ServerOptimizer>, OptionError> {
    let adam: Adam = choice.options()?;
    check_lr(adam.lr)?;
    check_decay("beta1", adam.beta1)?;
    check_decay("beta2", adam.beta2)?;
    check_eps(adam.eps)?;
    Ok(Arc::new(adam))
}

impl ServerOptimizer for Adam {
    fn name(&self) -> &'static str {
        "adam"
    }

    fn slots(&self) -> usize {
        2
    }

    fn step(&self, model: &mut [f32], gradient: &[f32], slots: &mut [Vec<f32>], step: u64) {
        let (b1, b2) = (self.beta1, self.beta2);
        let t = step as f64;
        let rate = if self.bias_correction {
            let corrected = (1.0 - math::pow(f64::from(b2), t)).sqrt() / (1.0 - math::pow(f64::from(b1), t));
            (f64::from(self.lr) * corrected) as f32
        } else {
            self.lr
        };
        let (m, v) = slots.split_at_mut(1);
        for (((x, g), m), v) in model.iter_mut().zip(gradient).zip(&mut m[0]).zip(&mut v[0]) {
            *m = b1 * *m + (1.0 - b1) * g;
            *v = b2 * *v + (1.0 - b2) * g * g;
            *x -= rate * *m / (v.sqrt() + self.eps);
        }
    }
}
