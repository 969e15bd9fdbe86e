//! The mean weighted by training samples: sum_i w_i (n_i / sum n) u_i (FedAvg, arXiv 1602.05629).

use super::{FoldRow, FoldRule};
use crate::domain::work::FoldInput;
use crate::domain::{Choice, OptionError};
use std::sync::Arc;

pub(super) const ROW: FoldRow = FoldRow {
    name: "weighted",
    summary: "an update counts by the training samples behind it",
    example: "{name: weighted}",
    positional: &[],
    build,
};

fn build(choice: &Choice) -> Result<Arc<dyn FoldRule>, OptionError> {
    super::sum::NoOptions::check(choice)?;
    Ok(Arc::new(Weighted))
}

#[derive(Debug)]
struct Weighted;

impl FoldRule for Weighted {
    fn name(&self) -> &'static str {
        "weighted"
    }

    fn weights(&self, inputs: &[FoldInput]) -> Vec<f32> {
        let total: u64 = inputs.iter().map(|i| i.samples).sum();
        inputs.iter().map(|i| (f64::from(i.weight) * i.samples as f64 / total.max(1) as f64) as f32).collect()
    }
}
