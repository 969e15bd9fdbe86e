//! The mean of each channel.

use super::count;
use super::{Backward, Forward, Layer, Pass};
use crate::kernels::elementwise;
use hcddl_core::domain::operation::{Kind, Operation};

/// `[channels, pixels]` to the mean of each channel.
#[derive(Clone, Debug)]
pub struct GlobalAvgPool {
    /// Channels.
    pub channels: usize,
    /// Pixels of a channel.
    pub pixels: usize,
}

impl Layer for GlobalAvgPool {
    fn kind(&self) -> &'static str {
        "global_avg_pool"
    }

    fn input_len(&self) -> usize {
        self.channels * self.pixels
    }

    fn output_len(&self) -> usize {
        self.channels
    }

    fn forward_flops(&self) -> f64 {
        self.input_len() as f64
    }

    fn rows_apart(&self) -> bool {
        true
    }

    fn operations(&self, pass: Pass, _first: bool, all: &mut Vec<Operation>) {
        let planes = pass.rows() * self.channels;
        all.push(count::rows(Operation::new(Kind::Sum, [self.pixels], planes)));
        all.push(count::rows(Operation::new(Kind::Fill, [self.pixels], planes)));
    }

    fn forward(&self, pass: Pass, _params: &[f32], io: Forward<'_>) {
        for (y, plane) in io.y.iter_mut().zip(io.x.chunks_exact(self.pixels)) {
            *y = elementwise::sum(pass.isa, plane) / self.pixels as f32;
        }
    }

    fn backward(&self, _pass: Pass, _params: &[f32], io: Backward<'_>) {
        let Some(dx) = io.dx else { return };
        for (dy, plane) in io.dy.iter().zip(dx.chunks_exact_mut(self.pixels)) {
            plane.fill(dy / self.pixels as f32);
        }
    }
}
