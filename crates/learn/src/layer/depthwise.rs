//! Depthwise convolution: each filter sees one channel, so that there is no matrix product to make.

use super::conv2d::{Filters, Part};
use super::window::Window;
use crate::kernels::{Isa, elementwise, multiversion, transpose_strided};

/// Samples side by side: the lanes of a vector.
const SIDE: usize = 16;

/// Filter f sees channel f channels / filters. Works plane after plane, on the same plane of 16 samples side by side
/// (the sample is the fastest index; missing samples are zeros): so rows may be short and strided.
#[derive(Clone, Copy, Debug)]
pub(super) struct Depthwise {
    pub(super) channels: usize,
    pub(super) filters: usize,
    pub(super) bias: bool,
    pub(super) window: Window,
}

impl Depthwise {
    /// Values of a plane that goes in, of one that comes out, and of a filter.
    fn sizes(&self) -> (usize, usize, usize) {
        let (rows, columns) = self.window.places();
        (self.window.height * self.window.width, rows * columns, self.window.size * self.window.size)
    }

    pub(super) fn scratch_len(&self) -> usize {
        let (inputs, outputs, taps) = self.sizes();
        SIDE * (2 * inputs + outputs + taps)
    }

    /// All of y, without the activation.
    pub(super) fn forward(&self, isa: Isa, params: &[f32], x: &[f32], y: &mut [f32], scratch: &mut [f32]) {
        let (inputs, outputs, taps) = self.sizes();
        let (x_len, y_len) = (self.channels * inputs, self.filters * outputs);
        let (weight, bias) = params.split_at(self.filters * taps);
        let (from, to) = scratch.split_at_mut(SIDE * inputs);
        let to = &mut to[..SIDE * outputs];
        for (x, y) in x.chunks(SIDE * x_len).zip(y.chunks_mut(SIDE * y_len)) {
            let samples = x.len() / x_len;
            for filter in 0..self.filters {
                let channel = filter * self.channels / self.filters;
                gather(isa, samples, &x[channel * inputs..], (inputs, x_len), from);
                let bias = if self.bias { bias[filter] } else { 0.0 };
                forward_plane(isa, self.window, from, &weight[filter * taps..], bias, to);
                let y = (&mut y[filter * outputs..], y_len);
                transpose_strided(isa, (outputs, samples), (to, SIDE), y);
            }
        }
    }

    /// All of the gradients that are wanted.
    pub(super) fn backward(&self, isa: Isa, params: &[f32], io: Part<'_>) {
        let Part { x, dy, dx, mut filters, scratch } = io;
        let (inputs, outputs, taps) = self.sizes();
        let (x_len, y_len) = (self.channels * inputs, self.filters * outputs);
        let own = filters.as_ref().map_or(0..0, |filters| filters.range.clone());
        if let Some(Filters { weight, bias, .. }) = &mut filters {
            weight.fill(0.0);
            bias.fill(0.0);
        }
        let (side_x, rest) = scratch.split_at_mut(SIDE * inputs);
        let (side_dx, rest) = rest.split_at_mut(SIDE * inputs);
        let (side_dy, rest) = rest.split_at_mut(SIDE * outputs);
        let sums = &mut rest[..SIDE * taps];
        let read = if dx.is_some() { 0..self.filters } else { own.clone() };
        let mut dx = dx.map(|dx| dx.chunks_mut(SIDE * x_len));
        for (x, dy) in x.chunks(SIDE * x_len).zip(dy.chunks(SIDE * y_len)) {
            let samples = x.len() / x_len;
            let mut dx = dx.as_mut().and_then(Iterator::next);
            for filter in read.clone() {
                let channel = filter * self.channels / self.filters;
                gather(isa, samples, &dy[filter * outputs..], (outputs, y_len), side_dy);
                if let Some(Filters { weight, bias, .. }) = filters.as_mut().filter(|_| own.contains(&filter))
                {
                    let at = filter - own.start;
                    gather(isa, samples, &x[channel * inputs..], (inputs, x_len), side_x);
                    weight_plane(isa, self.window, side_x, side_dy, sums, &mut weight[at * taps..][..taps]);
                    if self.bias {
                        bias[at] += elementwise::sum(isa, side_dy);
                    }
                }
                let Some(dx) = dx.as_mut() else { continue };
                if (filter * self.channels).is_multiple_of(self.filters) {
                    side_dx.fill(0.0);
                }
                backward_plane(isa, self.window, side_dy, &params[filter * taps..], side_dx);
                if ((filter + 1) * self.channels).is_multiple_of(self.filters) {
                    let dx = (&mut dx[channel * inputs..], x_len);
                    transpose_strided(isa, (inputs, samples), (side_dx, SIDE), dx);
                }
            }
        }
    }
}

/// One plane of each sample, side by side.
fn gather(isa: Isa, samples: usize, from: &[f32], (len, stride): (usize, usize), to: &mut [f32]) {
    if samples < SIDE {
        to.fill(0.0);
    }
    transpose_strided(isa, (samples, len), (from, stride), (to, SIDE));
}

/// sum = factor x + sum in each lane.
#[inline(always)]
fn add_product(sum: &mut [f32; SIDE], factor: f32, x: &[f32; SIDE]) {
    for l in 0..SIDE {
        sum[l] = factor.mul_add(x[l], sum[l]);
    }
}

// Rows of three pixels, which are most of those of a 3x3 window, are unrolled.
multiversion! {
    /// y = bias, then pixel after pixel of the window y = w x + y.
    fn forward_plane(window: Window, x: &[f32], weight: &[f32], bias: f32, y: &mut [f32]) {
        let (x, y) = (x.as_chunks::<SIDE>().0, y.as_chunks_mut::<SIDE>().0);
        let (rows, columns) = window.places();
        for row in 0..rows {
            let lines = window.pixels(row, window.height);
            let ky = lines.start + window.padding - row * window.stride;
            for column in 0..columns {
                let inside = window.pixels(column, window.width);
                let kx = inside.start + window.padding - column * window.stride;
                let mut sum = [bias; SIDE];
                for (line, ky) in lines.clone().zip(ky..) {
                    let x = &x[line * window.width..][inside.clone()];
                    let weight = &weight[ky * window.size + kx..];
                    if let ([a, b, c], [u, v, w, ..]) = (x, weight) {
                        add_product(&mut sum, *u, a);
                        add_product(&mut sum, *v, b);
                        add_product(&mut sum, *w, c);
                        continue;
                    }
                    for (x, weight) in x.iter().zip(weight) {
                        add_product(&mut sum, *weight, x);
                    }
                }
                y[row * columns + column] = sum;
            }
        }
    }

    /// For each window in order, for each of its pixels dx = w dy + dx.
    fn backward_plane(window: Window, dy: &[f32], weight: &[f32], dx: &mut [f32]) {
        let (dx, dy) = (dx.as_chunks_mut::<SIDE>().0, dy.as_chunks::<SIDE>().0);
        let (rows, columns) = window.places();
        for row in 0..rows {
            let lines = window.pixels(row, window.height);
            let ky = lines.start + window.padding - row * window.stride;
            for column in 0..columns {
                let inside = window.pixels(column, window.width);
                let kx = inside.start + window.padding - column * window.stride;
                let dy = dy[row * columns + column];
                for (line, ky) in lines.clone().zip(ky..) {
                    let dx = &mut dx[line * window.width..][inside.clone()];
                    let weight = &weight[ky * window.size + kx..];
                    if let ([a, b, c], [u, v, w, ..]) = (&mut *dx, weight) {
                        add_product(a, *u, &dy);
                        add_product(b, *v, &dy);
                        add_product(c, *w, &dy);
                        continue;
                    }
                    for (dx, weight) in dx.iter_mut().zip(weight) {
                        add_product(dx, *weight, &dy);
                    }
                }
            }
        }
    }

    /// Adds to each weight's gradient the sum of x dy: over the windows in order, each sample in a lane of its own;
    /// then the lanes as a fixed tree.
    fn weight_plane(window: Window, x: &[f32], dy: &[f32], sums: &mut [f32], gradient: &mut [f32]) {
        sums.fill(0.0);
        let sums = sums.as_chunks_mut::<SIDE>().0;
        let (x, dy) = (x.as_chunks::<SIDE>().0, dy.as_chunks::<SIDE>().0);
        let (rows, columns) = window.places();
        for row in 0..rows {
            let lines = window.pixels(row, window.height);
            let ky = lines.start + window.padding - row * window.stride;
            for column in 0..columns {
                let inside = window.pixels(column, window.width);
                let kx = inside.start + window.padding - column * window.stride;
                let dy = dy[row * columns + column];
                for (line, ky) in lines.clone().zip(ky..) {
                    let x = &x[line * window.width..][inside.clone()];
                    for (sum, x) in sums[ky * window.size + kx..].iter_mut().zip(x) {
                        for l in 0..SIDE {
                            sum[l] = x[l].mul_add(dy[l], sum[l]);
                        }
                    }
                }
            }
        }
        for (gradient, lanes) in gradient.iter_mut().zip(sums) {
            for half in [8, 4, 2, 1] {
                for l in 0..half {
                    lanes[l] += lanes[l + half];
                }
            }
            *gradient += lanes[0];
        }
    }
}
