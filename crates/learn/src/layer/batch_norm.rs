//! Batch normalisation (Ioffe and Szegedy, 2015).

use super::count;
use super::share::activation_backward;
use super::{Activation, Backward, Forward, Layer, Pass, Role, Tensor};
use crate::kernels::norm::{self, Moments, Planes};
use hcddl_core::domain::operation::{Kind, Operation};

/// What normalises when evaluating.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Statistics {
    /// Running statistics, which are parameters like any other: servers aggregate them.
    #[default]
    Aggregated,
    /// Those of the batch that is evaluated; nothing is kept.
    Batch,
}

/// y = activation((x - mean) / sqrt(variance + 1e-5) weight + bias). While training with each channel's mean and
/// biased variance over the batch; when evaluating, see [`Statistics`]. Parameters: weight, bias and, if
/// aggregated, `running_mean` and `running_var` (which takes in the unbiased variance; that of a single value
/// is 0), each `[channels]`.
#[derive(Clone, Debug)]
pub struct BatchNorm {
    /// Channels.
    pub channels: usize,
    /// Pixels of a channel.
    pub pixels: usize,
    /// What normalises when evaluating.
    pub statistics: Statistics,
    /// What is applied to the result.
    pub activation: Activation,
}

/// Share of the newest batch in the running statistics, as PyTorch's default.
const MOMENTUM: f32 = 0.1;

impl BatchNorm {
    fn planes(&self, channel: usize) -> Planes {
        Planes { start: channel * self.pixels, stride: self.input_len(), len: self.pixels }
    }

    /// Whether the batch is normalised by its own moments.
    fn by_itself(&self, pass: Pass) -> bool {
        pass.training.is_some() || self.statistics == Statistics::Batch
    }

    /// Kept are all means, then all variances.
    fn kept_moments(&self, kept: &[f32], channel: usize) -> Moments {
        Moments { mean: kept[channel], variance: kept[self.channels + channel] }
    }
}

impl Layer for BatchNorm {
    fn kind(&self) -> &'static str {
        "batch_norm"
    }

    /// One value has no variance.
    fn batch_min(&self) -> usize {
        if self.pixels == 1 { 2 } else { 1 }
    }

    fn input_len(&self) -> usize {
        self.channels * self.pixels
    }

    fn output_len(&self) -> usize {
        self.input_len()
    }

    fn tensors(&self) -> Vec<Tensor> {
        let tensor = |name, role| Tensor::new(name, vec![self.channels], role);
        let mut tensors = vec![tensor("weight", Role::Scale), tensor("bias", Role::Shift)];
        if self.statistics == Statistics::Aggregated {
            let starting = |start| Role::Statistic { start, momentum: MOMENTUM };
            tensors.push(tensor("running_mean", starting(0.0)));
            tensors.push(tensor("running_var", starting(1.0)));
        }
        tensors
    }

    fn kept_len(&self, _pass: Pass) -> usize {
        2 * self.channels
    }

    fn forward_flops(&self) -> f64 {
        self.input_len() as f64 * (7.0 + self.activation.flops())
    }

    fn operations(&self, pass: Pass, _first: bool, all: &mut Vec<Operation>) {
        let (size, values) = ([self.pixels, pass.rows(), self.channels], pass.rows() * self.input_len());
        all.push(count::rows(Operation::new(Kind::BatchNorm, size, 1).near(2 * values)));
        count::activation(self.activation, self.pixels, pass.rows() * self.channels, all);
        count::activation_backward(self.activation, values, all);
        all.push(count::rows(Operation::new(Kind::BatchNormBackward, size, 1).far(values).near(2 * values)));
    }

    fn forward(&self, pass: Pass, params: &[f32], io: Forward<'_>) {
        let (scale, rest) = params.split_at(self.channels);
        let (shift, running) = rest.split_at(self.channels);
        for c in 0..self.channels {
            let planes = self.planes(c);
            let moments = if self.by_itself(pass) {
                norm::moments(pass.isa, io.x, planes)
            } else {
                self.kept_moments(running, c)
            };
            (io.kept[c], io.kept[self.channels + c]) = (moments.mean, moments.variance);
            let factor = moments.precision() * scale[c];
            norm::shift_and_scale(pass.isa, io.x, io.y, planes, moments.mean, factor, shift[c]);
            planes.of_mut(io.y).for_each(|plane| self.activation.forward(pass.isa, plane));
        }
    }

    fn backward(&self, pass: Pass, params: &[f32], mut io: Backward<'_>) {
        activation_backward(pass, self.activation, io.dy, io.y);
        let count = pass.rows() * self.pixels;
        let (scale_gradient, rest) = io.gradient.split_at_mut(self.channels);
        let (shift_gradient, statistics) = rest.split_at_mut(self.channels);
        for (c, scale) in params[..self.channels].iter().enumerate() {
            let planes = self.planes(c);
            let moments = self.kept_moments(io.kept, c);
            let precision = moments.precision();
            let sums = norm::gradient_sums(pass.isa, io.dy, io.x, planes, moments.mean);
            shift_gradient[c] = sums[0] as f32;
            scale_gradient[c] = (sums[1] * f64::from(precision)) as f32;
            let Some(dx) = io.dx.as_mut() else { continue };
            let factors = if self.by_itself(pass) {
                norm::input_factors(sums, count, precision).map(|factor| factor * scale)
            } else {
                [precision * scale, 0.0, 0.0]
            };
            norm::combine(pass.isa, io.dy, io.x, dx, planes, moments.mean, factors);
        }
        // In the place of the gradient of running statistics: those of this batch.
        if self.statistics == Statistics::Aggregated {
            statistics.copy_from_slice(&io.kept[..2 * self.channels]);
            if self.by_itself(pass) {
                let unbiased = count as f32 / count.saturating_sub(1).max(1) as f32;
                statistics[self.channels..].iter_mut().for_each(|variance| *variance *= unbiased);
            }
        }
    }
}
