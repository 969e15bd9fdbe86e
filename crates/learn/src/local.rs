//! One training job: the local optimiser's steps, whatever computes the gradients.

use super::GoOn;
use super::kernels::{Isa, elementwise};
use super::optimizer::{self, LocalOptimizer, Step};
use super::schedule::{self, Schedule};
use hcddl_core::domain::Params;
use hcddl_core::domain::work::{OptState, Train, Trained, UpdateKind};
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::sync::Arc;

/// What a node does with the gradients of its batches.
#[derive(Clone, Debug)]
pub struct LocalRule {
    /// Makes the steps.
    pub optimizer: Arc<dyn LocalOptimizer>,
    /// Factor on its learning rate.
    pub schedule: Arc<dyn Schedule>,
    /// Largest Euclidean norm of a gradient; longer ones are shortened to it (Pascanu et al., arXiv 1211.5063).
    /// It bounds the gradient of the batch's loss; an L2 penalty and the proximal term come on top.
    pub clip_norm: Option<f64>,
    /// Factor mu of the proximal term mu/2 |x - x0|^2 (Li et al., Federated Optimization in Heterogeneous
    /// Networks, 2020); 0 for none.
    pub proximal: f64,
    /// What becomes of a job whose loss or parameters ceased to be finite.
    pub not_finite: NotFinite,
}

/// What becomes of a job whose loss or parameters ceased to be finite.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NotFinite {
    /// The run ends.
    #[default]
    Stop,
    /// Its update is dropped; the node goes on with its next batches.
    Skip,
}

impl LocalRule {
    /// Plain SGD with a constant learning rate.
    #[must_use]
    pub fn sgd(lr: f64) -> Self {
        Self {
            optimizer: optimizer::sgd(lr),
            schedule: schedule::constant(),
            clip_norm: None,
            proximal: 0.0,
            not_finite: NotFinite::Stop,
        }
    }
}

/// Where running statistics lie in the flat vector, and how they move: the gradient holds the batch's statistic s
/// there, and a local step makes the value (1 - momentum) value + momentum s. Optimiser, decay, proximal term and
/// clipping leave them alone.
#[derive(Clone, Debug, PartialEq)]
pub struct Statistic {
    /// Their place.
    pub range: Range<usize>,
    /// Share of the newest batch.
    pub momentum: f32,
}

/// What a job runs on.
#[derive(Clone, Copy, Debug)]
pub struct Site<'a> {
    /// Instruction set of the kernels.
    pub isa: Isa,
    /// Length of the flat vector.
    pub params_len: usize,
    /// Running statistics in it, ascending.
    pub statistics: &'a [Statistic],
    /// Batches in one epoch of the node, for schedules.
    pub epoch: u64,
}

/// Memory that a thread reuses from job to job.
#[derive(Debug, Default)]
pub struct Buffers {
    gradient: Vec<f32>,
    moments: [Vec<f32>; 2],
}

/// A mini-batch's mean loss and its number of samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepLoss {
    /// Mean loss.
    pub loss: f64,
    /// Samples.
    pub samples: u64,
}

/// The steps of a job, as long as it may go on.
#[derive(Clone, Copy)]
struct Steps<'a> {
    asked: u64,
    go_on: GoOn<'a>,
}

impl Steps<'_> {
    fn each(&self) -> impl Iterator<Item = u64> {
        (0..self.asked).take_while(|_| (self.go_on)())
    }
}

/// Why a job ended early.
enum Fault {
    Failed(String),
    /// At this step, from 1.
    NotFinite {
        what: String,
        step: u64,
    },
}

impl From<String> for Fault {
    fn from(why: String) -> Self {
        Self::Failed(why)
    }
}

/// Runs a job. `gradient(at, cursor, out)` writes the gradient of the mean loss of batch `cursor`. When `go_on` says
/// no the job ends before its next step, as one with so many steps fewer.
///
/// # Errors
/// Parameters that are absent or of another length, errors of `gradient`, and a loss or parameters that are not
/// finite any more, unless the rule says that such jobs are skipped.
pub fn run(
    site: Site<'_>,
    job: &Train,
    rule: &LocalRule,
    buffers: &mut Buffers,
    go_on: GoOn<'_>,
    mut gradient: impl FnMut(&[f32], u64, &mut [f32]) -> Result<StepLoss, String>,
) -> Result<Trained, String> {
    let Some(start) = job.model.values() else {
        return Err("a timing-only run has no parameters to train".to_owned());
    };
    if start.len() != site.params_len {
        return Err(format!("{} parameters were sent to a model of {}", start.len(), site.params_len));
    }
    let asked = Steps { asked: job.steps.max(1), go_on };
    let (mut steps, mut samples, mut losses) = (0, 0, 0.0);
    let mut counted = |at: &[f32], i: u64, out: &mut [f32]| -> Result<u64, Fault> {
        let batch = gradient(at, job.cursor + i, out)?;
        steps += 1;
        samples += batch.samples;
        losses += batch.loss;
        if batch.loss.is_finite() {
            return Ok(batch.samples);
        }
        Err(Fault::NotFinite { what: format!("the loss is {}", batch.loss), step: i + 1 })
    };
    match compute(site, job, rule, start, asked, buffers, &mut counted) {
        Ok((tensor, opt)) => {
            let (tensor, loss) = (Params::new(tensor), (losses / steps as f64) as f32);
            Ok(Trained { tensor, opt, steps, samples, loss, forward_passes: samples, skipped: None })
        }
        Err(Fault::NotFinite { step, .. }) if rule.not_finite == NotFinite::Skip => {
            Ok(skipped(job, start, step, samples))
        }
        Err(Fault::NotFinite { what, step }) => Err(format!(
            "{what} at step {step} of {}; try a smaller learning rate, `training.clip_norm`, or \
             `training.not_finite: skip` to go on without such updates",
            job.steps
        )),
        Err(Fault::Failed(why)) => Err(why),
    }
}

/// What a job returns that ended at a step: nothing has changed, and no samples count.
fn skipped(job: &Train, start: &[f32], step: u64, samples: u64) -> Trained {
    let tensor = match job.output {
        UpdateKind::Model => job.model.clone(),
        UpdateKind::Gradient | UpdateKind::Delta => Params::new(vec![0.0; start.len()]),
    };
    Trained {
        tensor,
        opt: job.opt.clone(),
        steps: step,
        samples: 0,
        loss: f32::NAN,
        forward_passes: samples,
        skipped: Some(step),
    }
}

/// The tensor that a job asks for, and the optimiser's state.
fn compute(
    site: Site<'_>,
    job: &Train,
    rule: &LocalRule,
    start: &[f32],
    steps: Steps<'_>,
    buffers: &mut Buffers,
    gradient: Counted,
) -> Result<(Vec<f32>, Option<OptState>), Fault> {
    let (tensor, opt) = if job.output == UpdateKind::Gradient {
        let mut mean = mean_gradient(site.isa, start, steps, buffers, gradient)?;
        clip(site, rule, &mut mean);
        (mean, job.opt.clone())
    } else {
        let (mut x, opt) = descend(site, job, rule, start, steps, buffers, gradient)?;
        if job.output == UpdateKind::Delta {
            // Statistics stay values: a server averages them, it does not add up their changes.
            for range in trained(site) {
                elementwise::subtract(site.isa, &mut x[range.clone()], &start[range]);
            }
        }
        (x, opt)
    };
    if elementwise::all_finite(site.isa, &tensor) {
        return Ok((tensor, opt));
    }
    Err(Fault::NotFinite { what: "the update is not finite".to_owned(), step: steps.asked })
}

/// A batch's gradient at a place, as [`run`] counts it; returns the number of samples.
type Counted<'a> = &'a mut dyn FnMut(&[f32], u64, &mut [f32]) -> Result<u64, Fault>;

/// The mean over all samples of the batches, at fixed parameters; of one batch exactly its mean.
fn mean_gradient(
    isa: Isa,
    at: &[f32],
    steps: Steps<'_>,
    buffers: &mut Buffers,
    gradient: Counted,
) -> Result<Vec<f32>, Fault> {
    let mut mean = vec![0.0; at.len()];
    let mut left = steps.each().peekable();
    let Some(i) = left.next() else { return Ok(mean) };
    let first = gradient(at, i, &mut mean)?;
    if left.peek().is_some() {
        elementwise::scale(isa, &mut mean, first as f32);
        let mut samples = first;
        buffers.gradient.resize(at.len(), 0.0);
        for i in left {
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
    site: Site<'_>,
    job: &Train,
    rule: &LocalRule,
    start: &[f32],
    steps: Steps<'_>,
    buffers: &mut Buffers,
    gradient: Counted,
) -> Result<(Vec<f32>, Option<OptState>), Fault> {
    let optimizer = rule.optimizer.as_ref();
    let mut x = start.to_vec();
    let kept = job.opt.as_ref().filter(|_| optimizer.persistent());
    let taken = kept.map_or(0, |state| state.step);
    let Buffers { gradient: g, moments } = buffers;
    g.resize(start.len(), 0.0);
    remember(kept, optimizer.moments(), start.len(), moments)?;
    let mut done = 0;
    for i in steps.each() {
        gradient(&x, i, g)?;
        done += 1;
        clip(site, rule, g);
        let lr = optimizer.lr() * f64::from(job.lr_scale) * rule.schedule.factor(job.cursor + i, site.epoch);
        for range in trained(site) {
            let [first, second] = moments;
            optimizer.step(Step {
                isa: site.isa,
                lr,
                number: taken + i + 1,
                proximal: rule.proximal as f32,
                x: &mut x[range.clone()],
                gradient: &g[range.clone()],
                start: &start[range.clone()],
                moments: [
                    first.get_mut(range.clone()).unwrap_or_default(),
                    second.get_mut(range).unwrap_or_default(),
                ],
            });
        }
        for Statistic { range, momentum } in site.statistics {
            elementwise::average(site.isa, &mut x[range.clone()], *momentum, &g[range.clone()]);
        }
    }
    let opt = (optimizer.persistent() && optimizer.moments() > 0).then(|| OptState {
        step: taken + done,
        slots: moments[..optimizer.moments()].iter().map(|moment| Params::new(moment.clone())).collect(),
    });
    Ok((x, opt))
}

/// Fills the optimiser's moments with what it remembers, or zeros; those it does not have become empty.
fn remember(
    kept: Option<&OptState>,
    count: usize,
    len: usize,
    moments: &mut [Vec<f32>; 2],
) -> Result<(), String> {
    for (i, moment) in moments.iter_mut().enumerate() {
        moment.clear();
        match kept.and_then(|state| state.slots.get(i)).and_then(Params::values) {
            _ if i >= count => {}
            Some(values) if values.len() == len => moment.extend_from_slice(values),
            Some(values) => {
                return Err(format!("{} values of momentum for {len} parameters", values.len()));
            }
            None => moment.resize(len, 0.0),
        }
    }
    Ok(())
}

/// The ranges between the running statistics, ascending.
fn trained(site: Site<'_>) -> impl Iterator<Item = Range<usize>> {
    let starts = std::iter::once(0).chain(site.statistics.iter().map(|s| s.range.end));
    let ends = site.statistics.iter().map(|s| s.range.start).chain(std::iter::once(site.params_len));
    starts.zip(ends).map(|(start, end)| start..end).filter(|range| !range.is_empty())
}

/// Shortens a gradient to the rule's norm, as PyTorch's `clip_grad_norm_`: times norm / (length + 1e-6) if that is
/// below 1.
fn clip(site: Site<'_>, rule: &LocalRule, gradient: &mut [f32]) {
    let Some(norm) = rule.clip_norm else { return };
    let squares: f64 = trained(site).map(|r| elementwise::sum_squares(site.isa, &gradient[r])).sum();
    let factor = norm / (squares.sqrt() + 1e-6);
    if factor < 1.0 {
        for range in trained(site) {
            elementwise::scale(site.isa, &mut gradient[range], factor as f32);
        }
    }
}

#[cfg(test)]
#[path = "optimizer_tests.rs"]
mod optimizer_tests;
#[cfg(test)]
#[path = "local_tests.rs"]
mod tests;
