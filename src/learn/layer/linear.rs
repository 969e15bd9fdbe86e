//! Fully connected layer.

use super::{Activation, Backward, Layer, Pass, Tensor};
use crate::learn::kernels::{View, elementwise, gemm};

/// y = activation(x W + b). Parameters: W `[inputs, outputs]` (Keras' order, the transpose of PyTorch's),
/// then b `[outputs]`.
#[derive(Clone, Debug)]
pub struct Linear {
    /// Values of one sample that go in.
    pub inputs: usize,
    /// Values of one sample that come out.
    pub outputs: usize,
    /// What is applied to the result.
    pub activation: Activation,
}

impl Layer for Linear {
    fn kind(&self) -> &'static str {
        "linear"
    }

    fn input_len(&self) -> usize {
        self.inputs
    }

    fn output_len(&self) -> usize {
        self.outputs
    }

    fn tensors(&self) -> Vec<Tensor> {
        let (fan_in, fan_out) = (self.inputs, self.outputs);
        vec![
            Tensor { name: "weight", shape: vec![fan_in, fan_out], fan_in, fan_out },
            Tensor { name: "bias", shape: vec![fan_out], fan_in, fan_out },
        ]
    }

    fn forward_flops(&self) -> f64 {
        let outputs = self.outputs as f64;
        2.0 * self.inputs as f64 * outputs + outputs * (1.0 + self.activation.flops())
    }

    fn forward(&self, pass: Pass, params: &[f32], x: &[f32], y: &mut [f32], _scratch: &mut [f32]) {
        let (weight, bias) = params.split_at(self.inputs * self.outputs);
        elementwise::fill_rows(pass.isa, y, bias);
        let (x, weight) = (View::rows(x, self.inputs), View::rows(weight, self.outputs));
        gemm(pass.isa, pass.batch, self.outputs, self.inputs, x, weight, y, true);
        self.activation.forward(pass.isa, y);
    }

    fn backward(
        &self,
        pass: Pass,
        params: &[f32],
        io: Backward<'_>,
        gradient: &mut [f32],
        _scratch: &mut [f32],
    ) {
        let (isa, inputs, outputs) = (pass.isa, self.inputs, self.outputs);
        self.activation.backward(isa, io.dy, io.y);
        let dy = View::rows(io.dy, outputs);
        let (weight_gradient, bias_gradient) = gradient.split_at_mut(inputs * outputs);
        let x = View::transposed(io.x, inputs);
        gemm(isa, inputs, outputs, pass.batch, x, dy, weight_gradient, false);
        elementwise::sum_rows(isa, io.dy, bias_gradient);
        if let Some(dx) = io.dx {
            let weight = View::transposed(&params[..inputs * outputs], outputs);
            gemm(isa, pass.batch, inputs, outputs, View::rows(io.dy, outputs), weight, dx, false);
        }
    }
}
