//! Two classes for each node and sizes that follow a power law: the MNIST of FedProx (Li et al., Federated
//! Optimization in Heterogeneous Networks, 2020; `data/mnist/generate_niid.py` of its code), from our own
//! random streams.
//!
//! Shard u holds the classes (u + j) modulo the number of classes, for j below `per_node`. Of each it gets
//! `first` samples; the samples of a class that are then left are shared out in proportion to draws of
//! exp(sigma N(0, 1)), in order of the shards. A share is rounded down, and one that would use up its class is
//! not given at all, so some samples stay unused.

use super::{BuildPartition, Partitioner, by_class, enough};
use crate::data::Overview;
use hcddl_core::domain::{OptionError, Row, Stream, math};
use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct PowerLaw {
    per_node: usize,
    first: usize,
    sigma: f64,
}

impl Default for PowerLaw {
    fn default() -> Self {
        Self { per_node: 2, first: 5, sigma: 2.0 }
    }
}

impl Partitioner for PowerLaw {
    fn split(&self, samples: Overview<'_>, shards: usize, seed: u64) -> Result<Vec<Vec<u32>>, OptionError> {
        enough(samples.len, shards, self.per_node * self.first)?;
        let by_class = by_class(samples.classes()?);
        let classes = by_class.len();
        OptionError::check(self.per_node <= classes, "per_node", self.per_node, &format!("1 to {classes}"))?;
        let held = |shard: usize| (0..self.per_node).map(move |j| (shard + j) % classes);
        let mut weights = Vec::with_capacity(shards * self.per_node);
        let (mut holders, mut total) = (vec![0; classes], vec![0.0; classes]);
        for shard in 0..shards {
            let mut stream = Stream::new(seed, "partition", 2, shard as u64);
            for class in held(shard) {
                let weight = math::exp(self.sigma * stream.normal());
                holders[class] += 1;
                total[class] += weight;
                weights.push(weight);
            }
        }
        let mut left = Vec::with_capacity(classes);
        for (class, samples) in by_class.iter().enumerate() {
            let first = holders[class] * self.first;
            left.push(samples.len().checked_sub(first).ok_or_else(|| short(class, samples.len(), first))?);
        }
        let mut split = vec![Vec::new(); shards];
        let mut given = vec![0; classes];
        let mut give = |shard: &mut Vec<u32>, class: usize, count: usize| {
            shard.extend(&by_class[class][given[class]..given[class] + count]);
            given[class] += count;
            by_class[class].len() - given[class]
        };
        let mut room: Vec<usize> = by_class.iter().map(Vec::len).collect();
        for (shard, samples) in split.iter_mut().enumerate() {
            held(shard).for_each(|class| room[class] = give(samples, class, self.first));
        }
        let mut weights = weights.into_iter();
        for (shard, samples) in split.iter_mut().enumerate() {
            for (class, weight) in held(shard).zip(&mut weights) {
                let count = (left[class] as f64 * weight / total[class]) as usize;
                if count < room[class] {
                    room[class] = give(samples, class, count);
                }
            }
        }
        Ok(split)
    }

    fn covers(&self) -> bool {
        false
    }
}

fn short(class: usize, samples: usize, needed: usize) -> OptionError {
    let message =
        format!("{samples} training samples of class {class} are too few for the shards that hold it");
    let hint = "use fewer workers, more data or a smaller `first`".to_owned();
    OptionError { hint, ..OptionError::new("", message, format!("{needed} or more")) }
}

/// Its row.
pub fn row() -> Row<BuildPartition> {
    Row {
        name: "power_law",
        summary: "per_node classes for each node, sizes from a lognormal (FedProx' MNIST); leaves some samples unused",
        example: "{name: power_law, per_node: 2, first: 5, sigma: 2}",
        positional: &["per_node"],
        build: |choice| {
            let options: PowerLaw = choice.options()?;
            OptionError::check(options.per_node > 0, "per_node", options.per_node, "1 or more")?;
            OptionError::check(options.first > 0, "first", options.first, "1 or more")?;
            let bounded = (0.0..=10.0).contains(&options.sigma);
            OptionError::check(bounded, "sigma", options.sigma, "0 to 10")?;
            Ok(Box::new(options))
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
        // Without spread every holder of a class has the same share: class 0 is held by shards 0 and 1, and so
        // on; of 10 samples one goes to each first, then 8/2 to the first holder. The second would use up the
        // class and gets no more.
        let labels: Vec<u16> = (0..20).map(|i| i / 10).collect();
        let p = build("power_law", json!({"per_node": 2, "first": 1, "sigma": 0}));
        let split = p.split(Overview::of_classes(&labels), 2, 1).unwrap();
        assert_eq!(split[0], [0, 10, 2, 3, 4, 5, 12, 13, 14, 15]);
        assert_eq!(split[1], [11, 1]);
    }

    /// FedProx publishes 69,035 samples on 1,000 users of the 70,000 digits; theirs are other draws.
    #[test]
    fn sizes_of_the_published_split() {
        let counts = [6903, 7877, 6990, 7141, 6824, 6313, 6876, 7293, 6825, 6958];
        let labels: Vec<u16> = (0..10).flat_map(|class| vec![class; counts[usize::from(class)]]).collect();
        for seed in 1..4 {
            let split =
                build("power_law", json!({})).split(Overview::of_classes(&labels), 1000, seed).unwrap();
            let sizes: Vec<f64> = split.iter().map(|shard| shard.len() as f64).collect();
            let sum: f64 = sizes.iter().sum();
            let variance = sizes.iter().map(|size| (size - sum / 1000.0).powi(2)).sum::<f64>() / 1000.0;
            assert!((66_000.0..69_500.0).contains(&sum), "{sum}");
            assert!((90.0..250.0).contains(&variance.sqrt()), "{}", variance.sqrt());
            assert!(sizes.iter().all(|size| *size >= 10.0));
            let classes = |shard: usize| [shard % 10, (shard + 1) % 10];
            let held = |(u, shard): (usize, &Vec<u32>)| {
                shard.iter().all(|i| classes(u).contains(&usize::from(labels[*i as usize])))
            };
            assert!(split.iter().enumerate().all(held));
        }
    }

    #[test]
    fn a_rare_class_is_named() {
        let labels: Vec<u16> = (0..500).map(|i| u16::from(i == 7)).collect();
        let error = build("power_law", json!({})).split(Overview::of_classes(&labels), 2, 1).unwrap_err();
        assert!(error.to_string().contains("1 training samples of class 1"), "{error}");
        let error = build("power_law", json!({"per_node": 3})).split(Overview::of_classes(&labels), 2, 1);
        assert_eq!(error.unwrap_err().key, "per_node");
    }
}
