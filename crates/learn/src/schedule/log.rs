//! to^(p / (N - 1)) for N steps, then `to`: torch's logspace from 1 to `to`, as DiNNO has it.

use super::{Descent, Schedule, ScheduleRow, spaced};
use hcddl_core::domain::{Choice, OptionError, math};
use std::sync::Arc;

pub(super) const ROW: ScheduleRow = ScheduleRow {
    name: "log",
    summary: "by equal factors to `to` times the learning rate at the last of `over` steps (or `epochs`); it stays there",
    example: "{name: log, over: 1000, to: 0.01}",
    positional: &["over", "to"],
    build,
};

#[derive(Debug)]
struct Log(Descent);

fn build(choice: &Choice) -> Result<Arc<dyn Schedule>, OptionError> {
    let descent = Descent::read(choice)?;
    OptionError::check(descent.to > 0.0 && descent.to.is_finite(), "to", descent.to, "above 0")?;
    Ok(Arc::new(Log(descent)))
}

impl Schedule for Log {
    fn name(&self) -> &'static str {
        "log"
    }

    fn factor(&self, position: u64, epoch: u64) -> f64 {
        math::pow(self.0.to, spaced(position, self.0.steps(epoch)))
    }
}
