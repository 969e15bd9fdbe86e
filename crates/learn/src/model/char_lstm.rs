//! The next character of Shakespeare (McMahan et al., 2017; FedML's python/fedml/model/nlp/rnn.py): embedding, two
//! LSTM layers, the last step to the characters. 822,570 parameters with 90 characters.

use super::{BuildModel, Cell, Init, Network, NetworkBuilder};
use crate::layer::LastStep;
use crate::model::DataShape;
use hcddl_core::domain::{OptionError, Row};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Options {
    embedding: usize,
    hidden: usize,
    layers: usize,
    init: Init,
}

impl Default for Options {
    fn default() -> Self {
        Self { embedding: 8, hidden: 256, layers: 2, init: Init::Torch }
    }
}

fn build(options: &Options, shape: &DataShape) -> Result<Network, OptionError> {
    let Options { embedding, hidden, layers, init } = *options;
    for (key, value) in [("embedding", embedding), ("hidden", hidden)] {
        OptionError::check((1..=65_536).contains(&value), key, value, "1 to 65536")?;
    }
    OptionError::check((1..=64).contains(&layers), "layers", layers, "1 to 64")?;
    let network = NetworkBuilder::new(shape).embedding(embedding, Some(0))?;
    let network = network.recurrent(Cell::Lstm, hidden, layers, 0.0)?;
    network.elementwise(|len| LastStep { len })?.head(init)
}

/// Its row.
pub fn row() -> Row<BuildModel> {
    Row {
        name: "char_lstm",
        summary: "the next token of a text: embedding, LSTM layers, linear on the last step",
        example: "{name: char_lstm, embedding: 8, hidden: 256, layers: 2, init: torch}",
        positional: &[],
        build: |choice, shape| build(&choice.options()?, shape),
    }
}
