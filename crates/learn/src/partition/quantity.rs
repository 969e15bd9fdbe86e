//! Quantity skew: shards without regard to classes, their sizes from Dirichlet(beta); drawn anew until each
//! holds `min_size` samples (Li, Diao, Chen and He, Federated Learning on Non-IID Data Silos: An Experimental
//! Study, 2022).

use super::{BuildPartition, Partitioner, cuts, drawn, enough, permutation, positive};
use crate::data::Overview;
use hcddl_core::domain::{OptionError, Row, Stream};
use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Quantity {
    beta: f64,
    min_size: usize,
}

impl Default for Quantity {
    fn default() -> Self {
        Self { beta: 0.5, min_size: 10 }
    }
}

impl Partitioner for Quantity {
    fn split(&self, samples: Overview<'_>, shards: usize, seed: u64) -> Result<Vec<Vec<u32>>, OptionError> {
        enough(samples.len, shards, self.min_size.max(1))?;
        let order = permutation(samples.len, seed);
        drawn(("beta", self.beta), self.min_size, shards, |attempt| {
            let mut stream = Stream::new(seed, "partition", 3, attempt);
            let shares: Vec<f64> = (0..shards).map(|_| stream.gamma(self.beta)).collect();
            let fallback = stream.below(shards as u64) as usize;
            cuts(&shares, fallback, order.len()).map(|range| order[range].to_vec()).collect()
        })
    }
}

/// Its row.
pub fn row() -> Row<BuildPartition> {
    Row {
        name: "quantity",
        summary: "quantity skew: random samples, sizes of the shards from Dirichlet(beta); small beta, unequal sizes",
        example: "{name: quantity, beta: 0.5, min_size: 10}",
        positional: &["beta"],
        build: |choice| {
            let options: Quantity = choice.options()?;
            positive("beta", options.beta)?;
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
    fn small_beta_makes_sizes_unequal_and_classes_stay_mixed() {
        let labels: Vec<u16> = (0..5000).map(|i| i % 2).collect();
        let split = |beta: f64| {
            let p = build("quantity", json!({ "beta": beta }));
            p.split(Overview::of_classes(&labels), 5, 7).unwrap()
        };
        let largest = |beta: f64| split(beta).iter().map(Vec::len).max().unwrap();
        assert!(largest(0.3) > 2000 && largest(1000.0) < 1200, "{} {}", largest(0.3), largest(1000.0));
        for shard in split(1000.0) {
            let ones = shard.iter().filter(|i| labels[**i as usize] == 1).count() as f64;
            assert!((ones / shard.len() as f64 - 0.5).abs() < 0.1);
        }
        assert!(split(0.3).iter().all(|shard| shard.len() >= 10));
    }

    #[test]
    fn gives_up_with_advice() {
        let p = build("quantity", json!({"beta": 0.001}));
        let error = p.split(Overview::of_classes(&[0; 100]), 10, 1).unwrap_err();
        assert!(error.key == "beta" && error.to_string().contains("a larger beta"), "{error}");
    }
}
