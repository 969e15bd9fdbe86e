//! Group normalisation (Wu and He, 2018).

use super::count;
use super::share::{self, cut};
use super::{Activation, Backward, Forward, Layer, Pass, Role, Tensor};
use crate::kernels::Isa;
use crate::kernels::norm::{self, Moments, Planes};
use hcddl_core::domain::operation::{Kind, Operation};
use std::ops::Range;

/// y = activation((x - mean) / sqrt(variance + 1e-5) weight + bias), with the mean and biased variance of each row's
/// groups of neighbouring channels. Parameters: weight `[channels]`, bias `[channels]`.
#[derive(Clone, Debug)]
pub struct GroupNorm {
    /// Channels.
    pub channels: usize,
    /// Pixels of a channel.
    pub pixels: usize,
    /// Groups; divides `channels`.
    pub groups: usize,
    /// What is applied to the result.
    pub activation: Activation,
}

impl GroupNorm {
    fn group_len(&self) -> usize {
        self.input_len() / self.groups
    }

    /// The backward pass without the activation: the gradients of these groups' parameters, `[scale, shift]`, and of
    /// the rows' inputs, if wanted.
    fn sweep(&self, isa: Isa, scale: &[f32], groups: Range<usize>, io: Part<'_>) {
        let Part { x, dy, kept, mut dx, mut gradients } = io;
        let (len, pixels, count) = (self.group_len(), self.pixels, self.channels / self.groups);
        let start = groups.start * count;
        let all = x.chunks_exact(len).zip(dy.chunks_exact(len)).zip(kept.chunks_exact(2)).enumerate();
        for (index, ((x, dy), kept)) in all.filter(|(index, _)| groups.contains(&(index % self.groups))) {
            let moments = Moments { mean: kept[0], variance: kept[1] };
            let precision = moments.precision();
            let first = index % self.groups * count;
            let scale = &scale[first..first + count];
            let mut sums = [0f64; 2];
            let planes = x.chunks_exact(pixels).zip(dy.chunks_exact(pixels)).zip(scale);
            for (c, ((x, dy), scale)) in (first - start..).zip(planes) {
                let [plain, product] = norm::gradient_sums(isa, dy, x, Planes::whole(pixels), moments.mean);
                if let Some([scale_gradient, shift_gradient]) = &mut gradients {
                    shift_gradient[c] += plain as f32;
                    scale_gradient[c] += (product * f64::from(precision)) as f32;
                }
                sums[0] += f64::from(*scale) * plain;
                sums[1] += f64::from(*scale) * product;
            }
            let Some(dx) = dx.as_mut() else { continue };
            let [a, b, c] = norm::input_factors(sums, len, precision);
            let dx = dx[index * len..][..len].chunks_exact_mut(pixels);
            let planes = x.chunks_exact(pixels).zip(dy.chunks_exact(pixels)).zip(dx).zip(scale);
            for (((x, dy), dx), scale) in planes {
                let whole = Planes::whole(pixels);
                norm::combine(isa, dy, x, dx, whole, moments.mean, [a * scale, b, c]);
            }
        }
    }
}

/// What a part of the backward pass reads and writes: rows, and the gradients of some channels' scales and shifts.
struct Part<'a> {
    x: &'a [f32],
    dy: &'a [f32],
    kept: &'a [f32],
    dx: Option<&'a mut [f32]>,
    gradients: Option<[&'a mut [f32]; 2]>,
}

impl Layer for GroupNorm {
    fn kind(&self) -> &'static str {
        "group_norm"
    }

    fn input_len(&self) -> usize {
        self.channels * self.pixels
    }

    fn output_len(&self) -> usize {
        self.input_len()
    }

    fn tensors(&self) -> Vec<Tensor> {
        let shape = || vec![self.channels];
        vec![Tensor::new("weight", shape(), Role::Scale), Tensor::new("bias", shape(), Role::Shift)]
    }

    /// Mean and variance of each group of each row.
    fn kept_len(&self, pass: Pass) -> usize {
        2 * pass.rows() * self.groups
    }

    fn forward_flops(&self) -> f64 {
        self.input_len() as f64 * (7.0 + self.activation.flops())
    }

    fn rows_apart(&self) -> bool {
        true
    }

    fn operations(&self, pass: Pass, _first: bool, all: &mut Vec<Operation>) {
        let (size, values) = (
            [self.pixels, self.channels / self.groups, self.groups * pass.rows()],
            pass.rows() * self.input_len(),
        );
        all.push(count::rows(Operation::new(Kind::GroupNorm, size, 1).near(2 * values)));
        count::activation(self.activation, self.group_len(), pass.rows() * self.groups, all);
        count::activation_backward(self.activation, values, all);
        all.push(count::rows(Operation::new(Kind::GroupNormBackward, size, 1).far(values).near(2 * values)));
    }

    fn forward(&self, pass: Pass, params: &[f32], io: Forward<'_>) {
        let (scale, shift) = params.split_at(self.channels);
        let (len, pixels) = (self.group_len(), self.pixels);
        let groups = io.x.chunks_exact(len).zip(io.y.chunks_exact_mut(len)).zip(io.kept.chunks_exact_mut(2));
        for (index, ((x, y), kept)) in groups.enumerate() {
            let moments = norm::moments(pass.isa, x, Planes::whole(len));
            kept.copy_from_slice(&[moments.mean, moments.variance]);
            let precision = moments.precision();
            let first = index % self.groups * (self.channels / self.groups);
            let planes = x.chunks_exact(pixels).zip(y.chunks_exact_mut(pixels));
            for (c, (x, y)) in (first..).zip(planes) {
                let (whole, factor) = (Planes::whole(pixels), precision * scale[c]);
                norm::shift_and_scale(pass.isa, x, y, whole, moments.mean, factor, shift[c]);
            }
            self.activation.forward(pass.isa, y);
        }
    }

    fn backward(&self, pass: Pass, params: &[f32], io: Backward<'_>) {
        let Backward { x, y, dy, mut dx, kept, gradient, .. } = io;
        share::activation_backward(pass, self.activation, dy, y);
        gradient.fill(0.0);
        let (mut scale, mut shift) = gradient.split_at_mut(self.channels);
        let (isa, dy, kept) = (pass.isa, &*dy, &*kept);
        if !share::pays(pass, self.forward_flops() * pass.rows() as f64) {
            let gradients = Some([scale, shift]);
            return self.sweep(isa, params, 0..self.groups, Part { x, dy, kept, dx, gradients });
        }
        // A thread takes some groups' gradients over all rows, then dx of some rows.
        let rows = share::ranges(pass.rows(), pass);
        let parts = share::ranges(self.groups, pass).zip(rows).map(|(groups, rows)| {
            let channels = groups.len() * (self.channels / self.groups);
            let gradients = [cut(&mut scale, channels), cut(&mut shift, channels)];
            (groups, gradients, dx.as_mut().map(|dx| cut(dx, rows.len() * self.input_len())), rows)
        });
        share::each(parts, |(groups, gradients, dx, rows)| {
            let gradients = Some(gradients);
            self.sweep(isa, params, groups, Part { x, dy, kept, dx: None, gradients });
            if dx.is_some() {
                let own = rows.start * self.input_len()..rows.end * self.input_len();
                let kept = &kept[2 * rows.start * self.groups..];
                let io = Part { x: &x[own.clone()], dy: &dy[own], kept, dx, gradients: None };
                self.sweep(isa, params, 0..self.groups, io);
            }
        });
    }
}
