//! A mixture: each draw comes from one of several distributions.

use super::{BuildLatency, Latencies, not_negative};
use crate::domain::{Choice, OptionError, Row, Span, Stream};
use crate::net::Distribution;
use serde::Deserialize;
use serde_json::Value;
use std::sync::Arc;

/// Distributions with the probability of each.
#[derive(Clone, Debug)]
pub struct Mixture {
    /// Components with their probabilities, which add up to 1.
    parts: Vec<(f64, Arc<dyn Distribution>)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    of: Vec<Value>,
    #[serde(default)]
    weights: Vec<f64>,
}

/// The row of the table.
pub(super) fn row() -> Row<BuildLatency> {
    Row {
        name: "mixture",
        summary: "each draw from one of several, chosen by weight (equal when left out)",
        example: "{name: mixture, of: ['lognormal(2ms, 0.4)', 'lognormal(8ms, 0.3)'], weights: [0.7, 0.3]}",
        positional: &[],
        build,
    }
}

fn build(choice: &Choice, latencies: &Latencies) -> Result<Arc<dyn Distribution>, OptionError> {
    let options: Options = choice.options()?;
    let count = options.of.len();
    OptionError::check(count > 0, "of", count, "one or more distributions")?;
    let weights = if options.weights.is_empty() { vec![1.0; count] } else { options.weights };
    OptionError::check(weights.len() == count, "weights", weights.len(), "as many as there are in `of`")?;
    let mut parts = Vec::with_capacity(count);
    for (i, (weight, value)) in weights.into_iter().zip(&options.of).enumerate() {
        let part = latencies.read(value).map_err(|error| error.below(&format!("of[{i}]")))?;
        parts.push((weight, part));
    }
    Mixture::new(parts).map(|mixture| Arc::new(mixture) as Arc<dyn Distribution>)
}

impl Mixture {
    /// Components with weights, which need not add up to 1.
    ///
    /// # Errors
    /// [`OptionError`] when a weight is negative or all are zero.
    pub fn new(mut parts: Vec<(f64, Arc<dyn Distribution>)>) -> Result<Self, OptionError> {
        for (weight, _) in &parts {
            not_negative("weights", *weight)?;
        }
        let total: f64 = parts.iter().map(|part| part.0).sum();
        OptionError::check(total > 0.0 && total.is_finite(), "weights", total, "a sum of more than zero")?;
        parts.iter_mut().for_each(|part| part.0 /= total);
        Ok(Self { parts })
    }
}

impl Distribution for Mixture {
    fn sample(&self, stream: &mut Stream) -> Span {
        let mut rest = stream.uniform();
        for (probability, part) in &self.parts {
            if rest < *probability {
                return part.sample(stream);
            }
            rest -= probability;
        }
        // Rounding of the probabilities can leave a rest of about 1e-16: it belongs to the last with any.
        let last = self.parts.iter().rfind(|part| part.0 > 0.0);
        last.map_or(Span::ZERO, |(_, part)| part.sample(stream))
    }

    fn mean(&self) -> Option<Span> {
        let used = self.parts.iter().filter(|part| part.0 > 0.0);
        used.map(|(probability, part)| part.mean().map(|mean| mean.scale(*probability))).sum()
    }
}
