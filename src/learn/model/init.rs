//! How parameters start. Element by element in flat order, from the stream "init" of each tensor.

use crate::domain::Stream;
use crate::learn::layer::{Role, Tensor};
use serde::{Deserialize, Serialize};

/// A scheme for weights and biases; normalisations and statistics start at their own fixed values.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Init {
    /// Uniform within sqrt(6 / (fan in + fan out)), zero bias (Glorot and Bengio, 2010; Keras' default, and
    /// MXNet's Xavier with magnitude 3).
    GlorotUniform,
    /// Uniform within 1 / sqrt(fan in), bias too (PyTorch's default for linear, convolution and recurrent
    /// layers); embeddings are standard normal.
    Torch,
    /// Normal of variance 2 / fan out, zero bias (He et al., Delving Deep into Rectifiers, 2015; what PyTorch's
    /// ResNets use).
    HeNormal,
    /// Normal of this standard deviation, bias too.
    Normal(f64),
}

/// What one element is drawn from.
enum Draw {
    Constant(f32),
    Uniform(f64),
    Normal(f64),
}

impl Init {
    fn draw(self, tensor: &Tensor) -> Draw {
        let is_bias = tensor.role == Role::Bias;
        match (tensor.role, self) {
            (Role::Scale, _) => Draw::Constant(1.0),
            (Role::Shift, _) => Draw::Constant(0.0),
            (Role::Statistic { start, .. }, _) => Draw::Constant(start),
            (Role::Uniform(bound), _) => Draw::Uniform(bound),
            (_, Self::Normal(deviation)) => Draw::Normal(deviation),
            (Role::Embedding { .. }, Self::GlorotUniform) => Draw::Uniform(0.05),
            (Role::Embedding { .. }, _) => Draw::Normal(1.0),
            (_, Self::Torch) => Draw::Uniform(1.0 / (tensor.fan_in as f64).sqrt()),
            (_, Self::GlorotUniform | Self::HeNormal) if is_bias => Draw::Constant(0.0),
            (_, Self::GlorotUniform) => Draw::Uniform((6.0 / (tensor.fan_in + tensor.fan_out) as f64).sqrt()),
            (_, Self::HeNormal) => Draw::Normal((2.0 / tensor.fan_out as f64).sqrt()),
        }
    }

    /// Appends the first values of tensor number `index` of a model.
    pub(super) fn fill(self, tensor: &Tensor, seed: u64, index: u64, params: &mut Vec<f32>) {
        let mut stream = Stream::new(seed, "init", index, 0);
        let start = params.len();
        match self.draw(tensor) {
            Draw::Constant(value) => params.resize(start + tensor.len(), value),
            Draw::Uniform(bound) => {
                params.extend((0..tensor.len()).map(|_| ((2.0 * stream.uniform() - 1.0) * bound) as f32));
            }
            Draw::Normal(deviation) => {
                params.extend((0..tensor.len()).map(|_| (stream.normal() * deviation) as f32));
            }
        }
        if let Role::Embedding { padding: Some(token) } = tensor.role {
            let width = tensor.shape[1];
            params[start + token * width..start + (token + 1) * width].fill(0.0);
        }
    }
}
