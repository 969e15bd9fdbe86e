//! The FourierNet of DiNNO's density problem (Yu, Vincent and Schwager, 2022): sines of a linear map, then ReLU
//! layers. 25,601 parameters from 2 coordinates to 1 density.

use super::{BuildModel, Init, NetworkBuilder};
use crate::layer::Activation::{Identity, Relu};
use crate::layer::Sine;
use hcddl_core::domain::{OptionError, Row};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Options {
    /// Outputs of each hidden layer; the first is the one with sines.
    hidden: Vec<usize>,
    /// Angular frequency of the sines.
    scale: f32,
    init: Init,
}

impl Default for Options {
    fn default() -> Self {
        Self { hidden: vec![256, 64, 64, 64], scale: 0.05, init: Init::Fourier }
    }
}

/// Its row.
pub fn row() -> Row<BuildModel> {
    Row {
        name: "fourier",
        summary: "the FourierNet of DiNNO: relu(sin(scale (Wx + b))), then ReLU layers of the other widths",
        example: "{name: fourier, hidden: [256, 64, 64, 64], scale: 0.05, init: fourier}",
        positional: &[],
        build: |choice, shape| {
            let options: Options = choice.options()?;
            let Some((sines, others)) = options.hidden.split_first() else {
                return Err(OptionError::new(
                    "hidden",
                    "no hidden layer",
                    "one width or more, as in [256, 64]",
                ));
            };
            if let Some(width) = options.hidden.iter().find(|width| !(1..=65_536).contains(*width)) {
                let message = format!("a hidden layer of width {width}");
                return Err(OptionError::new("hidden", message, "widths from 1 to 65536, as in [256, 64]"));
            }
            let scale = options.scale;
            OptionError::check(scale.is_finite() && scale > 0.0, "scale", scale, "above 0")?;
            let network = NetworkBuilder::new(shape).linear(*sines, Identity)?;
            let mut network = network.elementwise(|len| Sine { len, scale })?.activation(Relu)?;
            for width in others {
                network = network.linear(*width, Relu)?;
            }
            network.head(options.init)
        },
    }
}
