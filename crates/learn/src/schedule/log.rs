//! to^(p / (N - 1)) for N steps, then `to`: torch's logspace from 1 to `to`, as DiNNO has it.

use super::{Descent, Schedule, ScheduleRow, check_length, spaced};
use hcddl_core::domain::{Choice, OptionError, Tables, math, options};
use serde::Deserialize;
use std::sync::Arc;

pub(super) const ROW: ScheduleRow = ScheduleRow {
    name: "log",
    summary: "by equal factors to `to` times the learning rate at the last of `over` steps (or `epochs`); it stays there",
    example: "{name: log, over: 1000, to: 0.01}",
    positional: &["over", "to"],
    options: options::<Options>,
    build,
};

#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Options {
    /// Steps that it takes.
    over: Option<u64>,
    /// The same in passes over the node's shard.
    epochs: Option<u64>,
    /// The last factor, above 0.
    to: f64,
}

#[derive(Debug)]
struct Log(Descent);

fn build(choice: &Choice, _: &dyn Tables) -> Result<Arc<dyn Schedule>, OptionError> {
    let Options { over, epochs, to } = choice.options()?;
    check_length("over", over, epochs)?;
    OptionError::check(to > 0.0 && to.is_finite(), "to", to, "above 0")?;
    Ok(Arc::new(Log(Descent { over, epochs, to })))
}

impl Schedule for Log {
    fn name(&self) -> &'static str {
        "log"
    }

    fn factor(&self, position: u64, epoch: u64) -> f64 {
        math::pow(self.0.to, spaced(position, self.0.steps(epoch)))
    }
}
