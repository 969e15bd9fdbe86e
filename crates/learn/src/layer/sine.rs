//! The sine, as an activation with a scale.

use super::count;
use super::{Backward, Forward, Layer, Pass, TRANSCENDENTAL_FLOPS};
use crate::kernels::elementwise;
use hcddl_core::domain::operation::{Kind, Operation};

/// y = sin(scale x) (Sitzmann et al., Implicit Neural Representations with Periodic Activation Functions, 2020).
/// Accurate while |scale x| is at most 8192, NaN beyond 4 million.
#[derive(Clone, Debug)]
pub struct Sine {
    /// Values of one row.
    pub len: usize,
    /// Angular frequency.
    pub scale: f32,
}

impl Layer for Sine {
    fn kind(&self) -> &'static str {
        "sine"
    }

    fn input_len(&self) -> usize {
        self.len
    }

    fn output_len(&self) -> usize {
        self.len
    }

    fn forward_flops(&self) -> f64 {
        self.len as f64 * (1.0 + TRANSCENDENTAL_FLOPS)
    }

    fn rows_apart(&self) -> bool {
        true
    }

    fn operations(&self, pass: Pass, _first: bool, all: &mut Vec<Operation>) {
        let values = pass.rows() * self.len;
        all.push(count::rows(Operation::new(Kind::Sine, [values], 1)));
        all.push(count::rows(Operation::new(Kind::SineBackward, [values], 1).far(values)));
    }

    fn forward(&self, pass: Pass, _params: &[f32], io: Forward<'_>) {
        elementwise::sine(pass.isa, io.x, io.y, self.scale);
    }

    fn backward(&self, pass: Pass, _params: &[f32], io: Backward<'_>) {
        let Some(dx) = io.dx else { return };
        elementwise::sine_backward(pass.isa, io.x, io.dy, dx, self.scale);
    }
}
