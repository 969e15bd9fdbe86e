//! The MobileNet of FedML (python/fedml/model/cv/mobilenet.py): Howard et al., MobileNets, 2017, for 32x32 images:
//! the first convolution has stride 1. Pointwise convolutions have a bias, depthwise ones have none. 3,223,178
//! parameters for 3 channels and 10 classes, and 21,888 running statistics.

use super::{BuildModel, Init, Network, NetworkBuilder};
use crate::layer::Activation::{Identity, Relu};
use crate::layer::{Conv2d, Statistics};
use crate::model::DataShape;
use hcddl_core::domain::{OptionError, Row};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Options {
    /// What the number of channels is multiplied by.
    width: f64,
    statistics: Statistics,
    init: Init,
}

impl Default for Options {
    fn default() -> Self {
        Self { width: 1.0, statistics: Statistics::default(), init: Init::Torch }
    }
}

/// Channels that come out of each separable block, and the stride of its depthwise convolution.
const BLOCKS: [(usize, usize); 13] = [
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),
    (1024, 2),
    (1024, 1),
];

fn build(options: &Options, shape: &DataShape) -> Result<Network, OptionError> {
    let Options { width, statistics, init } = *options;
    OptionError::check((0.03125..=8.0).contains(&width), "width", width, "0.03125 to 8")?;
    let scaled = |channels: usize| (channels as f64 * width) as usize;
    let stem = |plain| Conv2d { padding: 1, bias: false, ..plain };
    let network = NetworkBuilder::new(shape).conv2d_with(scaled(32), 3, stem)?;
    let mut network = network.batch_norm(statistics)?.activation(Relu)?;
    for (filters, stride) in BLOCKS {
        let groups = network.image()?.0;
        let depthwise = |plain| Conv2d { stride, padding: 1, groups, bias: false, ..plain };
        network = network.conv2d_with(groups, 3, depthwise)?.batch_norm(statistics)?.activation(Relu)?;
        network = network.conv2d(scaled(filters), 1, Identity)?.batch_norm(statistics)?.activation(Relu)?;
    }
    network.global_avg_pool()?.head(init)
}

/// Its row.
pub fn row() -> Row<BuildModel> {
    Row {
        name: "mobilenet",
        summary: "MobileNet for small images with batch norm (FedML's); width multiplies the channels",
        example: "{name: mobilenet, width: 1.0, statistics: aggregated, init: torch}",
        positional: &["width"],
        build: |choice, shape| build(&choice.options()?, shape),
    }
}
