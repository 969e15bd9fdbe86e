//! Nodes that leave and come back after times of Weibull length, as measured of volunteers and peers.

use super::{Availability, BuildAvailability, length, there_at_start};
use crate::domain::units::Duration;
use crate::domain::{Choice, OptionError, Row, Span, Stream, Tables, math, options};
use crate::trace::{Course, alternate};
use serde::Deserialize;
use std::sync::Arc;

/// Lengths scale x E^(1/shape), E exponential, whose mean is scale x gamma(1 + 1/shape). With a shape below 1 there are
/// many short ones and few very long ones (D. Nurmi, J. Brevik, R. Wolski: Modeling Machine Availability in Enterprise
/// and Wide-area Distributed Computing Environments, Euro-Par 2005; D. Stutzbach, R. Rejaie: Understanding Churn in
/// Peer-to-Peer Networks, IMC 2006). The first length begins at the start of the run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weibull {
    on: Duration,
    off: Duration,
    shape: f64,
}

#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Options {
    /// How long it is there in the mean, a duration.
    on: Duration,
    /// How long it is away in the mean, a duration.
    off: Duration,
    /// The shape of both, from 0.2 to 10: 1 is exponential, below it some last very long. Machines and peers were found
    /// between 0.6 and 0.8.
    #[serde(default = "default_shape")]
    shape: f64,
}

fn default_shape() -> f64 {
    0.7
}

/// The row of the table.
pub(super) fn row() -> Row<BuildAvailability> {
    Row {
        name: "weibull",
        summary: "leaves and comes back after times of Weibull length, few of them very long",
        example: "{name: weibull, on: 60s, off: 20s, shape: 0.7}",
        positional: &["on", "off", "shape"],
        options: options::<Options>,
        build,
    }
}

fn build(choice: &Choice, _: &dyn Tables) -> Result<Arc<dyn Availability>, OptionError> {
    let Options { on, off, shape } = choice.options()?;
    length("on", on)?;
    length("off", off)?;
    OptionError::check((0.2..=10.0).contains(&shape), "shape", shape, "0.2 to 10")?;
    Ok(Arc::new(Weibull { on, off, shape }))
}

impl Availability for Weibull {
    fn course(&self, mut stream: Stream) -> Course<bool> {
        let Self { on, off, shape } = *self;
        let first = there_at_start(&mut stream, on, off);
        let unit = math::gamma(1.0 + 1.0 / shape);
        alternate(first, move |there| {
            let mean: Span = if there { on } else { off }.0;
            mean.scale(math::pow(stream.exponential(), 1.0 / shape) / unit)
        })
    }
}
