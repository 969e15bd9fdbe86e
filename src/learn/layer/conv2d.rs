//! Two-dimensional convolution (cross-correlation), as PyTorch's `Conv2d` with zero padding.

use super::window::Window;
use super::{Activation, Backward, Forward, Layer, Pass, Role, Tensor};
use crate::learn::kernels::{View, elementwise, gemm, gemm_dot};

/// y = activation(x * W + b) over images `[channels, height, width]`. Parameters: W `[filters, channels / groups,
/// kernel, kernel]`, then b `[filters]` if `bias`.
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
    /// Side of the square kernel; at most the height and the width with their padding.
    pub kernel: usize,
    /// Pixels from one window to the next, at least 1.
    pub stride: usize,
    /// Rows and columns of zeros on each side.
    pub padding: usize,
    /// Parts of the channels that do not see each other; divides `channels` and `filters`. As many as channels:
    /// a depthwise convolution.
    pub groups: usize,
    /// Whether there is a bias.
    pub bias: bool,
    /// What is applied to the result.
    pub activation: Activation,
}

impl Conv2d {
    /// The plain one over images `(channels, height, width)`: stride 1, no padding, one group, a bias, no
    /// activation. Change what differs: `Conv2d { stride: 2, ..Conv2d::new(image, 8, 3) }`.
    #[must_use]
    pub fn new((channels, height, width): (usize, usize, usize), filters: usize, kernel: usize) -> Self {
        let (stride, padding, groups, bias) = (1, 0, 1, true);
        let activation = Activation::Identity;
        Self { channels, height, width, filters, kernel, stride, padding, groups, bias, activation }
    }

    /// Height and width that come out: floor((side + 2 padding - kernel) / stride) + 1.
    #[must_use]
    pub fn output_size(&self) -> (usize, usize) {
        self.window().places()
    }

    fn window(&self) -> Window {
        let Self { height, width, kernel: size, stride, padding, .. } = *self;
        Window { height, width, size, stride, padding }
    }

    fn pixels(&self) -> usize {
        let (height, width) = self.output_size();
        height * width
    }

    /// Inputs of one output value.
    fn depth(&self) -> usize {
        self.channels / self.groups * self.kernel * self.kernel
    }

    /// Calls `f(channel, row of the columns, ky, kx)` in order.
    #[inline(always)]
    fn taps(&self, mut f: impl FnMut(usize, usize, usize, usize)) {
        let mut row = 0;
        for channel in 0..self.channels {
            for ky in 0..self.kernel {
                for kx in 0..self.kernel {
                    f(channel, row, ky, kx);
                    row += 1;
                }
            }
        }
    }

    fn unfold(&self, image: &[f32], columns: &mut [f32]) {
        let (window, pixels, plane) = (self.window(), self.pixels(), self.height * self.width);
        self.taps(|channel, row, ky, kx| {
            let image = &image[channel * plane..][..plane];
            let to = &mut columns[row * pixels..][..pixels];
            if self.padding > 0 {
                to.fill(0.0);
            }
            window.runs(ky, kx, |i, place, len| {
                let to = &mut to[place..place + len];
                if window.stride == 1 {
                    to.copy_from_slice(&image[i..i + len]);
                } else {
                    to.iter_mut().zip(image[i..].iter().step_by(window.stride)).for_each(|(to, v)| *to = *v);
                }
            });
        });
    }

    /// Adds the columns back to where they came from.
    fn fold(&self, columns: &[f32], image: &mut [f32]) {
        let (window, pixels, plane) = (self.window(), self.pixels(), self.height * self.width);
        image.fill(0.0);
        self.taps(|channel, row, ky, kx| {
            let image = &mut image[channel * plane..][..plane];
            let from = &columns[row * pixels..][..pixels];
            window.runs(ky, kx, |i, place, len| {
                let to = image[i..].iter_mut().step_by(window.stride);
                to.zip(&from[place..place + len]).for_each(|(to, v)| *to += v);
            });
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
        let Self { channels, filters, kernel, groups, .. } = *self;
        assert!(
            channels % groups == 0 && filters % groups == 0,
            "groups divide channels and filters: {self:?}"
        );
        let (fan_in, fan_out) = (self.depth(), filters / groups * kernel * kernel);
        let shape = vec![filters, channels / groups, kernel, kernel];
        let weight = Tensor::new("weight", shape, Role::Weight).fans(fan_in, fan_out);
        let bias = Tensor::new("bias", vec![filters], Role::Bias).fans(fan_in, fan_out);
        if self.bias { vec![weight, bias] } else { vec![weight] }
    }

    fn scratch_len(&self, _pass: Pass) -> usize {
        self.groups * self.depth() * self.pixels()
    }

    fn forward_flops(&self) -> f64 {
        let others = f64::from(u8::from(self.bias)) + self.activation.flops();
        self.output_len() as f64 * (2.0 * self.depth() as f64 + others)
    }

    fn forward(&self, pass: Pass, params: &[f32], io: Forward<'_>) {
        let Forward { x, y, scratch, .. } = io;
        let (depth, pixels, groups) = (self.depth(), self.pixels(), self.groups);
        let (weight, bias) = params.split_at(self.filters * depth);
        let columns = &mut scratch[..groups * depth * pixels];
        for (x, y) in x.chunks_exact(self.input_len()).zip(y.chunks_exact_mut(self.output_len())) {
            self.unfold(x, columns);
            for (plane, bias) in y.chunks_exact_mut(pixels).zip(bias) {
                plane.fill(*bias);
            }
            let filters = self.filters / groups;
            for group in 0..groups {
                let weight = View::rows(&weight[group * filters * depth..], depth);
                let columns = View::rows(&columns[group * depth * pixels..], pixels);
                let y = &mut y[group * filters * pixels..];
                gemm(pass.isa, filters, pixels, depth, weight, columns, y, self.bias);
            }
            self.activation.forward(pass.isa, y);
        }
    }

    fn backward(&self, pass: Pass, params: &[f32], io: Backward<'_>) {
        let Backward { gradient, scratch, .. } = io;
        let (isa, depth, pixels, groups) = (pass.isa, self.depth(), self.pixels(), self.groups);
        let (filters, weights) = (self.filters / groups, self.filters / groups * depth);
        let columns = &mut scratch[..groups * depth * pixels];
        self.activation.backward(isa, io.dy, io.y);
        let (weight_gradient, bias_gradient) = gradient.split_at_mut(self.filters * depth);
        bias_gradient.fill(0.0);
        let mut dx = io.dx.map(|dx| dx.chunks_exact_mut(self.input_len()));
        let samples = io.x.chunks_exact(self.input_len()).zip(io.dy.chunks_exact(self.output_len()));
        for (sample, (x, dy)) in samples.enumerate() {
            self.unfold(x, columns);
            for group in 0..groups {
                let (dy, columns) = (&dy[group * filters * pixels..], &columns[group * depth * pixels..]);
                let to = &mut weight_gradient[group * weights..];
                gemm_dot(isa, filters, depth, pixels, dy, columns, to, sample > 0);
            }
            for (sum, plane) in bias_gradient.iter_mut().zip(dy.chunks_exact(pixels)) {
                *sum += elementwise::sum(isa, plane);
            }
            if let Some(dx) = dx.as_mut().and_then(Iterator::next) {
                for group in 0..groups {
                    let weight = View::transposed(&params[group * weights..], depth);
                    let dy = View::rows(&dy[group * filters * pixels..], pixels);
                    let to = &mut columns[group * depth * pixels..];
                    gemm(isa, depth, pixels, filters, weight, dy, to, false);
                }
                self.fold(columns, dx);
            }
        }
    }
}
