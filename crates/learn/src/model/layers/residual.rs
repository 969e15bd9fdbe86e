//! Residual blocks.

use super::{BuildLayer, add};
use crate::layer::Activation;
use hcddl_core::domain::Row;
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    layers: Vec<Value>,
    #[serde(default)]
    shortcut: Vec<Value>,
    #[serde(default)]
    activation: Activation,
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
        build: |choice, network| {
            let options: Options = choice.options()?;
            let body = add(network.branch(), &options.layers, "layers")?;
            let shortcut = add(network.branch(), &options.shortcut, "shortcut")?;
            network.residual(body, Some(shortcut), options.activation, options.zero_start)
        },
    }]
}
