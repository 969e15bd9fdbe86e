//! Normalisations.

use super::BuildLayer;
use super::dense::NoOptions;
use crate::layer::Statistics;
use hcddl_core::domain::Row;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GroupNorm {
    groups: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BatchNorm {
    #[serde(default)]
    statistics: Statistics,
}

pub(super) fn rows() -> Vec<Row<BuildLayer>> {
    vec![
        Row {
            name: "group_norm",
            summary: "normalises groups of channels of each sample",
            example: "{name: group_norm, groups: 2}",
            positional: &["groups"],
            build: |choice, network| {
                let GroupNorm { groups } = choice.options()?;
                network.group_norm(groups)
            },
        },
        Row {
            name: "batch_norm",
            summary: "normalises each channel over the batch; statistics: aggregated are running ones that servers \
                      aggregate, batch are those of the batch in evaluations too",
            example: "{name: batch_norm, statistics: aggregated}",
            positional: &["statistics"],
            build: |choice, network| {
                let BatchNorm { statistics } = choice.options()?;
                network.batch_norm(statistics)
            },
        },
        Row {
            name: "layer_norm",
            summary: "normalises all values of each row",
            example: "{name: layer_norm}",
            positional: &[],
            build: |choice, network| {
                let NoOptions {} = choice.options()?;
                network.layer_norm()
            },
        },
    ]
}
