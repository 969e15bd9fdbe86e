//! One linear layer, mostly for numbers under the mean squared error: linear regression. With a class as
//! output it is logistic regression under PyTorch's initialisation.

use super::{BuildModel, Init, NetworkBuilder};
use hcddl_core::domain::Row;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Options {
    init: Init,
}

impl Default for Options {
    fn default() -> Self {
        Self { init: Init::Torch }
    }
}

/// Its row.
pub fn row() -> Row<BuildModel> {
    Row {
        name: "linear",
        summary: "one linear layer under the loss that fits the data: linear regression for numbers",
        example: "{name: linear, init: torch}",
        positional: &[],
        build: |choice, shape| {
            let options: Options = choice.options()?;
            NetworkBuilder::new(shape).head(options.init)
        },
    }
}
