//! By a list that says for each training sample which node holds it.

use super::{BuildPartition, Partitioner, enough};
use crate::data::Overview;
use hcddl_core::domain::{OptionError, Row};
use serde::Deserialize;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Listed {
    /// Reading files is not the business of partitioners: the scenario replaces this by `nodes`.
    file: Option<String>,
    /// The number of the node of each sample, from 0 in the order of the nodes that train; -1 for nobody.
    nodes: Vec<i64>,
}

const NEXT: &str = "`hcddl data show` lists the nodes that train in their order; the first is 0";

impl Partitioner for Listed {
    fn split(&self, samples: Overview<'_>, shards: usize, _: u64) -> Result<Vec<Vec<u32>>, OptionError> {
        enough(samples.len, shards, 1)?;
        let refuse = |message: String, allowed: String| OptionError {
            hint: NEXT.to_owned(),
            ..OptionError::new("nodes", message, allowed)
        };
        if self.nodes.len() != samples.len {
            let message = format!(
                "the list gives nodes for {} samples, and there are {} to train on",
                self.nodes.len(),
                samples.len
            );
            return Err(refuse(message, "a number for each training sample".to_owned()));
        }
        let mut split = vec![Vec::new(); shards];
        for (sample, node) in (0u32..).zip(&self.nodes) {
            if *node == -1 {
                continue;
            }
            let shard = usize::try_from(*node).ok().and_then(|node| split.get_mut(node));
            let Some(shard) = shard else {
                let message = format!("sample {sample} belongs to node {node}");
                return Err(refuse(message, format!("0 to {}, or -1 for nobody", shards.saturating_sub(1))));
            };
            shard.push(sample);
        }
        if let Some(empty) = split.iter().position(Vec::is_empty) {
            let message = format!("node {empty} of {shards} gets no samples");
            return Err(refuse(message, "1 or more samples for each node".to_owned()));
        }
        Ok(split)
    }

    fn covers(&self) -> bool {
        self.nodes.iter().all(|node| *node != -1)
    }
}

/// Its row.
pub fn row() -> Row<BuildPartition> {
    Row {
        name: "file",
        summary: "as a list says: `file`, a CSV of `sample,node` or a node a line, or `nodes`; numbers from 0, -1: nobody",
        example: "{name: file, nodes: [0, 1, 1, 0]}",
        positional: &["file"],
        build: |choice| {
            let listed: Listed = choice.options()?;
            if let Some(file) = &listed.file {
                let message = format!("the nodes in `{file}` have not been read");
                return Err(OptionError::new(
                    "file",
                    message,
                    "`{name: file, file: FILE}` in a scenario file",
                ));
            }
            Ok(Box::new(listed))
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::build;
    use crate::data::Overview;
    use serde_json::json;

    #[test]
    fn by_hand() {
        let split = |nodes: serde_json::Value, shards| {
            build("file", json!({ "nodes": nodes })).split(Overview::of_classes(&[0; 5]), shards, 1)
        };
        assert_eq!(split(json!([1, 0, 1, -1, 0]), 2).unwrap(), [vec![1, 4], vec![0, 2]]);
        for (nodes, shards, part) in [
            (json!([0, 1]), 2, "nodes for 2 samples, and there are 5"),
            (json!([0, 1, 2, 0, 0]), 2, "sample 2 belongs to node 2; allowed: 0 to 1"),
            (json!([0, -2, 1, 0, 0]), 2, "sample 1 belongs to node -2"),
            (json!([0, 0, 0, 0, 0]), 2, "node 1 of 2 gets no samples"),
            (json!([0, 0, 0, 0, 0]), 0, "no node trains"),
        ] {
            let error = split(nodes, shards).unwrap_err().to_string();
            assert!(error.contains(part), "{part}: {error}");
        }
    }
}
