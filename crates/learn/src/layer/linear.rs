//! Fully connected layer.

use super::share::{activation_backward, product};
use super::{Activation, Backward, Forward, Layer, Pass, Role, Tensor, count};
use crate::kernels::{View, elementwise, gemm};
use hcddl_core::domain::operation::{Kind, Operation};

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
            Tensor::new("weight", vec![fan_in, fan_out], Role::Weight).fans(fan_in, fan_out),
            Tensor::new("bias", vec![fan_out], Role::Bias).fans(fan_in, fan_out),
        ]
    }

    fn forward_flops(&self) -> f64 {
        let outputs = self.outputs as f64;
        2.0 * self.inputs as f64 * outputs + outputs * (1.0 + self.activation.flops())
    }

    fn operations(&self, pass: Pass, first: bool, all: &mut Vec<Operation>) {
        let (rows, inputs, outputs) = (pass.rows(), self.inputs, self.outputs);
        let (weights, values) = (inputs * outputs, rows * (inputs + outputs));
        all.push(Operation::new(Kind::FillRows, [outputs, rows], 1));
        all.push(count::product(Kind::Product, [rows, outputs, inputs], 1).far(weights).near(values));
        count::activation(self.activation, rows * outputs, 1, all);
        count::activation_backward(self.activation, rows * outputs, all);
        let product = count::product(Kind::ProductLeft, [inputs, outputs, rows], 1);
        all.push(product.far(weights + rows * inputs).near(rows * outputs));
        all.push(Operation::new(Kind::SumRows, [outputs, rows], 1));
        if !first {
            all.push(
                count::product(Kind::ProductRight, [rows, inputs, outputs], 1).far(weights).near(values),
            );
        }
    }

    fn rows_apart(&self) -> bool {
        true
    }

    fn forward(&self, pass: Pass, params: &[f32], io: Forward<'_>) {
        let (weight, bias) = params.split_at(self.inputs * self.outputs);
        let y = io.y;
        elementwise::fill_rows(pass.isa, y, bias);
        let (x, weight) = (View::rows(io.x, self.inputs), View::rows(weight, self.outputs));
        gemm(pass.isa, pass.rows(), self.outputs, self.inputs, x, weight, y, true);
        self.activation.forward(pass.isa, y);
    }

    fn backward(&self, pass: Pass, params: &[f32], io: Backward<'_>) {
        let (isa, inputs, outputs) = (pass.isa, self.inputs, self.outputs);
        activation_backward(pass, self.activation, io.dy, io.y);
        let dy = View::rows(io.dy, outputs);
        let (weight_gradient, bias_gradient) = io.gradient.split_at_mut(inputs * outputs);
        let x = View::transposed(io.x, inputs);
        product(pass, inputs, outputs, pass.rows(), x, dy, weight_gradient, false);
        elementwise::sum_rows(isa, io.dy, bias_gradient);
        if let Some(dx) = io.dx {
            let weight = View::transposed(&params[..inputs * outputs], outputs);
            product(pass, pass.rows(), inputs, outputs, View::rows(io.dy, outputs), weight, dx, false);
        }
    }
}
