//! to + (1 - to) (1 + cos(pi p / N)) / 2 until p = N, then `to` (SGDR without restarts; Loshchilov and Hutter, arXiv
//! 1608.03983). PyTorch's CosineAnnealingLR with T_max = N, which goes up again afterwards.

use super::{Descent, Schedule, ScheduleRow};
use hcddl_core::domain::{Choice, OptionError, math};
use std::f64::consts::PI;
use std::sync::Arc;

pub(super) const ROW: ScheduleRow = ScheduleRow {
    name: "cosine",
    summary: "half a cosine, to `to` times the learning rate after `over` steps (or `epochs`); it stays there",
    example: "{name: cosine, over: 1000, to: 0.0}",
    positional: &["over", "to"],
    build,
};

#[derive(Debug)]
struct Cosine(Descent);

fn build(choice: &Choice) -> Result<Arc<dyn Schedule>, OptionError> {
    let descent = Descent::read(choice)?;
    OptionError::check(descent.to >= 0.0 && descent.to.is_finite(), "to", descent.to, "0 or more")?;
    Ok(Arc::new(Cosine(descent)))
}

impl Schedule for Cosine {
    fn name(&self) -> &'static str {
        "cosine"
    }

    fn factor(&self, position: u64, epoch: u64) -> f64 {
        let (to, steps) = (self.0.to, self.0.steps(epoch));
        if position >= steps {
            return to;
        }
        to + (1.0 - to) * (1.0 + math::cos(PI * position as f64 / steps as f64)) / 2.0
    }
}
