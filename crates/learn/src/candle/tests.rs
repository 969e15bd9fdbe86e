//! A model in three ways: of our layers, of candle's operations, of our layers under candle's autograd.

use super::*;
use crate::batch::Batch;
use crate::layer::{Activation, Layer, Linear, Role, Tensor};
use crate::loss::Loss;
use crate::model::{DataShape, Init, Network, Workspace};
use hcddl_core::domain::Stream;

fn linear(inputs: usize, outputs: usize, activation: Activation) -> Linear {
    Linear { inputs, outputs, activation }
}

fn own_layers() -> Vec<Box<dyn Layer>> {
    vec![Box::new(linear(7, 5, Activation::Tanh)), Box::new(linear(5, 3, Activation::Identity))]
}

fn tensors() -> Vec<Tensor> {
    let tensor = |name, shape, role| Tensor::new(name, shape, role).fans(7, 5);
    vec![
        tensor("weight1", vec![7, 5], Role::Weight),
        tensor("bias1", vec![5], Role::Bias),
        tensor("weight2", vec![5, 3], Role::Weight),
        tensor("bias2", vec![3], Role::Bias),
    ]
}

fn network(layers: Vec<Box<dyn Layer>>) -> Network {
    Network::new(layers, DataShape::features(7, 3), Loss::CrossEntropy, Init::Torch)
}

fn gradient(network: &Network) -> (f64, Vec<f32>) {
    let mut stream = Stream::new(5, "candle test", 0, 0);
    let params: Vec<f32> = (0..network.params_len()).map(|_| stream.normal() as f32).collect();
    let x = (0..4 * 7).map(|_| stream.normal() as f32).collect();
    let batch = Batch::of_classes(x, vec![0, 2, 1, 1]);
    let mut gradient = vec![f32::NAN; params.len()];
    let loss = network.gradient(&mut Workspace::default(), &params, &batch, 0, &mut gradient);
    (loss.mean(), gradient)
}

fn assert_close(got: (f64, Vec<f32>), expected: &(f64, Vec<f32>)) {
    assert!((got.0 - expected.0).abs() < 1e-6, "{} {}", got.0, expected.0);
    for (got, expected) in got.1.iter().zip(&expected.1) {
        assert!((got - expected).abs() < 1e-6, "{got} {expected}");
    }
}

#[test]
fn a_model_written_in_candle_has_the_same_gradient() {
    let model = CandleLayer::new("mine", vec![7], tensors(), |p, x| {
        let hidden = x.matmul(&p[0])?.broadcast_add(&p[1])?.tanh()?;
        hidden.matmul(&p[2])?.broadcast_add(&p[3])
    });
    assert_close(gradient(&network(vec![Box::new(model.unwrap())])), &gradient(&network(own_layers())));
}

#[test]
fn our_layers_under_candles_autograd_have_the_same_gradient() {
    let model = CandleLayer::new("mine", vec![7], tensors(), |p, x| {
        let flat = |i: usize| candle_core::Tensor::cat(&[p[i].flatten_all()?, p[i + 1].clone()], 0);
        let hidden = LayerOp::new(linear(7, 5, Activation::Tanh), None).apply(x, &flat(0)?)?;
        LayerOp::new(linear(5, 3, Activation::Identity), None).apply(&hidden, &flat(2)?)
    });
    let (own, theirs) =
        (gradient(&network(own_layers())), gradient(&network(vec![Box::new(model.unwrap())])));
    assert_eq!(own.0, theirs.0);
    assert_eq!(own.1, theirs.1, "to the bit: the same kernels ran");
}

#[test]
fn what_does_not_fit_is_refused_at_once() {
    let error = CandleLayer::new("mine", vec![6], tensors(), |p, x| x.matmul(&p[0])).unwrap_err();
    assert!(error.to_string().contains("the candle model `mine` fails on one row"), "{error}");
    let op = LayerOp::new(linear(7, 5, Activation::Tanh), None);
    let zeros =
        |n: usize| candle_core::Tensor::zeros(n, candle_core::DType::F32, &candle_core::Device::Cpu).unwrap();
    assert!(
        op.apply(&zeros(8), &zeros(40))
            .unwrap_err()
            .to_string()
            .contains("rows of 7 values and 40 parameters")
    );
}
