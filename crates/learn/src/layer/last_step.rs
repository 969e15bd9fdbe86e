//! The last time step of sequences.

use super::{Backward, Forward, Layer, Pass};
use hcddl_core::domain::operation::{Kind, Operation};

/// Keeps the rows of the last time step (of a padded sequence, that of the padding).
#[derive(Clone, Debug)]
pub struct LastStep {
    /// Values of one row.
    pub len: usize,
}

impl Layer for LastStep {
    fn kind(&self) -> &'static str {
        "last_step"
    }

    fn input_len(&self) -> usize {
        self.len
    }

    fn output_len(&self) -> usize {
        self.len
    }

    fn after(&self, pass: Pass) -> Pass {
        Pass { steps: 1, ..pass }
    }

    fn forward_flops(&self) -> f64 {
        0.0
    }

    fn operations(&self, pass: Pass, _first: bool, all: &mut Vec<Operation>) {
        all.push(Operation::new(Kind::Copy, [self.len * pass.batch], 2));
        all.push(Operation::new(Kind::Fill, [self.len * pass.batch * (pass.steps - 1)], 1));
    }

    fn forward(&self, _pass: Pass, _params: &[f32], io: Forward<'_>) {
        io.y.copy_from_slice(&io.x[io.x.len() - io.y.len()..]);
    }

    fn backward(&self, _pass: Pass, _params: &[f32], io: Backward<'_>) {
        let Some(dx) = io.dx else { return };
        let (before, last) = dx.split_at_mut(dx.len() - io.dy.len());
        before.fill(0.0);
        last.copy_from_slice(io.dy);
    }
}
