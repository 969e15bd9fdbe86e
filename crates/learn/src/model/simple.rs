//! The simple net of HiPS: one dense layer, started as MXNet's Xavier does.

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
        Self { init: Init::GlorotUniform }
    }
}

/// Its row.
pub fn row() -> Row<BuildModel> {
    Row {
        name: "simple",
        summary: "the simple net of HiPS: one dense layer for the classes",
        example: "{name: simple, init: glorot_uniform}",
        positional: &[],
        build: |choice, shape| {
            let options: Options = choice.options()?;
            NetworkBuilder::new(shape).head(options.init)
        },
    }
}
