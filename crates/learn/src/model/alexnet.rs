//! AlexNet in one column (Krizhevsky, One weird trick for parallelizing convolutional neural networks, 2014), as
//! MXNet Gluon's and PyTorch's model zoos have it and HiPS trains it on 224x224 images: 61,100,840 parameters
//! for 1000 classes. And the same shrunk for 32x32 images: 2,472,266 parameters for 10 classes.

use super::{BuildModel, Init, Network, NetworkBuilder};
use crate::layer::Activation::Relu;
use crate::layer::{Conv2d, Dropout, PoolShape};
use crate::model::DataShape;
use hcddl_core::domain::{OptionError, Row};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Options {
    variant: Variant,
    /// Filters of the first convolution; the others have 3, 6, 4 and 4 times as many.
    filters: usize,
    /// Width of the two hidden layers of `imagenet`.
    hidden: usize,
    dropout: f32,
    init: Option<Init>,
}

impl Default for Options {
    fn default() -> Self {
        Self { variant: Variant::Cifar, filters: 64, hidden: 4096, dropout: 0.5, init: None }
    }
}

#[derive(Clone, Copy, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Variant {
    Cifar,
    Imagenet,
}

fn build(options: &Options, shape: &DataShape) -> Result<Network, OptionError> {
    let Options { variant, filters, hidden, dropout, init } = *options;
    let allowed = "1 to 4096";
    OptionError::check((1..=4096).contains(&filters), "filters", filters, allowed)?;
    OptionError::check((1..=65_536).contains(&hidden), "hidden", hidden, "1 to 65536")?;
    OptionError::check((0.0..1.0).contains(&dropout), "dropout", dropout, "0 to below 1")?;
    let (padding, size) = if variant == Variant::Cifar { (5, 2) } else { (2, 3) };
    let pool =
        |network: NetworkBuilder| network.max_pool_with(size, |plain| PoolShape { stride: 2, ..plain });
    let conv = |network: NetworkBuilder, times: usize, kernel: usize| {
        let change = |plain| Conv2d { padding: kernel / 2, activation: Relu, ..plain };
        network.conv2d_with(times * filters, kernel, change)
    };
    let first = |plain| Conv2d { stride: 4, padding, activation: Relu, ..plain };
    let network = pool(NetworkBuilder::new(shape).conv2d_with(filters, 11, first)?)?;
    let network = pool(conv(network, 3, 5)?)?;
    let mut network = pool(conv(conv(conv(network, 6, 3)?, 4, 3)?, 4, 3)?)?;
    if variant == Variant::Cifar {
        return network.head(init.unwrap_or(Init::Torch));
    }
    for _ in 0..2 {
        network = network.linear(hidden, Relu)?.elementwise(|len| Dropout { len, p: dropout })?;
    }
    network.head(init.unwrap_or(Init::GlorotUniform))
}

/// Its row.
pub fn row() -> Row<BuildModel> {
    Row {
        name: "alexnet",
        summary: "AlexNet: variant cifar for 32x32 images, or imagenet for 224x224 with two hidden layers and \
                  dropout; init is torch or (imagenet) glorot_uniform",
        example: "{name: alexnet, variant: cifar, filters: 64, hidden: 4096, dropout: 0.5}",
        positional: &["variant"],
        build: |choice, shape| build(&choice.options()?, shape),
    }
}
