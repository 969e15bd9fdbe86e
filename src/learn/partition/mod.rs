//! Partitioners: who holds which training samples. One file each; the same seed gives the same shards.

mod by_class;
mod dirichlet;
mod iid;

use crate::domain::{Choice, OptionError, Stream, Table};
use crate::learn::data::Overview;

/// Splits training samples into shards.
pub trait Partitioner: Send + Sync + std::fmt::Debug {
    /// Indexes of the samples on each of `shards` shards: disjoint, each shard not empty.
    ///
    /// # Errors
    /// When there are too few samples.
    fn split(&self, samples: Overview<'_>, shards: usize, seed: u64) -> Result<Vec<Vec<u32>>, OptionError>;
}

/// Makes a partitioner from its options.
pub type BuildPartition = fn(&Choice) -> Result<Box<dyn Partitioner>, OptionError>;

/// All partitioners.
#[must_use]
pub fn table() -> Table<BuildPartition> {
    Table::new("partitioner", vec![iid::row(), by_class::row(), dirichlet::row()])
}

/// Refuses fewer than `least` samples for each shard.
fn enough(samples: usize, shards: usize, least: usize) -> Result<(), OptionError> {
    if shards == 0 {
        return Err(OptionError::new("", "no node trains, so nobody can hold the data", "1 or more workers"));
    }
    if samples < shards.saturating_mul(least) {
        let message = format!("{samples} training samples are too few for {shards} shards");
        let allowed = format!("at least {least} for each shard: {} samples", shards.saturating_mul(least));
        let hint = "use fewer workers or more data".to_owned();
        return Err(OptionError { hint, ..OptionError::new("", message, allowed) });
    }
    Ok(())
}

/// Contiguous parts whose sizes differ by at most one, the larger ones first.
fn contiguous(order: &[u32], parts: usize) -> Vec<Vec<u32>> {
    let (size, larger) = (order.len() / parts, order.len() % parts);
    let mut rest = order;
    (0..parts)
        .map(|i| {
            let (part, after) = rest.split_at(size + usize::from(i < larger));
            rest = after;
            part.to_vec()
        })
        .collect()
}

/// All samples in a shuffled order.
fn permutation(samples: usize, seed: u64) -> Vec<u32> {
    let mut order: Vec<u32> = (0..samples as u32).collect();
    Stream::new(seed, "partition", 0, 0).shuffle(&mut order);
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    pub(super) fn build(name: &str, options: serde_json::Value) -> Box<dyn Partitioner> {
        let choice =
            Choice { name: name.into(), options: options.as_object().unwrap().clone(), positional: vec![] };
        (table().get(name).unwrap().build)(&choice).unwrap()
    }

    /// Every partitioner must cover all samples, once.
    fn law(p: &dyn Partitioner, labels: &[u16], shards: usize, seed: u64) -> Result<(), TestCaseError> {
        let samples = Overview::of_classes(labels);
        let split = p.split(samples, shards, seed);
        let Ok(split) = split else {
            prop_assert!(labels.len() < 100 || labels.len() < 10 * shards, "{p:?}: {split:?}");
            return Ok(());
        };
        prop_assert_eq!(split.len(), shards);
        prop_assert!(split.iter().all(|shard| !shard.is_empty()), "{:?}: an empty shard", p);
        let mut all: Vec<u32> = split.concat();
        all.sort_unstable();
        prop_assert_eq!(all, (0..labels.len() as u32).collect::<Vec<_>>());
        prop_assert_eq!(p.split(samples, shards, seed), Ok(split));
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn shards_are_a_disjoint_cover(
            labels in prop::collection::vec(0u16..10, 1..400),
            shards in 1usize..12,
            seed: u64,
        ) {
            for p in [
                build("iid", json!({})),
                build("iid", json!({"order": "contiguous"})),
                build("iid", json!({"order": "strided"})),
                build("by_class", json!({})),
                build("by_class", json!({"classes_per_node": 2})),
                build("dirichlet", json!({"alpha": 1.0, "min_size": 1})),
            ] {
                law(p.as_ref(), &labels, shards, seed)?;
            }
        }
    }

    #[test]
    fn too_few_samples_are_refused() {
        for row in table().rows() {
            let error = build(row.name, json!({}))
                .split(Overview::of_classes(&[0, 1]), 3, 1)
                .unwrap_err()
                .to_string();
            assert!(error.contains("too few") && error.contains("fewer workers"), "{error}");
            assert!(build(row.name, json!({})).split(Overview::of_classes(&[0, 1]), 0, 1).is_err());
        }
    }
}
