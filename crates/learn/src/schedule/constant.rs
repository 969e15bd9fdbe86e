//! Always 1.

use super::{Schedule, ScheduleRow};
use hcddl_core::domain::{Choice, OptionError};
use serde::Deserialize;
use std::sync::Arc;

pub(super) const ROW: ScheduleRow = ScheduleRow {
    name: "constant",
    summary: "the learning rate stays as it is",
    example: "{name: constant}",
    positional: &[],
    build,
};

fn build(choice: &Choice) -> Result<Arc<dyn Schedule>, OptionError> {
    Ok(Arc::new(choice.options::<Constant>()?))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Constant {}

impl Schedule for Constant {
    fn name(&self) -> &'static str {
        "constant"
    }

    fn factor(&self, _: u64, _: u64) -> f64 {
        1.0
    }
}
