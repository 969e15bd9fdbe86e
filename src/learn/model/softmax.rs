//! Multinomial logistic regression: one linear layer under softmax cross-entropy.

use super::{BuildModel, Init, NetworkBuilder};
use crate::domain::Row;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Options {
    init: Init,
}

impl Default for Options {
    fn default() -> Self {
        Self { init: Init::GlorotUniform }
    }
}

/// Its row.
pub fn row() -> Row<BuildModel> {
    Row {
        name: "softmax",
        summary: "logistic regression with a softmax over the classes",
        example: "{name: softmax, init: glorot_uniform}",
        positional: &[],
        build: |choice, shape| {
            let options: Options = choice.options()?;
            NetworkBuilder::new(shape).head(options.init)
        },
    }
}
