//! The part-of-speech tagger of the POS system: embedding, two recurrent layers, a tag for each token, dropout
//! between all; every parameter starts normal with deviation 0.1. 1,076,414 parameters with 8,867 words and 18
//! tags; with LSTM cells 1,138,878.

use super::{BuildModel, Cell, Init, Network, NetworkBuilder};
use crate::layer::Dropout;
use crate::model::DataShape;
use hcddl_core::domain::{OptionError, Row};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Options {
    cell: Cell,
    embedding: usize,
    hidden: usize,
    layers: usize,
    dropout: f32,
    init: Init,
}

impl Default for Options {
    fn default() -> Self {
        let (cell, init) = (Cell::Gru, Init::Normal(0.1));
        Self { cell, embedding: 100, hidden: 128, layers: 2, dropout: 0.25, init }
    }
}

fn build(options: &Options, shape: &DataShape) -> Result<Network, OptionError> {
    let Options { cell, embedding, hidden, layers, dropout, init } = *options;
    for (key, value) in [("embedding", embedding), ("hidden", hidden)] {
        OptionError::check((1..=65_536).contains(&value), key, value, "1 to 65536")?;
    }
    OptionError::check((1..=64).contains(&layers), "layers", layers, "1 to 64")?;
    OptionError::check((0.0..1.0).contains(&dropout), "dropout", dropout, "0 to below 1")?;
    let network = NetworkBuilder::new(shape).embedding(embedding, Some(0))?;
    let network = network.elementwise(|len| Dropout { len, p: dropout })?;
    let network = network.recurrent(cell, hidden, layers, dropout)?;
    network.elementwise(|len| Dropout { len, p: dropout })?.head(init)
}

/// Its row.
pub fn row() -> Row<BuildModel> {
    Row {
        name: "gru_tagger",
        summary: "a tag for each token: embedding, recurrent layers (cell: gru or lstm), linear; with dropout",
        example: "{name: gru_tagger, cell: gru, embedding: 100, hidden: 128, layers: 2, dropout: 0.25, init: \
                  normal(0.1)}",
        positional: &["cell"],
        build: |choice, shape| build(&choice.options()?, shape),
    }
}
