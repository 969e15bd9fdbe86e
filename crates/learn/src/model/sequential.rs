//! A model written in the scenario: layers one after another.

use super::{BuildModel, Init, NetworkBuilder, layers};
use crate::loss::Loss;
use hcddl_core::domain::{OptionError, Row};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    layers: Vec<Value>,
    loss: Option<Loss>,
    #[serde(default = "torch")]
    init: Init,
}

fn torch() -> Init {
    Init::Torch
}

/// Its row.
pub fn row() -> Row<BuildModel> {
    Row {
        name: "layers",
        summary: "your own: layers one after another (`hcddl list layers`); the loss is by default the one that \
                  fits the data",
        example: "{name: layers, layers: [linear(64), relu, linear(classes)], init: torch}",
        positional: &[],
        build: |choice, shape| {
            let options: Options = choice.options()?;
            let network = layers::add(NetworkBuilder::within(shape), &options.layers, "layers")?;
            let end = match options.layers.len() {
                0 => "layers".to_owned(),
                count => format!("layers[{}]", count - 1),
            };
            let at_end = |error: OptionError| if error.key.is_empty() { error.below(&end) } else { error };
            network.finish(options.loss, options.init).map_err(at_end)
        },
    }
}
