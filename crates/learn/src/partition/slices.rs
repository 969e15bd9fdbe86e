//! Contiguous equal slices of the samples as they come: the data slices of HiPS, one for each worker.

use super::{BuildPartition, Partitioner, contiguous, enough};
use crate::data::Overview;
use hcddl_core::domain::{OptionError, Row};
use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Slices {}

impl Partitioner for Slices {
    fn split(&self, samples: Overview<'_>, shards: usize, _: u64) -> Result<Vec<Vec<u32>>, OptionError> {
        enough(samples.len, shards, 1)?;
        Ok(contiguous(&(0..samples.len as u32).collect::<Vec<_>>(), shards))
    }
}

/// Its row.
pub fn row() -> Row<BuildPartition> {
    Row {
        name: "slices",
        summary: "equal contiguous slices of the samples as they come",
        example: "{name: slices}",
        positional: &[],
        build: |choice| Ok(Box::new(choice.options::<Slices>()?)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::build;
    use crate::data::Overview;
    use serde_json::json;

    #[test]
    fn by_hand() {
        let split = build("slices", json!({})).split(Overview::of_classes(&[0; 5]), 2, 1).unwrap();
        assert_eq!(split, [vec![0, 1, 2], vec![3, 4]]);
    }
}
