//! Layers: forward and backward over slices of flat vectors, one file each. No graph, no allocation.

mod conv2d;
mod linear;
mod pool;

pub use conv2d::Conv2d;
pub use linear::Linear;
pub use pool::{AvgPool2d, MaxPool2d, PoolShape};

use super::kernels::{Isa, elementwise};
use std::any::Any;
use std::fmt::Debug;

/// What a layer needs to know besides its arguments.
#[derive(Clone, Copy, Debug)]
pub struct Pass {
    /// Instruction set of the kernels.
    pub isa: Isa,
    /// Samples in the batch.
    pub batch: usize,
}

/// A parameter tensor of a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// `weight` or `bias`.
    pub name: &'static str,
    /// Its shape, row-major in the flat vector.
    pub shape: Vec<usize>,
    /// Inputs that one output of the layer sums, for the initialisation.
    pub fan_in: usize,
    /// Outputs that one input of the layer reaches, for the initialisation.
    pub fan_out: usize,
}

impl Tensor {
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

/// A layer. All slices hold the samples one after another.
pub trait Layer: Any + Send + Sync + Debug {
    /// Its kind, in lower case: the first part of its tensors' names.
    fn kind(&self) -> &'static str;
    /// Values of one sample that go in.
    fn input_len(&self) -> usize;
    /// Values of one sample that come out.
    fn output_len(&self) -> usize;
    /// Parameters in flat order.
    fn tensors(&self) -> Vec<Tensor> {
        Vec::new()
    }
    /// Values of working memory that both passes may use; its content is arbitrary.
    fn scratch_len(&self) -> usize {
        0
    }
    /// Floating-point operations of one sample's forward pass; a multiply-add counts as two.
    fn forward_flops(&self) -> f64;
    /// Computes all of `y` from `x`.
    fn forward(&self, pass: Pass, params: &[f32], x: &[f32], y: &mut [f32], scratch: &mut [f32]);
    /// Computes all of `gradient` and, unless nobody needs it, of `dx`. May overwrite `dy`.
    fn backward(
        &self,
        pass: Pass,
        params: &[f32],
        io: Backward<'_>,
        gradient: &mut [f32],
        scratch: &mut [f32],
    );
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
}

/// An element-wise function fused into the layer before it; its derivative is a function of its output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// x.
    Identity,
    /// max(x, 0).
    #[default]
    Relu,
    /// tanh(x).
    Tanh,
}

impl Activation {
    /// Applies it in place.
    pub fn forward(self, isa: Isa, y: &mut [f32]) {
        match self {
            Self::Identity => {}
            Self::Relu => elementwise::relu(isa, y),
            Self::Tanh => elementwise::tanh(isa, y),
        }
    }

    /// Multiplies `dy` by the derivative at the output `y`.
    pub fn backward(self, isa: Isa, dy: &mut [f32], y: &[f32]) {
        match self {
            Self::Identity => {}
            Self::Relu => elementwise::relu_backward(isa, dy, y),
            Self::Tanh => elementwise::tanh_backward(isa, dy, y),
        }
    }

    /// Floating-point operations of one element, as a device would count them.
    #[must_use]
    pub fn flops(self) -> f64 {
        match self {
            Self::Identity => 0.0,
            Self::Relu => 1.0,
            Self::Tanh => 20.0,
        }
    }
}
