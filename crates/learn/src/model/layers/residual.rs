//! Residual blocks.

use super::{BuildLayer, add};
use crate::layer::Activation;
use crate::model::NetworkBuilder;
use hcddl_core::domain::{Pick, Row, options};
use serde::Deserialize;

#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Options {
    /// The layers of its body.
    layers: Vec<Pick<NetworkBuilder>>,
    /// The layers beside it; none for the input itself.
    #[serde(default)]
    shortcut: Vec<Pick<NetworkBuilder>>,
    /// What follows the sum.
    #[serde(default)]
    activation: Activation,
    /// Whether the last scale of the body starts at 0.
    #[serde(default)]
    zero_start: bool,
}

pub(super) fn rows() -> Vec<Row<BuildLayer>> {
    vec![Row {
        name: "residual",
        summary: "activation(layers(x) + shortcut(x)); without a shortcut x itself is added; zero_start: true \
                  lets the last scale of the layers start at 0",
        example: "{name: residual, layers: [{name: conv2d, filters: 1, kernel: 3, padding: same}], shortcut: [], \
                  activation: relu, zero_start: false}",
        positional: &[],
        options: options::<Options>,
        build: |choice, tables, network| {
            let options: Options = choice.options()?;
            let body = add(network.branch(), &options.layers, "layers", tables)?;
            let shortcut = add(network.branch(), &options.shortcut, "shortcut", tables)?;
            network.residual(body, Some(shortcut), options.activation, options.zero_start)
        },
    }]
}
