//! Multi-layer perceptron.

use super::{BuildModel, Init, NetworkBuilder};
use crate::layer::Activation;
use hcddl_core::domain::{OptionError, Row};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Options {
    /// Outputs of each hidden layer.
    hidden: Vec<usize>,
    activation: Activation,
    init: Init,
}

impl Default for Options {
    fn default() -> Self {
        Self { hidden: vec![128], activation: Activation::Relu, init: Init::GlorotUniform }
    }
}

/// Its row.
pub fn row() -> Row<BuildModel> {
    Row {
        name: "mlp",
        summary: "fully connected layers; hidden lists their widths, activation is relu, tanh, sigmoid or identity",
        example: "{name: mlp, hidden: [128], activation: relu, init: glorot_uniform}",
        positional: &[],
        build: |choice, shape| {
            let options: Options = choice.options()?;
            if let Some(width) = options.hidden.iter().find(|width| !(1..=65_536).contains(*width)) {
                let message = format!("a hidden layer of width {width}");
                return Err(OptionError::new("hidden", message, "widths from 1 to 65536, as in [128, 64]"));
            }
            let mut network = NetworkBuilder::new(shape);
            for width in &options.hidden {
                network = network.linear(*width, options.activation)?;
            }
            network.head(options.init)
        },
    }
}
