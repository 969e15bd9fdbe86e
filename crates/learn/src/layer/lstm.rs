//! Long short-term memory (Hochreiter and Schmidhuber, 1997; with the forget gate of Gers et al., 2000), in
//! PyTorch's form.

use super::recurrent::{Recurrent, Run, Sizes, Steps};
use crate::kernels::{View, gates, gemm};
use hcddl_core::domain::operation::Kind;

/// Layers of long short-term memory over time-major rows, one direction, from states of 0; with W for the input and
/// U for the hidden state: i, f, o = sigmoid and g = tanh of W x + b + U h + c (each with its own part),
/// c = f c + i g, h = o tanh(c). Gates lie in the order i, f, g, o.
#[derive(Clone, Debug)]
pub struct Lstm {
    /// Values of one row that go in.
    pub inputs: usize,
    /// Values of the hidden state, which come out.
    pub hidden: usize,
    /// Layers; at least 1.
    pub layers: usize,
    /// Probability of a zero between layers while training.
    pub dropout: f32,
}

impl Recurrent for Lstm {
    const KIND: &'static str = "lstm";
    const GATES: usize = 4;
    const KINDS: [Kind; 2] = [Kind::LstmGates, Kind::LstmGatesBackward];
    /// All c, then all tanh(c).
    const STATE: usize = 2;

    fn sizes(&self) -> Sizes {
        let Self { inputs, hidden, layers, dropout } = *self;
        Sizes { inputs, hidden, layers, dropout }
    }

    fn input_bias(input: &[f32], hidden: &[f32], sum: &mut [f32]) {
        for ((sum, input), hidden) in sum.iter_mut().zip(input).zip(hidden) {
            *sum = input + hidden;
        }
    }

    fn forward(run: Run, weight: &[f32], _bias: &[f32], io: Steps<'_>, h: &mut [f32]) {
        let (len, sums) = (run.hidden, 4 * run.hidden);
        let (c, tanh_c) = io.state.split_at_mut(run.steps * run.state());
        for step in 0..run.steps {
            let start = step * run.state();
            let (h_before, h) = h.split_at_mut(start);
            let (c_before, c) = c.split_at_mut(start);
            let gates = &mut io.gates[step * run.batch * sums..][..run.batch * sums];
            let previous = if step == 0 {
                io.zeros
            } else {
                let left = View::rows(&h_before[start - run.state()..], len);
                gemm(run.isa, run.batch, sums, len, left, View::rows(weight, sums), gates, true);
                &c_before[start - run.state()..]
            };
            let rows = gates.chunks_exact_mut(sums).zip(previous.chunks_exact(len));
            let rows = rows.zip(c.chunks_exact_mut(len)).zip(tanh_c[start..].chunks_exact_mut(len));
            for ((((gates, previous), c), tanh_c), h) in rows.zip(h.chunks_exact_mut(len)) {
                let [i, f, g, o] = quarters(gates, len);
                gates::lstm(run.isa, i, f, g, o, previous, c, tanh_c, h);
            }
        }
    }

    fn backward(run: Run, weight: &[f32], io: Steps<'_>, _h: &[f32], dh: &mut [f32], carry: &mut [f32]) {
        let (len, sums) = (run.hidden, 4 * run.hidden);
        let (c, tanh_c) = io.state.split_at(run.steps * run.state());
        for step in (0..run.steps).rev() {
            let start = step * run.state();
            let (before, dh) = dh.split_at_mut(start);
            let gates = &mut io.gates[step * run.batch * sums..][..run.batch * sums];
            let previous = if step == 0 { io.zeros } else { &c[start - run.state()..start] };
            let rows = gates.chunks_exact_mut(sums).zip(previous.chunks_exact(len));
            let rows = rows.zip(tanh_c[start..].chunks_exact(len)).zip(dh.chunks_exact(len));
            for ((((gates, previous), tanh_c), dh), dc) in rows.zip(carry.chunks_exact_mut(len)) {
                let [i, f, g, o] = quarters(gates, len);
                gates::lstm_backward(run.isa, i, f, g, o, previous, tanh_c, dh, dc);
            }
            if step > 0 {
                let (left, weight) = (View::rows(gates, sums), View::rows(weight, len));
                gemm(run.isa, run.batch, len, sums, left, weight, &mut before[start - run.state()..], true);
            }
        }
    }

    fn hidden_side<'a>(gates: &'a [f32], _state: &'a [f32]) -> &'a [f32] {
        gates
    }
}

fn quarters(gates: &mut [f32], len: usize) -> [&mut [f32]; 4] {
    let (i, rest) = gates.split_at_mut(len);
    let (f, rest) = rest.split_at_mut(len);
    let (g, o) = rest.split_at_mut(len);
    [i, f, g, o]
}
