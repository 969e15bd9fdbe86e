//! What recurrent layers share: layers on top of each other with dropout between them, and all products that do not
//! depend on the step before. A cell adds its own steps.

use super::count;
use super::share::product;
use super::{Backward, Forward, Layer, Pass, Role, TRANSCENDENTAL_FLOPS, Tensor};
use crate::kernels::dropout::{drop_out, drop_out_in_place};
use crate::kernels::{Isa, View, elementwise};
use hcddl_core::domain::operation::{Kind, Operation};
use hcddl_core::domain::rng::derived;
use std::any::Any;
use std::borrow::Cow;
use std::fmt::Debug;

/// The sizes of a stack of recurrent layers.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Values of one row that go in.
    pub inputs: usize,
    /// Values of the hidden state, which come out.
    pub hidden: usize,
    /// Layers.
    pub layers: usize,
    /// Dropout between layers.
    pub dropout: f32,
}

/// A run of one layer over the time steps.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// Instruction set.
    pub isa: Isa,
    /// Samples.
    pub batch: usize,
    /// Time steps.
    pub steps: usize,
    /// Values of the hidden state.
    pub hidden: usize,
}

impl Run {
    /// Values of the hidden state of all samples.
    pub fn state(&self) -> usize {
        self.batch * self.hidden
    }
}

/// A recurrent cell. Matrices are `[rows, ...]`, time-major; the state before the first step is 0.
pub trait Recurrent: Any + Send + Sync + Debug {
    /// [`Layer::kind`].
    const KIND: &'static str;
    /// Gates; a row has this many times `hidden` sums.
    const GATES: usize;
    /// The kinds of the operations of its gates, forward and backward.
    const KINDS: [Kind; 2];
    /// What is kept besides the gates, in multiples of `hidden` for a row.
    const STATE: usize;

    /// The sizes of the stack.
    fn sizes(&self) -> Sizes;
    /// The part of the biases that belongs to the input's side.
    fn input_bias(input: &[f32], hidden: &[f32], sum: &mut [f32]);
    /// From the input's side of the gates to the gates, the state and the outputs `h`. `zeros` is one state.
    fn forward(run: Run, weight: &[f32], bias: &[f32], io: Steps<'_>, h: &mut [f32]);
    /// From the gradient `dh` with respect to the outputs `h` to that with respect to the sums of the gates; `dh` is
    /// overwritten. `weight` is transposed, `carry` is a state that starts as zeros.
    fn backward(run: Run, weight: &[f32], io: Steps<'_>, h: &[f32], dh: &mut [f32], carry: &mut [f32]);
    /// After the backward pass: the gradient with respect to the hidden side `[rows, GATES * hidden]`.
    fn hidden_side<'a>(gates: &'a [f32], state: &'a [f32]) -> &'a [f32];
}

/// What both passes over the steps work on.
#[derive(Debug)]
pub struct Steps<'a> {
    /// `[rows, GATES * hidden]`.
    pub gates: &'a mut [f32],
    /// `rows * STATE * hidden` values, as the cell likes.
    pub state: &'a mut [f32],
    /// `[batch, hidden]` zeros: the state before the first step.
    pub zeros: &'a [f32],
}

impl Sizes {
    fn inputs_of(&self, layer: usize) -> usize {
        if layer == 0 { self.inputs } else { self.hidden }
    }

    /// The lengths of a layer's tensors: both weights, both biases.
    fn lengths(&self, gates: usize, layer: usize) -> [usize; 4] {
        let sums = gates * self.hidden;
        [self.inputs_of(layer) * sums, self.hidden * sums, sums, sums]
    }

    /// Where a layer's parameters start.
    fn offset(&self, gates: usize, layer: usize) -> usize {
        (0..layer).flat_map(|l| self.lengths(gates, l)).sum()
    }

    /// The key of the dropout before a layer.
    fn key(&self, pass: Pass, layer: usize) -> Option<u64> {
        pass.training.filter(|_| layer > 0 && self.dropout > 0.0).map(|key| derived(key, layer as u64))
    }

    /// Values of working memory for the dropped inputs of a layer.
    fn dropped(&self, pass: Pass) -> usize {
        if self.key(pass, self.layers - 1).is_some() { pass.rows() * self.hidden } else { 0 }
    }
}

/// What goes into a layer: `x`, or the outputs of the layer below with elements dropped.
fn layer_input<'a>(
    sizes: &Sizes,
    pass: Pass,
    layer: usize,
    x: &'a [f32],
    dropped: &'a mut [f32],
) -> &'a [f32] {
    match sizes.key(pass, layer) {
        Some(key) => {
            drop_out(pass.isa, key, sizes.dropout, x, dropped);
            dropped
        }
        None => x,
    }
}

/// A layer's four tensors, cut from the slice of all.
macro_rules! tensors {
    ($all:expr, $sizes:expr, $layer:expr, $split:ident) => {{
        let [a, b, c, _] = $sizes.lengths(R::GATES, $layer);
        let (_, rest) = $all.$split($sizes.offset(R::GATES, $layer));
        let (weight_ih, rest) = rest.$split(a);
        let (weight_hh, rest) = rest.$split(b);
        let (bias_ih, rest) = rest.$split(c);
        (weight_ih, weight_hh, bias_ih, rest.$split(c).0)
    }};
}

impl<R: Recurrent> Layer for R {
    fn kind(&self) -> &'static str {
        R::KIND
    }

    fn input_len(&self) -> usize {
        self.sizes().inputs
    }

    fn output_len(&self) -> usize {
        self.sizes().hidden
    }

    /// For each layer: `weight_ih_l0 [inputs, gates hidden]`, `weight_hh_l0 [hidden, gates hidden]` (the transposes
    /// of PyTorch's), `bias_ih_l0` and `bias_hh_l0`, `[gates hidden]`. PyTorch draws all of them with a bound of
    /// 1 / sqrt(hidden), so the fan in is `hidden`.
    fn tensors(&self) -> Vec<Tensor> {
        let sizes = self.sizes();
        let sums = R::GATES * sizes.hidden;
        let of_layer = |l: usize| {
            let named = move |name: &str, shape, role| Tensor {
                name: Cow::Owned(format!("{name}_l{l}")),
                ..Tensor::new("", shape, role).fans(sizes.hidden, sums)
            };
            [
                named("weight_ih", vec![sizes.inputs_of(l), sums], Role::Weight),
                named("weight_hh", vec![sizes.hidden, sums], Role::Weight),
                named("bias_ih", vec![sums], Role::Bias),
                named("bias_hh", vec![sums], Role::Bias),
            ]
        };
        (0..sizes.layers).flat_map(of_layer).collect()
    }

    /// For each layer its gates, its state and, but for the last, its outputs.
    fn kept_len(&self, pass: Pass) -> usize {
        let sizes = self.sizes();
        pass.rows() * sizes.hidden * (sizes.layers * (R::GATES + R::STATE + 1) - 1)
    }

    /// The dropped inputs of a layer; a bias or a transposed matrix; two states.
    fn scratch_len(&self, pass: Pass) -> usize {
        let sizes = self.sizes();
        sizes.dropped(pass) + R::GATES * sizes.hidden * sizes.hidden + 2 * pass.batch * sizes.hidden
    }

    fn forward_flops(&self) -> f64 {
        let sizes = self.sizes();
        let sums = (R::GATES * sizes.hidden) as f64;
        let products = (0..sizes.layers).map(|l| 2.0 * (sizes.inputs_of(l) + sizes.hidden) as f64 * sums);
        let states = (sizes.layers * sizes.hidden) as f64;
        products.sum::<f64>() + states * ((R::GATES + 1) as f64 * TRANSCENDENTAL_FLOPS + 5.0)
    }

    fn operations(&self, pass: Pass, first: bool, all: &mut Vec<Operation>) {
        let sizes = self.sizes();
        let (rows, batch, hidden, sums) = (pass.rows(), pass.batch, sizes.hidden, R::GATES * sizes.hidden);
        let later = pass.steps - 1;
        // Products of a step are made by one thread.
        let step = |n, k| Operation { shared: false, ..count::product(Kind::Product, [batch, n, k], later) };
        for layer in 0..sizes.layers {
            let inputs = sizes.inputs_of(layer);
            let product = |kind, size| count::product(kind, size, 1);
            if sizes.key(pass, layer).is_some() {
                all.push(Operation::new(Kind::Dropout, [rows * inputs], 3));
            }
            all.push(Operation::new(Kind::FillRows, [sums, rows], if R::STATE >= R::GATES { 2 } else { 1 }));
            all.push(
                product(Kind::Product, [rows, sums, inputs]).far(inputs * sums).near(rows * (inputs + sums)),
            );
            // What a step adds to, and the gates of all steps later, lies where all rows do.
            all.push(step(sums, hidden).far(hidden * sums).near(rows * sums));
            all.push(Operation::new(R::KINDS[0], [hidden], rows).near(rows * hidden * (R::GATES + R::STATE)));
            all.push(Operation::new(Kind::Transpose, [hidden, sums], 1).far(hidden * sums));
            all.push(Operation::new(R::KINDS[1], [hidden], rows).far(rows * hidden * (R::GATES + R::STATE)));
            all.push(step(hidden, sums).near(rows * (hidden + sums)));
            let product_x = product(Kind::ProductLeft, [inputs, sums, rows]);
            all.push(product_x.far(inputs * (rows + sums)).near(rows * sums));
            if later > 0 {
                let product = product(Kind::ProductLeft, [hidden, sums, rows - batch]);
                all.push(product.far(hidden * (rows + sums)).near(rows * sums));
            }
            all.push(Operation::new(Kind::SumRows, [sums, rows], 2));
            if layer > 0 || !first {
                all.push(
                    product(Kind::ProductRight, [rows, inputs, sums])
                        .far(inputs * sums)
                        .near(rows * (inputs + sums)),
                );
            }
        }
    }

    fn forward(&self, pass: Pass, params: &[f32], io: Forward<'_>) {
        let sizes = self.sizes();
        let (rows, hidden, sums) = (pass.rows(), sizes.hidden, R::GATES * sizes.hidden);
        let run = Run { isa: pass.isa, batch: pass.batch, steps: pass.steps, hidden };
        let layer_len = rows * hidden * (R::GATES + R::STATE + 1);
        let (dropped, scratch) = io.scratch.split_at_mut(sizes.dropped(pass));
        let (input_bias, scratch) = scratch.split_at_mut(sums * hidden);
        let (zeros, input_bias) = (&mut scratch[..run.state()], &mut input_bias[..sums]);
        zeros.fill(0.0);
        for layer in 0..sizes.layers {
            let (weight_ih, weight_hh, bias_ih, bias_hh) = tensors!(params, sizes, layer, split_at);
            let (below, own) = io.kept.split_at_mut(layer * layer_len);
            let x = if layer == 0 { io.x } else { &below[below.len() - rows * hidden..] };
            let (gates, own) = own.split_at_mut(rows * sums);
            let (state, outputs) = own.split_at_mut(rows * hidden * R::STATE);
            let h = if layer + 1 == sizes.layers { &mut *io.y } else { &mut outputs[..rows * hidden] };
            let inputs = sizes.inputs_of(layer);
            let x = View::rows(layer_input(&sizes, pass, layer, x, dropped), inputs);
            R::input_bias(bias_ih, bias_hh, input_bias);
            elementwise::fill_rows(pass.isa, gates, input_bias);
            product(pass, rows, sums, inputs, x, View::rows(weight_ih, sums), gates, true);
            R::forward(run, weight_hh, bias_hh, Steps { gates, state, zeros }, h);
        }
    }

    fn backward(&self, pass: Pass, params: &[f32], mut io: Backward<'_>) {
        let sizes = self.sizes();
        let (isa, rows, hidden, sums) = (pass.isa, pass.rows(), sizes.hidden, R::GATES * sizes.hidden);
        let run = Run { isa, batch: pass.batch, steps: pass.steps, hidden };
        let layer_len = rows * hidden * (R::GATES + R::STATE + 1);
        let (dropped, scratch) = io.scratch.split_at_mut(sizes.dropped(pass));
        let (transposed, scratch) = scratch.split_at_mut(sums * hidden);
        let (zeros, scratch) = scratch.split_at_mut(run.state());
        let carry = &mut scratch[..run.state()];
        zeros.fill(0.0);
        for layer in (0..sizes.layers).rev() {
            let (weight_ih, weight_hh, ..) = tensors!(params, sizes, layer, split_at);
            let (below, own) = io.kept.split_at_mut(layer * layer_len);
            let x = if layer == 0 { io.x } else { &below[below.len() - rows * hidden..] };
            let (gates, own) = own.split_at_mut(rows * sums);
            let (state, outputs) = own.split_at_mut(rows * hidden * R::STATE);
            let h = if layer + 1 == sizes.layers { io.y } else { &outputs[..rows * hidden] };
            elementwise::transpose(isa, weight_hh, sums, transposed);
            carry.fill(0.0);
            R::backward(run, transposed, Steps { gates, state, zeros }, h, io.dy, carry);
            let inputs = sizes.inputs_of(layer);
            let x = View::transposed(layer_input(&sizes, pass, layer, x, dropped), inputs);
            let hidden_side = R::hidden_side(gates, state);
            let (d_ih, d_hh, d_bias_ih, d_bias_hh) = tensors!(io.gradient, sizes, layer, split_at_mut);
            product(pass, inputs, sums, rows, x, View::rows(gates, sums), d_ih, false);
            // Before the first step h is 0: its rows have no part in this gradient.
            let (before, later) = (View::transposed(h, hidden), &hidden_side[run.batch * sums..]);
            product(pass, hidden, sums, rows - run.batch, before, View::rows(later, sums), d_hh, false);
            elementwise::sum_rows(isa, gates, d_bias_ih);
            elementwise::sum_rows(isa, hidden_side, d_bias_hh);
            let dx = if layer == 0 { io.dx.as_deref_mut() } else { Some(&mut *io.dy) };
            let Some(dx) = dx else { continue };
            let weight_ih = View::transposed(weight_ih, sums);
            product(pass, rows, inputs, sums, View::rows(gates, sums), weight_ih, dx, false);
            if let Some(key) = sizes.key(pass, layer) {
                drop_out_in_place(isa, key, sizes.dropout, dx);
            }
        }
    }
}
