//! Local optimisers: what a worker does with the gradient of a batch. One file and one row each; pure.

mod adam;
mod adamw;
mod sgd;

use crate::kernels::Isa;
use hcddl_core::domain::operation::{Kind, Operation};
use hcddl_core::domain::{Build, OptionError, Pluggable, Row, Table};
use std::sync::Arc;

/// Moves parameters against gradients, one step at a time.
pub trait LocalOptimizer: Send + Sync + std::fmt::Debug {
    /// Its name in the table.
    fn name(&self) -> &'static str;
    /// Learning rate before any factor.
    fn lr(&self) -> f64;
    /// Vectors that it remembers from step to step: 0, 1 or 2.
    fn moments(&self) -> usize;
    /// Whether these survive from job to job.
    fn persistent(&self) -> bool;
    /// One step.
    fn step(&self, step: Step<'_>);
}

/// One with so many moments (0 to 2), to be measured.
#[must_use]
pub(crate) fn with_moments(moments: usize) -> Arc<dyn LocalOptimizer> {
    match moments {
        0 => sgd(0.1),
        1 => Arc::new(sgd::Sgd { momentum: 0.9, ..sgd::Sgd::default() }),
        _ => Arc::new(adam::Adam::default()),
    }
}

/// What a step over so many parameters does.
#[must_use]
pub fn operation(optimizer: &dyn LocalOptimizer, params: usize) -> Operation {
    let kind = match optimizer.moments() {
        0 => Kind::Sgd,
        1 => Kind::Momentum,
        _ => Kind::Adam,
    };
    Operation::new(kind, [params], 1).far((2 + 2 * optimizer.moments()) * params)
}

/// What a step reads and changes: all parameters, or a range of them.
#[derive(Debug)]
pub struct Step<'a> {
    /// Instruction set of the kernels.
    pub isa: Isa,
    /// Learning rate, all factors included.
    pub lr: f64,
    /// Number of this step, from 1, since the moments were 0.
    pub number: u64,
    /// Factor mu of the proximal term mu/2 |x - start|^2, whose gradient counts as part of the batch's.
    pub proximal: f32,
    /// Parameters.
    pub x: &'a mut [f32],
    /// Gradient of the batch's loss.
    pub gradient: &'a [f32],
    /// Parameters at the start of the job.
    pub start: &'a [f32],
    /// The first [`LocalOptimizer::moments`] are as long as `x`, the others empty; zeros before the first step.
    pub moments: [&'a mut [f32]; 2],
}

/// Makes a local optimiser from its options.
pub type BuildLocalOptimizer = Build<Arc<dyn LocalOptimizer>>;

impl Pluggable for dyn LocalOptimizer {
    type Build = BuildLocalOptimizer;
    const KIND: &'static str = "local optimiser";
    const LIST: &'static str = "local-optimizers";
    const UNNAMED: Option<&'static str> = Some("sgd");
}

/// All local optimisers.
#[must_use]
pub fn table() -> Table<BuildLocalOptimizer> {
    Table::new::<dyn LocalOptimizer>(vec![sgd::ROW, adam::ROW, adamw::ROW])
}

/// Plain SGD.
#[must_use]
pub fn sgd(lr: f64) -> Arc<dyn LocalOptimizer> {
    Arc::new(sgd::Sgd { lr, ..sgd::Sgd::default() })
}

type OptimizerRow = Row<BuildLocalOptimizer>;

/// The gradient with an L2 penalty and the proximal term.
#[inline(always)]
fn direction(x: f32, gradient: f32, start: f32, weight_decay: f32, proximal: f32) -> f32 {
    proximal.mul_add(x - start, weight_decay.mul_add(x, gradient))
}

fn check_lr(lr: f64) -> Result<(), OptionError> {
    OptionError::check(lr > 0.0 && lr.is_finite(), "lr", lr, "above 0")
}

fn check_share(key: &str, value: f64) -> Result<(), OptionError> {
    OptionError::check((0.0..1.0).contains(&value), key, value, "0 to below 1")
}

fn check_not_negative(key: &str, value: f64) -> Result<(), OptionError> {
    OptionError::check(value >= 0.0 && value.is_finite(), key, value, "0 or more")
}
