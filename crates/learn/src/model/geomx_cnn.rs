//! The CNN of GeoMX's examples (examples/cnn.py): two convolutions, two hidden layers. 178,762 parameters on
//! 28x28 images of 10 classes.

use super::{BuildModel, Init, NetworkBuilder};
use crate::layer::Activation::Relu;
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
        name: "geomx_cnn",
        summary: "the CNN of GeoMX: 16 and 32 filters 5x5 with ReLU and max pooling, then 256, 128 and the classes",
        example: "{name: geomx_cnn, init: glorot_uniform}",
        positional: &[],
        build: |choice, shape| {
            let options: Options = choice.options()?;
            let features = NetworkBuilder::new(shape).conv2d(16, 5, Relu)?.max_pool(2)?;
            let features = features.conv2d(32, 5, Relu)?.max_pool(2)?;
            features.linear(256, Relu)?.linear(128, Relu)?.head(options.init)
        },
    }
}
