//! The ResNet-18 of FedML for Fed-CIFAR-100 (python/fedml/model/cv/resnet_gn.py): He et al., Deep residual
//! learning for image recognition, 2016, with group norm (Wu and He, 2018) in place of batch norm, as Hsieh et
//! al., The non-IID data quagmire, 2020, recommend. 11,227,812 parameters for 3 channels and 100 classes.
//!
//! Scale and shift are per channel, as PyTorch's; FedML's own group norm has them per group. FedML averages over
//! single pixels before the last layer, which fits only its 24x24 images, whose last output is 1x1; here the
//! mean of each channel lets other sizes in.

use super::blocks::{Norm, convolved, residual};
use super::{BuildModel, Init, Network, NetworkBuilder};
use crate::layer::Activation::Relu;
use crate::layer::PoolShape;
use crate::model::DataShape;
use hcddl_core::domain::{OptionError, Row};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Options {
    /// Filters of the first stage; the others have 2, 4 and 8 times as many.
    width: usize,
    /// Channels in a group.
    group: usize,
    init: Init,
}

impl Default for Options {
    fn default() -> Self {
        Self { width: 64, group: 2, init: Init::Resnet }
    }
}

fn build(options: &Options, shape: &DataShape) -> Result<Network, OptionError> {
    let Options { width, group, init } = *options;
    OptionError::check((1..=1024).contains(&width), "width", width, "1 to 1024")?;
    OptionError::check(group > 0 && width % group == 0, "group", group, "a number that divides the width")?;
    let norm = Norm::Groups(group);
    let network = convolved(NetworkBuilder::new(shape), (width, 7, 2), norm)?.activation(Relu)?;
    let mut network = network.max_pool_with(3, |plain| PoolShape { stride: 2, padding: 1, ..plain })?;
    for (stage, stride) in [(1, 1), (2, 2), (4, 2), (8, 2)] {
        let filters = stage * width;
        network = residual(network, &[(filters, 3, stride), (filters, 3, 1)], norm, true)?;
        network = residual(network, &[(filters, 3, 1), (filters, 3, 1)], norm, true)?;
    }
    network.global_avg_pool()?.head(init)
}

/// Its row.
pub fn row() -> Row<BuildModel> {
    Row {
        name: "resnet18_gn",
        summary: "ResNet-18 with group norm (FedML's for Fed-CIFAR-100); group is the channels in a group",
        example: "{name: resnet18_gn, width: 64, group: 2, init: resnet}",
        positional: &[],
        build: |choice, shape| build(&choice.options()?, shape),
    }
}
