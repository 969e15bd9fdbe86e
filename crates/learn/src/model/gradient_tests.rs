//! Every model's gradient: it must explain how the loss changes, a planted error of 1 % must be caught, and its
//! bits must be the committed ones (the same in debug and release and for every instruction set).

use super::*;
use crate::batch::{Batch, IGNORE, Targets};
use crate::kernels::Isa;
use crate::layer::{Activation, Conv2d, PoolShape, Role, Tensor};
use hcddl_core::domain::Stream;
use hcddl_core::domain::digest::of_values;
use serde_json::json;
use std::ops::Range;

pub(crate) fn network(name: &str, shape: &DataShape, options: serde_json::Value) -> Network {
    let options = options.as_object().unwrap().clone();
    let choice = Choice { name: name.into(), options, positional: vec![] };
    (table().get(name).unwrap().build)(&choice, &ModelContext::new(*shape)).unwrap()
}

pub(crate) fn images() -> DataShape {
    DataShape::images(1, 28, 28, 10)
}

fn tokens(vocabulary: usize, output: Output) -> DataShape {
    DataShape { input: Input::Token { vocabulary }, sequence: true, output }
}

fn features(count: usize, output: Output) -> DataShape {
    DataShape { output, ..DataShape::features(count, 1) }
}

/// Samples that a model is made for.
pub(crate) fn usual(name: &str) -> DataShape {
    match name {
        "alexnet" | "resnet56" | "mobilenet" => DataShape::images(3, 32, 32, 10),
        "resnet18_gn" => DataShape::images(3, 24, 24, 100),
        "gru_tagger" => tokens(8867, Output::Tags(18)),
        "char_lstm" => tokens(90, Output::Classes(90)),
        "fourier" => features(2, Output::Probabilities(1)),
        _ => images(),
    }
}

/// Models of plain layers, some in orders that no row has.
pub(crate) fn plain_networks() -> Vec<(&'static str, Network)> {
    let small = DataShape::images(2, 9, 11, 4);
    let uneven = NetworkBuilder::new(&small).conv2d(5, 3, Activation::Tanh).unwrap().max_pool(2).unwrap();
    let uneven = uneven.conv2d(3, 2, Activation::Identity).unwrap().avg_pool(2).unwrap();
    let pooled_first = NetworkBuilder::new(&small).max_pool(3).unwrap();
    let pooled_first = pooled_first.linear(7, Activation::Tanh).unwrap();
    let of = |name| (name, network(name, &images(), json!({})));
    let mut all: Vec<_> = ["softmax", "mlp", "lenet", "cnn"].into_iter().map(of).collect();
    all.push(("mlp tanh", network("mlp", &images(), json!({"hidden": [20, 15], "activation": "tanh"}))));
    all.push(("uneven", uneven.head(Init::Torch).unwrap()));
    all.push(("pooled first", pooled_first.head(Init::GlorotUniform).unwrap()));
    all.extend(strided_padded_and_grouped());
    all.push(of("geomx_cnn"));
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

/// Every other row of the table, small, and options that change a formula.
fn other_networks() -> Vec<(&'static str, Network)> {
    let cifar = |side| DataShape::images(3, side, side, 5);
    let layers = json!([
        "conv2d(4, 3, 2, same)", {"name": "group_norm", "groups": 2}, "tanh", "depthwise(3)", "batch_norm",
        {"name": "residual", "layers": ["conv2d(4, 3, 1, same)", "layer_norm"], "activation": "sigmoid"},
        {"name": "avg_pool", "size": 3, "stride": 2, "padding": 1}, "sine(2.0)", "flatten", "linear(6, tanh)",
        "dropout(0.2)", "linear(classes)", "log_softmax"
    ]);
    let narrow = json!({"embedding": 6, "hidden": 5});
    let tags = tokens(11, Output::Tags(4));
    vec![
        ("layers", network("layers", &DataShape::images(2, 13, 11, 4), json!({"layers": layers}))),
        ("linear", network("linear", &features(7, Output::Numbers(3)), json!({}))),
        (
            "softmax sigmoid",
            network("softmax", &features(7, Output::Classes(3)), json!({"activation": "sigmoid"})),
        ),
        (
            "mlp sigmoid",
            network(
                "mlp",
                &features(7, Output::Probabilities(3)),
                json!({"hidden": [9], "activation": "sigmoid"}),
            ),
        ),
        ("simple", network("simple", &DataShape::images(2, 5, 5, 3), json!({}))),
        ("alexnet", network("alexnet", &cifar(32), json!({"filters": 4}))),
        (
            "alexnet imagenet",
            network("alexnet", &cifar(63), json!({"variant": "imagenet", "filters": 4, "hidden": 20})),
        ),
        ("resnet18_gn", network("resnet18_gn", &cifar(33), json!({"width": 4, "group": 4}))),
        ("resnet56", network("resnet56", &cifar(8), json!({"blocks": 1}))),
        ("mobilenet", network("mobilenet", &cifar(32), json!({"width": 0.125}))),
        ("gru_tagger", network("gru_tagger", &tags, narrow.clone())),
        (
            "gru_tagger lstm",
            network("gru_tagger", &tags, json!({"cell": "lstm", "embedding": 6, "hidden": 5})),
        ),
        ("char_lstm", network("char_lstm", &tokens(11, Output::Classes(11)), narrow)),
        (
            "fourier",
            network("fourier", &features(2, Output::Probabilities(1)), json!({"hidden": [16, 8, 8]})),
        ),
    ]
}

fn networks() -> Vec<(&'static str, Network)> {
    plain_networks().into_iter().chain(other_networks()).collect()
}

pub(crate) struct Sample {
    pub(crate) params: Vec<f32>,
    pub(crate) batch: Batch,
}

/// A batch of random samples; sequences are 5 steps long, and every seventh tag is not to count.
pub(crate) fn sample(network: &Network, samples: usize) -> Sample {
    let shape = network.shape();
    let mut stream = Stream::new(11, "gradient test", 0, 0);
    let steps = if shape.sequence { 5 } else { 1 };
    let rows = samples * steps;
    let mut input = || match shape.input {
        Input::Values { .. } => stream.normal() as f32,
        Input::Token { vocabulary } => stream.below(vocabulary as u64) as f32,
    };
    let x = (0..rows * shape.row_len()).map(|_| input()).collect();
    let width = shape.output_len();
    let class = |stream: &mut Stream| stream.below(width as u64) as u32;
    let targets = match shape.output {
        Output::Classes(_) => Targets::Classes((0..samples).map(|_| class(&mut stream)).collect()),
        Output::Tags(_) => {
            let tag = |row| if row % 7 == 6 { IGNORE } else { class(&mut stream) };
            Targets::Classes((0..rows).map(tag).collect())
        }
        Output::Probabilities(_) => {
            Targets::Values((0..rows * width).map(|_| stream.uniform() as f32).collect())
        }
        Output::Numbers(_) => Targets::Values((0..rows * width).map(|_| stream.normal() as f32).collect()),
    };
    Sample { params: start(network), batch: Batch { x, targets, samples, steps } }
}

/// Initial parameters; those that would start at a constant are moved a little, so that nothing is 0 by chance.
fn start(network: &Network) -> Vec<f32> {
    let mut params = network.init(3);
    let mut stream = Stream::new(11, "moved", 0, 0);
    for (range, tensor) in ranges(network) {
        // Shifts lie around 1, so that fewer values are near the kink of a ReLU and no channel is dead.
        let shift = if tensor.role == Role::Shift { 1.0 } else { 0.0 };
        if matches!(tensor.role, Role::Scale | Role::Shift | Role::Uniform(0.0)) {
            params[range].iter_mut().for_each(|p| *p += shift + 0.3 * stream.normal() as f32);
        }
    }
    params
}

fn ranges(network: &Network) -> Vec<(Range<usize>, Tensor)> {
    let mut offset = 0;
    let ranged = |tensor: Tensor| {
        let range = offset..offset + tensor.len();
        offset = range.end;
        (range, tensor)
    };
    network.parameters().into_iter().map(ranged).collect()
}

/// Mean loss while training and its gradient; random numbers are the same in every call.
pub(crate) fn ours(network: &Network, params: &[f32], batch: &Batch, isa: Isa) -> (f64, Vec<f32>) {
    let mut gradient = vec![f32::NAN; network.params_len()];
    let loss = network.gradient(&mut Workspace::new(isa), params, batch, 77, &mut gradient);
    (loss.mean(), gradient)
}

/// How much the loss changes along a short way on which one tensor moves.
struct Way {
    tensor: String,
    /// The loss at the end less that at the start.
    change: f64,
    /// The same as the gradient tells: its integral.
    told: f64,
}

impl Way {
    /// Whether a gradient that is `factor` times the one found explains the change.
    fn is_explained(&self, factor: f64) -> bool {
        (factor * self.told - self.change).abs() <= 5e-3 * self.change.abs()
    }
}

/// The change of the loss from one end to the other as one tensor's `range` moves by -`half` to +`half`, and the
/// integral of the gradient between. Simpson's rule is refined until the integral stands still, because a ReLU's
/// gradient jumps; so ways may be long enough for the rounding of f32 not to matter.
fn walked(network: &Network, sample: &Sample, range: &Range<usize>, half: &[f64]) -> (f64, f64) {
    let moved = |part: f64| {
        let mut params = sample.params.clone();
        params[range.clone()].iter_mut().zip(half).for_each(|(p, h)| *p += (part * h) as f32);
        params
    };
    // The whole step as it is after rounding.
    let (from, to) = (moved(-1.0), moved(1.0));
    let step: Vec<f64> = range.clone().map(|i| f64::from(to[i]) - f64::from(from[i])).collect();
    let at = |params: &[f32]| {
        let (loss, gradient) = ours(network, params, &sample.batch, Isa::best());
        let along: f64 = gradient[range.clone()].iter().zip(&step).map(|(g, s)| f64::from(*g) * s).sum();
        (loss, along)
    };
    let ((before, at_start), (after, at_end)) = (at(&from), at(&to));
    let mut trapezoid = 0.5 * (at_start + at_end);
    let mut simpson = f64::NAN;
    for parts in [1, 2, 4, 8, 16, 32] {
        let middle = |i: usize| at(&moved((2 * i + 1) as f64 / f64::from(parts) - 1.0)).1;
        let between: f64 = (0..parts as usize).map(middle).sum();
        let finer = 0.5 * (trapezoid + between / f64::from(parts));
        let (coarse, fine) = (simpson, (4.0 * finer - trapezoid) / 3.0);
        (trapezoid, simpson) = (finer, fine);
        if (fine - coarse).abs() < 1e-3 * fine.abs() {
            break;
        }
    }
    (after - before, simpson)
}

fn norm(values: &[f32]) -> f64 {
    values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt()
}

/// A way for each tensor, along its gradient with random weights. Tensors that cannot move the loss are left out,
/// after a check that they do not: biases and shifts that a batch norm takes away again.
fn ways(network: &Network, sample: &Sample) -> Vec<Way> {
    let (loss, gradient) = ours(network, &sample.params, &sample.batch, Isa::best());
    let whole = norm(&gradient);
    let mut ways = Vec::new();
    for (index, (range, tensor)) in ranges(network).into_iter().enumerate() {
        if matches!(tensor.role, Role::Statistic { .. }) {
            continue;
        }
        let mut stream = Stream::new(1, "direction", index as u64, 0);
        let own = &gradient[range.clone()];
        let is_mute = norm(own) < 1e-6 * whole;
        let random =
            |g: &f32| if is_mute { stream.normal() } else { (0.5 + stream.uniform()) * f64::from(*g) };
        let way: Vec<f64> = own.iter().map(random).collect();
        let long = way.iter().map(|w| w * w).sum::<f64>().sqrt();
        let walked = |half: f64| {
            let half: Vec<f64> = way.iter().map(|w| w * half / long).collect();
            walked(network, sample, &range, &half)
        };
        let tensor = tensor.name.into_owned();
        if is_mute {
            let (change, _) = walked(0.1);
            assert!(change.abs() < 1e-5, "{tensor}: {change}");
            assert!(tensor.ends_with("bias"), "{tensor} is mute");
            continue;
        }
        let farthest = 0.1 * norm(&sample.params[range.clone()]).max(0.3);
        let (change, told) = walked((2e-4 * loss.max(1.0) / norm(own)).min(farthest));
        ways.push(Way { tensor, change, told });
    }
    assert!(2 * ways.len() > network.tensors().len(), "most tensors are mute");
    ways
}

#[test]
fn gradients_explain_the_loss_and_a_planted_error_of_one_percent_is_caught() {
    let mut wrong = Vec::new();
    for (name, network) in networks() {
        let ways = ways(&network, &sample(&network, 8));
        assert!(!ways.is_empty());
        for way in ways {
            let is_caught = [0.99, 1.01].iter().all(|factor| !way.is_explained(*factor));
            if !way.is_explained(1.0) || !is_caught {
                let Way { tensor, change, told } = way;
                wrong.push(format!("{name} {tensor}: {change}, {told} by the gradient"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_model_is_checked() {
    let checked: Vec<_> = networks().into_iter().map(|(name, _)| name).collect();
    for name in table().names() {
        assert!(checked.contains(&name), "{name}");
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
        ("geomx_cnn", "796db9189c0ba1f677e72cf30c7daab9"),
        ("layers", "b1c1f158f4fc033488a993fd07fe31ee"),
        ("linear", "d2dbeb45fd3e22994b008cc485606c0c"),
        ("softmax sigmoid", "2dc3362da4e5627aff3b18ec4c775e81"),
        ("mlp sigmoid", "9a8f75a5fd3f225bddf66c39682d3d0b"),
        ("simple", "91db515a92421388ef9746788de9b8ed"),
        ("alexnet", "a90de2f450d5c59e303a0df324432889"),
        ("alexnet imagenet", "47d71d87d6554e543b841a277692b313"),
        ("resnet18_gn", "efb5ce5e56ccc41ec75eb4f0aaa23d92"),
        ("resnet56", "cb34d8f9ec21df0d7f09f909b20f7698"),
        ("mobilenet", "5e5d469089d67b21e7d84625c467c131"),
        ("gru_tagger", "8ae73f77a994c8857bd2e639d695236c"),
        ("gru_tagger lstm", "152e107131f9a7308e79babfd7b7c9a4"),
        ("char_lstm", "abf813e02e4cdf2580e9d5cee01bd489"),
        ("fourier", "d86d2bd79bd5e57156962be95ff89eaa"),
    ];
    let mut found = Vec::new();
    for (name, network) in networks() {
        let Sample { params, batch } = sample(&network, 33);
        for isa in Isa::available() {
            let (loss, mut gradient) = ours(&network, &params, &batch, *isa);
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
fn threads_change_no_bits() {
    for (name, network) in networks() {
        let Sample { params, batch } = sample(&network, 33);
        let alone = ours(&network, &params, &batch, Isa::best());
        let mut work = Workspace::default();
        for threads in [2, 3] {
            work.threads = threads;
            let mut gradient = vec![f32::NAN; network.params_len()];
            let loss = network.gradient(&mut work, &params, &batch, 77, &mut gradient);
            assert_eq!((loss.mean(), gradient), alone, "{name} on {threads} threads");
        }
    }
}

#[test]
fn the_workspace_carries_nothing_from_batch_to_batch() {
    let mut shared = Workspace::default();
    for (name, network) in networks() {
        let Sample { params, batch } = sample(&network, 6);
        let mut gradient = vec![1.0; network.params_len()];
        network.gradient(&mut shared, &params, &batch, 77, &mut gradient);
        assert_eq!(gradient, ours(&network, &params, &batch, Isa::best()).1, "{name}");
    }
}
