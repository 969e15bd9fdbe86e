//! Two-dimensional convolution (cross-correlation), stride 1, no padding.

use super::{Activation, Backward, Forward, Layer, Pass, Role, Tensor};
use crate::learn::kernels::{View, elementwise, gemm, gemm_dot};

/// y = activation(x * W + b) over images `[channels, height, width]`. Parameters: W `[filters, channels,
/// kernel, kernel]`, then b `[filters]`.
///
/// Each sample is unfolded to columns [channels kernel^2, output pixels], which stay in the cache; its
/// output is then one matrix product whose long side is the pixels. The backward pass unfolds again
/// instead of keeping the columns of the batch.
#[derive(Clone, Debug)]
pub struct Conv2d {
    /// Channels that go in.
    pub channels: usize,
    /// Height that goes in.
    pub height: usize,
    /// Width that goes in.
    pub width: usize,
    /// Channels that come out.
    pub filters: usize,
    /// Side of the square kernel; at most the height and the width.
    pub kernel: usize,
    /// What is applied to the result.
    pub activation: Activation,
}

impl Conv2d {
    /// Height and width that come out.
    #[must_use]
    pub fn output_size(&self) -> (usize, usize) {
        (self.height + 1 - self.kernel, self.width + 1 - self.kernel)
    }

    fn pixels(&self) -> usize {
        let (height, width) = self.output_size();
        height * width
    }

    /// Inputs of one output value.
    fn depth(&self) -> usize {
        self.channels * self.kernel * self.kernel
    }

    /// Calls `f(start in the image, start in the columns, length)` for each run of neighbouring pixels.
    #[inline(always)]
    fn runs(&self, mut f: impl FnMut(usize, usize, usize)) {
        let (height, width) = self.output_size();
        let mut column = 0;
        for channel in 0..self.channels {
            for ky in 0..self.kernel {
                for kx in 0..self.kernel {
                    let mut image = (channel * self.height + ky) * self.width + kx;
                    for _ in 0..height {
                        f(image, column, width);
                        image += self.width;
                        column += width;
                    }
                }
            }
        }
    }

    fn unfold(&self, image: &[f32], columns: &mut [f32]) {
        self.runs(|i, c, len| columns[c..c + len].copy_from_slice(&image[i..i + len]));
    }

    /// Adds the columns back to where they came from.
    fn fold(&self, columns: &[f32], image: &mut [f32]) {
        image.fill(0.0);
        self.runs(|i, c, len| {
            for (to, from) in image[i..i + len].iter_mut().zip(&columns[c..c + len]) {
                *to += from;
            }
        });
    }
}

impl Layer for Conv2d {
    fn kind(&self) -> &'static str {
        "conv"
    }

    fn input_len(&self) -> usize {
        self.channels * self.height * self.width
    }

    fn output_len(&self) -> usize {
        self.filters * self.pixels()
    }

    fn tensors(&self) -> Vec<Tensor> {
        let (fan_in, fan_out) = (self.depth(), self.filters * self.kernel * self.kernel);
        let shape = vec![self.filters, self.channels, self.kernel, self.kernel];
        vec![
            Tensor::new("weight", shape, Role::Weight).fans(fan_in, fan_out),
            Tensor::new("bias", vec![self.filters], Role::Bias).fans(fan_in, fan_out),
        ]
    }

    fn scratch_len(&self, _pass: Pass) -> usize {
        self.depth() * self.pixels()
    }

    fn forward_flops(&self) -> f64 {
        self.output_len() as f64 * (2.0 * self.depth() as f64 + 1.0 + self.activation.flops())
    }

    fn forward(&self, pass: Pass, params: &[f32], io: Forward<'_>) {
        let Forward { x, y, scratch, .. } = io;
        let (depth, pixels) = (self.depth(), self.pixels());
        let (weight, bias) = params.split_at(self.filters * depth);
        let columns = &mut scratch[..depth * pixels];
        for (x, y) in x.chunks_exact(self.input_len()).zip(y.chunks_exact_mut(self.output_len())) {
            self.unfold(x, columns);
            for (plane, bias) in y.chunks_exact_mut(pixels).zip(bias) {
                plane.fill(*bias);
            }
            let weight = View::rows(weight, depth);
            gemm(pass.isa, self.filters, pixels, depth, weight, View::rows(columns, pixels), y, true);
            self.activation.forward(pass.isa, y);
        }
    }

    fn backward(&self, pass: Pass, params: &[f32], io: Backward<'_>) {
        let Backward { gradient, scratch, .. } = io;
        let (isa, depth, pixels) = (pass.isa, self.depth(), self.pixels());
        let weight = View::transposed(&params[..self.filters * depth], depth);
        let columns = &mut scratch[..depth * pixels];
        self.activation.backward(isa, io.dy, io.y);
        let (weight_gradient, bias_gradient) = gradient.split_at_mut(self.filters * depth);
        bias_gradient.fill(0.0);
        let mut dx = io.dx.map(|dx| dx.chunks_exact_mut(self.input_len()));
        let samples = io.x.chunks_exact(self.input_len()).zip(io.dy.chunks_exact(self.output_len()));
        for (sample, (x, dy)) in samples.enumerate() {
            self.unfold(x, columns);
            gemm_dot(isa, self.filters, depth, pixels, dy, columns, weight_gradient, sample > 0);
            for (sum, plane) in bias_gradient.iter_mut().zip(dy.chunks_exact(pixels)) {
                *sum += elementwise::sum(isa, plane);
            }
            if let Some(dx) = dx.as_mut().and_then(Iterator::next) {
                gemm(isa, depth, pixels, self.filters, weight, View::rows(dy, pixels), columns, false);
                self.fold(columns, dx);
            }
        }
    }
}
