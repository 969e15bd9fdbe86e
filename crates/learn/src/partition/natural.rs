//! By who the samples come from: one shard for each user, speaker or robot. When there are more owners than
//! shards, a shard holds several.

use super::{BuildPartition, Partitioner, enough};
use crate::data::Overview;
use hcddl_core::domain::{OptionError, Row};
use serde::Deserialize;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Natural {
    deal: Deal,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Deal {
    /// Owner i goes to shard i modulo the number of shards.
    #[default]
    RoundRobin,
    /// The owner with the most samples first, each to the shard that has the fewest.
    Balanced,
}

impl Partitioner for Natural {
    fn split(&self, samples: Overview<'_>, shards: usize, _: u64) -> Result<Vec<Vec<u32>>, OptionError> {
        let owners = samples.owners()?;
        enough(samples.len, shards, 1)?;
        let mut by_owner = vec![Vec::new(); owners.names.len()];
        owners.of.iter().zip(0u32..).for_each(|(owner, i)| by_owner[*owner as usize].push(i));
        by_owner.retain(|samples| !samples.is_empty());
        if by_owner.len() < shards {
            let message = format!("{} owners of samples are too few for {shards} shards", by_owner.len());
            let hint = "use fewer workers, or more data".to_owned();
            return Err(OptionError {
                hint,
                ..OptionError::new("", message, "one owner or more for each shard")
            });
        }
        let mut split = vec![Vec::new(); shards];
        match self.deal {
            Deal::RoundRobin => {
                by_owner.into_iter().enumerate().for_each(|(i, samples)| split[i % shards].extend(samples));
            }
            Deal::Balanced => {
                by_owner.sort_by_key(|samples| std::cmp::Reverse(samples.len()));
                for samples in by_owner {
                    let smallest = split.iter_mut().min_by_key(|shard| shard.len());
                    smallest.expect("there are shards").extend(samples);
                }
            }
        }
        Ok(split)
    }
}

/// Its row.
pub fn row() -> Row<BuildPartition> {
    Row {
        name: "natural",
        summary: "by user or speaker, one or more for each node; deal is round_robin or balanced (largest first)",
        example: "{name: natural, deal: round_robin}",
        positional: &[],
        build: |choice| Ok(Box::new(choice.options::<Natural>()?)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::build;
    use crate::data::{Overview, Owners};
    use serde_json::json;

    #[test]
    fn by_hand() {
        let owners =
            Owners { of: vec![2, 0, 3, 3, 3, 0], names: ["a", "b", "c", "d"].map(String::from).into() };
        let samples = Overview::of_classes(&[0; 6]).with_owners(&owners);
        let split = |deal: &str| build("natural", json!({ "deal": deal })).split(samples, 2, 1).unwrap();
        assert_eq!(split("round_robin"), [vec![1, 5, 2, 3, 4], vec![0]]);
        assert_eq!(split("balanced"), [vec![2, 3, 4], vec![1, 5, 0]]);
        let error = build("natural", json!({})).split(samples, 4, 1).unwrap_err().to_string();
        assert!(error.contains("3 owners of samples are too few for 4 shards"), "{error}");
        let error = build("natural", json!({})).split(Overview::of_classes(&[0; 6]), 2, 1).unwrap_err();
        assert!(error.to_string().contains("no owners"), "{error}");
    }
}
