//! factor^floor(p / every), as PyTorch's StepLR.

use super::{Schedule, ScheduleRow, check_length, length};
use hcddl_core::domain::{Choice, OptionError, math};
use serde::Deserialize;
use std::sync::Arc;

pub(super) const ROW: ScheduleRow = ScheduleRow {
    name: "step",
    summary: "times `factor` every so many steps (`every`) or epochs (`epochs`)",
    example: "{name: step, every: 1000, factor: 0.1}",
    positional: &["every", "factor"],
    build,
};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Stairs {
    /// Steps between two changes.
    every: Option<u64>,
    /// The same in passes over the node's shard.
    epochs: Option<u64>,
    /// What each change multiplies.
    factor: f64,
}

impl Default for Stairs {
    fn default() -> Self {
        Self { every: None, epochs: None, factor: 0.1 }
    }
}

fn build(choice: &Choice) -> Result<Arc<dyn Schedule>, OptionError> {
    let stairs: Stairs = choice.options()?;
    check_length("every", stairs.every, stairs.epochs)?;
    let factor = stairs.factor;
    OptionError::check(factor > 0.0 && factor.is_finite(), "factor", factor, "above 0")?;
    Ok(Arc::new(stairs))
}

impl Schedule for Stairs {
    fn name(&self) -> &'static str {
        "step"
    }

    fn factor(&self, position: u64, epoch: u64) -> f64 {
        math::pow(self.factor, (position / length(self.every, self.epochs, epoch)) as f64)
    }
}
