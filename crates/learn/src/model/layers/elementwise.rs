//! What works on each value, or on each row as a whole.

use super::BuildLayer;
use super::dense::NoOptions;
use crate::layer::{Activation, Dropout, LogSoftmax, Sine};
use crate::model::NetworkBuilder;
use hcddl_core::domain::{Choice, OptionError, Row};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SineOptions {
    #[serde(default = "one")]
    scale: f32,
}

fn one() -> f32 {
    1.0
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DropoutOptions {
    p: f32,
}

/// An activation, fused into the layer before it where that can have one.
fn activated(
    choice: &Choice,
    network: NetworkBuilder,
    activation: Activation,
) -> Result<NetworkBuilder, OptionError> {
    let NoOptions {} = choice.options()?;
    network.activation(activation)
}

fn activations() -> [Row<BuildLayer>; 3] {
    [
        Row {
            name: "relu",
            summary: "max(x, 0)",
            example: "{name: relu}",
            positional: &[],
            build: |choice, network| activated(choice, network, Activation::Relu),
        },
        Row {
            name: "tanh",
            summary: "hyperbolic tangent",
            example: "{name: tanh}",
            positional: &[],
            build: |choice, network| activated(choice, network, Activation::Tanh),
        },
        Row {
            name: "sigmoid",
            summary: "1 / (1 + exp(-x))",
            example: "{name: sigmoid}",
            positional: &[],
            build: |choice, network| activated(choice, network, Activation::Sigmoid),
        },
    ]
}

pub(super) fn rows() -> Vec<Row<BuildLayer>> {
    activations().into_iter().chain(others()).collect()
}

fn others() -> [Row<BuildLayer>; 3] {
    [
        Row {
            name: "sine",
            summary: "sin(scale x)",
            example: "{name: sine, scale: 1.0}",
            positional: &["scale"],
            build: |choice, network| {
                let SineOptions { scale } = choice.options()?;
                OptionError::check(scale.is_finite() && scale > 0.0, "scale", scale, "above 0")?;
                network.elementwise(|len| Sine { len, scale })
            },
        },
        Row {
            name: "log_softmax",
            summary: "logarithms of the classes' probabilities; the loss is then nll",
            example: "{name: log_softmax}",
            positional: &[],
            build: |choice, network| {
                let NoOptions {} = choice.options()?;
                network.elementwise(|len| LogSoftmax { len })
            },
        },
        Row {
            name: "dropout",
            summary: "while training, sets each value to 0 with probability p and scales the others up",
            example: "{name: dropout, p: 0.5}",
            positional: &["p"],
            build: |choice, network| {
                let DropoutOptions { p } = choice.options()?;
                OptionError::check((0.0..1.0).contains(&p), "p", p, "0 to below 1")?;
                network.elementwise(|len| Dropout { len, p })
            },
        },
    ]
}
