//! Samples sorted by class and cut into contiguous equal parts: HiPS' split by class; with ten classes and ten
//! nodes, DiNNO's one class for each node.

use super::{BuildPartition, Partitioner, by_class, contiguous, enough};
use crate::data::Overview;
use hcddl_core::domain::{OptionError, Row};
use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ByClass {}

impl Partitioner for ByClass {
    fn split(&self, samples: Overview<'_>, shards: usize, _: u64) -> Result<Vec<Vec<u32>>, OptionError> {
        enough(samples.len, shards, 1)?;
        Ok(contiguous(&by_class(samples.classes()?).concat(), shards))
    }
}

/// Its row.
pub fn row() -> Row<BuildPartition> {
    Row {
        name: "by_class",
        summary: "samples sorted by class, one contiguous part for each node",
        example: "{name: by_class}",
        positional: &[],
        build: |choice| Ok(Box::new(choice.options::<ByClass>()?)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::build;
    use crate::data::Overview;
    use serde_json::json;

    #[test]
    fn by_hand() {
        let split = build("by_class", json!({})).split(Overview::of_classes(&[1, 0, 1, 0]), 2, 9).unwrap();
        assert_eq!(split, [vec![1, 3], vec![0, 2]]);
    }
}
