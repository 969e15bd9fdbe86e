//! Normalisations.

use super::BuildLayer;
use crate::layer::Statistics;
use hcddl_core::domain::{NoOptions, Row, options};
use serde::Deserialize;

#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct GroupNorm {
    /// Number of groups of channels.
    groups: usize,
}

#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct BatchNorm {
    /// What evaluations are normalised with.
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
            options: options::<GroupNorm>,
            build: |choice, _, network| {
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
            options: options::<BatchNorm>,
            build: |choice, _, network| {
                let BatchNorm { statistics } = choice.options()?;
                network.batch_norm(statistics)
            },
        },
        Row {
            name: "layer_norm",
            summary: "normalises all values of each row",
            example: "{name: layer_norm}",
            positional: &[],
            options: options::<NoOptions>,
            build: |choice, _, network| {
                let NoOptions {} = choice.options()?;
                network.layer_norm()
            },
        },
    ]
}
