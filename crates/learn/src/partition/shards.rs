//! The pathological split of McMahan et al., Communication-Efficient Learning of Deep Networks from
//! Decentralized Data, 2017: samples sorted by class, cut into equal pieces, `per_node` of which each node is
//! dealt at random, so that most nodes see no more than `per_node` classes.

use super::{BuildPartition, Partitioner, by_class, contiguous, enough};
use crate::data::Overview;
use hcddl_core::domain::{OptionError, Row, Stream};
use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Shards {
    per_node: usize,
}

impl Default for Shards {
    fn default() -> Self {
        Self { per_node: 2 }
    }
}

impl Partitioner for Shards {
    fn split(&self, samples: Overview<'_>, shards: usize, seed: u64) -> Result<Vec<Vec<u32>>, OptionError> {
        enough(samples.len, shards, self.per_node)?;
        let sorted = by_class(samples.classes()?).concat();
        let mut pieces = contiguous(&sorted, shards * self.per_node);
        Stream::new(seed, "partition", 0, 0).shuffle(&mut pieces);
        Ok(pieces.chunks(self.per_node).map(<[_]>::concat).collect())
    }
}

/// Its row.
pub fn row() -> Row<BuildPartition> {
    Row {
        name: "shards",
        summary: "samples sorted by class and cut into pieces; per_node of them for each node, at random",
        example: "{name: shards, per_node: 2}",
        positional: &["per_node"],
        build: |choice| {
            let options: Shards = choice.options()?;
            OptionError::check(options.per_node > 0, "per_node", options.per_node, "1 or more")?;
            Ok(Box::new(options))
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::build;
    use crate::data::Overview;
    use serde_json::json;
    use std::collections::BTreeSet;

    #[test]
    fn so_many_classes_on_each_node() {
        let labels: Vec<u16> = (0..200).map(|i| i % 10).collect();
        let p = build("shards", json!({"per_node": 2}));
        let split = p.split(Overview::of_classes(&labels), 10, 3).unwrap();
        for shard in &split {
            let classes: BTreeSet<u16> = shard.iter().map(|i| labels[*i as usize]).collect();
            assert!(shard.len() == 20 && classes.len() <= 2, "{classes:?}");
        }
        assert_ne!(split, p.split(Overview::of_classes(&labels), 10, 4).unwrap());
    }
}
