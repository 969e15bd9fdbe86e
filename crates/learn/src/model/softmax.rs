//! Multinomial logistic regression: one linear layer under softmax cross-entropy.

use super::{BuildModel, Init, NetworkBuilder};
use crate::layer::Activation;
use crate::model::Output;
use hcddl_core::domain::{OptionError, Row};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Options {
    activation: Before,
    init: Init,
}

impl Default for Options {
    fn default() -> Self {
        Self { activation: Before::Softmax, init: Init::GlorotUniform }
    }
}

/// What comes before the cross-entropy, which has a softmax of its own.
#[derive(Clone, Copy, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Before {
    /// Nothing else.
    Softmax,
    /// A sigmoid: FedML's logistic regression (python/fedml/model/linear/lr.py).
    Sigmoid,
}

/// Its row.
pub fn row() -> Row<BuildModel> {
    Row {
        name: "softmax",
        summary: "logistic regression with a softmax over the classes; activation: sigmoid puts a sigmoid before \
                  it, as FedML does",
        example: "{name: softmax, activation: softmax, init: glorot_uniform}",
        positional: &[],
        build: |choice, shape| {
            let options: Options = choice.options()?;
            let network = NetworkBuilder::new(shape);
            if options.activation == Before::Softmax {
                return network.head(options.init);
            }
            if !matches!(shape.output, Output::Classes(_) | Output::Tags(_)) {
                let message = format!("a sigmoid before a softmax, where the data has {}", shape.output);
                return Err(OptionError::new("activation", message, "softmax, or data of classes"));
            }
            network.linear(shape.output_len(), Activation::Sigmoid)?.finish(None, options.init)
        },
    }
}
