//! Gaussian blobs: each class is a normal distribution around its own centre. Any size, for scale.

use super::{BuildData, DataContext, DataSet, Samples};
use crate::model::DataShape;
use hcddl_core::domain::{OptionError, Row, Stream};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Options {
    classes: usize,
    features: usize,
    /// Training samples.
    samples: usize,
    test_samples: usize,
    /// Standard deviation of a sample around the centre of its class; centres are standard normal.
    spread: f64,
}

impl Default for Options {
    fn default() -> Self {
        Self { classes: 10, features: 16, samples: 10_000, test_samples: 1000, spread: 0.5 }
    }
}

/// Its row.
pub fn row() -> Row<BuildData> {
    Row {
        name: "blobs",
        summary: "synthetic classes, each a normal distribution around its own centre; from the data seed",
        example: "{name: blobs, classes: 10, features: 16, samples: 10000, test_samples: 1000, spread: 0.5}",
        positional: &[],
        build: |choice, context| make(&choice.options()?, context),
    }
}

fn make(options: &Options, context: &DataContext) -> Result<DataSet, OptionError> {
    let Options { classes, features, samples, test_samples, spread } = *options;
    for (key, value, least, most) in [
        ("classes", classes, 2, 65_536),
        ("features", features, 1, 1_000_000),
        ("samples", samples, 1, 1_000_000_000),
        ("test_samples", test_samples, 1, 1_000_000_000),
    ] {
        if !(least..=most).contains(&value) {
            return Err(OptionError::new(key, format!("{key} is {value}"), format!("{least} to {most}")));
        }
    }
    if !(spread.is_finite() && spread >= 0.0) {
        return Err(OptionError::new("spread", format!("spread is {spread}"), "0 or more"));
    }
    let most_values = 2_000_000_000;
    if (samples + test_samples).saturating_mul(features) > most_values {
        let message = format!("{samples} samples of {features} features do not fit into memory");
        return Err(OptionError::new("samples", message, format!("at most {most_values} values in all")));
    }
    let mut stream = Stream::new(context.seed, "blobs", 0, 0);
    let centres: Vec<f64> = (0..classes * features).map(|_| stream.normal()).collect();
    let draw = |count: usize, part: u64| {
        let mut stream = Stream::new(context.seed, "blobs", 1, part);
        let labels: Vec<u16> = (0..count).map(|i| (i % classes) as u16).collect();
        let mut values = Vec::with_capacity(count * features);
        for label in &labels {
            let centre = &centres[usize::from(*label) * features..][..features];
            values.extend(centre.iter().map(|c| (c + spread * stream.normal()) as f32));
        }
        Samples::from_floats(values, labels, features)
    };
    Ok(DataSet::new(DataShape::features(features, classes), draw(samples, 0), draw(test_samples, 1)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hcddl_core::domain::Choice;
    use serde_json::json;

    fn choice(options: serde_json::Value) -> Choice {
        Choice { name: "blobs".into(), options: options.as_object().unwrap().clone(), positional: vec![] }
    }

    #[test]
    fn same_seed_same_blobs_and_every_class_is_there() {
        let build =
            |seed| (row().build)(&choice(json!({"samples": 20})), &DataContext { data_dir: None, seed });
        let (a, b, c) = (build(1).unwrap(), build(1).unwrap(), build(2).unwrap());
        let values = |set: &DataSet| format!("{:?}", set.train);
        assert_eq!(values(&a), values(&b));
        assert_ne!(values(&a), values(&c));
        assert_eq!(
            (a.train.len(), a.train.classes().unwrap()[..10].to_vec()),
            (20, (0..10).collect::<Vec<u16>>())
        );
    }

    #[test]
    fn meaningless_options_are_refused_by_key() {
        for (options, key) in [
            (json!({"classes": 1}), "classes"),
            (json!({"spread": -1}), "spread"),
            (json!({"samples": 0}), "samples"),
            (json!({"samples": 1_000_000_000, "features": 1000}), "samples"),
            (json!({"sample": 1}), "sample"),
        ] {
            let error = (row().build)(&choice(options.clone()), &DataContext::default()).unwrap_err();
            assert_eq!(error.key, key, "{options}: {error}");
        }
    }
}
