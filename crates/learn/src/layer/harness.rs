//! Both passes of a layer on their own, for tests.

use super::{Backward, Forward, Layer, Pass, Tensor, share};

/// What both passes of a layer compute.
#[derive(Debug, PartialEq)]
pub(super) struct Outcome {
    pub y: Vec<f32>,
    /// Empty when it was not wanted.
    pub dx: Vec<f32>,
    pub gradient: Vec<f32>,
}

impl Outcome {
    /// Bits of all values; NaN equals NaN here.
    pub fn bits(&self) -> Vec<u32> {
        [&self.y, &self.dx, &self.gradient].into_iter().flatten().map(|v| v.to_bits()).collect()
    }
}

/// Number of parameters.
pub(super) fn params_len(layer: &dyn Layer) -> usize {
    layer.tensors().iter().map(Tensor::len).sum()
}

/// The outputs and what the forward pass leaves; buffers are full of `dirt` before.
pub(super) fn forward(layer: &dyn Layer, pass: Pass, params: &[f32], x: &[f32], dirt: f32) -> [Vec<f32>; 2] {
    let mut y = vec![dirt; layer.after(pass).rows() * layer.output_len()];
    let mut kept = vec![dirt; layer.kept_len(pass)];
    let scratch = &mut vec![dirt; share::scratch_len(layer, pass)];
    share::forward(layer, pass, params, Forward { x, y: &mut y, kept: &mut kept, scratch });
    [y, kept]
}

/// Both passes; every buffer that a layer has to fill is full of `dirt` before.
pub(super) fn run(
    layer: &dyn Layer,
    pass: Pass,
    params: &[f32],
    x: &[f32],
    dy: &[f32],
    (dirt, wants_dx): (f32, bool),
) -> Outcome {
    assert_eq!((x.len(), params.len()), (pass.rows() * layer.input_len(), params_len(layer)));
    let [y, mut kept] = forward(layer, pass, params, x, dirt);
    assert_eq!(dy.len(), y.len());
    let mut dx = vec![dirt; if wants_dx { x.len() } else { 0 }];
    let mut gradient = vec![dirt; params.len()];
    let io = Backward {
        x,
        y: &y,
        dy: &mut dy.to_vec(),
        dx: wants_dx.then_some(&mut dx[..]),
        kept: &mut kept,
        gradient: &mut gradient,
        scratch: &mut vec![dirt; share::scratch_len(layer, pass)],
    };
    share::backward(layer, pass, params, io);
    Outcome { y, dx, gradient }
}
