//! One linear layer, mostly for numbers under the mean squared error: linear regression. With a class as
//! output it is logistic regression under PyTorch's initialisation.

use super::init::scheme;
use super::{BuildModel, Init, NetworkBuilder};
use hcddl_core::domain::{Pick, Row, options};
use serde::Deserialize;

#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Options {
    /// How parameters start.
    init: Pick<Init>,
}

impl Default for Options {
    fn default() -> Self {
        Self { init: Pick::text("torch") }
    }
}

/// Its row.
pub fn row() -> Row<BuildModel> {
    Row {
        name: "linear",
        summary: "one linear layer under the loss that fits the data: linear regression for numbers",
        example: "{name: linear, init: torch}",
        positional: &[],
        options: options::<Options>,
        build: |choice, tables, shape| {
            let options: Options = choice.options()?;
            NetworkBuilder::new(shape).head(scheme(&options.init, tables)?)
        },
    }
}
