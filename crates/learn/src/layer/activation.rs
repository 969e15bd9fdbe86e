//! Element-wise functions: fused into the layer before them, or a layer of their own.

use super::count;
use super::{Backward, Forward, Layer, Pass, TRANSCENDENTAL_FLOPS};
use crate::kernels::{Isa, elementwise};
use hcddl_core::domain::operation::{Kind, Operation};

/// An element-wise function whose derivative is a function of its output.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// x.
    Identity,
    /// max(x, 0).
    #[default]
    Relu,
    /// tanh(x).
    Tanh,
    /// 1 / (1 + exp(-x)).
    Sigmoid,
}

impl Activation {
    /// Applies it in place.
    pub fn forward(self, isa: Isa, y: &mut [f32]) {
        match self {
            Self::Identity => {}
            Self::Relu => elementwise::relu(isa, y),
            Self::Tanh => elementwise::tanh(isa, y),
            Self::Sigmoid => elementwise::sigmoid(isa, y),
        }
    }

    /// Multiplies `dy` by the derivative at the output `y`.
    pub fn backward(self, isa: Isa, dy: &mut [f32], y: &[f32]) {
        match self {
            Self::Identity => {}
            Self::Relu => elementwise::relu_backward(isa, dy, y),
            Self::Tanh => elementwise::tanh_backward(isa, dy, y),
            Self::Sigmoid => elementwise::sigmoid_backward(isa, dy, y),
        }
    }

    /// Floating-point operations of one element, as a device would count them.
    #[must_use]
    pub fn flops(self) -> f64 {
        match self {
            Self::Identity => 0.0,
            Self::Relu => 1.0,
            Self::Tanh | Self::Sigmoid => TRANSCENDENTAL_FLOPS,
        }
    }
}

/// An activation as a layer of its own.
#[derive(Clone, Debug)]
pub struct Activate {
    /// Values of one row.
    pub len: usize,
    /// The function.
    pub activation: Activation,
}

impl Layer for Activate {
    fn kind(&self) -> &'static str {
        match self.activation {
            Activation::Identity => "identity",
            Activation::Relu => "relu",
            Activation::Tanh => "tanh",
            Activation::Sigmoid => "sigmoid",
        }
    }

    fn input_len(&self) -> usize {
        self.len
    }

    fn output_len(&self) -> usize {
        self.len
    }

    fn forward_flops(&self) -> f64 {
        self.len as f64 * self.activation.flops()
    }

    fn rows_apart(&self) -> bool {
        true
    }

    fn operations(&self, pass: Pass, _first: bool, all: &mut Vec<Operation>) {
        let values = pass.rows() * self.len;
        all.push(count::rows(Operation::new(Kind::Copy, [values], 2)));
        count::activation(self.activation, values, 1, all);
        count::activation_backward(self.activation, values, all);
    }

    fn forward(&self, pass: Pass, _params: &[f32], io: Forward<'_>) {
        io.y.copy_from_slice(io.x);
        self.activation.forward(pass.isa, io.y);
    }

    fn backward(&self, pass: Pass, _params: &[f32], io: Backward<'_>) {
        let Some(dx) = io.dx else { return };
        dx.copy_from_slice(io.dy);
        self.activation.backward(pass.isa, dx, io.y);
    }
}
