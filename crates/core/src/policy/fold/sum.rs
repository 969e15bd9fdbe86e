//! The plain sum: sum_i w_i u_i. Asynchronous policies put their staleness weight into w.

use super::{FoldRow, FoldRule};
use crate::domain::work::FoldInput;
use crate::domain::{Choice, NoOptions, OptionError, Tables, options};
use std::sync::Arc;

pub(super) const ROW: FoldRow = FoldRow {
    name: "sum",
    summary: "updates are added up with the policy's weights",
    example: "{name: sum}",
    positional: &[],
    options: options::<NoOptions>,
    build,
};

fn build(choice: &Choice, _: &dyn Tables) -> Result<Arc<dyn FoldRule>, OptionError> {
    let NoOptions {} = choice.options()?;
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
