//! A model written in the scenario: layers one after another.

use super::init::scheme;
use super::{BuildModel, Init, NetworkBuilder, layers};
use crate::loss::Loss;
use hcddl_core::domain::{OptionError, Pick, Row, options};
use serde::Deserialize;

#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Options {
    /// The layers, in order.
    layers: Vec<Pick<NetworkBuilder>>,
    /// What is minimised. Default: what fits the data.
    loss: Option<Loss>,
    #[serde(default = "torch")]
    /// How parameters start.
    init: Pick<Init>,
}

fn torch() -> Pick<Init> {
    Pick::text("torch")
}

/// Its row.
pub fn row() -> Row<BuildModel> {
    Row {
        name: "layers",
        summary: "your own: layers one after another (`hcddl list layers`); the loss is by default the one that \
                  fits the data",
        example: "{name: layers, layers: [linear(64), relu, linear(classes)], init: torch}",
        positional: &[],
        options: options::<Options>,
        build: |choice, tables, shape| {
            let options: Options = choice.options()?;
            let network = layers::add(NetworkBuilder::new(shape), &options.layers, "layers", tables)?;
            let end = match options.layers.len() {
                0 => "layers".to_owned(),
                count => format!("layers[{}]", count - 1),
            };
            let at_end = |error: OptionError| if error.key.is_empty() { error.below(&end) } else { error };
            network.finish(options.loss, scheme(&options.init, tables)?).map_err(at_end)
        },
    }
}
