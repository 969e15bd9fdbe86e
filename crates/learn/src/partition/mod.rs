//! Partitioners: who holds which training samples. One file each; the same seed gives the same shards.

mod by_class;
mod dirichlet;
mod file;
mod iid;
mod natural;
mod power_law;
mod quantity;
mod shards;
mod slices;

use crate::data::Overview;
use hcddl_core::domain::{Build, OptionError, Options, Pluggable, Stream, Table, options};
use serde::Deserialize;
use std::ops::Range;

/// Splits training samples into shards.
pub trait Partitioner: Send + Sync + std::fmt::Debug {
    /// Indexes of the samples on each of `shards` shards: disjoint, each shard not empty.
    ///
    /// # Errors
    /// When there are too few samples.
    fn split(&self, samples: Overview<'_>, shards: usize, seed: u64) -> Result<Vec<Vec<u32>>, OptionError>;

    /// Whether every sample goes to some shard.
    fn covers(&self) -> bool {
        true
    }
}

/// Makes a partitioner from its options.
pub type BuildPartition = Build<Box<dyn Partitioner>>;

impl Pluggable for dyn Partitioner {
    type Build = BuildPartition;
    const KIND: &'static str = "partitioner";
    const LIST: &'static str = "partitions";
    const COMMON: Option<Options> = Some(options::<PartitionOptions>);
}

/// Options of every partitioner besides its own.
#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub(crate) struct PartitionOptions {
    /// This share of each shard is held out; together that is the test set, instead of the data set's own.
    pub test_share: Option<f64>,
}

/// All partitioners.
#[must_use]
pub fn table() -> Table<BuildPartition> {
    Table::new::<dyn Partitioner>(vec![
        iid::row(),
        slices::row(),
        by_class::row(),
        shards::row(),
        dirichlet::row(),
        quantity::row(),
        power_law::row(),
        natural::row(),
        file::row(),
    ])
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

/// Samples of each class, in order.
fn by_class(labels: &[u16]) -> Vec<Vec<u32>> {
    let classes = labels.iter().max().map_or(0, |most| usize::from(*most) + 1);
    let mut by_class = vec![Vec::new(); classes];
    labels.iter().zip(0u32..).for_each(|(label, i)| by_class[usize::from(*label)].push(i));
    by_class
}

/// Refuses a concentration that is not above 0.
fn positive(key: &str, value: f64) -> Result<(), OptionError> {
    OptionError::check(value.is_finite() && value > 0.0, key, value, "above 0, as in 0.5")
}

/// Cuts `len` samples into contiguous ranges in proportion to these shares; all go to range `fallback` when
/// every share is 0.
fn cuts(shares: &[f64], fallback: usize, len: usize) -> impl Iterator<Item = Range<usize>> {
    let total: f64 = shares.iter().sum();
    let (mut start, mut reached) = (0, 0.0);
    (0..shares.len()).map(move |i| {
        reached += if total > 0.0 { shares[i] / total } else { f64::from(u8::from(i == fallback)) };
        let last = i + 1 == shares.len();
        let end = if last { len } else { ((reached * len as f64) as usize).clamp(start, len) };
        std::mem::replace(&mut start, end)..end
    })
}

/// How often a random split is drawn before it is given up.
const ATTEMPTS: u64 = 1000;

/// The first draw that leaves `min_size` samples (at least 1) on every shard. `of` names the concentration that
/// decides how likely that is.
fn drawn(
    of: (&str, f64),
    min_size: usize,
    shards: usize,
    draw: impl Fn(u64) -> Vec<Vec<u32>>,
) -> Result<Vec<Vec<u32>>, OptionError> {
    let least = min_size.max(1);
    let fits = |split: &Vec<Vec<u32>>| split.iter().all(|shard| shard.len() >= least);
    (0..ATTEMPTS).map(draw).find(fits).ok_or_else(|| {
        let (key, value) = of;
        let message = format!(
            "{ATTEMPTS} draws with {key} {value} left a shard of {shards} with fewer than {least} samples"
        );
        let hint = format!("use a larger {key}, a smaller min_size or fewer workers");
        OptionError { hint, ..OptionError::new(key, message, "") }
    })
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
    use crate::data::Owners;
    use hcddl_core::domain::Choice;
    use proptest::prelude::*;
    use serde_json::json;

    pub(super) fn build(name: &str, options: serde_json::Value) -> Box<dyn Partitioner> {
        let choice =
            Choice { name: name.into(), options: options.as_object().unwrap().clone(), positional: vec![] };
        (table().get(name).unwrap().build)(&choice, &()).unwrap()
    }

    /// Shards are disjoint and not empty; together they are all samples, unless the partitioner leaves some out.
    fn law(
        p: &dyn Partitioner,
        samples: Overview<'_>,
        shards: usize,
        seed: u64,
    ) -> Result<(), TestCaseError> {
        let split = p.split(samples, shards, seed);
        let Ok(split) = split else {
            let excused = samples.len < 100 || samples.len < 10 * shards || !p.covers();
            prop_assert!(excused, "{p:?}: {split:?}");
            return Ok(());
        };
        prop_assert_eq!(split.len(), shards);
        prop_assert!(split.iter().all(|shard| !shard.is_empty()), "{:?}: an empty shard", p);
        let mut all: Vec<u32> = split.concat();
        all.sort_unstable();
        if p.covers() {
            prop_assert_eq!(all, (0..samples.len as u32).collect::<Vec<_>>());
        } else {
            prop_assert!(all.is_sorted_by(|a, b| a < b), "{:?}: a sample on two shards", p);
            prop_assert!(all.last().is_some_and(|last| (*last as usize) < samples.len));
        }
        prop_assert_eq!(p.split(samples, shards, seed), Ok(split));
        Ok(())
    }

    /// Twelve owners in turn.
    fn owners(samples: usize) -> Owners {
        Owners {
            of: (0..samples as u32).map(|i| i % 12).collect(),
            names: (0..12).map(|i| i.to_string()).collect(),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn shards_are_disjoint_and_cover_what_they_should(
            labels in prop::collection::vec(0u16..10, 1..400),
            shards in 1usize..12,
            seed: u64,
        ) {
            let owners = owners(labels.len());
            let samples = Overview::of_classes(&labels).with_owners(&owners);
            for (name, options) in [
                ("iid", json!({})),
                ("iid", json!({"order": "strided"})),
                ("slices", json!({})),
                ("by_class", json!({})),
                ("shards", json!({})),
                ("dirichlet", json!({"alpha": 1.0, "min_size": 1})),
                ("dirichlet", json!({"alpha": 5.0, "min_size": 1, "balance": false})),
                ("quantity", json!({"beta": 2.0, "min_size": 1})),
                ("power_law", json!({"first": 1})),
                ("natural", json!({})),
                ("natural", json!({"deal": "balanced"})),
            ] {
                law(build(name, options).as_ref(), samples, shards, seed)?;
            }
        }
    }

    #[test]
    fn too_few_samples_are_refused() {
        let owners = Owners { of: vec![0, 1], names: vec!["a".into(), "b".into()] };
        let samples = Overview::of_classes(&[0, 1]).with_owners(&owners);
        for row in table().rows() {
            let error = build(row.name, json!({})).split(samples, 3, 1).unwrap_err().to_string();
            assert!(error.contains("too few") && error.contains("fewer workers"), "{error}");
            assert!(build(row.name, json!({})).split(samples, 0, 1).is_err());
        }
    }
}
