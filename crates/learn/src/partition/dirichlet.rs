//! Label skew from a Dirichlet distribution: for each class, the shares of the shards are drawn from
//! Dirichlet(alpha) (Hsu, Qi and Brown, Measuring the Effects of Non-Identical Data Distribution, 2019); all is
//! drawn anew until every shard holds `min_size` samples. With `balance`, a shard that already holds its equal
//! part of all samples gets none of the next class: the rule of FedML's "hetero" partition (He et al., FedML,
//! 2020).

use super::{BuildPartition, Partitioner, by_class, cuts, drawn, enough, positive};
use crate::data::Overview;
use hcddl_core::domain::{OptionError, Row, Stream};
use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Dirichlet {
    alpha: f64,
    min_size: usize,
    balance: bool,
}

impl Default for Dirichlet {
    fn default() -> Self {
        Self { alpha: 0.5, min_size: 10, balance: true }
    }
}

impl Partitioner for Dirichlet {
    fn split(&self, samples: Overview<'_>, shards: usize, seed: u64) -> Result<Vec<Vec<u32>>, OptionError> {
        let by_class = by_class(samples.classes()?);
        enough(samples.len, shards, self.min_size.max(1))?;
        drawn(("alpha", self.alpha), self.min_size, shards, |attempt| {
            let mut stream = Stream::new(seed, "partition", 1, attempt);
            self.attempt(&by_class, samples.len, shards, &mut stream)
        })
    }
}

impl Dirichlet {
    fn attempt(
        &self,
        by_class: &[Vec<u32>],
        samples: usize,
        shards: usize,
        stream: &mut Stream,
    ) -> Vec<Vec<u32>> {
        let mut split = vec![Vec::new(); shards];
        for class in by_class {
            let mut order = class.clone();
            stream.shuffle(&mut order);
            let mut shares: Vec<f64> = (0..shards).map(|_| stream.gamma(self.alpha)).collect();
            let room = |shard: usize| !self.balance || split[shard].len() * shards < samples;
            (0..shards).filter(|i| !room(*i)).for_each(|i| shares[i] = 0.0);
            // Tiny alphas can underflow every share: the class then goes to one shard that has room.
            let fallback = stream.below(shards as u64) as usize;
            let fallback = (0..shards).map(|i| (i + fallback) % shards).find(|i| room(*i)).unwrap_or(0);
            for (shard, range) in split.iter_mut().zip(cuts(&shares, fallback, order.len())) {
                shard.extend_from_slice(&order[range]);
            }
        }
        split
    }
}

/// Its row.
pub fn row() -> Row<BuildPartition> {
    Row {
        name: "dirichlet",
        summary: "label skew: shares of each class from Dirichlet(alpha); small alpha, few classes on a node",
        example: "{name: dirichlet, alpha: 0.5, min_size: 10, balance: true}",
        positional: &["alpha"],
        build: |choice| {
            let options: Dirichlet = choice.options()?;
            positive("alpha", options.alpha)?;
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
    fn small_alpha_skews_and_large_alpha_does_not() {
        let labels: Vec<u16> = (0..5000).map(|i| (i % 10) as u16).collect();
        let largest_share = |alpha: f64| {
            let split = build("dirichlet", json!({ "alpha": alpha }))
                .split(Overview::of_classes(&labels), 5, 7)
                .unwrap();
            assert!(split.iter().all(|shard| shard.len() >= 10));
            let share = |shard: &Vec<u32>| {
                let mut counts = [0; 10];
                shard.iter().for_each(|i| counts[usize::from(labels[*i as usize])] += 1);
                f64::from(*counts.iter().max().unwrap()) / shard.len() as f64
            };
            split.iter().map(share).sum::<f64>() / 5.0
        };
        assert!(largest_share(0.1) > 0.25 && largest_share(1000.0) < 0.13);
    }

    #[test]
    fn balance_keeps_shards_from_growing_far_beyond_their_part() {
        let labels: Vec<u16> = (0..5000).map(|i| (i % 10) as u16).collect();
        let largest = |balance: bool| {
            let p = build("dirichlet", json!({"alpha": 0.2, "balance": balance}));
            let sizes = |seed: u64| {
                let split = p.split(Overview::of_classes(&labels), 5, seed).unwrap();
                split.iter().map(Vec::len).max().unwrap()
            };
            (0..10).map(sizes).sum::<usize>() / 10
        };
        assert!(largest(true) + 300 < largest(false), "{} {}", largest(true), largest(false));
    }

    #[test]
    fn gives_up_with_advice() {
        let labels: Vec<u16> = (0..100).map(|i| i % 2).collect();
        let p = build("dirichlet", json!({"alpha": 0.0001, "min_size": 10}));
        let error = p.split(Overview::of_classes(&labels), 10, 1).unwrap_err().to_string();
        assert!(error.contains("larger alpha"), "{error}");
    }
}
