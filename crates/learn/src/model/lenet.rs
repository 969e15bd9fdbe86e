//! The LeNet of the first HCDDL: after LeCun et al., Gradient-based learning applied to document
//! recognition, 1998, with tanh, average pooling and a ReLU before the last layer. 44,426 parameters on
//! 28x28 images of 10 classes.

use super::{BuildModel, Init, NetworkBuilder};
use crate::layer::Activation::{Relu, Tanh};
use hcddl_core::domain::Row;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Options {
    init: Init,
}

impl Default for Options {
    fn default() -> Self {
        Self { init: Init::GlorotUniform }
    }
}

/// Its row.
pub fn row() -> Row<BuildModel> {
    Row {
        name: "lenet",
        summary: "LeNet: 6 and 16 filters 5x5 with tanh and average pooling, then 120, 84 and the classes",
        example: "{name: lenet, init: glorot_uniform}",
        positional: &[],
        build: |choice, shape| {
            let options: Options = choice.options()?;
            let features = NetworkBuilder::new(shape).conv2d(6, 5, Tanh)?.avg_pool(2)?;
            let features = features.conv2d(16, 5, Tanh)?.avg_pool(2)?;
            features.linear(120, Tanh)?.linear(84, Relu)?.head(options.init)
        },
    }
}
