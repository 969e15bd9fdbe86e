//! The small convolutional network of the MNIST experiments of Yu, Vincent and Schwager, DiNNO:
//! Distributed Neural Network Optimization for Multi-Robot Collaborative Learning, 2022. 28,440 parameters
//! on 28x28 images of 10 classes.

use super::{BuildModel, Init, NetworkBuilder};
use crate::layer::Activation::Relu;
use hcddl_core::domain::{OptionError, Row};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Options {
    filters: usize,
    hidden: usize,
    init: Init,
}

impl Default for Options {
    fn default() -> Self {
        Self { filters: 3, hidden: 64, init: Init::Torch }
    }
}

/// Its row.
pub fn row() -> Row<BuildModel> {
    Row {
        name: "cnn",
        summary: "small CNN: one 5x5 convolution with ReLU and max pooling, one hidden layer",
        example: "{name: cnn, filters: 3, hidden: 64, init: torch}",
        positional: &[],
        build: |choice, shape| {
            let options: Options = choice.options()?;
            for (key, value) in [("filters", options.filters), ("hidden", options.hidden)] {
                if !(1..=65_536).contains(&value) {
                    return Err(OptionError::new(key, format!("{key} is {value}"), "1 to 65536"));
                }
            }
            let features = NetworkBuilder::new(shape).conv2d(options.filters, 5, Relu)?.max_pool(2)?;
            features.linear(options.hidden, Relu)?.head(options.init)
        },
    }
}
