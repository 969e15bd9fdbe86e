//! A fixed base, jitter on top and rare spikes: what LANs, WiFi and WANs look like.

use super::{BuildLatency, Constant, Latencies};
use crate::domain::units::Duration;
use crate::domain::{Choice, OptionError, Row, Span, Stream};
use crate::net::Distribution;
use serde::Deserialize;
use serde_json::Value;
use std::sync::Arc;

/// base + jitter + (with a small probability) a spike.
#[derive(Clone, Debug)]
pub struct Jittered {
    /// Smallest latency.
    pub base: Span,
    /// Added every time.
    pub jitter: Arc<dyn Distribution>,
    /// Added with probability `spike_probability`.
    pub spike: Arc<dyn Distribution>,
    /// Share of the draws that have a spike, in [0, 1].
    pub spike_probability: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    base: Duration,
    #[serde(default)]
    jitter: Option<Value>,
    #[serde(default)]
    spike: Option<Value>,
    #[serde(default = "default_probability")]
    spike_probability: f64,
}

fn default_probability() -> f64 {
    0.01
}

/// The row of the table.
pub(super) fn row() -> Row<BuildLatency> {
    Row {
        name: "jittered",
        summary: "`base` plus `jitter`, plus a `spike` now and then",
        example: "{name: jittered, base: 1.5ms, jitter: 'lognormal(1ms, 1)', spike: 'pareto(20ms, 1.5)', \
                  spike_probability: 0.01}",
        positional: &["base", "jitter", "spike", "spike_probability"],
        build,
    }
}

fn build(choice: &Choice, latencies: &Latencies) -> Result<Arc<dyn Distribution>, OptionError> {
    let options: Options = choice.options()?;
    let part = |key: &str, value: Option<Value>| match value {
        Some(value) => latencies.read(&value).map_err(|error| error.below(key)),
        None => Ok(Arc::new(Constant { value: Span::ZERO }) as Arc<dyn Distribution>),
    };
    let p = options.spike_probability;
    OptionError::check((0.0..=1.0).contains(&p), "spike_probability", p, "0 to 1")?;
    Ok(Arc::new(Jittered {
        base: options.base.0,
        jitter: part("jitter", options.jitter)?,
        spike_probability: if options.spike.is_some() { p } else { 0.0 },
        spike: part("spike", options.spike)?,
    }))
}

impl Distribution for Jittered {
    fn sample(&self, stream: &mut Stream) -> Span {
        let body = self.base + self.jitter.sample(stream);
        // The draw is made even when spikes are off, so that switching them on moves no other latency's body.
        if stream.uniform() < self.spike_probability { body + self.spike.sample(stream) } else { body }
    }

    fn mean(&self) -> Option<Span> {
        let body = self.base + self.jitter.mean()?;
        if self.spike_probability == 0.0 {
            return Some(body);
        }
        Some(body + self.spike.mean()?.scale(self.spike_probability))
    }
}
