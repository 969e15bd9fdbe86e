//! What the models of the table are: their sizes, costs and refusals.

use super::gradient_tests::{images, network, usual};
use super::*;
use crate::layer::Role;
use crate::loss::Loss;
use serde_json::json;

/// Parameters that are trained, and running statistics.
fn sizes(network: &Network) -> (usize, usize) {
    let is_statistic = |t: &crate::layer::Tensor| matches!(t.role, Role::Statistic { .. });
    let (statistics, trained): (Vec<_>, Vec<_>) = network.parameters().into_iter().partition(is_statistic);
    let len = |tensors: &[crate::layer::Tensor]| tensors.iter().map(|t| t.len()).sum();
    (len(&trained), len(&statistics))
}

/// As bench/torch/models.py, which asserts PyTorch's counts, or as published.
#[test]
fn models_have_their_published_sizes() {
    let sized = [
        ("softmax", json!({}), 7_850, 0),
        ("softmax", json!({"activation": "sigmoid"}), 7_850, 0),
        ("simple", json!({}), 7_850, 0),
        ("linear", json!({}), 7_850, 0),
        ("mlp", json!({}), 101_770, 0),
        ("mlp", json!({"hidden": [256, 128]}), 235_146, 0),
        ("cnn", json!({}), 28_440, 0),
        ("cnn", json!({"filters": 8}), 74_650, 0),
        ("lenet", json!({}), 44_426, 0),
        ("geomx_cnn", json!({}), 178_762, 0),
        ("alexnet", json!({}), 2_472_266, 0),
        ("mobilenet", json!({}), 3_223_178, 21_888),
        ("mobilenet", json!({"statistics": "batch"}), 3_223_178, 0),
        ("resnet18_gn", json!({}), 11_227_812, 0),
        ("resnet56", json!({}), 591_322, 8_992),
        ("gru_tagger", json!({}), 1_076_414, 0),
        ("gru_tagger", json!({"cell": "lstm"}), 1_138_878, 0),
        ("char_lstm", json!({}), 822_570, 0),
        ("fourier", json!({}), 25_601, 0),
    ];
    for (name, options, trained, statistics) in sized {
        let network = network(name, &usual(name), options.clone());
        assert_eq!(sizes(&network), (trained, statistics), "{name} {options}");
        assert_eq!(network.params_len(), trained + statistics);
        assert_eq!(network.init(1).len(), network.params_len());
    }
    let imagenet = network("alexnet", &DataShape::images(3, 224, 224, 1000), json!({"variant": "imagenet"}));
    assert_eq!(imagenet.params_len(), 61_100_840);
}

/// Half of the floating-point operations of a sample: multiply-adds, and a share of everything else.
fn multiply_adds(name: &str, shape: &DataShape, options: serde_json::Value, steps: f64) -> f64 {
    network(name, shape, options).cost(32, steps).forward_flops / 2.0
}

#[test]
fn counted_costs_are_the_published_ones() {
    let image = |side, classes| DataShape::images(3, side, side, classes);
    // Of ResNet-18: He et al., 2016, table 1. Of MobileNet, whose first stride is 1 here: Howard et al., 2017,
    // table 4. Of AlexNet: torchvision. The others by hand.
    let resnet56 = 442_368.0 + 27_000_832.0 + 2.0 * 29_884_416.0 + 2_560.0;
    let counted = [
        (multiply_adds("resnet18_gn", &image(224, 1000), json!({}), 1.0), 1.82e9),
        (multiply_adds("mobilenet", &image(112, 1000), json!({}), 1.0), 569e6),
        (multiply_adds("alexnet", &image(224, 1000), json!({"variant": "imagenet"}), 1.0), 0.71e9),
        (multiply_adds("resnet56", &image(32, 10), json!({}), 1.0), resnet56),
        (multiply_adds("geomx_cnn", &images(), json!({}), 1.0), 230_400.0 + 819_200.0 + 165_120.0),
        (multiply_adds("gru_tagger", &usual("gru_tagger"), json!({}), 25.0), 25.0 * 188_160.0),
        (multiply_adds("char_lstm", &usual("char_lstm"), json!({}), 80.0), 80.0 * 794_624.0 + 23_040.0),
        (multiply_adds("fourier", &usual("fourier"), json!({}), 1.0), 25_152.0),
    ];
    for (row, (got, expected)) in counted.into_iter().enumerate() {
        let ratio = got / expected;
        assert!((0.98..1.15).contains(&ratio), "row {row}: {got} is {ratio} of {expected}");
    }
}

#[test]
fn counted_costs_of_small_models_are_exact() {
    let flops = |name| network(name, &usual(name), json!({})).cost(32, 1.0).forward_flops;
    assert_eq!(flops("softmax"), 2.0 * 7840.0 + 10.0);
    // A tanh counts as 20, a ReLU and a bias as 1 each, a pooled value as its window.
    let convolutions =
        3456.0 * (2.0 * 25.0 + 21.0) + 864.0 * 4.0 + 1024.0 * (2.0 * 150.0 + 21.0) + 256.0 * 4.0;
    let linear = 2.0 * (30_720.0 + 10_080.0 + 840.0) + 120.0 * 21.0 + 84.0 * 2.0 + 10.0;
    assert_eq!(flops("lenet"), convolutions + linear);
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
    let normal = network("cnn", &images(), json!({"init": "normal(0.1)"})).init(5);
    assert!(normal[75..78].iter().all(|b| *b != 0.0) && normal.iter().any(|w| w.abs() > 0.3));
}

fn refused(name: &str, shape: &DataShape, options: serde_json::Value) -> OptionError {
    let choice = Choice { options: options.as_object().unwrap().clone(), ..Choice::named(name) };
    (table().get(name).unwrap().build)(&choice, &crate::model::parts(), shape).unwrap_err()
}

#[test]
fn models_that_do_not_fit_are_refused() {
    let tiny = DataShape::images(1, 8, 8, 10);
    let build = |name: &str, options: serde_json::Value| refused(name, &tiny, options);
    let error = build("lenet", json!({})).to_string();
    assert!(error.contains("kernel of 5x5 does not fit its input of 2x2 pixels (samples: 8x8)"), "{error}");
    for (name, options, key) in [
        ("mlp", json!({"hidden": [0]}), "hidden"),
        ("mlp", json!({"width": 3}), "width"),
        ("mlp", json!({"init": "normal(-1)"}), "init.deviation"),
        ("cnn", json!({"filters": 0}), "filters"),
        ("alexnet", json!({"filters": 0}), "filters"),
        ("alexnet", json!({"variant": "big"}), "variant"),
        ("alexnet", json!({"dropout": 1.0}), "dropout"),
        ("resnet18_gn", json!({"width": 9}), "group"),
        ("resnet56", json!({"blocks": 0}), "blocks"),
        ("resnet56", json!({"statistics": "global"}), "statistics"),
        ("mobilenet", json!({"width": 0.0}), "width"),
        ("gru_tagger", json!({"cell": "rnn"}), "cell"),
        ("gru_tagger", json!({"layers": 0}), "layers"),
        ("char_lstm", json!({"hidden": 0}), "hidden"),
        ("fourier", json!({"hidden": []}), "hidden"),
        ("fourier", json!({"scale": 0.0}), "scale"),
    ] {
        assert_eq!(build(name, options.clone()).key, key, "{name} {options}");
    }
    assert!(build("mlp", json!({"activation": "gelu"})).to_string().contains("gelu"));
}

#[test]
fn models_and_data_of_different_kinds_are_told_apart() {
    for name in ["softmax", "mlp", "lenet", "resnet56", "fourier"] {
        let error = refused(name, &usual("gru_tagger"), json!({})).to_string();
        assert!(
            error.contains("its input is tokens (of 8867)") && error.contains("embedding"),
            "{name}: {error}"
        );
    }
    for name in ["gru_tagger", "char_lstm"] {
        let error = refused(name, &images(), json!({})).to_string();
        assert!(error.contains("reads tokens, its input is 1 x 28 x 28 values"), "{name}: {error}");
    }
    let error = refused("gru_tagger", &usual("char_lstm"), json!({})).to_string();
    assert!(error.contains("an output for each time step, where the data has one of 90 classes"), "{error}");
    let error = refused("char_lstm", &usual("gru_tagger"), json!({})).to_string();
    assert!(error.contains("one output for each sample, where the data has one of 18 classes"), "{error}");
    let error = refused("softmax", &usual("fourier"), json!({"activation": "sigmoid"}));
    assert_eq!(error.key, "activation");
}

#[test]
fn losses_follow_the_data() {
    let loss = |output| {
        let shape = DataShape { output, ..DataShape::features(4, 1) };
        network("linear", &shape, json!({})).loss()
    };
    assert_eq!(loss(Output::Classes(3)), Loss::CrossEntropy);
    assert_eq!(loss(Output::Probabilities(3)), Loss::BinaryCrossEntropy);
    assert_eq!(loss(Output::Numbers(3)), Loss::MeanSquared);
}
