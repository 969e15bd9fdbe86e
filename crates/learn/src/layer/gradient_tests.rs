//! Laws that every layer obeys: its gradient is that of its outputs (by central differences), it reads nothing that
//! it did not write, and all instruction sets give the same bits.

use super::harness::{forward, params_len, run};
use super::*;
use hcddl_core::domain::Stream;

/// A layer with the pass it is tried in.
struct Case {
    name: &'static str,
    layer: Box<dyn Layer>,
    pass: Pass,
}

fn case(name: &'static str, steps: usize, training: bool, layer: impl Layer) -> Case {
    let pass = Pass { isa: Isa::best(), batch: 3, steps, threads: 1, training: training.then_some(99) };
    Case { name, layer: Box::new(layer), pass }
}

const RELU: Activation = Activation::Relu;

fn nested() -> Chain {
    let dense = |inputs, outputs| Linear { inputs, outputs, activation: Activation::Tanh };
    let inner: Vec<Box<dyn Layer>> =
        vec![Box::new(dense(5, 9)), Box::new(Dropout { len: 9, p: 0.3 }), Box::new(dense(9, 4))];
    Chain::new(vec![
        Box::new(Embedding { vocabulary: 11, width: 7, padding: Some(0) }),
        Box::new(Lstm { inputs: 7, hidden: 5, layers: 2, dropout: 0.25 }),
        Box::new(LastStep { len: 5 }),
        Box::new(Chain::new(inner)),
        Box::new(LogSoftmax { len: 4 }),
    ])
}

/// At least one of every kind, with sizes that no vector and no tile divides. Activations within layers are smooth:
/// a shift moves many values, some of them over the kink of a ReLU.
fn cases() -> Vec<Case> {
    let pool = PoolShape { stride: 2, padding: 1, ..PoolShape::new((3, 7, 5), 3) };
    let conv = Conv2d { stride: 2, padding: 1, groups: 2, ..Conv2d::new((4, 7, 5), 6, 3) };
    let batch_norm = |statistics, activation| BatchNorm { channels: 3, pixels: 35, statistics, activation };
    let activate = |activation| Activate { len: 19, activation };
    let group_norm = GroupNorm { channels: 6, pixels: 35, groups: 3, activation: Activation::Tanh };
    let (aggregated, own) = (Statistics::Aggregated, Statistics::Batch);
    vec![
        case("linear", 2, true, Linear { inputs: 17, outputs: 5, activation: Activation::Tanh }),
        case("conv", 1, true, Conv2d { activation: Activation::Tanh, ..conv }),
        case("max pool", 1, true, MaxPool2d(pool)),
        case("avg pool", 1, true, AvgPool2d(pool)),
        case("global avg pool", 1, true, GlobalAvgPool { channels: 3, pixels: 35 }),
        case("identity", 1, true, activate(Activation::Identity)),
        case("relu", 1, true, activate(RELU)),
        case("tanh", 1, true, activate(Activation::Tanh)),
        case("sigmoid", 1, true, activate(Activation::Sigmoid)),
        case("sine", 1, true, Sine { len: 19, scale: 3.0 }),
        case("log softmax", 2, true, LogSoftmax { len: 17 }),
        case("dropout", 2, true, Dropout { len: 19, p: 0.3 }),
        case("dropout, evaluating", 2, false, Dropout { len: 19, p: 0.3 }),
        case("embedding", 5, true, Embedding { vocabulary: 11, width: 7, padding: Some(0) }),
        case("last step", 4, true, LastStep { len: 7 }),
        case("layer norm", 2, true, LayerNorm { len: 19 }),
        case("group norm", 1, true, group_norm),
        case("batch norm", 1, true, batch_norm(aggregated, Activation::Identity)),
        case("batch norm with tanh", 1, true, batch_norm(own, Activation::Tanh)),
        case("batch norm, evaluating", 1, false, batch_norm(aggregated, Activation::Tanh)),
        case("batch norm by the batch, evaluating", 1, false, batch_norm(own, Activation::Identity)),
        case("gru", 5, true, Gru { inputs: 7, hidden: 19, layers: 2, dropout: 0.25 }),
        case("gru of one step", 1, true, Gru { inputs: 7, hidden: 3, layers: 1, dropout: 0.0 }),
        case("lstm", 5, true, Lstm { inputs: 7, hidden: 19, layers: 2, dropout: 0.25 }),
        case("lstm, evaluating", 4, false, Lstm { inputs: 3, hidden: 5, layers: 3, dropout: 0.5 }),
        case("lstm of one step", 1, true, Lstm { inputs: 7, hidden: 3, layers: 1, dropout: 0.5 }),
        case("chain in a chain", 4, true, nested()),
    ]
}

impl Case {
    /// Parameters, inputs and a gradient with respect to the outputs.
    fn values(&self) -> [Vec<f32>; 3] {
        let mut stream = Stream::new(7, self.name, 0, 0);
        let mut params = Vec::new();
        for tensor in self.layer.tensors() {
            let positive = matches!(tensor.role, Role::Scale | Role::Statistic { .. });
            params.extend((0..tensor.len()).map(|_| {
                if positive { 0.5 + stream.uniform() as f32 } else { 0.5 * stream.normal() as f32 }
            }));
        }
        let tokens = self.layer.tensors().first().is_some_and(|t| matches!(t.role, Role::Embedding { .. }));
        let inputs = self.pass.rows() * self.layer.input_len();
        let mut input = || if tokens { stream.below(11) as f32 } else { stream.normal() as f32 };
        let x = (0..inputs).map(|_| input()).collect();
        let outputs = self.layer.after(self.pass).rows() * self.layer.output_len();
        [params, x, (0..outputs).map(|_| stream.normal() as f32).collect()]
    }

    /// Parts of the gradient: of x and of each tensor four slices of the last dimension, so that each gate of a
    /// recurrent layer shows; as (name, whether x, indices).
    fn parts(&self) -> Vec<(String, bool, Vec<usize>)> {
        let mut parts = Vec::new();
        let mut slices = |name: &str, is_x: bool, offset: usize, len: usize, last: usize| {
            for k in 0..4.min(last) {
                let own = |i: &usize| i % last * 4.min(last) / last == k;
                parts.push((
                    format!("{name}, part {k}"),
                    is_x,
                    (0..len).filter(own).map(|i| i + offset).collect(),
                ));
            }
        };
        let tensors = self.layer.tensors();
        if !tensors.first().is_some_and(|t| matches!(t.role, Role::Embedding { .. })) {
            let last = self.layer.input_len();
            slices("x", true, 0, self.pass.rows() * last, last);
        }
        let mut offset = 0;
        for t in tensors {
            if !matches!(t.role, Role::Statistic { .. }) {
                slices(&t.name, false, offset, t.len(), *t.shape.last().unwrap());
            }
            offset += t.len();
        }
        parts
    }

    /// The derivative of the sum of w y along each part of the gradient: by the gradient and by differences.
    fn derivatives(&self) -> Vec<(String, f64, f64)> {
        let [params, x, w] = self.values();
        let outcome = run(self.layer.as_ref(), self.pass, &params, &x, &w, (f32::NAN, true));
        let loss = |params: &[f32], x: &[f32]| -> f64 {
            let [y, _] = forward(self.layer.as_ref(), self.pass, params, x, f32::NAN);
            y.iter().zip(&w).map(|(y, w)| f64::from(*y) * f64::from(*w)).sum()
        };
        let mut stream = Stream::new(8, self.name, 0, 0);
        let mut along = |(name, is_x, part): (String, bool, Vec<usize>)| {
            let (start, gradient) = if is_x { (&x, &outcome.dx) } else { (&params, &outcome.gradient) };
            let norm = part.iter().map(|i| f64::from(gradient[*i]).powi(2)).sum::<f64>().sqrt();
            // Weighted by the gradient itself, so that its elements cannot cancel; any direction where it is 0.
            let weight = |i: &usize| if norm == 0.0 { 1.0 } else { f64::from(gradient[*i]) / norm };
            let steps: Vec<f64> = part.iter().map(|i| 1e-2 * (0.5 + stream.uniform()) * weight(i)).collect();
            let moved = |sign: f64| {
                let mut at = start.clone();
                part.iter().zip(&steps).for_each(|(i, s)| at[*i] = (f64::from(at[*i]) + sign * s) as f32);
                at
            };
            let (up, down) = (moved(1.0), moved(-1.0));
            let at = |values: &[f32]| if is_x { loss(&params, values) } else { loss(values, &x) };
            // Along what was really moved after rounding.
            let analytic =
                part.iter().map(|i| f64::from(gradient[*i]) * (f64::from(up[*i]) - f64::from(down[*i])));
            (name, analytic.sum(), at(&up) - at(&down))
        };
        self.parts().into_iter().map(&mut along).collect()
    }
}

/// Half of the planted error of 1 %.
fn agree(analytic: f64, numeric: f64) -> bool {
    (analytic - numeric).abs() <= 5e-3 * numeric.abs()
}

#[test]
fn gradients_agree_with_differences_and_a_planted_error_of_one_percent_is_caught() {
    let mut wrong = Vec::new();
    for case in cases() {
        for (part, analytic, numeric) in case.derivatives() {
            if !agree(analytic, numeric) {
                wrong.push(format!("{}: {part}: {analytic} by the gradient, {numeric}", case.name));
            }
            // Without a step before it, nothing depends on the state.
            let nothing = case.name.contains("one step") && (analytic, numeric) == (0.0, 0.0);
            for factor in [0.99, 1.01] {
                if !nothing && agree(analytic * factor, numeric) {
                    wrong.push(format!("{}: {part} x {factor} was not caught", case.name));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn layers_read_nothing_that_they_did_not_write_and_all_instruction_sets_agree() {
    for case in cases() {
        let [params, x, w] = case.values();
        let on = |isa, dirt, wants_dx| {
            run(case.layer.as_ref(), Pass { isa, ..case.pass }, &params, &x, &w, (dirt, wants_dx))
        };
        let best = on(Isa::best(), 0.0, true);
        assert!(best.bits().iter().all(|bits| f32::from_bits(*bits).is_finite()), "{}", case.name);
        for dirt in [f32::NAN, -7.5] {
            assert_eq!(best, on(Isa::best(), dirt, true), "{}", case.name);
            assert_eq!(best.gradient, on(Isa::best(), dirt, false).gradient, "{}, no dx", case.name);
        }
        for isa in Isa::available() {
            assert_eq!(best.bits(), on(*isa, 0.0, true).bits(), "{} on {}", case.name, isa.name());
        }
    }
}

#[test]
fn threads_change_no_bits() {
    for case in cases() {
        let [params, x, w] = case.values();
        let on = |threads, dirt, wants_dx| {
            run(case.layer.as_ref(), Pass { threads, ..case.pass }, &params, &x, &w, (dirt, wants_dx))
        };
        for wants_dx in [true, false] {
            let alone = on(1, 0.0, wants_dx);
            for threads in [2, 3, 8] {
                assert_eq!(alone, on(threads, f32::NAN, wants_dx), "{} on {threads}", case.name);
            }
        }
    }
}

#[test]
fn a_batch_without_samples_has_no_outputs() {
    for case in cases() {
        let [params, ..] = case.values();
        let pass = Pass { batch: 0, ..case.pass };
        assert!(forward(case.layer.as_ref(), pass, &params, &[], f32::NAN)[0].is_empty(), "{}", case.name);
    }
}

#[test]
fn a_chain_in_a_chain_is_the_chain_of_all() {
    let flat = || -> Vec<Box<dyn Layer>> {
        vec![
            Box::new(Linear { inputs: 6, outputs: 5, activation: RELU }),
            Box::new(LayerNorm { len: 5 }),
            Box::new(Gru { inputs: 5, hidden: 3, layers: 1, dropout: 0.0 }),
            Box::new(LastStep { len: 3 }),
        ]
    };
    let whole = case("whole", 4, true, Chain::new(flat()));
    let mut outer = flat();
    let inner = Chain::new(outer.drain(1..3).collect());
    outer.insert(1, Box::new(inner));
    let nested = Chain::new(outer);
    assert_eq!(nested.tensors()[2].name, "chain1.layer_norm1.weight");
    let [params, x, w] = whole.values();
    let of = |chain: &dyn Layer| run(chain, whole.pass, &params, &x, &w, (f32::NAN, true));
    assert_eq!(of(&nested), of(whole.layer.as_ref()));
}

#[test]
fn dropout_keeps_the_mean_drops_only_while_training_and_each_batch_anew() {
    let layer = Dropout { len: 1000, p: 0.3 };
    let pass = |training| Pass { isa: Isa::best(), batch: 30, steps: 1, threads: 1, training };
    let x = vec![1.0; 30_000];
    let of = |training| forward(&layer, pass(training), &[], &x, f32::NAN)[0].clone();
    assert_eq!(of(None), x);
    let y = of(Some(1));
    let mean = y.iter().map(|v| f64::from(*v)).sum::<f64>() / 30_000.0;
    // Four standard deviations: an element's variance is p / (1 - p).
    assert!((mean - 1.0).abs() < 4.0 * (0.3f64 / 0.7 / 30_000.0).sqrt(), "{mean}");
    assert!(y.iter().all(|v| *v == 0.0 || *v == 1.0 / (1.0 - 0.3f32)));
    assert_ne!(y, of(Some(2)));
    let lstm = cases().into_iter().find(|c| c.name == "lstm").unwrap();
    let [params, x, _] = lstm.values();
    let of = |training| {
        let pass = Pass { training, ..lstm.pass };
        forward(lstm.layer.as_ref(), pass, &params, &x, f32::NAN)[0].clone()
    };
    assert!(of(None) != of(Some(1)) && of(Some(1)) != of(Some(2)) && of(Some(1)) == of(Some(1)));
}

#[test]
fn the_padding_token_has_no_gradient() {
    let layer = Embedding { vocabulary: 3, width: 2, padding: Some(1) };
    let pass = Pass { isa: Isa::best(), batch: 4, steps: 1, threads: 1, training: Some(1) };
    let (params, x, dy) = ([1.0, 2.0, 0.0, 0.0, 5.0, 6.0], [2.0, 1.0, 0.0, 2.0], [1.0; 8]);
    let outcome = run(&layer, pass, &params, &x, &dy, (f32::NAN, true));
    assert_eq!(outcome.y, [5.0, 6.0, 0.0, 0.0, 1.0, 2.0, 5.0, 6.0]);
    assert_eq!((outcome.gradient, outcome.dx), (vec![1.0, 1.0, 0.0, 0.0, 2.0, 2.0], vec![0.0; 4]));
}

#[test]
fn ids_that_are_no_tokens_are_refused() {
    let layer = Embedding { vocabulary: 3, width: 2, padding: None };
    let pass = Pass { isa: Isa::best(), batch: 1, steps: 1, threads: 1, training: None };
    assert_eq!(params_len(&layer), 6);
    for id in [3.0, -1.0, 0.5, f32::NAN, f32::INFINITY] {
        let result = std::panic::catch_unwind(|| forward(&layer, pass, &[0.0; 6], &[id], 0.0));
        let message = *result.unwrap_err().downcast::<String>().unwrap();
        assert_eq!(message, format!("token id {id} is not one of the 3 of the embedding"));
    }
}

#[test]
fn a_batch_of_one_value_has_a_variance_of_zero() {
    let layer = BatchNorm { channels: 1, pixels: 1, statistics: Statistics::Aggregated, activation: RELU };
    let pass = Pass { isa: Isa::best(), batch: 1, steps: 1, threads: 1, training: Some(1) };
    let outcome = run(&layer, pass, &[2.0, 0.5, 0.0, 1.0], &[4.0], &[1.0], (f32::NAN, true));
    assert_eq!((outcome.y, outcome.dx), (vec![0.5], vec![0.0]));
    assert_eq!(outcome.gradient, [0.0, 1.0, 4.0, 0.0]);
}
