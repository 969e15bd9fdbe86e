//! Layers over the steps of sequences.

use super::dense::NoOptions;
use super::{BuildLayer, size};
use crate::layer::LastStep;
use crate::model::{Cell, NetworkBuilder};
use hcddl_core::domain::{Choice, OptionError, Row};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    hidden: usize,
    #[serde(default = "one")]
    layers: usize,
    #[serde(default)]
    dropout: f32,
}

fn one() -> usize {
    1
}

fn recurrent(choice: &Choice, network: NetworkBuilder, cell: Cell) -> Result<NetworkBuilder, OptionError> {
    let Options { hidden, layers, dropout } = choice.options()?;
    let hidden = size("hidden", hidden)?;
    OptionError::check((1..=64).contains(&layers), "layers", layers, "1 to 64")?;
    OptionError::check((0.0..1.0).contains(&dropout), "dropout", dropout, "0 to below 1")?;
    network.recurrent(cell, hidden, layers, dropout)
}

pub(super) fn rows() -> Vec<Row<BuildLayer>> {
    vec![
        Row {
            name: "gru",
            summary: "gated recurrent units over the steps of sequences; dropout is between the layers",
            example: "{name: gru, hidden: 16, layers: 1, dropout: 0.0}",
            positional: &["hidden", "layers", "dropout"],
            build: |choice, network| recurrent(choice, network, Cell::Gru),
        },
        Row {
            name: "lstm",
            summary: "long short-term memory over the steps of sequences; dropout is between the layers",
            example: "{name: lstm, hidden: 16, layers: 1, dropout: 0.0}",
            positional: &["hidden", "layers", "dropout"],
            build: |choice, network| recurrent(choice, network, Cell::Lstm),
        },
        Row {
            name: "last_step",
            summary: "only the last step of each sequence",
            example: "{name: last_step}",
            positional: &[],
            build: |choice, network| {
                let NoOptions {} = choice.options()?;
                if !network.is_sequence() {
                    let message = "its input has no time steps";
                    return Err(OptionError::new("", message, "data of sequences, and `last_step` once"));
                }
                network.elementwise(|len| LastStep { len })
            },
        },
    ]
}
