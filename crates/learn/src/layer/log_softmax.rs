//! Logarithms of probabilities.

use super::{Backward, Forward, Layer, Pass, TRANSCENDENTAL_FLOPS};
use crate::kernels::softmax;
use hcddl_core::domain::operation::{Kind, Operation};

/// y = x - ln(sum of exp(x)) over each row, for [`Loss::Nll`](crate::loss::Loss::Nll).
#[derive(Clone, Debug)]
pub struct LogSoftmax {
    /// Values of one row.
    pub len: usize,
}

impl Layer for LogSoftmax {
    fn kind(&self) -> &'static str {
        "log_softmax"
    }

    fn input_len(&self) -> usize {
        self.len
    }

    fn output_len(&self) -> usize {
        self.len
    }

    fn forward_flops(&self) -> f64 {
        self.len as f64 * (3.0 + TRANSCENDENTAL_FLOPS)
    }

    fn rows_apart(&self) -> bool {
        true
    }

    fn operations(&self, pass: Pass, _first: bool, all: &mut Vec<Operation>) {
        all.push(Operation::new(Kind::Loss, [self.len, pass.rows()], 2));
    }

    fn forward(&self, pass: Pass, _params: &[f32], io: Forward<'_>) {
        softmax::log_softmax(pass.isa, io.x, io.y, self.len);
    }

    fn backward(&self, pass: Pass, _params: &[f32], io: Backward<'_>) {
        let Some(dx) = io.dx else { return };
        softmax::log_softmax_backward(pass.isa, io.y, io.dy, dx, self.len);
    }
}
