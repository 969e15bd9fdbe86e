//! Two-dimensional convolution (cross-correlation), as PyTorch's `Conv2d` with zero padding.

use super::depthwise::{Depthwise, Gradients};
use super::window::Window;
use super::{Activation, Backward, Forward, Layer, Pass, Role, Tensor};
use crate::learn::kernels::{Isa, View, elementwise, gemm, gemm_dot, multiversion, transpose};

/// Weights of a group from which on they are large.
const LARGE: usize = 8192;
/// Multiply-adds of a sample's weight gradient from which on its matrices are packed; before, dot products win.
const LARGE_PRODUCT: usize = 1 << 18;
/// Output pixels of a small image.
const FEW_PIXELS: usize = 128;
/// Columns of samples side by side.
const COLUMNS: usize = 512;
/// Values of columns of samples side by side: 4 MiB.
const COLUMN_VALUES: usize = 1 << 20;

/// y = activation(x * W + b) over images `[channels, height, width]`. Parameters: W `[filters, channels / groups,
/// kernel, kernel]`, then b `[filters]` if `bias`.
///
/// Samples are unfolded to columns [channels kernel^2, output pixels], which stay in the cache; their
/// output is then one matrix product whose long side is the pixels. The backward pass unfolds again
/// instead of keeping the columns of the batch. Where images are small and weights are large, samples are
/// unfolded side by side (the sample is the fastest index), so that weights are not read for each of them;
/// how many is a function of the shape and the batch alone, as are the orders of all sums.
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

    fn depthwise(&self) -> Depthwise {
        Depthwise { channels: self.channels, filters: self.filters, bias: self.bias, window: self.window() }
    }

    fn pixels(&self) -> usize {
        let (height, width) = self.output_size();
        height * width
    }

    /// Inputs of one output value.
    fn depth(&self) -> usize {
        self.channels / self.groups * self.kernel * self.kernel
    }

    /// Whether each filter sees one channel.
    fn is_depthwise(&self) -> bool {
        self.groups > 1 && self.groups == self.channels
    }

    /// Whether the image itself is its columns.
    fn is_pointwise(&self) -> bool {
        self.kernel == 1 && self.stride == 1 && self.padding == 0
    }

    /// Weights of a group.
    fn weights(&self) -> usize {
        self.filters / self.groups * self.depth()
    }

    /// Samples of a batch that are unfolded side by side.
    fn together(&self, batch: usize) -> usize {
        let pixels = self.pixels();
        if self.weights() < LARGE || pixels > FEW_PIXELS {
            return 1;
        }
        let fit = COLUMNS.min(COLUMN_VALUES / (self.groups * self.depth())) / pixels;
        fit.min(batch).max(1)
    }

    /// Splits working memory for this many samples side by side: images, columns, outputs. Those that are not
    /// needed are empty.
    fn split<'a>(&self, samples: usize, scratch: &'a mut [f32]) -> [&'a mut [f32]; 3] {
        let side = if samples > 1 { samples } else { 0 };
        let columns =
            if self.is_pointwise() { 0 } else { self.groups * self.depth() * self.pixels() * samples };
        let (images, rest) = scratch.split_at_mut(side * self.input_len());
        let (columns, rest) = rest.split_at_mut(columns);
        [images, columns, &mut rest[..side * self.output_len()]]
    }

    /// The forward pass of samples side by side.
    fn forward_together(&self, isa: Isa, params: &[f32], x: &[f32], y: &mut [f32], scratch: &mut [f32]) {
        let samples = x.len() / self.input_len();
        let [images, columns, outputs] = self.split(samples, scratch);
        let (depth, filters, n) = (self.depth(), self.filters / self.groups, samples * self.pixels());
        let (weight, bias) = params.split_at(self.filters * depth);
        let columns = self.columns(isa, x, images, columns);
        let to = if samples > 1 { &mut *outputs } else { &mut *y };
        for (plane, bias) in to.chunks_exact_mut(n).zip(bias) {
            plane.fill(*bias);
        }
        for group in 0..self.groups {
            let weight = View::rows(&weight[group * filters * depth..], depth);
            let columns = View::rows(&columns[group * depth * n..], n);
            gemm(isa, filters, n, depth, weight, columns, &mut to[group * filters * n..], self.bias);
        }
        self.activation.forward(isa, to);
        if samples > 1 {
            transpose(isa, self.output_len(), samples, outputs, y);
        }
    }

    /// The columns of samples side by side: [depth of all groups, pixels x samples].
    fn columns<'a>(
        &self,
        isa: Isa,
        x: &'a [f32],
        images: &'a mut [f32],
        columns: &'a mut [f32],
    ) -> &'a [f32] {
        let samples = x.len() / self.input_len();
        let images = if samples > 1 {
            transpose(isa, samples, self.input_len(), x, images);
            &*images
        } else {
            x
        };
        if self.is_pointwise() {
            return images;
        }
        unfold(isa, self.window(), samples, images, columns);
        columns
    }

    /// The backward pass of samples side by side; gradients of the parameters are added to unless they are the
    /// first.
    fn backward_together(&self, isa: Isa, params: &[f32], io: Together<'_>) {
        let Together { x, dy, dx, gradient, scratch, first } = io;
        let samples = x.len() / self.input_len();
        let [images, columns, outputs] = self.split(samples, scratch);
        let (depth, filters, n) = (self.depth(), self.filters / self.groups, samples * self.pixels());
        let dy = if samples > 1 {
            transpose(isa, samples, self.output_len(), dy, outputs);
            &*outputs
        } else {
            dy
        };
        let unfolded = self.columns(isa, x, images, columns);
        let (weight_gradient, bias_gradient) = gradient.split_at_mut(self.filters * depth);
        for group in 0..self.groups {
            let (dy, columns) = (&dy[group * filters * n..], &unfolded[group * depth * n..]);
            let to = &mut weight_gradient[group * self.weights()..];
            if samples == 1 && self.weights() * n < LARGE_PRODUCT {
                gemm_dot(isa, filters, depth, n, dy, columns, to, !first);
            } else {
                let (dy, columns) = (View::rows(dy, n), View::transposed(columns, n));
                gemm(isa, filters, depth, n, dy, columns, to, !first);
            }
        }
        for (sum, plane) in bias_gradient.iter_mut().zip(dy.chunks_exact(n)) {
            *sum = if first { 0.0 } else { *sum } + elementwise::sum(isa, plane);
        }
        let Some(dx) = dx else { return };
        let image_gradient = if samples > 1 { &mut *images } else { &mut *dx };
        let to = if self.is_pointwise() { &mut *image_gradient } else { &mut *columns };
        for group in 0..self.groups {
            let weight = View::transposed(&params[group * self.weights()..], depth);
            let dy = View::rows(&dy[group * filters * n..], n);
            gemm(isa, depth, n, filters, weight, dy, &mut to[group * depth * n..], false);
        }
        if !self.is_pointwise() {
            fold(isa, self.window(), samples, columns, image_gradient);
        }
        if samples > 1 {
            transpose(isa, self.input_len(), samples, images, dx);
        }
    }
}

/// What [`Conv2d::backward_together`] reads and writes, as in [`Backward`].
struct Together<'a> {
    x: &'a [f32],
    dy: &'a [f32],
    dx: Option<&'a mut [f32]>,
    gradient: &'a mut [f32],
    scratch: &'a mut [f32],
    first: bool,
}

/// As many values as `to` holds. A run is often shorter than what a call of memcpy pays for.
#[inline(always)]
fn copy(from: &[f32], to: &mut [f32]) {
    const STEP: usize = 8;
    let len = to.len();
    if !(STEP..8 * STEP).contains(&len) {
        return to.copy_from_slice(&from[..len]);
    }
    for start in (0..len - STEP).step_by(STEP).chain([len - STEP]) {
        to[start..start + STEP].copy_from_slice(&from[start..start + STEP]);
    }
}

multiversion! {
    /// For `samples` images side by side [channels, height, width, samples]: the columns [channels, pixel of the
    /// window, place of the window, samples]; zero outside of the image.
    fn unfold(window: Window, samples: usize, images: &[f32], columns: &mut [f32]) {
        let ((rows, places), step) = (window.places(), window.stride * samples);
        let (plane, line) = (window.height * window.width * samples, window.width * samples);
        let (taps, len) = (window.size * window.size, rows * places * samples);
        for tap in 0..taps {
            let (ky, kx) = (tap / window.size, tap % window.size);
            let (lines, run) = (window.inside(ky, window.height, rows), window.inside(kx, window.width, places));
            let whole = lines.len() == rows && run.len() == places;
            let left = (run.start * window.stride + kx).saturating_sub(window.padding) * samples;
            for (image, to) in images.chunks_exact(plane).zip(columns[tap * len..].chunks_mut(taps * len)) {
                if !whole {
                    to[..len].fill(0.0);
                }
                if run.is_empty() {
                    continue;
                }
                for row in lines.clone() {
                    let from = &image[(row * window.stride + ky - window.padding) * line + left..];
                    let to = &mut to[(row * places + run.start) * samples..][..run.len() * samples];
                    if window.stride == 1 {
                        copy(from, to);
                    } else if samples == 1 {
                        for (to, from) in to.iter_mut().zip(from.iter().step_by(step)) {
                            *to = *from;
                        }
                    } else {
                        for (to, from) in to.chunks_exact_mut(samples).zip(from.chunks(step)) {
                            to.copy_from_slice(&from[..samples]);
                        }
                    }
                }
            }
        }
    }

    /// Adds columns back to where [`unfold`] takes them from, in order of the window's pixels.
    fn fold(window: Window, samples: usize, columns: &[f32], images: &mut [f32]) {
        let ((rows, places), step) = (window.places(), window.stride * samples);
        let (plane, line) = (window.height * window.width * samples, window.width * samples);
        let (taps, len) = (window.size * window.size, rows * places * samples);
        images.fill(0.0);
        for tap in 0..taps {
            let (ky, kx) = (tap / window.size, tap % window.size);
            let (lines, run) = (window.inside(ky, window.height, rows), window.inside(kx, window.width, places));
            if run.is_empty() {
                continue;
            }
            let left = (run.start * window.stride + kx - window.padding) * samples;
            for (image, from) in images.chunks_exact_mut(plane).zip(columns[tap * len..].chunks(taps * len)) {
                for row in lines.clone() {
                    let to = &mut image[(row * window.stride + ky - window.padding) * line + left..];
                    let from = &from[(row * places + run.start) * samples..][..run.len() * samples];
                    if window.stride == 1 {
                        for (to, from) in to.iter_mut().zip(from) {
                            *to += from;
                        }
                    } else {
                        for (to, from) in to.chunks_mut(step).zip(from.chunks_exact(samples)) {
                            for (to, from) in to.iter_mut().zip(from) {
                                *to += from;
                            }
                        }
                    }
                }
            }
        }
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

    fn scratch_len(&self, pass: Pass) -> usize {
        if self.is_depthwise() {
            return self.depthwise().scratch_len();
        }
        let samples = self.together(pass.rows());
        let side = if samples > 1 { self.input_len() + self.output_len() } else { 0 };
        let columns = if self.is_pointwise() { 0 } else { self.groups * self.depth() * self.pixels() };
        samples * (side + columns)
    }

    fn forward_flops(&self) -> f64 {
        let others = f64::from(u8::from(self.bias)) + self.activation.flops();
        self.output_len() as f64 * (2.0 * self.depth() as f64 + others)
    }

    fn forward(&self, pass: Pass, params: &[f32], io: Forward<'_>) {
        let Forward { x, y, scratch, .. } = io;
        if self.is_depthwise() {
            self.depthwise().forward(pass.isa, params, x, y, scratch);
            return self.activation.forward(pass.isa, y);
        }
        let samples = self.together(pass.rows());
        let batches = x.chunks(samples * self.input_len()).zip(y.chunks_mut(samples * self.output_len()));
        for (x, y) in batches {
            self.forward_together(pass.isa, params, x, y, scratch);
        }
    }

    fn backward(&self, pass: Pass, params: &[f32], io: Backward<'_>) {
        let Backward { x, y, dy, dx, gradient, scratch, .. } = io;
        self.activation.backward(pass.isa, dy, y);
        if self.is_depthwise() {
            let io = Gradients { x, dy, dx, gradient };
            return self.depthwise().backward(pass.isa, params, io, scratch);
        }
        let samples = self.together(pass.rows());
        let mut dx = dx.map(|dx| dx.chunks_mut(samples * self.input_len()));
        let batches = x.chunks(samples * self.input_len()).zip(dy.chunks(samples * self.output_len()));
        for (index, (x, dy)) in batches.enumerate() {
            let dx = dx.as_mut().and_then(Iterator::next);
            let io = Together { x, dy, dx, gradient, scratch, first: index == 0 };
            self.backward_together(pass.isa, params, io);
        }
    }
}
