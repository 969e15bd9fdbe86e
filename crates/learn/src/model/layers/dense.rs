//! Fully connected layers, and what surrounds them.

use super::{BuildLayer, NumberOr, size};
use crate::layer::Activation;
use hcddl_core::domain::Row;
use serde::{Deserialize, Deserializer};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Linear {
    outputs: Outputs,
    #[serde(default = "identity")]
    activation: Activation,
}

pub(super) fn identity() -> Activation {
    Activation::Identity
}

struct Outputs(NumberOr);

impl<'de> Deserialize<'de> for Outputs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        NumberOr::read(deserializer, &["classes"]).map(Self)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Embedding {
    width: usize,
    #[serde(default = "zero")]
    padding: Option<usize>,
}

fn zero() -> Option<usize> {
    Some(0)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NoOptions {}

pub(super) fn rows() -> Vec<Row<BuildLayer>> {
    vec![
        Row {
            name: "linear",
            summary: "fully connected; outputs is a number, or `classes` for as many as the data wants",
            example: "{name: linear, outputs: 64, activation: identity}",
            positional: &["outputs", "activation"],
            build: |choice, network| {
                let Linear { outputs: Outputs(outputs), activation } = choice.options()?;
                let outputs = match outputs {
                    NumberOr::Number(outputs) => size("outputs", outputs)?,
                    NumberOr::Word(_) => network.data().output_len(),
                };
                network.linear(outputs, activation)
            },
        },
        Row {
            name: "flatten",
            summary: "makes one row of an image; linear layers do so by themselves",
            example: "{name: flatten}",
            positional: &[],
            build: |choice, network| {
                let NoOptions {} = choice.options()?;
                network.flatten()
            },
        },
        Row {
            name: "embedding",
            summary: "a row of weights for each token; that of the padding token stays 0 (padding: null for none)",
            example: "{name: embedding, width: 8, padding: 0}",
            positional: &["width"],
            build: |choice, network| {
                let Embedding { width, padding } = choice.options()?;
                network.embedding(size("width", width)?, padding)
            },
        },
    ]
}
