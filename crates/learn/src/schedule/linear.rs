//! 1 + (to - 1) p / (N - 1) for N steps, then `to`: numpy's linspace(1, to, N), as DiNNO has it.

use super::{Descent, Schedule, ScheduleRow, spaced};
use hcddl_core::domain::{Choice, OptionError};
use std::sync::Arc;

pub(super) const ROW: ScheduleRow = ScheduleRow {
    name: "linear",
    summary: "straight to `to` times the learning rate at the last of `over` steps (or `epochs`); it stays there",
    example: "{name: linear, over: 1000, to: 0.0}",
    positional: &["over", "to"],
    build,
};

#[derive(Debug)]
struct Linear(Descent);

fn build(choice: &Choice) -> Result<Arc<dyn Schedule>, OptionError> {
    let descent = Descent::read(choice)?;
    OptionError::check(descent.to >= 0.0 && descent.to.is_finite(), "to", descent.to, "0 or more")?;
    Ok(Arc::new(Linear(descent)))
}

impl Schedule for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn factor(&self, position: u64, epoch: u64) -> f64 {
        1.0 + (self.0.to - 1.0) * spaced(position, self.0.steps(epoch))
    }
}
