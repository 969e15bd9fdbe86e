//! Two-dimensional convolution (cross-correlation), as PyTorch's `Conv2d` with zero padding.

mod operations;

use super::depthwise::Depthwise;
use super::share::{self, cut};
use super::unfold::{Strips, fold, unfold, unfold_strips};
use super::window::Window;
use super::{Activation, Backward, Forward, Layer, Pass, Role, Tensor};
use crate::kernels::gemm::K_BLOCK;
use crate::kernels::{Isa, View, elementwise, gemm, gemm_dot, transpose};
use hcddl_core::domain::operation::Operation;
use std::ops::Range;

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
/// Samples are unfolded to columns [channels kernel^2, output pixels], which stay in the cache (of small products only
/// to strips of them); their output is then one matrix product whose long side is the pixels. The backward pass
/// unfolds again instead of keeping the columns of the batch. Where images are small and weights are large, samples are
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

    /// Whether so many samples side by side make a small product.
    fn is_small(&self, samples: usize) -> bool {
        samples == 1 && self.weights() * self.pixels() < LARGE_PRODUCT
    }

    /// Whether so many samples side by side are unfolded to strips.
    fn has_strips(&self, samples: usize) -> bool {
        self.is_small(samples) && !self.is_pointwise() && self.depth() <= K_BLOCK
    }

    /// Values of the columns of so many samples side by side.
    fn columns_len(&self, samples: usize) -> usize {
        if self.is_pointwise() {
            return 0;
        }
        let whole = self.groups * self.depth() * self.pixels() * samples;
        if self.has_strips(samples) {
            whole.max(self.channels * Strips::new(self.window()).len())
        } else {
            whole
        }
    }

    /// Splits working memory for this many samples side by side: images, columns, outputs. Those that are not
    /// needed are empty.
    fn split<'a>(&self, samples: usize, scratch: &'a mut [f32]) -> [&'a mut [f32]; 3] {
        let side = if samples > 1 { samples } else { 0 };
        let columns = self.columns_len(samples);
        let (images, rest) = scratch.split_at_mut(side * self.input_len());
        let (columns, rest) = rest.split_at_mut(columns);
        [images, columns, &mut rest[..side * self.output_len()]]
    }

    /// The forward pass of samples side by side.
    fn forward_together(
        &self,
        isa: Isa,
        params: &[f32],
        offsets: &[u32],
        (x, y): (&[f32], &mut [f32]),
        scratch: &mut [f32],
    ) {
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
            let columns = self.of_group(group, samples, columns, offsets);
            gemm(isa, filters, n, depth, weight, columns, &mut to[group * filters * n..], self.bias);
        }
        self.activation.forward(isa, to);
        if samples > 1 {
            transpose(isa, self.output_len(), samples, outputs, y);
        }
    }

    /// The columns of samples side by side: [depth of all groups, pixels x samples], or their strips.
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
        if self.has_strips(samples) {
            unfold_strips(isa, Strips::new(self.window()), images, columns);
        } else {
            unfold(isa, self.window(), samples, images, columns);
        }
        columns
    }

    /// The columns of a group [depth, pixels x samples], of what [`Self::columns`] returned.
    fn of_group<'a>(&self, group: usize, samples: usize, columns: &'a [f32], offsets: &'a [u32]) -> View<'a> {
        if self.has_strips(samples) {
            let strips = self.channels / self.groups * Strips::new(self.window()).len();
            return View::scattered(&columns[group * strips..], &offsets[..self.depth()]);
        }
        let n = samples * self.pixels();
        View::rows(&columns[group * self.depth() * n..], n)
    }

    /// Where rows of the columns of a group start in strips.
    fn offsets(&self) -> [u32; K_BLOCK] {
        let mut offsets = [0; K_BLOCK];
        if self.has_strips(1) {
            Strips::new(self.window()).offsets(&mut offsets[..self.depth()]);
        }
        offsets
    }

    /// The backward pass without the activation.
    fn sweep(&self, isa: Isa, params: &[f32], io: Part<'_>) {
        if self.is_depthwise() {
            return self.depthwise().backward(isa, params, io);
        }
        let Part { x, dy, dx, mut filters, scratch } = io;
        if dx.is_none() && filters.as_ref().is_none_or(|filters| filters.range.is_empty()) {
            return;
        }
        let (samples, offsets) = (self.together(x.len() / self.input_len()), self.offsets());
        let mut dx = dx.map(|dx| dx.chunks_mut(samples * self.input_len()));
        let batches = x.chunks(samples * self.input_len()).zip(dy.chunks(samples * self.output_len()));
        for (index, (x, dy)) in batches.enumerate() {
            let (dx, filters) = (dx.as_mut().and_then(Iterator::next), filters.as_mut().map(Filters::again));
            let io = Part { x, dy, dx, filters, scratch };
            self.backward_together(isa, params, &offsets, io, index == 0);
        }
    }

    /// The backward pass of samples side by side; gradients of the parameters are added to unless they are the
    /// first.
    fn backward_together(&self, isa: Isa, params: &[f32], offsets: &[u32], io: Part<'_>, first: bool) {
        let Part { x, dy, dx, filters, scratch } = io;
        let samples = x.len() / self.input_len();
        let [images, columns, outputs] = self.split(samples, scratch);
        let (depth, per_group, n) = (self.depth(), self.filters / self.groups, samples * self.pixels());
        let dy = if samples > 1 {
            transpose(isa, samples, self.output_len(), dy, outputs);
            &*outputs
        } else {
            dy
        };
        if let Some(Filters { range, weight, bias }) = filters {
            let unfolded = self.columns(isa, x, images, columns);
            for group in range.start / per_group..range.end.div_ceil(per_group) {
                let own = range.start.max(group * per_group)..range.end.min((group + 1) * per_group);
                let dy = &dy[own.start * n..];
                let to = &mut weight[(own.start - range.start) * depth..];
                if self.is_small(samples) {
                    let columns = self.of_group(group, samples, unfolded, offsets);
                    gemm_dot(isa, own.len(), depth, n, dy, columns, to, !first);
                } else {
                    let columns = View::transposed(&unfolded[group * depth * n..], n);
                    let dy = View::rows(dy, n);
                    gemm(isa, own.len(), depth, n, dy, columns, to, !first);
                }
            }
            for (sum, plane) in bias.iter_mut().zip(dy[range.start * n..].chunks_exact(n)) {
                *sum = if first { 0.0 } else { *sum } + elementwise::sum(isa, plane);
            }
        }
        let Some(dx) = dx else { return };
        let image_gradient = if samples > 1 { &mut *images } else { &mut *dx };
        let to = if self.is_pointwise() { &mut *image_gradient } else { &mut *columns };
        for group in 0..self.groups {
            let weight = View::transposed(&params[group * self.weights()..], depth);
            let dy = View::rows(&dy[group * per_group * n..], n);
            gemm(isa, depth, n, per_group, weight, dy, &mut to[group * depth * n..], false);
        }
        if !self.is_pointwise() {
            fold(isa, self.window(), samples, columns, image_gradient);
        }
        if samples > 1 {
            transpose(isa, self.input_len(), samples, images, dx);
        }
    }
}

/// What a part of the backward pass reads and writes, as in [`Backward`]: rows, and the gradient of some filters'
/// parameters.
pub(super) struct Part<'a> {
    pub(super) x: &'a [f32],
    pub(super) dy: &'a [f32],
    pub(super) dx: Option<&'a mut [f32]>,
    pub(super) filters: Option<Filters<'a>>,
    pub(super) scratch: &'a mut [f32],
}

/// The gradients of the parameters of some filters; without a bias, `bias` is empty.
pub(super) struct Filters<'a> {
    pub(super) range: Range<usize>,
    pub(super) weight: &'a mut [f32],
    pub(super) bias: &'a mut [f32],
}

impl Filters<'_> {
    /// The same, for a shorter time.
    fn again(&mut self) -> Filters<'_> {
        Filters { range: self.range.clone(), weight: self.weight, bias: self.bias }
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
            return pass.threads * self.depthwise().scratch_len();
        }
        let samples = self.together(pass.rows());
        let side = if samples > 1 { self.input_len() + self.output_len() } else { 0 };
        // A last sample alone may need more for its strips than it saves.
        pass.threads * (samples * side + self.columns_len(samples).max(self.columns_len(1)))
    }

    fn forward_flops(&self) -> f64 {
        let others = f64::from(u8::from(self.bias)) + self.activation.flops();
        self.output_len() as f64 * (2.0 * self.depth() as f64 + others)
    }

    fn operations(&self, pass: Pass, first: bool, all: &mut Vec<Operation>) {
        self.count(pass.rows(), first, all);
    }

    fn rows_apart(&self) -> bool {
        true
    }

    fn forward(&self, pass: Pass, params: &[f32], io: Forward<'_>) {
        let Forward { x, y, scratch, .. } = io;
        if self.is_depthwise() {
            self.depthwise().forward(pass.isa, params, x, y, scratch);
            return self.activation.forward(pass.isa, y);
        }
        let (samples, offsets) = (self.together(pass.rows()), self.offsets());
        let batches = x.chunks(samples * self.input_len()).zip(y.chunks_mut(samples * self.output_len()));
        for (x, y) in batches {
            self.forward_together(pass.isa, params, &offsets, (x, y), scratch);
        }
    }

    fn backward(&self, pass: Pass, params: &[f32], io: Backward<'_>) {
        let Backward { x, y, dy, mut dx, gradient, mut scratch, .. } = io;
        share::activation_backward(pass, self.activation, dy, y);
        let (mut weight, mut bias) = gradient.split_at_mut(self.filters * self.depth());
        if !share::pays(pass, 2.0 * self.forward_flops() * pass.rows() as f64) {
            let filters = Some(Filters { range: 0..self.filters, weight, bias });
            return self.sweep(pass.isa, params, Part { x, dy, dx, filters, scratch });
        }
        // A thread takes some filters' gradients over all rows, then dx of some rows.
        let scratch_len = self.scratch_len(pass) / pass.threads;
        let dy = &*dy;
        let rows = share::ranges(pass.rows(), pass);
        let parts = share::ranges(self.filters, pass).zip(rows).map(|(range, rows)| {
            let weight = cut(&mut weight, range.len() * self.depth());
            let bias = cut(&mut bias, if self.bias { range.len() } else { 0 });
            let dx = dx.as_mut().map(|dx| cut(dx, rows.len() * self.input_len()));
            (Filters { range, weight, bias }, rows, dx, cut(&mut scratch, scratch_len))
        });
        share::each(parts, |(filters, rows, dx, scratch)| {
            let io = Part { x, dy, dx: None, filters: Some(filters), scratch: &mut *scratch };
            self.sweep(pass.isa, params, io);
            let (input_len, output_len) = (self.input_len(), self.output_len());
            let x = &x[rows.start * input_len..rows.end * input_len];
            let dy = &dy[rows.start * output_len..rows.end * output_len];
            self.sweep(pass.isa, params, Part { x, dy, dx, filters: None, scratch });
        });
    }
}
