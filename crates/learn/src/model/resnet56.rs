//! The ResNet-56 of FedML (python/fedml/model/cv/resnet.py): He et al., 2016, for 32x32 images, with bottlenecks
//! and batch norm. 591,322 parameters for 3 channels and 10 classes, and 8,992 running statistics.

use super::blocks::{Norm, convolved, residual};
use super::{BuildModel, Init, Network, NetworkBuilder};
use crate::layer::Activation::Relu;
use crate::layer::Statistics;
use crate::model::DataShape;
use hcddl_core::domain::{OptionError, Row};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Options {
    /// Blocks in each of the three stages: a depth of 9 blocks + 2.
    blocks: usize,
    statistics: Statistics,
    init: Init,
}

impl Default for Options {
    fn default() -> Self {
        Self { blocks: 6, statistics: Statistics::default(), init: Init::Resnet }
    }
}

fn build(options: &Options, shape: &DataShape) -> Result<Network, OptionError> {
    let Options { blocks, statistics, init } = *options;
    OptionError::check((1..=100).contains(&blocks), "blocks", blocks, "1 to 100")?;
    let norm = Norm::Batch(statistics);
    let mut network = convolved(NetworkBuilder::new(shape), (16, 3, 1), norm)?.activation(Relu)?;
    for (width, first_stride) in [(16, 1), (32, 2), (64, 2)] {
        for block in 0..blocks {
            let stride = if block == 0 { first_stride } else { 1 };
            let bottleneck = [(width, 1, 1), (width, 3, stride), (4 * width, 1, 1)];
            network = residual(network, &bottleneck, norm, false)?;
        }
    }
    network.global_avg_pool()?.head(init)
}

/// Its row.
pub fn row() -> Row<BuildModel> {
    Row {
        name: "resnet56",
        summary: "ResNet of bottlenecks with batch norm (FedML's for CIFAR); blocks: 6 in each stage make it 56 \
                  deep",
        example: "{name: resnet56, blocks: 6, statistics: aggregated, init: resnet}",
        positional: &["blocks"],
        build: |choice, shape| build(&choice.options()?, shape),
    }
}
