//! Layers: forward and backward over slices of flat vectors, one file each. No graph, no allocation.

mod activation;
mod batch_norm;
mod chain;
mod conv2d;
mod count;
mod depthwise;
mod dropout;
mod embedding;
mod global_avg_pool;
mod group_norm;
mod gru;
mod last_step;
mod layer_norm;
mod linear;
mod log_softmax;
mod lstm;
mod pool;
mod recurrent;
mod residual;
mod share;
mod sine;
mod unfold;
mod window;

pub use activation::{Activate, Activation};
pub use batch_norm::{BatchNorm, Statistics};
pub use chain::Chain;
pub use conv2d::Conv2d;
pub use dropout::Dropout;
pub use embedding::Embedding;
pub use global_avg_pool::GlobalAvgPool;
pub use group_norm::GroupNorm;
pub use gru::Gru;
pub use last_step::LastStep;
pub use layer_norm::LayerNorm;
pub use linear::Linear;
pub use log_softmax::LogSoftmax;
pub use lstm::Lstm;
pub use pool::{AvgPool2d, MaxPool2d, PoolShape};
pub use residual::Residual;
pub use sine::Sine;

use super::kernels::Isa;
use hcddl_core::domain::operation::{Kind, Operation};
use std::any::Any;
use std::borrow::Cow;
use std::fmt::Debug;

/// What a layer needs to know besides its arguments.
#[derive(Clone, Copy, Debug)]
pub struct Pass {
    /// Instruction set of the kernels.
    pub isa: Isa,
    /// Samples in the batch.
    pub batch: usize,
    /// Time steps of each sample; 1 unless they are sequences.
    pub steps: usize,
    /// Threads that a layer may use, of the rayon pool that it is called on; at least 1. No bits depend on it.
    pub threads: usize,
    /// When training, the key of this batch's random numbers (each layer is handed its own); `None` when
    /// evaluating: no dropout, kept statistics instead of the batch's.
    pub training: Option<u64>,
}

impl Pass {
    /// Rows that a layer sees: samples x steps, time-major (all samples of step 0, then all of step 1).
    #[must_use]
    pub fn rows(&self) -> usize {
        self.batch * self.steps
    }
}

/// What a parameter tensor is for: how it starts and how it moves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Role {
    /// Drawn as the model's scheme says.
    Weight,
    /// Zero or drawn, as the scheme says.
    Bias,
    /// The factor of a normalisation: starts at 1.
    Scale,
    /// The offset of a normalisation: starts at 0.
    Shift,
    /// Rows of an embedding, drawn as the scheme says; the row of the padding token is 0 and stays so.
    Embedding {
        /// The padding token.
        padding: Option<usize>,
    },
    /// Drawn uniformly within plus and minus this bound, whatever the scheme.
    Uniform(f64),
    /// A running statistic: starts at `start`, has no gradient. In its place in the gradient a layer's backward
    /// pass writes the batch's statistic s, and a local step makes it (1 - momentum) value + momentum s.
    Statistic {
        /// First value.
        start: f32,
        /// Share of the newest batch.
        momentum: f32,
    },
}

/// A parameter tensor of a layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// `weight` or `bias`; for tensors of layers within a layer with their path.
    pub name: Cow<'static, str>,
    /// Its shape, row-major in the flat vector.
    pub shape: Vec<usize>,
    /// Inputs that one output of the layer sums, for the initialisation.
    pub fan_in: usize,
    /// Outputs that one input of the layer reaches, for the initialisation.
    pub fan_out: usize,
    /// What it is for.
    pub role: Role,
}

impl Tensor {
    /// A tensor by what it is for; fans are 1 where no scheme looks at them.
    #[must_use]
    pub fn new(name: &'static str, shape: Vec<usize>, role: Role) -> Self {
        Self { name: Cow::Borrowed(name), shape, fan_in: 1, fan_out: 1, role }
    }

    /// With these fans.
    #[must_use]
    pub fn fans(self, fan_in: usize, fan_out: usize) -> Self {
        Self { fan_in, fan_out, ..self }
    }

    /// Number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// True when there are no elements.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A layer. All slices hold rows one after another (see [`Pass::rows`]).
pub trait Layer: Any + Send + Sync + Debug {
    /// Its kind, in lower case: the first part of its tensors' names.
    fn kind(&self) -> &'static str;
    /// Values of one row that go in.
    fn input_len(&self) -> usize;
    /// Values of one row that come out.
    fn output_len(&self) -> usize;
    /// Parameters in flat order.
    fn tensors(&self) -> Vec<Tensor> {
        Vec::new()
    }
    /// What the next layer sees; only a layer that drops time steps changes it.
    fn after(&self, pass: Pass) -> Pass {
        pass
    }
    /// Values that the forward pass leaves for the backward pass, besides `x` and `y`.
    fn kept_len(&self, _pass: Pass) -> usize {
        0
    }
    /// Values of working memory that both passes may use; its content is arbitrary.
    fn scratch_len(&self, _pass: Pass) -> usize {
        0
    }
    /// Floating-point operations of one row's forward pass; a multiply-add counts as two.
    fn forward_flops(&self) -> f64;
    /// What a training step does in this layer, forward and backward, added to `all`; `first`: nobody wants the gradient
    /// with respect to its input. Without a count of its own: three matrix products with as many operations as it says.
    fn operations(&self, pass: Pass, _first: bool, all: &mut Vec<Operation>) {
        let side = (self.forward_flops() / 2.0).sqrt().ceil() as usize;
        all.push(count::product(Kind::Product, [pass.rows(), side, side], 3));
    }
    /// Values of one row that the forward pass reads and writes, besides parameters.
    fn moved_values(&self) -> usize {
        self.input_len() + self.output_len()
    }
    /// Whether the forward pass computes each row by itself, whatever its step, and so does the backward pass if
    /// there are no parameters: rows can then be shared out among threads.
    fn rows_apart(&self) -> bool {
        false
    }
    /// Samples that a training batch must have at least for the layer to learn from it.
    fn batch_min(&self) -> usize {
        1
    }
    /// Computes all of `y` (and `kept`) from `x`.
    fn forward(&self, pass: Pass, params: &[f32], io: Forward<'_>);
    /// Computes all of `gradient` and, unless nobody needs it, of `dx`. May overwrite `dy`.
    fn backward(&self, pass: Pass, params: &[f32], io: Backward<'_>);
}

/// Makes the columns of windows of 3 x 3 over images `[height, width, stride]` with a frame of one pixel, or adds them
/// `back`: as convolutions do, to be measured.
pub(crate) fn columns_of_three(
    isa: Isa,
    [height, width, stride]: [usize; 3],
    image: &mut [f32],
    columns: &mut [f32],
    back: bool,
) {
    let window = window::Window { height, width, size: 3, stride, padding: 1 };
    if back {
        unfold::fold(isa, window, 1, columns, image)
    } else {
        unfold::unfold(isa, window, 1, image, columns)
    }
}

/// What the forward pass of a layer reads and writes.
#[derive(Debug)]
pub struct Forward<'a> {
    /// Input.
    pub x: &'a [f32],
    /// Output.
    pub y: &'a mut [f32],
    /// Of length [`Layer::kept_len`]; its content is arbitrary before.
    pub kept: &'a mut [f32],
    /// At least [`Layer::scratch_len`].
    pub scratch: &'a mut [f32],
}

/// What the backward pass of a layer reads and writes.
#[derive(Debug)]
pub struct Backward<'a> {
    /// Input of the forward pass.
    pub x: &'a [f32],
    /// Output of the forward pass.
    pub y: &'a [f32],
    /// Gradient of the loss with respect to `y`.
    pub dy: &'a mut [f32],
    /// Gradient of the loss with respect to `x`, wanted unless this is the first layer.
    pub dx: Option<&'a mut [f32]>,
    /// What the forward pass left; may be overwritten.
    pub kept: &'a mut [f32],
    /// Gradient of the loss with respect to the parameters.
    pub gradient: &'a mut [f32],
    /// At least [`Layer::scratch_len`].
    pub scratch: &'a mut [f32],
}

/// Floating-point operations of one exp, tanh or the like, as a device would count them.
pub const TRANSCENDENTAL_FLOPS: f64 = 20.0;

#[cfg(test)]
mod golden_tests;
#[cfg(test)]
mod gradient_tests;
#[cfg(test)]
mod harness;
