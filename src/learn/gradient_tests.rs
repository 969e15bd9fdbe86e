//! Every model's gradient, checked three ways: by finite differences, against candle's autograd and
//! against committed digests (the same in debug and release and for every instruction set).

use super::*;
use crate::domain::digest::of_values;
use crate::domain::{Choice, Stream};
use crate::learn::kernels::Isa;
use crate::learn::model::{self, DataShape, Init, NetworkBuilder, Workspace};
use serde_json::json;

fn network(name: &str, shape: &DataShape, options: serde_json::Value) -> Network {
    let choice =
        Choice { name: name.into(), options: options.as_object().unwrap().clone(), positional: vec![] };
    (model::table().get(name).unwrap().build)(&choice, shape).unwrap()
}

/// Every row of the table, options that change a formula, and layers in orders that no row has.
fn networks() -> Vec<(&'static str, Network)> {
    let small = DataShape::images(2, 9, 11, 4);
    let uneven = NetworkBuilder::new(&small).conv2d(5, 3, Activation::Tanh).unwrap().max_pool(2).unwrap();
    let uneven = uneven.conv2d(3, 2, Activation::Identity).unwrap().avg_pool(2).unwrap();
    let pooled_first = NetworkBuilder::new(&small).max_pool(3).unwrap().linear(7, Activation::Tanh).unwrap();
    let mut all: Vec<(&'static str, Network)> =
        model::table().names().into_iter().map(|name| (name, network(name, &images(), json!({})))).collect();
    all.push(("mlp tanh", network("mlp", &images(), json!({"hidden": [20, 15], "activation": "tanh"}))));
    all.push(("uneven", uneven.head(Init::Torch).unwrap()));
    all.push(("pooled first", pooled_first.head(Init::GlorotUniform).unwrap()));
    all.extend(strided_padded_and_grouped());
    all
}

/// Convolutions and pools with strides, padding, groups and overlaps.
fn strided_padded_and_grouped() -> Vec<(&'static str, Network)> {
    let small = DataShape::images(4, 9, 11, 4);
    let start = || NetworkBuilder::new(&small);
    let strided = start().conv2d_with(6, 5, |plain| Conv2d { stride: 3, padding: 4, ..plain }).unwrap();
    let strided = strided.max_pool_with(3, |plain| PoolShape { stride: 2, padding: 1, ..plain }).unwrap();
    let no_bias = |plain| Conv2d { bias: false, padding: 1, activation: Activation::Tanh, ..plain };
    let grouped = start().conv2d_with(6, 3, |plain| Conv2d { groups: 2, ..no_bias(plain) }).unwrap();
    let grouped = grouped.avg_pool_with(3, |plain| PoolShape { stride: 1, padding: 1, ..plain }).unwrap();
    let depthwise = |network: NetworkBuilder, groups, stride| {
        let network = network.conv2d_with(groups, 3, |plain| Conv2d { groups, stride, ..no_bias(plain) });
        network.unwrap().conv2d(5, 1, Activation::Relu).unwrap()
    };
    let separable = depthwise(depthwise(depthwise(start(), 4, 1), 5, 2), 5, 1);
    let multiplied = start().conv2d_with(8, 2, |plain| Conv2d { groups: 4, stride: 2, ..plain }).unwrap();
    // Large weights on small images: samples side by side, in two parts for a batch of 33.
    let wide =
        start().conv2d_with(32, 3, |plain| Conv2d { stride: 2, padding: 1, ..no_bias(plain) }).unwrap();
    let wide = wide.conv2d_with(32, 3, |plain| Conv2d { padding: 1, ..plain }).unwrap();
    let wide = wide.conv2d(260, 1, Activation::Relu).unwrap().max_pool(2).unwrap();
    vec![
        ("wide", wide.head(Init::Torch).unwrap()),
        ("strided", strided.head(Init::Torch).unwrap()),
        ("grouped", grouped.head(Init::Torch).unwrap()),
        ("separable", separable.head(Init::Torch).unwrap()),
        ("multiplied", multiplied.head(Init::Torch).unwrap()),
    ]
}

struct Sample {
    params: Vec<f32>,
    batch: Batch,
}

fn images() -> DataShape {
    DataShape::images(1, 28, 28, 10)
}

fn sample(network: &Network, batch: usize) -> Sample {
    let shape = network.shape();
    let mut stream = Stream::new(11, "gradient test", 0, 0);
    let x = (0..batch * shape.row_len()).map(|_| stream.normal() as f32).collect();
    let labels = (0..batch).map(|_| stream.below(shape.output_len() as u64) as u32).collect();
    Sample { params: network.init(3), batch: Batch::of_classes(x, labels) }
}

fn ours(network: &Network, sample: &Sample, isa: Isa) -> (f64, Vec<f32>) {
    let mut gradient = vec![f32::NAN; network.params_len()];
    let loss =
        network.gradient(&mut Workspace::new(isa), &sample.params, &sample.batch, 0, &mut gradient).mean();
    (loss, gradient)
}

/// Largest difference, relative to the largest value of the expected gradient.
fn distance(got: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(got.len(), expected.len());
    let largest = expected.iter().fold(0f64, |m, v| m.max(v.abs()));
    got.iter().zip(expected).map(|(g, e)| (f64::from(*g) - e).abs()).fold(0f64, f64::max) / largest
}

/// Whether a gradient agrees with central differences of the reference's loss in f64 (where rounding and
/// kinks do not matter), in one random direction for each parameter tensor and along single elements.
fn agrees_with_differences(
    network: &Network,
    sample: &Sample,
    gradient: &[f32],
) -> std::result::Result<(), String> {
    let start: Vec<f64> = sample.params.iter().map(|p| f64::from(*p)).collect();
    let derivative = |direction: &[(usize, f64)]| {
        let h = 1e-6;
        let at = |step: f64| {
            let mut at = start.clone();
            direction.iter().for_each(|(i, d)| at[*i] += step * d);
            super::loss(network, &at, &sample.batch).unwrap()
        };
        (at(h) - at(-h)) / (2.0 * h)
    };
    let mut offset = 0;
    for (index, (name, shape)) in network.tensors().into_iter().enumerate() {
        let range = offset..offset + shape.iter().product::<usize>();
        offset = range.end;
        let mut stream = Stream::new(1, "direction", index as u64, 0);
        // Weighted by the gradient itself, so that its elements cannot cancel.
        let own = &gradient[range.clone()];
        let norm = own.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
        let along: Vec<(usize, f64)> = range
            .clone()
            .zip(own)
            .map(|(i, g)| (i, (0.5 + stream.uniform()) * f64::from(*g) / norm))
            .collect();
        let element = range.start + stream.below(range.len() as u64) as usize;
        for direction in [along, vec![(element, 1.0)]] {
            let analytic: f64 = direction.iter().map(|(i, d)| f64::from(gradient[*i]) * d).sum();
            let numeric = derivative(&direction);
            if (numeric - analytic).abs() > 1e-3 * analytic.abs() + 1e-6 {
                return Err(format!("{name}: {analytic} by the gradient, {numeric} by differences"));
            }
        }
    }
    Ok(())
}

#[test]
fn gradients_agree_with_finite_differences_and_a_planted_error_of_one_percent_is_caught() {
    for (name, network) in networks() {
        let sample = sample(&network, 8);
        let (_, gradient) = ours(&network, &sample, Isa::best());
        agrees_with_differences(&network, &sample, &gradient).unwrap_or_else(|e| panic!("{name}: {e}"));
        let mut offset = 0;
        for (tensor, shape) in network.tensors() {
            let range = offset..offset + shape.iter().product::<usize>();
            offset = range.end;
            for factor in [0.99, 1.01] {
                let mut wrong = gradient.clone();
                wrong[range.clone()].iter_mut().for_each(|g| *g *= factor);
                assert!(
                    agrees_with_differences(&network, &sample, &wrong).is_err(),
                    "{name} {tensor} x {factor}"
                );
            }
        }
    }
}

#[test]
fn gradients_agree_with_candle() {
    for (name, network) in networks() {
        let sample = sample(&network, 5);
        let (loss, gradient) = ours(&network, &sample, Isa::best());
        let (expected_loss, expected) =
            super::gradient(&network, &sample.params, &sample.batch, DType::F64).unwrap();
        assert!((loss - expected_loss).abs() < 1e-5 * expected_loss, "{name}: {loss} {expected_loss}");
        let distance = distance(&gradient, &expected);
        assert!(distance < 2e-6, "{name}: {distance}");
    }
}

#[test]
fn gradients_have_their_committed_digests_on_every_instruction_set() {
    let committed = [
        ("softmax", "2ada4a5db012a89d22974e7f968143f2"),
        ("mlp", "c2d16c319e7de5c0b81f144e96324ef6"),
        ("lenet", "13a42727115c7d8b28c259de0b754a51"),
        ("cnn", "aef5c1b2ef891e4e6306b76bdf2aaaf1"),
        ("mlp tanh", "de1588057b4fa277c9edcd250d81a66e"),
        ("uneven", "db8714c6d0da1820c4944b869c3c828c"),
        ("pooled first", "8dfc05fd1b20cd8fb2702034d6d5b6fa"),
        ("wide", "ba5931404f41bf280289c2489f5e218a"),
        ("strided", "5e4f769d1bd0853f26a05126c5b79630"),
        ("grouped", "2631b4cb72f1606d7700f6220c8e9966"),
        ("separable", "180ca8a8b52b3d3f38e4b933c25ba373"),
        ("multiplied", "8b33c1e86ab24e7c61539af754271f2c"),
    ];
    let mut found = Vec::new();
    for (name, network) in networks() {
        let sample = sample(&network, 33);
        for isa in Isa::available() {
            let (loss, mut gradient) = ours(&network, &sample, *isa);
            gradient.push(loss as f32);
            found.push((name, *isa, of_values(&gradient).to_string()));
        }
    }
    let expected: Vec<_> = committed
        .iter()
        .flat_map(|(name, digest)| Isa::available().iter().map(|isa| (*name, *isa, (*digest).to_owned())))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn models_have_their_published_sizes() {
    let sizes = [("softmax", 7850), ("mlp", 101_770), ("lenet", 44_426), ("cnn", 28_440)];
    for (name, size) in sizes {
        let network = network(name, &images(), json!({}));
        assert_eq!(network.params_len(), size, "{name}");
        assert_eq!(network.init(1).len(), size);
        assert_eq!(network.tensors().iter().map(|(_, s)| s.iter().product::<usize>()).sum::<usize>(), size);
    }
    assert_eq!(network("softmax", &images(), json!({})).cost(32, 1.0).forward_flops, 2.0 * 7840.0 + 10.0);
}

#[test]
fn initial_values_follow_their_scheme_and_seed() {
    let lenet = network("lenet", &images(), json!({}));
    let params = lenet.init(5);
    let bound = (6.0f32 / (25.0 + 150.0)).sqrt();
    let (weights, bias) = (&params[..150], &params[150..156]);
    assert!(weights.iter().all(|w| w.abs() <= bound) && weights.iter().any(|w| w.abs() > 0.9 * bound));
    assert!(bias.iter().all(|b| *b == 0.0));
    assert_ne!(params, lenet.init(6));
    let cnn = network("cnn", &images(), json!({})).init(5);
    assert!(cnn[..78].iter().all(|w| w.abs() <= 0.2) && cnn[75..78].iter().all(|b| *b != 0.0));
}

#[test]
fn models_that_do_not_fit_are_refused() {
    let tiny = DataShape::images(1, 8, 8, 10);
    let build = |name: &str, options: serde_json::Value| {
        let choice =
            Choice { name: name.into(), options: options.as_object().unwrap().clone(), positional: vec![] };
        (model::table().get(name).unwrap().build)(&choice, &tiny).unwrap_err()
    };
    let error = build("lenet", json!({})).to_string();
    assert!(error.contains("kernel of 5x5 does not fit its input of 2x2 pixels (samples: 8x8)"), "{error}");
    assert_eq!(build("mlp", json!({"hidden": [0]})).key, "hidden");
    assert_eq!(build("cnn", json!({"filters": 0})).key, "filters");
    assert_eq!(build("mlp", json!({"width": 3})).key, "width");
    assert!(build("mlp", json!({"activation": "gelu"})).to_string().contains("gelu"));
}

#[test]
fn the_workspace_carries_nothing_from_batch_to_batch() {
    let mut shared = Workspace::default();
    for (name, network) in networks() {
        let sample = sample(&network, 6);
        let mut gradient = vec![1.0; network.params_len()];
        network.gradient(&mut shared, &sample.params, &sample.batch, 0, &mut gradient);
        assert_eq!(gradient, ours(&network, &sample, Isa::best()).1, "{name}");
    }
}
