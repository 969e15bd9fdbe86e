//! Group normalisation (Wu and He, 2018).

use super::{Activation, Backward, Forward, Layer, Pass, Role, Tensor};
use crate::learn::kernels::norm::{self, Moments, Planes};

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

    /// From the gradient `dy` with respect to a group's outputs: adds to the gradients of its channels' scales and
    /// shifts, and returns the factors of [`norm::combine`] without the channels' scales.
    fn group_back(&self, pass: Pass, group: Group<'_>) -> [f32; 3] {
        let Group { x, dy, moments, scale, scale_gradient, shift_gradient } = group;
        let precision = moments.precision();
        let mut sums = [0f64; 2];
        let planes = x.chunks_exact(self.pixels).zip(dy.chunks_exact(self.pixels));
        for (c, (x, dy)) in planes.enumerate() {
            let [plain, product] =
                norm::gradient_sums(pass.isa, dy, x, Planes::whole(self.pixels), moments.mean);
            shift_gradient[c] += plain as f32;
            scale_gradient[c] += (product * f64::from(precision)) as f32;
            sums[0] += f64::from(scale[c]) * plain;
            sums[1] += f64::from(scale[c]) * product;
        }
        norm::input_factors(sums, self.group_len(), precision)
    }
}

/// A group of one row in the backward pass.
struct Group<'a> {
    x: &'a [f32],
    dy: &'a [f32],
    moments: Moments,
    scale: &'a [f32],
    scale_gradient: &'a mut [f32],
    shift_gradient: &'a mut [f32],
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

    fn backward(&self, pass: Pass, params: &[f32], mut io: Backward<'_>) {
        self.activation.backward(pass.isa, io.dy, io.y);
        io.gradient.fill(0.0);
        let (scale_gradient, shift_gradient) = io.gradient.split_at_mut(self.channels);
        let (len, pixels) = (self.group_len(), self.pixels);
        let groups = io.x.chunks_exact(len).zip(io.dy.chunks_exact(len)).zip(io.kept.chunks_exact(2));
        for (index, ((x, dy), kept)) in groups.enumerate() {
            let moments = Moments { mean: kept[0], variance: kept[1] };
            let count = self.channels / self.groups;
            let first = index % self.groups * count;
            let scale = &params[first..first + count];
            let (scale_gradient, shift_gradient) =
                (&mut scale_gradient[first..first + count], &mut shift_gradient[first..first + count]);
            let group = Group { x, dy, moments, scale, scale_gradient, shift_gradient };
            let [a, b, c] = self.group_back(pass, group);
            let Some(dx) = io.dx.as_mut() else { continue };
            let dx = dx[index * len..][..len].chunks_exact_mut(pixels);
            let planes = x.chunks_exact(pixels).zip(dy.chunks_exact(pixels)).zip(dx).zip(scale);
            for (((x, dy), dx), scale) in planes {
                let whole = Planes::whole(pixels);
                norm::combine(pass.isa, dy, x, dx, whole, moments.mean, [a * scale, b, c]);
            }
        }
    }
}
