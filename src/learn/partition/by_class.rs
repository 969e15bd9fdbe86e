//! Shards of few classes.
//!
//! Without an option: samples sorted by class, cut into contiguous equal parts (HiPS' split by class; with
//! ten classes and ten nodes, DiNNO's one class for each node). With `classes_per_node: c`: sorted by class
//! and cut into c parts for each node, which are dealt out at random (the pathological split of McMahan et
//! al., Communication-Efficient Learning of Deep Networks from Decentralized Data, 2017).

use super::{BuildPartition, Partitioner, contiguous, enough};
use crate::domain::{OptionError, Row, Stream};
use crate::learn::data::Overview;
use serde::Deserialize;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ByClass {
    classes_per_node: Option<usize>,
}

impl Partitioner for ByClass {
    fn split(&self, samples: Overview<'_>, shards: usize, seed: u64) -> Result<Vec<Vec<u32>>, OptionError> {
        let each = self.classes_per_node.unwrap_or(1);
        let labels = samples.classes()?;
        enough(samples.len, shards, each)?;
        let mut order: Vec<u32> = (0..samples.len as u32).collect();
        order.sort_by_key(|i| labels[*i as usize]);
        let mut parts = contiguous(&order, shards * each);
        if self.classes_per_node.is_some() {
            Stream::new(seed, "partition", 0, 0).shuffle(&mut parts);
        }
        Ok(parts.chunks(each).map(<[_]>::concat).collect())
    }
}

/// Its row.
pub fn row() -> Row<BuildPartition> {
    Row {
        name: "by_class",
        summary: "samples sorted by class; classes_per_node such pieces for each node, else one contiguous part",
        example: "{name: by_class, classes_per_node: null}",
        positional: &["classes_per_node"],
        build: |choice| {
            let options: ByClass = choice.options()?;
            if options.classes_per_node == Some(0) {
                let allowed = "1 or more, or leave it out";
                return Err(OptionError::new("classes_per_node", "classes_per_node is 0", allowed));
            }
            Ok(Box::new(options))
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::build;
    use crate::learn::data::Overview;
    use serde_json::json;
    use std::collections::BTreeSet;

    #[test]
    fn sorted_parts_by_hand() {
        let split = build("by_class", json!({})).split(Overview::of_classes(&[1, 0, 1, 0]), 2, 9).unwrap();
        assert_eq!(split, [vec![1, 3], vec![0, 2]]);
    }

    #[test]
    fn so_many_classes_on_each_node() {
        let labels: Vec<u16> = (0..200).map(|i| i % 10).collect();
        let p = build("by_class", json!({"classes_per_node": 2}));
        let split = p.split(Overview::of_classes(&labels), 10, 3).unwrap();
        for shard in &split {
            let classes: BTreeSet<u16> = shard.iter().map(|i| labels[*i as usize]).collect();
            assert!(shard.len() == 20 && classes.len() <= 2, "{classes:?}");
        }
        assert_ne!(split, p.split(Overview::of_classes(&labels), 10, 4).unwrap());
    }
}
