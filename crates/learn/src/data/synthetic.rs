//! synthetic(alpha, beta): users whose models and inputs differ (T. Li et al., Federated Optimization in Heterogeneous
//! Networks, 2020, and the authors' generate_synthetic.py; after O. Shamir, N. Srebro, T. Zhang, 2014).

use super::{BuildData, DataContext, DataSet, Owners, Samples};
use crate::model::DataShape;
use hcddl_core::domain::{OptionError, Row, Stream, math};
use serde::Deserialize;

const FEATURES: usize = 60;
const CLASSES: usize = 10;
/// Most samples of all users.
const SAMPLES_MAX: usize = 20_000_000;

/// Its row.
pub fn row() -> Row<BuildData> {
    Row {
        name: "synthetic",
        summary: "synthetic(alpha, beta) of FedProx: users whose models differ by alpha, inputs by beta; from the data seed",
        example: "{name: synthetic, alpha: 1.0, beta: 1.0, users: 30, iid: false}",
        positional: &["alpha", "beta"],
        build: |choice, context| make(&choice.options()?, context),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Options {
    /// Standard deviation of the means of the users' models.
    alpha: f64,
    /// Standard deviation of the means of the users' inputs.
    beta: f64,
    users: usize,
    /// All users have the same model, and inputs of which each feature has the same mean.
    iid: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { alpha: 1.0, beta: 1.0, users: 30, iid: false }
    }
}

/// A linear model: weights by feature, then biases.
struct Model {
    weights: Vec<f64>,
    bias: Vec<f64>,
}

impl Model {
    fn draw(mean: f64, stream: &mut Stream) -> Self {
        let mut draw = |count: usize| (0..count).map(|_| mean + stream.normal()).collect();
        Self { weights: draw(FEATURES * CLASSES), bias: draw(CLASSES) }
    }

    /// The class of the largest output; softmax does not change which that is.
    fn class(&self, x: &[f64]) -> u16 {
        let mut outputs = self.bias.clone();
        for (x, weights) in x.iter().zip(self.weights.chunks_exact(CLASSES)) {
            outputs.iter_mut().zip(weights).for_each(|(output, weight)| *output += x * weight);
        }
        (1..CLASSES).fold(0, |best, i| if outputs[i] > outputs[best] { i } else { best }) as u16
    }
}

/// What one part of the set holds.
#[derive(Default)]
struct Part {
    values: Vec<f32>,
    classes: Vec<u16>,
    owners: Vec<u32>,
}

fn make(options: &Options, context: &DataContext) -> Result<DataSet, OptionError> {
    for (key, value) in [("alpha", options.alpha), ("beta", options.beta)] {
        OptionError::check(value.is_finite() && value >= 0.0, key, value, "0 or more")?;
    }
    OptionError::check((1..=100_000).contains(&options.users), "users", options.users, "1 to 100000")?;
    let stream = |user: usize, part: u64| Stream::new(context.seed, "synthetic", user as u64, part);
    let sizes: Vec<usize> = (0..options.users).map(|user| size(&mut stream(user, 0))).collect();
    let total: usize = sizes.iter().sum();
    if total > SAMPLES_MAX {
        let message = format!("{} users have {total} samples", options.users);
        return Err(OptionError::new("users", message, format!("at most {SAMPLES_MAX} in all")));
    }
    let shared = options.iid.then(|| Model::draw(0.0, &mut stream(options.users, 1)));
    // Sigma is diagonal: j^-1.2 for feature j.
    let deviations: Vec<f64> = (1..=FEATURES).map(|j| math::pow(j as f64, -0.6)).collect();
    let (mut train, mut test) = (Part::default(), Part::default());
    for (user, size) in sizes.iter().enumerate() {
        let mut draw = stream(user, 1);
        let (model_mean, input_mean) = (options.alpha * draw.normal(), options.beta * draw.normal());
        let centre: Vec<f64> = (0..FEATURES)
            .map(|_| if options.iid { input_mean } else { input_mean + draw.normal() })
            .collect();
        let own = Model::draw(model_mean, &mut draw);
        let model = shared.as_ref().unwrap_or(&own);
        let trained = size * 9 / 10;
        for sample in 0..*size {
            let x: Vec<f64> = centre.iter().zip(&deviations).map(|(c, d)| c + d * draw.normal()).collect();
            let part = if sample < trained { &mut train } else { &mut test };
            part.values.extend(x.iter().map(|x| *x as f32));
            part.classes.push(model.class(&x));
            part.owners.push(user as u32);
        }
    }
    let names: Vec<String> = (0..options.users).map(|user| format!("user-{user}")).collect();
    let samples = |part: Part| {
        let owners = Owners { of: part.owners, names: names.clone() };
        Samples::from_floats(part.values, part.classes, FEATURES).owned_by(owners)
    };
    Ok(DataSet::new(DataShape::features(FEATURES, CLASSES), samples(train), samples(test)))
}

/// Samples of a user: the whole part of a log-normal(4, 2), and 50.
fn size(stream: &mut Stream) -> usize {
    math::exp(4.0 + 2.0 * stream.normal()).min(1e9) as usize + 50
}

#[cfg(test)]
mod tests {
    use super::*;
    use hcddl_core::domain::Choice;
    use serde_json::{Value, json};

    fn build(options: Value, seed: u64) -> Result<DataSet, OptionError> {
        let options = options.as_object().unwrap().clone();
        let choice = Choice { name: "synthetic".into(), options, positional: vec![] };
        (row().build)(&choice, &DataContext { data_dir: None, seed })
    }

    /// How much of a user's samples have that user's most frequent class, over all users.
    fn purity(set: &DataSet) -> f64 {
        let (classes, owners) = (set.train.classes().unwrap(), set.train.owners().unwrap());
        let mut counts = vec![[0u32; CLASSES]; owners.names.len()];
        for (class, owner) in classes.iter().zip(&owners.of) {
            counts[*owner as usize][usize::from(*class)] += 1;
        }
        f64::from(counts.iter().map(|c| *c.iter().max().unwrap()).sum::<u32>()) / classes.len() as f64
    }

    #[test]
    fn every_user_has_both_parts_and_the_seed_decides_all() {
        let (a, b, c) =
            (build(json!({}), 1).unwrap(), build(json!({}), 1).unwrap(), build(json!({}), 2).unwrap());
        assert_eq!(format!("{:?}", a.train), format!("{:?}", b.train));
        assert_ne!(a.train.len(), c.train.len());
        for user in 0..30u32 {
            let of = |samples: &Samples| samples.owners().unwrap().of.iter().filter(|o| **o == user).count();
            let (train, test) = (of(&a.train), of(&a.test));
            assert!(train + test >= 50 && train == (train + test) * 9 / 10, "{train} and {test}");
        }
    }

    #[test]
    fn users_with_models_of_their_own_differ_more_than_those_that_share_one() {
        let (own, shared) =
            (build(json!({}), 3).unwrap(), build(json!({"iid": true, "beta": 0}), 3).unwrap());
        assert!(purity(&own) > purity(&shared) + 0.1, "{} {}", purity(&own), purity(&shared));
    }

    #[test]
    fn meaningless_options_are_refused_by_key() {
        for (options, key) in
            [(json!({"alpha": -1}), "alpha"), (json!({"users": 0}), "users"), (json!({"gamma": 1}), "gamma")]
        {
            assert_eq!(build(options, 1).unwrap_err().key, key);
        }
    }
}
