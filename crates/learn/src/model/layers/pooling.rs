//! Pooling.

use super::dense::NoOptions;
use super::{BuildLayer, size};
use crate::layer::PoolShape;
use hcddl_core::domain::{Choice, OptionError, Row};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pool {
    size: usize,
    stride: Option<usize>,
    #[serde(default)]
    padding: usize,
}

/// The side of a window, and what the row says of the rest.
fn windows(choice: &Choice) -> Result<(usize, impl FnOnce(PoolShape) -> PoolShape + use<>), OptionError> {
    let options: Pool = choice.options()?;
    let side = size("size", options.size)?;
    let stride = size("stride", options.stride.unwrap_or(side))?;
    let allowed = "at most half of the size";
    OptionError::check(options.padding <= side / 2, "padding", options.padding, allowed)?;
    Ok((side, move |plain| PoolShape { stride, padding: options.padding, ..plain }))
}

pub(super) fn rows() -> Vec<Row<BuildLayer>> {
    vec![
        Row {
            name: "max_pool",
            summary: "the largest value of each window; stride is the size unless given",
            example: "{name: max_pool, size: 2, stride: 2, padding: 0}",
            positional: &["size", "stride", "padding"],
            build: |choice, network| {
                let (size, change) = windows(choice)?;
                network.max_pool_with(size, change)
            },
        },
        Row {
            name: "avg_pool",
            summary: "the mean of each window; stride is the size unless given",
            example: "{name: avg_pool, size: 2, stride: 2, padding: 0}",
            positional: &["size", "stride", "padding"],
            build: |choice, network| {
                let (size, change) = windows(choice)?;
                network.avg_pool_with(size, change)
            },
        },
        Row {
            name: "global_avg_pool",
            summary: "the mean of each channel",
            example: "{name: global_avg_pool}",
            positional: &[],
            build: |choice, network| {
                let NoOptions {} = choice.options()?;
                network.global_avg_pool()
            },
        },
    ]
}
