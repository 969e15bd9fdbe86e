//! The layers that `model.layers` can name, grouped by kind; see [`crate::layer`] for what they compute.

mod convolution;
mod dense;
mod elementwise;
mod norm;
mod pooling;
mod recurrent;
mod residual;

use super::NetworkBuilder;
use hcddl_core::domain::{Choice, OptionError, Row, Table};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// Adds a layer to a network in the making.
pub type BuildLayer = fn(&Choice, NetworkBuilder) -> Result<NetworkBuilder, OptionError>;

/// All layers.
#[must_use]
pub fn table() -> Table<BuildLayer> {
    let groups: [fn() -> Vec<Row<BuildLayer>>; 7] = [
        dense::rows,
        convolution::rows,
        pooling::rows,
        elementwise::rows,
        norm::rows,
        recurrent::rows,
        residual::rows,
    ];
    Table::new("layer", groups.iter().flat_map(|rows| rows()).collect())
}

/// Adds layers as a scenario writes them, in order. `key` is where their list stands.
///
/// # Errors
/// [`OptionError`] at the layer concerned, as in `layers[2].kernel`.
pub fn add(mut network: NetworkBuilder, layers: &[Value], key: &str) -> Result<NetworkBuilder, OptionError> {
    let table = network.table();
    for (index, layer) in layers.iter().enumerate() {
        let built = Choice::from_value(layer).and_then(|choice| {
            let (row, choice) = table.resolve(&choice)?;
            (row.build)(&choice, network).map_err(|error| named(error, row.name).with_example(row.example))
        });
        network = built.map_err(|error| error.below(&format!("{key}[{index}]")))?;
    }
    Ok(network)
}

/// The same error, naming the layer where its message is not about one of its options.
fn named(error: OptionError, name: &str) -> OptionError {
    if error.key.is_empty() {
        OptionError { message: format!("`{name}`: {}", error.message), ..error }
    } else {
        error
    }
}

/// What a layer's own error would say of a size out of bounds.
fn size(key: &str, value: usize) -> Result<usize, OptionError> {
    OptionError::check((1..=65_536).contains(&value), key, value, "1 to 65536")?;
    Ok(value)
}

/// A number, or a word that stands for one.
#[derive(Clone, Copy, Debug, PartialEq)]
enum NumberOr {
    Number(usize),
    Word(&'static str),
}

impl NumberOr {
    fn read<'de, D: Deserializer<'de>>(deserializer: D, words: &[&'static str]) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let number = value.as_u64().and_then(|number| usize::try_from(number).ok()).map(Self::Number);
        let word = || words.iter().find(|word| value.as_str() == Some(word)).map(|word| Self::Word(word));
        number.or_else(word).ok_or_else(|| {
            let words = words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" or ");
            serde::de::Error::custom(format!("{value} does not fit here; allowed: a whole number or {words}"))
        })
    }
}

#[cfg(test)]
#[path = "../layers_tests.rs"]
mod tests;
