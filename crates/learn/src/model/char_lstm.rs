//! The next character of Shakespeare (McMahan et al., 2017; FedML's python/fedml/model/nlp/rnn.py): embedding, two
//! LSTM layers, the last step to the characters. 822,570 parameters with 90 characters.

use super::init::scheme;
use super::{BuildModel, Cell, Init, Network, NetworkBuilder};
use crate::layer::LastStep;
use crate::model::DataShape;
use hcddl_core::domain::{OptionError, Pick, Row, Tables, options};
use serde::Deserialize;

#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Options {
    /// Values of a letter's embedding.
    embedding: usize,
    /// Values of each layer's state.
    hidden: usize,
    /// Recurrent layers.
    layers: usize,
    /// How parameters start.
    init: Pick<Init>,
}

impl Default for Options {
    fn default() -> Self {
        Self { embedding: 8, hidden: 256, layers: 2, init: Pick::text("torch") }
    }
}

fn build(options: Options, tables: &dyn Tables, shape: &DataShape) -> Result<Network, OptionError> {
    let Options { embedding, hidden, layers, init } = options;
    for (key, value) in [("embedding", embedding), ("hidden", hidden)] {
        OptionError::check((1..=65_536).contains(&value), key, value, "1 to 65536")?;
    }
    OptionError::check((1..=64).contains(&layers), "layers", layers, "1 to 64")?;
    let network = NetworkBuilder::new(shape).embedding(embedding, Some(0))?;
    let network = network.recurrent(Cell::Lstm, hidden, layers, 0.0)?;
    network.elementwise(|len| LastStep { len })?.head(scheme(&init, tables)?)
}

/// Its row.
pub fn row() -> Row<BuildModel> {
    Row {
        name: "char_lstm",
        summary: "the next token of a text: embedding, LSTM layers, linear on the last step",
        example: "{name: char_lstm, embedding: 8, hidden: 256, layers: 2, init: torch}",
        positional: &[],
        options: options::<Options>,
        build: |choice, tables, shape| build(choice.options()?, tables, shape),
    }
}
