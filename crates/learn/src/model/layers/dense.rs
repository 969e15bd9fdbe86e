//! Fully connected layers, and what surrounds them.

use super::{BuildLayer, NumberOr, size};
use crate::layer::Activation;
use hcddl_core::domain::{NoOptions, Row, options};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;

#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Linear {
    /// Values that come out; `classes` for as many as the data wants.
    outputs: Outputs,
    /// What follows.
    #[serde(default = "identity")]
    activation: Activation,
}

pub(super) fn identity() -> Activation {
    Activation::Identity
}

struct Outputs(NumberOr);

impl JsonSchema for Outputs {
    fn schema_name() -> Cow<'static, str> {
        "Outputs".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        NumberOr::schema(&["classes"])
    }
}

impl<'de> Deserialize<'de> for Outputs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        NumberOr::read(deserializer, &["classes"]).map(Self)
    }
}

#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Embedding {
    /// Values for each token.
    width: usize,
    /// The token whose values stay 0; null for none.
    #[serde(default = "zero")]
    padding: Option<usize>,
}

fn zero() -> Option<usize> {
    Some(0)
}

pub(super) fn rows() -> Vec<Row<BuildLayer>> {
    vec![
        Row {
            name: "linear",
            summary: "fully connected; outputs is a number, or `classes` for as many as the data wants",
            example: "{name: linear, outputs: 64, activation: identity}",
            positional: &["outputs", "activation"],
            options: options::<Linear>,
            build: |choice, _, network| {
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
            options: options::<NoOptions>,
            build: |choice, _, network| {
                let NoOptions {} = choice.options()?;
                network.flatten()
            },
        },
        Row {
            name: "embedding",
            summary: "a row of weights for each token; that of the padding token stays 0 (padding: null for none)",
            example: "{name: embedding, width: 8, padding: 0}",
            positional: &["width"],
            options: options::<Embedding>,
            build: |choice, _, network| {
                let Embedding { width, padding } = choice.options()?;
                network.embedding(size("width", width)?, padding)
            },
        },
    ]
}
