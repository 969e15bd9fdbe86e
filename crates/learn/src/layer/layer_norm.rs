//! Layer normalisation (Ba, Kiros and Hinton, 2016).

use super::count;
use super::{Backward, Forward, Layer, Pass, Role, Tensor};
use crate::kernels::norm;
use hcddl_core::domain::operation::{Kind, Operation};

/// y = (x - mean) / sqrt(variance + 1e-5) weight + bias, with the mean and biased variance of each row.
/// Parameters: weight `[len]`, bias `[len]`.
#[derive(Clone, Debug)]
pub struct LayerNorm {
    /// Values of one row.
    pub len: usize,
}

impl Layer for LayerNorm {
    fn kind(&self) -> &'static str {
        "layer_norm"
    }

    fn input_len(&self) -> usize {
        self.len
    }

    fn output_len(&self) -> usize {
        self.len
    }

    fn tensors(&self) -> Vec<Tensor> {
        let shape = || vec![self.len];
        vec![Tensor::new("weight", shape(), Role::Scale), Tensor::new("bias", shape(), Role::Shift)]
    }

    /// Mean and variance of each row.
    fn kept_len(&self, pass: Pass) -> usize {
        2 * pass.rows()
    }

    fn forward_flops(&self) -> f64 {
        7.0 * self.len as f64
    }

    fn rows_apart(&self) -> bool {
        true
    }

    fn operations(&self, pass: Pass, _first: bool, all: &mut Vec<Operation>) {
        let size = [self.len, pass.rows()];
        all.push(count::rows(Operation::new(Kind::LayerNorm, size, 1)));
        all.push(Operation::new(Kind::LayerNormBackward, size, 1).far(pass.rows() * self.len));
    }

    fn forward(&self, pass: Pass, params: &[f32], io: Forward<'_>) {
        let (scale, shift) = params.split_at(self.len);
        norm::layer_norm(pass.isa, io.x, io.y, scale, shift, io.kept);
    }

    fn backward(&self, pass: Pass, params: &[f32], io: Backward<'_>) {
        let (scale, shift) = io.gradient.split_at_mut(self.len);
        norm::layer_norm_gradient(pass.isa, io.x, io.dy, scale, shift, io.kept);
        if let Some(dx) = io.dx {
            norm::layer_norm_backward(pass.isa, io.x, io.dy, dx, &params[..self.len], io.kept);
        }
    }
}
