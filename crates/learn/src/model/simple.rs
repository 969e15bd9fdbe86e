//! The simple net of HiPS: one dense layer, started as MXNet's Xavier does.

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
        Self { init: Pick::text("glorot_uniform") }
    }
}

/// Its row.
pub fn row() -> Row<BuildModel> {
    Row {
        name: "simple",
        summary: "the simple net of HiPS: one dense layer for the classes",
        example: "{name: simple, init: glorot_uniform}",
        positional: &[],
        options: options::<Options>,
        build: |choice, tables, shape| {
            let options: Options = choice.options()?;
            NetworkBuilder::new(shape).head(scheme(&options.init, tables)?)
        },
    }
}
