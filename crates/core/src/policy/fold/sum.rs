//! The plain sum: sum_i w_i u_i. Asynchronous policies put their staleness weight into w.

use super::{FoldRow, FoldRule};
use crate::domain::work::FoldInput;
use crate::domain::{Choice, OptionError};
use std::sync::Arc;

pub(super) const ROW: FoldRow = FoldRow {
    name: "sum",
    summary: "updates are added up with the policy's weights",
    example: "{name: sum}",
    positional: &[],
    build,
};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NoOptions {}

impl NoOptions {
    pub(super) fn check(choice: &Choice) -> Result<(), OptionError> {
        let NoOptions {} = choice.options()?;
        Ok(())
    }
}

fn build(choice: &Choice) -> Result<Arc<dyn FoldRule>, OptionError> {
    NoOptions::check(choice)?;
    Ok(Arc::new(Sum))
}

/// The rule itself; collectives use it for their linear combinations.
#[derive(Debug)]
pub struct Sum;

impl FoldRule for Sum {
    fn name(&self) -> &'static str {
        "sum"
    }

    fn weights(&self, inputs: &[FoldInput]) -> Vec<f32> {
        inputs.iter().map(|i| i.weight).collect()
    }
}
