//! One training job: the local optimiser's steps, whatever computes the gradients.

use super::kernels::{Isa, elementwise, multiversion};
use crate::domain::Params;
use crate::domain::work::{OptState, Train, Trained, UpdateKind};
use crate::learn::plan::LocalOptimizer;

/// The local optimiser: SGD with momentum (Polyak, 1964) or Nesterov's form of it, an L2 penalty and a
/// proximal term (Li et al., Federated Optimization in Heterogeneous Networks, 2020). As PyTorch's SGD
/// without dampening: d = g + weight_decay x + proximal (x - x0); v = momentum v + d;
/// x -= lr (nesterov ? d + momentum v : v).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LocalRule {
    /// Learning rate, with the job's factor.
    pub lr: f32,
    /// Momentum; 0 for plain SGD.
    pub momentum: f32,
    /// Nesterov's form of momentum.
    pub nesterov: bool,
    /// Factor of the L2 penalty.
    pub weight_decay: f32,
    /// Factor mu of the proximal term.
    pub proximal: f32,
    /// Whether momentum survives from job to job.
    pub persistent: bool,
}

impl LocalRule {
    /// The rule of a plan's settings, the learning rate times `lr_scale`.
    #[must_use]
    pub fn new(settings: &LocalOptimizer, proximal: f64, lr_scale: f32) -> Self {
        Self {
            lr: (settings.lr * f64::from(lr_scale)) as f32,
            momentum: settings.momentum as f32,
            nesterov: settings.nesterov,
            weight_decay: settings.weight_decay as f32,
            proximal: proximal as f32,
            persistent: settings.persistent,
        }
    }

    /// One step of `x`; `velocity` is empty without momentum.
    pub fn step(&self, isa: Isa, x: &mut [f32], gradient: &[f32], start: &[f32], velocity: &mut [f32]) {
        if self.weight_decay == 0.0 && self.proximal == 0.0 && self.momentum == 0.0 {
            elementwise::add_scaled(isa, x, -self.lr, gradient);
        } else if self.momentum == 0.0 {
            step_without_momentum(isa, *self, x, gradient, start);
        } else {
            step_with_momentum(isa, *self, x, gradient, start, velocity);
        }
    }

    #[inline(always)]
    fn direction(&self, x: f32, gradient: f32, start: f32) -> f32 {
        self.proximal.mul_add(x - start, self.weight_decay.mul_add(x, gradient))
    }
}

multiversion! {
    fn step_without_momentum(rule: LocalRule, x: &mut [f32], gradient: &[f32], start: &[f32]) {
        for ((x, g), s) in x.iter_mut().zip(gradient).zip(start) {
            *x = (-rule.lr).mul_add(rule.direction(*x, *g, *s), *x);
        }
    }

    fn step_with_momentum(rule: LocalRule, x: &mut [f32], gradient: &[f32], start: &[f32], velocity: &mut [f32]) {
        for (((x, g), s), v) in x.iter_mut().zip(gradient).zip(start).zip(velocity) {
            let d = rule.direction(*x, *g, *s);
            *v = rule.momentum.mul_add(*v, d);
            let d = if rule.nesterov { rule.momentum.mul_add(*v, d) } else { *v };
            *x = (-rule.lr).mul_add(d, *x);
        }
    }
}

/// Where running statistics lie in the flat vector, and how they move: the gradient holds the batch's statistic s
/// there, and a local step makes the value (1 - momentum) value + momentum s.
#[derive(Clone, Debug, PartialEq)]
pub struct Statistic {
    /// Their place.
    pub range: std::ops::Range<usize>,
    /// Share of the newest batch.
    pub momentum: f32,
}

/// Memory that a thread reuses from job to job.
#[derive(Debug, Default)]
pub struct Buffers {
    gradient: Vec<f32>,
    velocity: Vec<f32>,
}

/// A mini-batch's mean loss and its number of samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepLoss {
    /// Mean loss.
    pub loss: f64,
    /// Samples.
    pub samples: u64,
}

/// Runs a job. `gradient(at, cursor, out)` writes the gradient of the mean loss of batch `cursor`.
///
/// # Errors
/// Parameters that are absent or of another length, a loss that is not finite, errors of `gradient`.
pub fn run(
    isa: Isa,
    job: &Train,
    rule: &LocalRule,
    buffers: &mut Buffers,
    params_len: usize,
    mut gradient: impl FnMut(&[f32], u64, &mut [f32]) -> Result<StepLoss, String>,
) -> Result<Trained, String> {
    let Some(start) = job.model.values() else {
        return Err("a timing-only run has no parameters to train".to_owned());
    };
    if start.len() != params_len {
        return Err(format!("{} parameters were sent to a model of {params_len}", start.len()));
    }
    let steps = job.steps.max(1);
    let (mut samples, mut losses) = (0, 0.0);
    let mut counted = |at: &[f32], i: u64, out: &mut [f32]| -> Result<u64, String> {
        let batch = gradient(at, job.cursor + i, out)?;
        if !batch.loss.is_finite() {
            let loss = batch.loss;
            return Err(format!(
                "the loss is {loss} at step {} of {steps}; try a smaller learning rate",
                i + 1
            ));
        }
        samples += batch.samples;
        losses += batch.loss;
        Ok(batch.samples)
    };
    let (tensor, opt) = if job.output == UpdateKind::Gradient {
        (mean_gradient(isa, start, steps, buffers, &mut counted)?, job.opt.clone())
    } else {
        let (mut x, opt) = descend(isa, job, rule, start, steps, buffers, &mut counted)?;
        if job.output == UpdateKind::Delta {
            elementwise::subtract(isa, &mut x, start);
        }
        (x, opt)
    };
    let loss = (losses / steps as f64) as f32;
    Ok(Trained { tensor: Params::new(tensor), opt, steps, samples, loss, forward_passes: samples })
}

/// A batch's gradient at a place, as [`run`] counts it; returns the number of samples.
type Counted<'a> = &'a mut dyn FnMut(&[f32], u64, &mut [f32]) -> Result<u64, String>;

/// The mean over all samples of the batches, at fixed parameters; of one batch exactly its mean.
fn mean_gradient(
    isa: Isa,
    at: &[f32],
    steps: u64,
    buffers: &mut Buffers,
    gradient: Counted,
) -> Result<Vec<f32>, String> {
    let mut mean = vec![0.0; at.len()];
    let first = gradient(at, 0, &mut mean)?;
    if steps > 1 {
        elementwise::scale(isa, &mut mean, first as f32);
        let mut samples = first;
        buffers.gradient.resize(at.len(), 0.0);
        for i in 1..steps {
            let count = gradient(at, i, &mut buffers.gradient)?;
            elementwise::add_scaled(isa, &mut mean, count as f32, &buffers.gradient);
            samples += count;
        }
        elementwise::scale(isa, &mut mean, 1.0 / samples as f32);
    }
    Ok(mean)
}

/// The parameters after the steps of the optimiser, and its state.
fn descend(
    isa: Isa,
    job: &Train,
    rule: &LocalRule,
    start: &[f32],
    steps: u64,
    buffers: &mut Buffers,
    gradient: Counted,
) -> Result<(Vec<f32>, Option<OptState>), String> {
    let mut x = start.to_vec();
    let kept = job.opt.as_ref().filter(|_| rule.persistent);
    let Buffers { gradient: g, velocity } = buffers;
    g.resize(start.len(), 0.0);
    velocity.clear();
    if rule.momentum != 0.0 {
        match kept.and_then(|state| state.slots.first()).and_then(Params::values) {
            Some(values) if values.len() == start.len() => velocity.extend_from_slice(values),
            Some(values) => {
                return Err(format!("{} values of momentum for {} parameters", values.len(), x.len()));
            }
            None => velocity.resize(start.len(), 0.0),
        }
    }
    for i in 0..steps {
        gradient(&x, i, g)?;
        rule.step(isa, &mut x, g, start, velocity);
    }
    let opt = (rule.persistent && rule.momentum != 0.0).then(|| OptState {
        step: kept.map_or(0, |state| state.step) + steps,
        slots: vec![Params::new(velocity.clone())],
    });
    Ok((x, opt))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SGD: LocalOptimizer =
        LocalOptimizer { lr: 0.5, momentum: 0.0, nesterov: false, weight_decay: 0.0, persistent: false };

    fn job(steps: u64, output: UpdateKind) -> Train {
        Train { model: Params::new(vec![1.0]), opt: None, cursor: 10, steps, output, lr_scale: 1.0 }
    }

    /// f(x) = x^2 / 2 scaled by the batch number: gradient = (cursor - 9) x, with as many samples.
    fn toy(job: &Train, rule: LocalRule) -> Result<Trained, String> {
        run(Isa::best(), job, &rule, &mut Buffers::default(), 1, |at, cursor, out| {
            out[0] = (cursor - 9) as f32 * at[0];
            Ok(StepLoss { loss: f64::from(at[0]), samples: cursor - 9 })
        })
    }

    fn value(trained: &Trained) -> f32 {
        trained.tensor.values().unwrap()[0]
    }

    #[test]
    fn outputs_by_hand() {
        let rule = LocalRule::new(&SGD, 0.0, 1.0);
        // Steps: 1 -> 1 - .5 = .5 -> .5 - .5 (2 x .5) = 0.
        assert_eq!(value(&toy(&job(1, UpdateKind::Model), rule).unwrap()), 0.5);
        assert_eq!(value(&toy(&job(2, UpdateKind::Delta), rule).unwrap()), -1.0);
        // Gradients 1 (1 sample) and 2 (2 samples): mean 5/3.
        let trained = toy(&job(2, UpdateKind::Gradient), rule).unwrap();
        assert!((value(&trained) - 5.0 / 3.0).abs() < 1e-6);
        assert_eq!((trained.samples, trained.forward_passes, trained.steps, trained.loss), (3, 3, 2, 1.0));
        assert_eq!(value(&toy(&job(1, UpdateKind::Model), LocalRule::new(&SGD, 0.0, 0.5)).unwrap()), 0.75);
    }

    #[test]
    fn momentum_decay_and_proximal_by_hand() {
        let two = |settings: LocalOptimizer, mu: f64| {
            value(&toy(&job(2, UpdateKind::Model), LocalRule::new(&settings, mu, 1.0)).unwrap())
        };
        // v = 1, x = .5; v = .5 + 1 = 1.5, x = .5 - .75.
        assert_eq!(two(LocalOptimizer { momentum: 0.5, ..SGD }, 0.0), -0.25);
        // v = 1, d = 1.5, x = .25; v = .5 + .5 = 1, d = 1, x = -.25.
        assert_eq!(two(LocalOptimizer { momentum: 0.5, nesterov: true, ..SGD }, 0.0), -0.25);
        // d = 1 + 1, x = 0; d = 0.
        assert_eq!(two(LocalOptimizer { weight_decay: 1.0, ..SGD }, 0.0), 0.0);
        // d = 1, x = .5; d = 1 + 1 (.5 - 1) = .5, x = .25.
        assert_eq!(two(SGD, 1.0), 0.25);
    }

    #[test]
    fn persistent_momentum_continues_where_it_stopped() {
        let settings = LocalOptimizer { momentum: 0.5, persistent: true, ..SGD };
        let rule = LocalRule::new(&settings, 0.0, 1.0);
        let whole = toy(&job(2, UpdateKind::Model), rule).unwrap();
        let first = toy(&job(1, UpdateKind::Model), rule).unwrap();
        let second = Train { model: first.tensor, opt: first.opt, cursor: 11, ..job(1, UpdateKind::Model) };
        let second = toy(&second, rule).unwrap();
        assert_eq!((&second.tensor, &second.opt), (&whole.tensor, &whole.opt));
        assert_eq!(second.opt.unwrap().step, 2);
    }

    #[test]
    fn a_loss_that_is_not_finite_names_its_step() {
        let rule = LocalRule::new(&SGD, 0.0, 1.0);
        let error =
            run(Isa::best(), &job(3, UpdateKind::Delta), &rule, &mut Buffers::default(), 1, |_, c, _| {
                Ok(StepLoss { loss: if c == 11 { f64::NAN } else { 1.0 }, samples: 1 })
            });
        assert_eq!(error, Err("the loss is NaN at step 2 of 3; try a smaller learning rate".to_owned()));
    }
}
