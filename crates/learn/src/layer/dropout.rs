//! Dropout (Srivastava et al., 2014), inverted: what stays is scaled up while training.

use super::{Backward, Forward, Layer, Pass};
use crate::kernels::dropout::{drop_out, drop_out_in_place};
use hcddl_core::domain::operation::{Kind, Operation};

/// While training, each value is 0 with probability p, else x / (1 - p); when evaluating, it is x.
///
/// The mask is a function of the batch's key and of the index of the element in the batch only, so the backward
/// pass computes it again instead of keeping it. Rows of sequences lie time-major and padded: the same token has
/// another mask in a batch of another size or length.
#[derive(Clone, Debug)]
pub struct Dropout {
    /// Values of one row.
    pub len: usize,
    /// Probability of a zero: at least 0, below 1.
    pub p: f32,
}

impl Layer for Dropout {
    fn kind(&self) -> &'static str {
        "dropout"
    }

    fn input_len(&self) -> usize {
        self.len
    }

    fn output_len(&self) -> usize {
        self.len
    }

    fn forward_flops(&self) -> f64 {
        self.len as f64
    }

    fn operations(&self, pass: Pass, _first: bool, all: &mut Vec<Operation>) {
        let values = pass.rows() * self.len;
        all.push(Operation::new(Kind::Dropout, [values], 2));
        all.push(Operation::new(Kind::Copy, [values], 1));
    }

    fn forward(&self, pass: Pass, _params: &[f32], io: Forward<'_>) {
        match pass.training {
            Some(key) => drop_out(pass.isa, key, self.p, io.x, io.y),
            None => io.y.copy_from_slice(io.x),
        }
    }

    fn backward(&self, pass: Pass, _params: &[f32], io: Backward<'_>) {
        let Some(dx) = io.dx else { return };
        dx.copy_from_slice(io.dy);
        if let Some(key) = pass.training {
            drop_out_in_place(pass.isa, key, self.p, dx);
        }
    }
}
