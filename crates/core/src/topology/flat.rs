//! One server and its workers.

use super::{BuildTopology, Grower, Topology, at_least};
use crate::domain::{Choice, OptionError, Row};
use serde::Deserialize;

pub(super) fn row() -> Row<BuildTopology> {
    Row {
        name: "flat",
        summary: "one server, `workers` workers below it",
        example: "{name: flat, workers: 4}",
        positional: &["workers"],
        build,
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Options {
    workers: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { workers: 4 }
    }
}

fn build(choice: &Choice) -> Result<Topology, OptionError> {
    let options: Options = choice.options()?;
    let workers = at_least("workers", options.workers, 1, "worker")?;
    let mut grower = Grower::default();
    let root = grower.server(None)?;
    grower.workers(workers, root)?;
    Ok(grower.finish())
}
