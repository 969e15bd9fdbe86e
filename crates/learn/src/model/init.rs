//! How parameters start. Element by element in flat order, from the stream "init" of each tensor.

use crate::layer::{Role, Tensor};
use hcddl_core::domain::{Choice, OptionError, Row, Stream, Table};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

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
pub type BuildInit = fn(&Choice) -> Result<Init, OptionError>;

/// All schemes.
#[must_use]
pub fn table() -> Table<BuildInit> {
    const ROWS: [(&str, &str, &str, BuildInit); 6] = [
        (
            "glorot_uniform",
            "uniform within sqrt(6 / (fan in + fan out)), zero bias (Keras; MXNet's Xavier)",
            "{name: glorot_uniform}",
            |choice| plain(choice, Init::GlorotUniform),
        ),
        (
            "torch",
            "uniform within 1 / sqrt(fan in), bias too; embeddings standard normal (PyTorch)",
            "{name: torch}",
            |choice| plain(choice, Init::Torch),
        ),
        ("he_normal", "normal of variance 2 / fan out, zero bias", "{name: he_normal}", |choice| {
            plain(choice, Init::HeNormal)
        }),
        ("resnet", "convolutions as he_normal, all else as torch", "{name: resnet}", |choice| {
            plain(choice, Init::Resnet)
        }),
        (
            "fourier",
            "weights of the first layer uniform within sqrt(6 / fan out), all else as torch",
            "{name: fourier}",
            |choice| plain(choice, Init::Fourier),
        ),
        (
            "normal",
            "normal of this standard deviation, bias too",
            "{name: normal, deviation: 0.1}",
            |choice| {
                let Normal { deviation } = choice.options()?;
                let ok = deviation.is_finite() && deviation > 0.0;
                OptionError::check(ok, "deviation", deviation, "above 0")?;
                Ok(Init::Normal(deviation))
            },
        ),
    ];
    let row = |(name, summary, example, build)| {
        let positional: &[&str] = if name == "normal" { &["deviation"] } else { &[] };
        Row { name, summary, example, positional, build }
    };
    Table::new("init", ROWS.into_iter().map(row).collect())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Normal {
    deviation: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NoOptions {}

fn plain(choice: &Choice, init: Init) -> Result<Init, OptionError> {
    let NoOptions {} = choice.options()?;
    Ok(init)
}

impl Init {
    /// Reads what a scenario writes: `torch`, `normal(0.1)`, `{normal: 0.1}` or `{name: normal, deviation: 0.1}`.
    ///
    /// # Errors
    /// As any choice.
    pub fn from_value(value: &Value) -> Result<Self, OptionError> {
        Self::read(&table(), value)
    }

    /// As [`Init::from_value`], with the schemes of a table.
    ///
    /// # Errors
    /// As any choice.
    pub fn read(table: &Table<BuildInit>, value: &Value) -> Result<Self, OptionError> {
        let choice = match value.as_object().and_then(|map| map.iter().next().filter(|_| map.len() == 1)) {
            Some((name, value)) if name != "name" => {
                Choice { positional: vec![value.clone()], ..Choice::named(name) }
            }
            _ => Choice::from_value(value)?,
        };
        let (row, choice) = table.resolve(&choice)?;
        (row.build)(&choice)
    }

    /// What [`Init::from_value`] reads as this.
    #[must_use]
    pub fn to_value(self) -> Value {
        match self {
            Init::GlorotUniform => "glorot_uniform".into(),
            Init::Torch => "torch".into(),
            Init::HeNormal => "he_normal".into(),
            Init::Resnet => "resnet".into(),
            Init::Fourier => "fourier".into(),
            Init::Normal(deviation) => serde_json::json!({"normal": deviation}),
        }
    }
}

impl<'de> Deserialize<'de> for Init {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_value(&Value::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
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
