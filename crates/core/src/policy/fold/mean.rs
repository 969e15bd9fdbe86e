//! The unweighted mean: (1/n) sum_i w_i u_i. The older HCDDL averages over its local servers like this.

use super::{FoldRow, FoldRule};
use crate::domain::work::FoldInput;
use crate::domain::{Choice, OptionError};
use std::sync::Arc;

pub(super) const ROW: FoldRow = FoldRow {
    name: "mean",
    summary: "every update counts the same",
    example: "{name: mean}",
    positional: &[],
    build,
};

fn build(choice: &Choice) -> Result<Arc<dyn FoldRule>, OptionError> {
    super::sum::NoOptions::check(choice)?;
    Ok(Arc::new(Mean))
}

#[derive(Debug)]
struct Mean;

impl FoldRule for Mean {
    fn name(&self) -> &'static str {
        "mean"
    }

    fn weights(&self, inputs: &[FoldInput]) -> Vec<f32> {
        inputs.iter().map(|i| (f64::from(i.weight) / inputs.len() as f64) as f32).collect()
    }
}
