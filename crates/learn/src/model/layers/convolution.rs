//! Convolutions.

use super::dense::identity;
use super::{BuildLayer, NumberOr, size};
use crate::layer::{self, Activation};
use hcddl_core::domain::{OptionError, Row};
use serde::{Deserialize, Deserializer};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Conv2d {
    filters: usize,
    kernel: usize,
    #[serde(default = "one")]
    stride: usize,
    #[serde(default)]
    padding: Padding,
    #[serde(default = "one")]
    groups: usize,
    #[serde(default = "yes")]
    bias: bool,
    #[serde(default = "identity")]
    activation: Activation,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Depthwise {
    kernel: usize,
    #[serde(default = "one")]
    stride: usize,
    #[serde(default)]
    padding: Padding,
    #[serde(default = "yes")]
    bias: bool,
    #[serde(default = "identity")]
    activation: Activation,
}

fn one() -> usize {
    1
}

fn yes() -> bool {
    true
}

struct Padding(NumberOr);

impl Default for Padding {
    fn default() -> Self {
        Self(NumberOr::Number(0))
    }
}

impl<'de> Deserialize<'de> for Padding {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        NumberOr::read(deserializer, &["same"]).map(Self)
    }
}

impl Padding {
    /// Zeros on each side of an image; `same` keeps its size where the stride is 1.
    fn around(&self, kernel: usize) -> Result<usize, OptionError> {
        match self.0 {
            NumberOr::Number(padding) => {
                OptionError::check(padding < kernel, "padding", padding, "less than the kernel, or `same`")?;
                Ok(padding)
            }
            NumberOr::Word(_) if kernel % 2 == 1 => Ok(kernel / 2),
            NumberOr::Word(_) => {
                let message = format!("`same` around a kernel of {kernel}");
                Err(OptionError::new("padding", message, "`same` with an odd kernel, or a number"))
            }
        }
    }
}

pub(super) fn rows() -> Vec<Row<BuildLayer>> {
    vec![
        Row {
            name: "conv2d",
            summary: "convolution of images; padding is a number or `same`",
            example: "{name: conv2d, filters: 8, kernel: 3, stride: 1, padding: 0, groups: 1, bias: true, \
                      activation: identity}",
            positional: &["filters", "kernel", "stride", "padding"],
            build: |choice, network| {
                let Conv2d { filters, kernel, stride, padding, groups, bias, activation } =
                    choice.options()?;
                let (filters, kernel) = (size("filters", filters)?, size("kernel", kernel)?);
                let (stride, padding) = (size("stride", stride)?, padding.around(kernel)?);
                network.conv2d_with(filters, kernel, |plain| layer::Conv2d {
                    stride,
                    padding,
                    groups,
                    bias,
                    activation,
                    ..plain
                })
            },
        },
        Row {
            name: "depthwise",
            summary: "convolution of each channel on its own",
            example: "{name: depthwise, kernel: 3, stride: 1, padding: same, bias: true, activation: identity}",
            positional: &["kernel", "stride", "padding"],
            build: |choice, network| {
                let Depthwise { kernel, stride, padding, bias, activation } = choice.options()?;
                let (groups, kernel) = (network.image()?.0, size("kernel", kernel)?);
                let (stride, padding) = (size("stride", stride)?, padding.around(kernel)?);
                network.conv2d_with(groups, kernel, |plain| layer::Conv2d {
                    stride,
                    padding,
                    groups,
                    bias,
                    activation,
                    ..plain
                })
            },
        },
    ]
}
