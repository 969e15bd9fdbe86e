//! What the larger image models are made of.

use super::NetworkBuilder;
use crate::layer::{Activation, Conv2d, Statistics};
use hcddl_core::domain::OptionError;

/// A normalisation.
#[derive(Clone, Copy)]
pub(super) enum Norm {
    /// Group norm with so many channels in a group (fewer where they do not divide the channels).
    Groups(usize),
    /// Batch norm.
    Batch(Statistics),
}

impl Norm {
    fn add(self, network: NetworkBuilder) -> Result<NetworkBuilder, OptionError> {
        match self {
            Self::Groups(channels) => {
                let groups = network.image()?.0 / channels;
                network.group_norm(groups)
            }
            Self::Batch(statistics) => network.batch_norm(statistics),
        }
    }
}

/// A convolution without bias, given as (filters, kernel, stride), that keeps the size of the image at stride 1;
/// then a normalisation.
pub(super) fn convolved(
    network: NetworkBuilder,
    (filters, kernel, stride): (usize, usize, usize),
    norm: Norm,
) -> Result<NetworkBuilder, OptionError> {
    let change = |plain| Conv2d { stride, padding: kernel / 2, bias: false, ..plain };
    norm.add(network.conv2d_with(filters, kernel, change)?)
}

/// A residual block of such convolutions with a ReLU after each. Where their output has another shape than the
/// input, the shortcut is a 1x1 convolution with a normalisation.
pub(super) fn residual(
    network: NetworkBuilder,
    convolutions: &[(usize, usize, usize)],
    norm: Norm,
    zero_start: bool,
) -> Result<NetworkBuilder, OptionError> {
    let mut body = network.branch();
    for (index, convolution) in convolutions.iter().enumerate() {
        if index > 0 {
            body = body.activation(Activation::Relu)?;
        }
        body = convolved(body, *convolution, norm)?;
    }
    let shortcut = if body.now() == network.now() {
        None
    } else {
        let stride = convolutions.iter().map(|(_, _, stride)| stride).product();
        Some(convolved(network.branch(), (body.image()?.0, 1, stride), norm)?)
    };
    network.residual(body, shortcut, Activation::Relu, zero_start)
}
