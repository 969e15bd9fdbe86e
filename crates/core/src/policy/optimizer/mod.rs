//! Server optimisers: how an aggregate is applied to the model.
//!
//! With a delta as pseudo-gradient these are the FedOpt family (Reddi et al., Adaptive Federated Optimization,
//! arXiv 2003.00295).

mod adagrad;
mod adam;
mod momentum;
mod sgd;
mod yogi;

use crate::domain::{Choice, OptionError, Row, Table};
use std::sync::Arc;

/// Applies a descent direction to the model.
pub trait ServerOptimizer: Send + Sync + std::fmt::Debug {
    /// Its name in the table.
    fn name(&self) -> &'static str;
    /// Number of state vectors.
    fn slots(&self) -> usize;
    /// One step: `model` moves against `gradient`; `slots` hold one vector each; `step` counts from 1.
    fn step(&self, model: &mut [f32], gradient: &[f32], slots: &mut [Vec<f32>], step: u64);
}

/// Makes an optimiser from its options.
pub type BuildOptimizer = fn(&Choice) -> Result<Arc<dyn ServerOptimizer>, OptionError>;

/// All server optimisers.
#[must_use]
pub fn table() -> Table<BuildOptimizer> {
    Table::new("server optimiser", vec![sgd::ROW, momentum::ROW, adam::ROW, yogi::ROW, adagrad::ROW])
}

type OptimizerRow = Row<BuildOptimizer>;

fn check_lr(lr: f32) -> Result<(), OptionError> {
    if lr > 0.0 && lr.is_finite() {
        return Ok(());
    }
    Err(OptionError::new("lr", format!("expected a learning rate, found {lr}"), "above 0"))
}

fn check_decay(key: &str, value: f32) -> Result<(), OptionError> {
    if (0.0..1.0).contains(&value) {
        return Ok(());
    }
    Err(OptionError::new(key, format!("expected a decay, found {value}"), "at least 0 and below 1"))
}

fn check_eps(eps: f32) -> Result<(), OptionError> {
    if eps > 0.0 && eps.is_finite() {
        return Ok(());
    }
    Err(OptionError::new("eps", format!("{eps} does not keep the step finite"), "above 0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(text: &str, gradients: &[f32]) -> f32 {
        let choice = crate::domain::Choice {
            name: text.split('(').next().unwrap().to_owned(),
            options: serde_json::from_str(text.split_once('(').unwrap().1.trim_end_matches(')')).unwrap(),
            positional: vec![],
        };
        let table = table();
        let optimizer = (table.get(&choice.name).unwrap().build)(&choice).unwrap();
        let mut model = [1.0];
        let mut slots = vec![vec![0.0]; optimizer.slots()];
        for (i, g) in gradients.iter().enumerate() {
            optimizer.step(&mut model, &[*g], &mut slots, i as u64 + 1);
        }
        model[0]
    }

    /// Two steps by hand, gradients 1 and 2.
    #[test]
    fn steps_match_the_formulas() {
        let close = |text: &str, expected: f64| {
            let got = f64::from(run(text, &[1.0, 2.0]));
            assert!((got - expected).abs() < 1e-6, "{text}: {got}, expected {expected}");
        };
        close(r#"sgd({"lr":0.1})"#, 1.0 - 0.1 - 0.2);
        close(r#"momentum({"lr":0.1,"beta":0.9})"#, 1.0 - 0.1 - 0.29);
        close(r#"momentum({"lr":0.1,"beta":0.9,"nesterov":true})"#, 1.0 - 0.19 - 0.1 * (2.0 + 0.9 * 2.9));
        let adagrad = 1.0 - 0.1 / (1.0 + 1e-3) - 0.1 * 2.0 / (5f64.sqrt() + 1e-3);
        close(r#"adagrad({"lr":0.1,"beta1":0.0})"#, adagrad);
        // FedAdam without bias correction: m 0.1, 0.29; v 0.01, 0.0499.
        let adam = 1.0 - 0.1 * 0.1 / (0.1 + 1e-3) - 0.1 * 0.29 / (0.0499f64.sqrt() + 1e-3);
        close(r#"adam({"lr":0.1,"beta2":0.99,"eps":0.001,"bias_correction":false})"#, adam);
        // Yogi: v 0.01, then 0.01 + 0.01 * 4.
        let yogi = 1.0 - 0.1 * 0.1 / (0.1 + 1e-3) - 0.1 * 0.29 / (0.05f64.sqrt() + 1e-3);
        close(r#"yogi({"lr":0.1})"#, yogi);
    }

    /// The first step of Adam with bias correction has the size of the learning rate, whatever the gradient.
    #[test]
    fn adam_corrects_its_bias() {
        for g in [1e-3, 1.0, 1e3] {
            assert!((run(r#"adam({"lr":0.1})"#, &[g]) - 0.9).abs() < 1e-3);
        }
    }

    #[test]
    fn refuses_what_cannot_learn() {
        for (name, key, value) in [("sgd", "lr", 0.0), ("adam", "beta1", 1.0), ("yogi", "eps", 0.0)] {
            let choice = crate::policy::choice(name, Some((key, value)));
            assert_eq!((table().get(name).unwrap().build)(&choice).unwrap_err().key, key);
        }
    }
}
