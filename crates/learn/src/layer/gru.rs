//! Gated recurrent units (Cho et al., 2014), in PyTorch's form.

use super::recurrent::{Recurrent, Run, Sizes, Steps};
use crate::kernels::{View, elementwise, gates, gemm};
use hcddl_core::domain::operation::Kind;

/// Layers of gated recurrent units over time-major rows, one direction, from a state of 0; with W for the input and
/// U for the hidden state:
/// r = sigmoid(W_r x + b_r + U_r h + c_r), z = sigmoid(W_z x + b_z + U_z h + c_z),
/// n = tanh(W_n x + b_n + r (U_n h + c_n)), h = (1 - z) n + z h. Gates lie in the order r, z, n.
#[derive(Clone, Debug)]
pub struct Gru {
    /// Values of one row that go in.
    pub inputs: usize,
    /// Values of the hidden state, which come out.
    pub hidden: usize,
    /// Layers; at least 1.
    pub layers: usize,
    /// Probability of a zero between layers while training.
    pub dropout: f32,
}

impl Recurrent for Gru {
    const KIND: &'static str = "gru";
    const GATES: usize = 3;
    const KINDS: [Kind; 2] = [Kind::GruGates, Kind::GruGatesBackward];
    /// The hidden side of the three gates: r multiplies a part of it.
    const STATE: usize = 3;

    fn sizes(&self) -> Sizes {
        let Self { inputs, hidden, layers, dropout } = *self;
        Sizes { inputs, hidden, layers, dropout }
    }

    fn input_bias(input: &[f32], _hidden: &[f32], sum: &mut [f32]) {
        sum.copy_from_slice(input);
    }

    fn forward(run: Run, weight: &[f32], bias: &[f32], io: Steps<'_>, h: &mut [f32]) {
        let (len, sums) = (run.hidden, 3 * run.hidden);
        elementwise::fill_rows(run.isa, io.state, bias);
        for step in 0..run.steps {
            let (before, h) = h.split_at_mut(step * run.state());
            let hidden = &mut io.state[step * run.batch * sums..][..run.batch * sums];
            let previous = if step == 0 {
                io.zeros
            } else {
                let previous = &before[(step - 1) * run.state()..];
                let (left, weight) = (View::rows(previous, len), View::rows(weight, sums));
                gemm(run.isa, run.batch, sums, len, left, weight, hidden, true);
                previous
            };
            let rows = io.gates[step * run.batch * sums..].chunks_exact_mut(sums);
            let rows = rows.zip(hidden.chunks_exact(sums));
            let rows = rows.zip(previous.chunks_exact(len)).zip(h.chunks_exact_mut(len));
            for (((gates, hidden), previous), h) in rows.take(run.batch) {
                let (r, rest) = gates.split_at_mut(len);
                let (z, n) = rest.split_at_mut(len);
                let hidden = [&hidden[..len], &hidden[len..2 * len], &hidden[2 * len..]];
                gates::gru(run.isa, r, z, n, hidden, previous, h);
            }
        }
    }

    fn backward(run: Run, weight: &[f32], io: Steps<'_>, h: &[f32], dh: &mut [f32], carry: &mut [f32]) {
        let (len, sums) = (run.hidden, 3 * run.hidden);
        for step in (0..run.steps).rev() {
            let (before, dh) = dh.split_at_mut(step * run.state());
            let (previous, dprevious) = if step == 0 {
                (io.zeros, &mut *carry)
            } else {
                let start = (step - 1) * run.state();
                (&h[start..start + run.state()], &mut before[start..])
            };
            let place = step * run.batch * sums..(step + 1) * run.batch * sums;
            let hidden = &mut io.state[place.clone()];
            let rows = io.gates[place].chunks_exact_mut(sums).zip(hidden.chunks_exact_mut(sums));
            let rows = rows.zip(previous.chunks_exact(len)).zip(dh.chunks_exact(len));
            for ((((gates, hidden), previous), dh), dprevious) in rows.zip(dprevious.chunks_exact_mut(len)) {
                let (r, rest) = gates.split_at_mut(len);
                let (z, n) = rest.split_at_mut(len);
                let (hr, rest) = hidden.split_at_mut(len);
                let (hz, hn) = rest.split_at_mut(len);
                gates::gru_backward(run.isa, r, z, n, hr, hz, hn, previous, dh, dprevious);
            }
            if step > 0 {
                let (left, weight) = (View::rows(hidden, sums), View::rows(weight, len));
                gemm(run.isa, run.batch, len, sums, left, weight, dprevious, true);
            }
        }
    }

    fn hidden_side<'a>(_gates: &'a [f32], state: &'a [f32]) -> &'a [f32] {
        state
    }
}
