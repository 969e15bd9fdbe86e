//! How parameters start. Element by element in flat order, from the stream "init" of each tensor.

use crate::layer::{Role, Tensor};
use hcddl_core::domain::{
    Build, Choice, NoOptions, OptionError, Options, Pick, Pluggable, Row, Stream, Table, Tables, options,
};
use serde::Deserialize;

/// A scheme for weights and biases; normalisations and statistics start at their own fixed values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// Uniform within sqrt(6 / (fan in + fan out)), zero bias (Glorot and Bengio, 2010; Keras' default, and
    /// MXNet's Xavier with magnitude 3).
    GlorotUniform,
    /// Uniform within 1 / sqrt(fan in), bias too (PyTorch's default for linear, convolution and recurrent
    /// layers); embeddings are standard normal.
    Torch,
    /// Normal of variance 2 / fan out, zero bias (He et al., Delving Deep into Rectifiers, 2015).
    HeNormal,
    /// Convolutions as [`Init::HeNormal`], all else as [`Init::Torch`]: how PyTorch's and FedML's ResNets start.
    Resnet,
    /// Weights of the first layer uniform within sqrt(6 / fan out), all else as [`Init::Torch`]: how DiNNO's
    /// FourierNet starts.
    Fourier,
    /// Normal of this standard deviation, bias too.
    Normal(f64),
}

/// Makes a scheme from its options.
pub type BuildInit = Build<Init>;

impl Pluggable for Init {
    type Build = BuildInit;
    const KIND: &'static str = "init";
    const LIST: &'static str = "inits";
}

/// All schemes.
#[must_use]
pub fn table() -> Table<BuildInit> {
    const ROWS: [(&str, &str, &str, BuildInit); 6] = [
        (
            "glorot_uniform",
            "uniform within sqrt(6 / (fan in + fan out)), zero bias (Keras; MXNet's Xavier)",
            "{name: glorot_uniform}",
            |choice, _| plain(choice, Init::GlorotUniform),
        ),
        (
            "torch",
            "uniform within 1 / sqrt(fan in), bias too; embeddings standard normal (PyTorch)",
            "{name: torch}",
            |choice, _| plain(choice, Init::Torch),
        ),
        ("he_normal", "normal of variance 2 / fan out, zero bias", "{name: he_normal}", |choice, _| {
            plain(choice, Init::HeNormal)
        }),
        ("resnet", "convolutions as he_normal, all else as torch", "{name: resnet}", |choice, _| {
            plain(choice, Init::Resnet)
        }),
        (
            "fourier",
            "weights of the first layer uniform within sqrt(6 / fan out), all else as torch",
            "{name: fourier}",
            |choice, _| plain(choice, Init::Fourier),
        ),
        (
            "normal",
            "normal of this standard deviation, bias too",
            "{name: normal, deviation: 0.1}",
            |choice, _| {
                let Normal { deviation } = choice.options()?;
                let ok = deviation.is_finite() && deviation > 0.0;
                OptionError::check(ok, "deviation", deviation, "above 0")?;
                Ok(Init::Normal(deviation))
            },
        ),
    ];
    let row = |(name, summary, example, build)| {
        let (positional, options): (&[&str], Options) = match name {
            "normal" => (&["deviation"], options::<Normal>),
            _ => (&[], options::<NoOptions>),
        };
        Row { name, summary, example, positional, options, build }
    };
    Table::new::<Init>(ROWS.into_iter().map(row).collect())
}

#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Normal {
    /// The standard deviation.
    deviation: f64,
}

fn plain(choice: &Choice, init: Init) -> Result<Init, OptionError> {
    let NoOptions {} = choice.options()?;
    Ok(init)
}

/// The scheme that the option `init` of a model names. Scenarios of before the schema had the rows may also write it as
/// one pair, `{normal: 0.1}`.
pub(super) fn scheme(init: &Pick<Init>, tables: &dyn Tables) -> Result<Init, OptionError> {
    let pair = init.value().as_object().filter(|map| map.len() == 1).and_then(|map| map.iter().next());
    let built = match pair.filter(|(name, _)| *name != "name") {
        Some((name, value)) => Pick::<Init>::text(&format!("{name}({value})")).build(tables),
        None => init.build(tables),
    };
    built.map_err(|error| error.below("init"))
}

/// What one element is drawn from.
enum Draw {
    Constant(f32),
    Uniform(f64),
    Normal(f64),
}

impl Init {
    /// What tensor number `index` of a model is drawn from.
    fn draw(self, tensor: &Tensor, index: u64) -> Draw {
        let is_bias = tensor.role == Role::Bias;
        let is_convolution = tensor.role == Role::Weight && tensor.shape.len() == 4;
        let he_normal = Draw::Normal((2.0 / tensor.fan_out as f64).sqrt());
        match (tensor.role, self) {
            (Role::Scale, _) => Draw::Constant(1.0),
            (Role::Shift, _) => Draw::Constant(0.0),
            (Role::Statistic { start, .. }, _) => Draw::Constant(start),
            (Role::Uniform(0.0), _) => Draw::Constant(0.0),
            (Role::Uniform(bound), _) => Draw::Uniform(bound),
            (_, Self::Normal(deviation)) => Draw::Normal(deviation),
            (Role::Embedding { .. }, Self::GlorotUniform) => Draw::Uniform(0.05),
            (Role::Embedding { .. }, _) => Draw::Normal(1.0),
            (_, Self::Resnet) if is_convolution => he_normal,
            (_, Self::Fourier) if index == 0 => Draw::Uniform((6.0 / tensor.fan_out as f64).sqrt()),
            (_, Self::Torch | Self::Resnet | Self::Fourier) => {
                Draw::Uniform(1.0 / (tensor.fan_in as f64).sqrt())
            }
            (_, Self::GlorotUniform | Self::HeNormal) if is_bias => Draw::Constant(0.0),
            (_, Self::GlorotUniform) => Draw::Uniform((6.0 / (tensor.fan_in + tensor.fan_out) as f64).sqrt()),
            (_, Self::HeNormal) => he_normal,
        }
    }

    /// Appends the first values of tensor number `index` of a model.
    pub(super) fn fill(self, tensor: &Tensor, seed: u64, index: u64, params: &mut Vec<f32>) {
        let mut stream = Stream::new(seed, "init", index, 0);
        let start = params.len();
        match self.draw(tensor, index) {
            Draw::Constant(value) => params.resize(start + tensor.len(), value),
            Draw::Uniform(bound) => {
                params.extend((0..tensor.len()).map(|_| ((2.0 * stream.uniform() - 1.0) * bound) as f32));
            }
            Draw::Normal(deviation) => {
                params.extend((0..tensor.len()).map(|_| (stream.normal() * deviation) as f32));
            }
        }
        if let Role::Embedding { padding: Some(token) } = tensor.role {
            let width = tensor.shape[1];
            params[start + token * width..start + (token + 1) * width].fill(0.0);
        }
    }
}

#[cfg(test)]
#[path = "init_tests.rs"]
mod tests;
