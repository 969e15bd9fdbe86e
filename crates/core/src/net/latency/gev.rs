//! Generalised extreme value distribution: the best fit of round trips over LTE.

use super::{BuildLatency, Latencies, positive};
use crate::domain::units::Duration;
use crate::domain::{Choice, OptionError, Row, Span, Stream, math};
use crate::net::Distribution;
use serde::Deserialize;
use std::sync::Arc;

/// location + scale ((-ln U)^(-shape) - 1) / shape, and location - scale ln(-ln U) for shape 0 (Gumbel);
/// below zero it is cut to zero.
#[derive(Clone, Debug, PartialEq)]
pub struct Gev {
    /// Location; the median lies a little above it.
    pub location: Span,
    /// Scale.
    pub scale: Span,
    /// Shape: positive for a heavy tail (the mean is infinite from 1 on), negative for a bounded one.
    pub shape: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    location: Duration,
    scale: Duration,
    #[serde(default = "default_shape")]
    shape: f64,
}

fn default_shape() -> f64 {
    0.2
}

/// The row of the table.
pub(super) fn row() -> Row<BuildLatency> {
    Row {
        name: "gev",
        summary: "generalised extreme value, as measured on LTE",
        example: "{name: gev, location: 22ms, scale: 6ms, shape: 0.2}",
        positional: &["location", "scale", "shape"],
        build,
    }
}

fn build(choice: &Choice, _: &Latencies) -> Result<Arc<dyn Distribution>, OptionError> {
    let Options { location, scale, shape } = choice.options()?;
    positive("scale", scale.0.seconds())?;
    OptionError::check(shape.is_finite(), "shape", shape, "a finite number")?;
    Ok(Arc::new(Gev { location: location.0, scale: scale.0, shape }))
}

impl Gev {
    /// Location plus `units` of scale, in nanoseconds.
    fn at(&self, units: f64) -> Span {
        Span((self.location.0 as f64 + self.scale.0 as f64 * units + 0.5) as u64)
    }
}

impl Distribution for Gev {
    fn sample(&self, stream: &mut Stream) -> Span {
        // U = 0 gives the lower end of the support; U < 1, so the upper end of a heavy tail is finite.
        let e = -math::ln(stream.uniform());
        self.at(if self.shape == 0.0 { -math::ln(e) } else { (math::pow(e, -self.shape) - 1.0) / self.shape })
    }

    /// Of the distribution before it is cut at zero.
    fn mean(&self) -> Option<Span> {
        const EULER: f64 = 0.577_215_664_901_532_9;
        match self.shape {
            0.0 => Some(self.at(EULER)),
            shape if shape < 1.0 => Some(self.at((math::gamma(1.0 - shape) - 1.0) / shape)),
            _ => None,
        }
    }
}
