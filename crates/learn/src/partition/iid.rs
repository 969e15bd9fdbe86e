//! Equal shards without regard to classes.

use super::{BuildPartition, Partitioner, contiguous, enough, permutation};
use crate::data::Overview;
use hcddl_core::domain::{OptionError, Row};
use serde::Deserialize;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Iid {
    order: Order,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Order {
    /// Contiguous parts of a permutation from the data seed.
    #[default]
    Shuffled,
    /// Sample i goes to shard i modulo the number of shards.
    Strided,
}

impl Partitioner for Iid {
    fn split(&self, samples: Overview<'_>, shards: usize, seed: u64) -> Result<Vec<Vec<u32>>, OptionError> {
        enough(samples.len, shards, 1)?;
        let len = samples.len as u32;
        Ok(match self.order {
            Order::Shuffled => contiguous(&permutation(samples.len, seed), shards),
            Order::Strided => (0..shards as u32).map(|s| (s..len).step_by(shards).collect()).collect(),
        })
    }
}

/// Its row.
pub fn row() -> Row<BuildPartition> {
    Row {
        name: "iid",
        summary: "equal shards; order is shuffled or strided (sample i to shard i modulo shards)",
        example: "{name: iid, order: shuffled}",
        positional: &[],
        build: |choice| Ok(Box::new(choice.options::<Iid>()?)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::build;
    use crate::data::Overview;
    use serde_json::json;

    #[test]
    fn by_hand() {
        let labels = [0; 5];
        let split = |order: &str| {
            build("iid", json!({ "order": order })).split(Overview::of_classes(&labels), 2, 1).unwrap()
        };
        assert_eq!(split("strided"), [vec![0, 2, 4], vec![1, 3]]);
        assert_eq!(split("shuffled").iter().map(Vec::len).collect::<Vec<_>>(), [3, 2]);
        assert_ne!(
            build("iid", json!({})).split(Overview::of_classes(&[0; 50]), 2, 1),
            build("iid", json!({})).split(Overview::of_classes(&[0; 50]), 2, 2)
        );
    }
}
