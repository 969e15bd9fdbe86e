//! Average and maximum pooling, as PyTorch's `AvgPool2d` and `MaxPool2d`.

use super::count;
use super::window::Window;
use super::{Backward, Forward, Layer, Pass};
use crate::kernels::pool;
use hcddl_core::domain::operation::{Kind, Operation};

/// Images [channels, height, width] and square windows; rows and columns that fill no window are ignored.
#[derive(Clone, Copy, Debug)]
pub struct PoolShape {
    /// Channels.
    pub channels: usize,
    /// Height that goes in.
    pub height: usize,
    /// Width that goes in.
    pub width: usize,
    /// Side of a window.
    pub size: usize,
    /// Pixels from one window to the next, at least 1.
    pub stride: usize,
    /// Rows and columns around the image, at most half of the size. They count as zeros in a mean (and in its
    /// divisor) and never are the maximum.
    pub padding: usize,
}

impl PoolShape {
    /// Windows side by side over images `(channels, height, width)`.
    #[must_use]
    pub fn new((channels, height, width): (usize, usize, usize), size: usize) -> Self {
        Self { channels, height, width, size, stride: size, padding: 0 }
    }

    /// Height and width that come out: floor((side + 2 padding - size) / stride) + 1.
    #[must_use]
    pub fn output_size(&self) -> (usize, usize) {
        self.places().places()
    }

    fn places(&self) -> Window {
        let Self { height, width, size, stride, padding, .. } = *self;
        Window { height, width, size, stride, padding }
    }

    fn input_len(&self) -> usize {
        self.channels * self.height * self.width
    }

    fn output_len(&self) -> usize {
        let (height, width) = self.output_size();
        self.channels * height * width
    }

    fn forward_flops(&self) -> f64 {
        (self.output_len() * self.size * self.size) as f64
    }

    /// As [`Layer::operations`]; windows of 2 x 2 are of two kinds.
    fn operations(&self, pass: Pass, plain: [Kind; 2], all: &mut Vec<Operation>) {
        let (rows, values) = (pass.rows(), pass.rows() * self.input_len());
        let (kinds, size) = if self.is_2x2() {
            // Planes as if they were as high as wide.
            let planes = (rows * self.channels * self.height).div_ceil(self.width);
            (plain, [self.width, planes])
        } else {
            ([Kind::PoolWide, Kind::PoolWideBackward], [self.size * self.size, rows * self.output_len()])
        };
        all.push(count::rows(Operation::new(kinds[0], size, 1).near(values)));
        all.push(count::rows(Operation::new(kinds[1], size, 1).far(values).near(values)));
    }

    /// Whether windows are 2 x 2, side by side.
    fn is_2x2(&self) -> bool {
        (self.size, self.stride, self.padding) == (2, 2, 0)
    }

    /// Whether no input lies in two windows, and each window has its full size.
    fn is_plain(&self) -> bool {
        self.stride == self.size && self.padding == 0
    }

    /// The windows of one sample in order: output, its inputs by rows.
    fn clipped(&self) -> impl Iterator<Item = (usize, impl Iterator<Item = usize> + use<>)> + use<> {
        let (shape, window, (rows, columns)) = (*self, self.places(), self.output_size());
        (0..self.output_len()).map(move |output| {
            let (channel, row, column) = (output / columns / rows, output / columns % rows, output % columns);
            let inside = window.pixels(column, shape.width);
            let lines = window.pixels(row, shape.height);
            let line = move |y| (channel * shape.height + y) * shape.width;
            (output, lines.flat_map(move |y| inside.clone().map(move |x| line(y) + x)))
        })
    }

    /// Calls `f(output, upper left input, itself)` for each window of one sample, in order.
    #[inline(always)]
    fn windows(&self, mut f: impl FnMut(usize, usize, &Self)) {
        let mut output = 0;
        for channel in 0..self.channels {
            for row in 0..self.height / self.size {
                let start = (channel * self.height + row * self.size) * self.width;
                for column in 0..self.width / self.size {
                    f(output, start + column * self.size, self);
                    output += 1;
                }
            }
        }
    }

    /// The inputs of a window, by rows.
    #[inline(always)]
    fn window(&self, corner: usize) -> impl Iterator<Item = usize> + use<> {
        let (size, width) = (self.size, self.width);
        (0..size).flat_map(move |dy| (0..size).map(move |dx| corner + dy * width + dx))
    }
}

/// The mean of each window.
#[derive(Clone, Debug)]
pub struct AvgPool2d(pub PoolShape);

impl Layer for AvgPool2d {
    fn kind(&self) -> &'static str {
        "avg_pool"
    }

    fn input_len(&self) -> usize {
        self.0.input_len()
    }

    fn output_len(&self) -> usize {
        self.0.output_len()
    }

    fn forward_flops(&self) -> f64 {
        self.0.forward_flops()
    }

    fn rows_apart(&self) -> bool {
        true
    }

    fn operations(&self, pass: Pass, _first: bool, all: &mut Vec<Operation>) {
        self.0.operations(pass, [Kind::MeanPool, Kind::MeanPoolBackward], all);
    }

    fn forward(&self, pass: Pass, _params: &[f32], io: Forward<'_>) {
        let Forward { x, y, .. } = io;
        if self.0.is_2x2() {
            return pool::mean_2x2(pass.isa, self.0.height, self.0.width, x, y);
        }
        let share = 1.0 / (self.0.size * self.0.size) as f32;
        for (x, y) in x.chunks_exact(self.0.input_len()).zip(y.chunks_exact_mut(self.0.output_len())) {
            if self.0.is_plain() {
                self.0.windows(|output, corner, shape| {
                    y[output] = share * shape.window(corner).fold(0.0, |sum, i| sum + x[i]);
                });
            } else {
                for (output, inputs) in self.0.clipped() {
                    y[output] = share * inputs.fold(0.0, |sum, i| sum + x[i]);
                }
            }
        }
    }

    fn backward(&self, pass: Pass, _params: &[f32], io: Backward<'_>) {
        let Some(dx) = io.dx else { return };
        if self.0.is_2x2() {
            return pool::mean_2x2_backward(pass.isa, self.0.height, self.0.width, io.dy, dx);
        }
        let share = 1.0 / (self.0.size * self.0.size) as f32;
        dx.fill(0.0);
        for (dy, dx) in io.dy.chunks_exact(self.0.output_len()).zip(dx.chunks_exact_mut(self.0.input_len())) {
            if self.0.is_plain() {
                self.0.windows(|output, corner, shape| {
                    for i in shape.window(corner) {
                        dx[i] = share * dy[output];
                    }
                });
            } else {
                for (output, inputs) in self.0.clipped() {
                    inputs.for_each(|i| dx[i] += share * dy[output]);
                }
            }
        }
    }
}

/// The largest value of each window; the gradient goes to the first of equals.
#[derive(Clone, Debug)]
pub struct MaxPool2d(pub PoolShape);

impl Layer for MaxPool2d {
    fn kind(&self) -> &'static str {
        "max_pool"
    }

    fn input_len(&self) -> usize {
        self.0.input_len()
    }

    fn output_len(&self) -> usize {
        self.0.output_len()
    }

    fn forward_flops(&self) -> f64 {
        self.0.forward_flops()
    }

    fn rows_apart(&self) -> bool {
        true
    }

    fn operations(&self, pass: Pass, _first: bool, all: &mut Vec<Operation>) {
        self.0.operations(pass, [Kind::Pool, Kind::PoolBackward], all);
    }

    fn forward(&self, pass: Pass, _params: &[f32], io: Forward<'_>) {
        let Forward { x, y, .. } = io;
        if self.0.is_2x2() {
            return pool::max_2x2(pass.isa, self.0.height, self.0.width, x, y);
        }
        for (x, y) in x.chunks_exact(self.0.input_len()).zip(y.chunks_exact_mut(self.0.output_len())) {
            // A NaN wins, so that it reaches the loss.
            let larger = |best: f32, v: f32| if v > best || v.is_nan() { v } else { best };
            if self.0.is_plain() {
                self.0.windows(|output, corner, shape| {
                    y[output] = shape.window(corner).fold(f32::NEG_INFINITY, |best, i| larger(best, x[i]));
                });
            } else {
                for (output, inputs) in self.0.clipped() {
                    y[output] = inputs.fold(f32::NEG_INFINITY, |best, i| larger(best, x[i]));
                }
            }
        }
    }

    fn backward(&self, pass: Pass, _params: &[f32], io: Backward<'_>) {
        let Some(dx) = io.dx else { return };
        if self.0.is_2x2() {
            return pool::max_2x2_backward(pass.isa, self.0.height, self.0.width, io.x, io.y, io.dy, dx);
        }
        dx.fill(0.0);
        let (inputs, outputs) = (self.0.input_len(), self.0.output_len());
        let samples = io.x.chunks_exact(inputs).zip(io.y.chunks_exact(outputs));
        let gradients = io.dy.chunks_exact(outputs).zip(dx.chunks_exact_mut(inputs));
        for ((x, y), (dy, dx)) in samples.zip(gradients) {
            if self.0.is_plain() {
                self.0.windows(|output, corner, shape| {
                    if let Some(i) = shape.window(corner).find(|i| x[*i] == y[output]) {
                        dx[i] = dy[output];
                    }
                });
            } else {
                for (output, mut inputs) in self.0.clipped() {
                    if let Some(i) = inputs.find(|i| x[*i] == y[output]) {
                        dx[i] += dy[output];
                    }
                }
            }
        }
    }
}
