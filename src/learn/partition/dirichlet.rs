//! Label skew from a Dirichlet distribution: for each class, the shares of the shards are drawn from
//! Dirichlet(alpha); a shard that already holds its equal part of all samples gets none; all is drawn anew
//! until every shard holds `min_size` samples. The rule of FedML's "hetero" partition (He et al., FedML,
//! 2020), after Hsu, Qi and Brown, Measuring the Effects of Non-Identical Data Distribution, 2019.

use super::{BuildPartition, Partitioner, enough};
use crate::domain::{OptionError, Row, Stream};
use crate::learn::data::Overview;
use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Dirichlet {
    alpha: f64,
    min_size: usize,
}

impl Default for Dirichlet {
    fn default() -> Self {
        Self { alpha: 0.5, min_size: 10 }
    }
}

const ATTEMPTS: u64 = 1000;

impl Partitioner for Dirichlet {
    fn split(&self, samples: Overview<'_>, shards: usize, seed: u64) -> Result<Vec<Vec<u32>>, OptionError> {
        let labels = samples.classes()?;
        enough(samples.len, shards, self.min_size.max(1))?;
        let classes = labels.iter().max().map_or(0, |most| usize::from(*most) + 1);
        let mut by_class = vec![Vec::new(); classes];
        labels.iter().zip(0u32..).for_each(|(label, i)| by_class[usize::from(*label)].push(i));
        for attempt in 0..ATTEMPTS {
            let mut stream = Stream::new(seed, "partition", 1, attempt);
            let split = self.attempt(&by_class, samples.len, shards, &mut stream);
            if split.iter().all(|shard| shard.len() >= self.min_size.max(1)) {
                return Ok(split);
            }
        }
        let message = format!(
            "{ATTEMPTS} draws with alpha {} left a shard of {} with fewer than {} samples",
            self.alpha,
            shards,
            self.min_size.max(1)
        );
        let hint = "use a larger alpha, a smaller min_size or fewer workers".to_owned();
        Err(OptionError { hint, ..OptionError::new("alpha", message, "") })
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
            let shares: Vec<f64> = (0..shards).map(|_| stream.gamma(self.alpha)).collect();
            let room = |shard: &Vec<u32>| shard.len() * shards < samples;
            let shares: Vec<f64> =
                shares.iter().zip(&split).map(|(share, s)| if room(s) { *share } else { 0.0 }).collect();
            let total: f64 = shares.iter().sum();
            // Tiny alphas can underflow every share: the class then goes to one shard that has room.
            let fallback = stream.below(shards as u64) as usize;
            let fallback =
                (0..shards).map(|i| (i + fallback) % shards).find(|i| room(&split[*i])).unwrap_or(0);
            let (mut start, mut reached) = (0, 0.0);
            for (i, shard) in split.iter_mut().enumerate() {
                reached += if total > 0.0 { shares[i] / total } else { f64::from(u8::from(i == fallback)) };
                let last = i + 1 == shards;
                let end = if last {
                    order.len()
                } else {
                    ((reached * order.len() as f64) as usize).min(order.len())
                };
                shard.extend_from_slice(&order[start..end.max(start)]);
                start = end.max(start);
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
        example: "{name: dirichlet, alpha: 0.5, min_size: 10}",
        positional: &["alpha"],
        build: |choice| {
            let options: Dirichlet = choice.options()?;
            if !(options.alpha.is_finite() && options.alpha > 0.0) {
                let message = format!("alpha is {}", options.alpha);
                return Err(OptionError::new("alpha", message, "above 0, as in 0.5"));
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
    fn gives_up_with_advice() {
        let labels: Vec<u16> = (0..100).map(|i| i % 2).collect();
        let p = build("dirichlet", json!({"alpha": 0.0001, "min_size": 10}));
        let error = p.split(Overview::of_classes(&labels), 10, 1).unwrap_err().to_string();
        assert!(error.contains("larger alpha"), "{error}");
    }
}
