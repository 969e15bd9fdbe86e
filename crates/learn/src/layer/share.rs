//! A layer's work shared out among threads. No bits depend on it: each row, and each element of a gradient, is
//! computed by one thread, in the order in which a single thread would.

use super::{Activation, Backward, Forward, Layer, Pass};
use crate::kernels::{View, gemm};
use std::ops::Range;

/// Floating-point operations and values moved from which on work is shared out; handing over less takes longer than
/// doing it. Tests share out everything.
pub(super) const WORTH: f64 = if cfg!(test) { 0.0 } else { 3e5 };

/// Calls `f` with each part, on threads of the current pool.
pub(super) fn each<T: Send>(mut parts: impl Iterator<Item = T> + Send, f: impl Fn(T) + Sync) {
    rayon::scope(|scope| {
        let (own, f) = (parts.next(), &f);
        for part in parts {
            scope.spawn(move |_| f(part));
        }
        own.into_iter().for_each(f);
    });
}

/// Items of one thread's part of `len`; all of them if there is one thread.
fn part(len: usize, pass: Pass) -> usize {
    len.div_ceil(pass.threads).max(1)
}

/// The parts of `len`, one for each thread; the last ones may be empty.
pub(super) fn ranges(len: usize, pass: Pass) -> impl Iterator<Item = Range<usize>> + Send {
    let part = part(len, pass);
    (0..pass.threads).map(move |thread| (thread * part).min(len)..((thread + 1) * part).min(len))
}

/// Whether so much work is worth more than one thread.
pub(super) fn pays(pass: Pass, work: f64) -> bool {
    pass.threads > 1 && work >= WORTH
}

/// These rows on one thread. Layers whose rows are apart see no steps.
fn of_rows(pass: Pass, rows: usize) -> Pass {
    Pass { batch: rows, steps: 1, threads: 1, ..pass }
}

fn shares_rows(layer: &dyn Layer, pass: Pass) -> bool {
    let work = layer.forward_flops() + layer.moved_values() as f64;
    layer.rows_apart() && pays(pass, work * pass.rows() as f64)
}

/// What a layer needs when its rows may be shared out.
pub(super) fn scratch_len(layer: &dyn Layer, pass: Pass) -> usize {
    let whole = layer.scratch_len(pass);
    if !shares_rows(layer, pass) {
        return whole;
    }
    whole.max(pass.threads * layer.scratch_len(of_rows(pass, part(pass.rows(), pass))))
}

/// [`Layer::forward`], its rows shared out if they are apart.
pub(super) fn forward(layer: &dyn Layer, pass: Pass, params: &[f32], io: Forward<'_>) {
    if !shares_rows(layer, pass) {
        return layer.forward(pass, params, io);
    }
    let (rows, kept_len) = (part(pass.rows(), pass), layer.kept_len(of_rows(pass, 1)));
    let scratch_len = layer.scratch_len(of_rows(pass, rows));
    let Forward { x, mut y, mut kept, mut scratch } = io;
    let parts = x.chunks(rows * layer.input_len()).map(|x| {
        let rows = x.len() / layer.input_len();
        let y = cut(&mut y, rows * layer.output_len());
        let (kept, scratch) = (cut(&mut kept, rows * kept_len), cut(&mut scratch, scratch_len));
        (of_rows(pass, rows), Forward { x, y, kept, scratch })
    });
    each(parts, |(pass, io)| layer.forward(pass, params, io));
}

/// [`Layer::backward`], its rows shared out if they are apart and there are no parameters, whose gradients are sums
/// over rows.
pub(super) fn backward(layer: &dyn Layer, pass: Pass, params: &[f32], io: Backward<'_>) {
    if !params.is_empty() || io.dx.is_none() || !shares_rows(layer, pass) {
        return layer.backward(pass, params, io);
    }
    let (rows, kept_len) = (part(pass.rows(), pass), layer.kept_len(of_rows(pass, 1)));
    let scratch_len = layer.scratch_len(of_rows(pass, rows));
    let Backward { x, y, mut dy, mut dx, mut kept, mut scratch, .. } = io;
    let parts = x.chunks(rows * layer.input_len()).zip(y.chunks(rows * layer.output_len())).map(|(x, y)| {
        let rows = x.len() / layer.input_len();
        let (dy, dx) = (cut(&mut dy, y.len()), dx.as_mut().map(|dx| cut(dx, x.len())));
        let (kept, scratch) = (cut(&mut kept, rows * kept_len), cut(&mut scratch, scratch_len));
        (of_rows(pass, rows), Backward { x, y, dy, dx, kept, gradient: &mut [], scratch })
    });
    each(parts, |(pass, io)| layer.backward(pass, params, io));
}

/// [`gemm()`], the rows of C shared out.
#[allow(clippy::too_many_arguments)]
pub(super) fn product(pass: Pass, m: usize, n: usize, k: usize, a: View, b: View, c: &mut [f32], add: bool) {
    if !pays(pass, 2.0 * (m * n * k) as f64) {
        return gemm(pass.isa, m, n, k, a, b, c, add);
    }
    let rows = part(m, pass);
    let parts = c[..m * n].chunks_mut(rows * n).enumerate();
    each(parts, |(i, c)| gemm(pass.isa, c.len() / n, n, k, a.below(i * rows), b, c, add));
}

/// [`Activation::backward`], shared out.
pub(super) fn activation_backward(pass: Pass, activation: Activation, dy: &mut [f32], y: &[f32]) {
    if activation == Activation::Identity || !pays(pass, dy.len() as f64) {
        return activation.backward(pass.isa, dy, y);
    }
    let len = part(dy.len(), pass);
    each(dy.chunks_mut(len).zip(y.chunks(len)), |(dy, y)| activation.backward(pass.isa, dy, y));
}

/// The first values of a slice, which loses them.
pub(super) fn cut<'a>(slice: &mut &'a mut [f32], len: usize) -> &'a mut [f32] {
    slice.split_off_mut(..len).expect("buffers are as long as their layer says")
}
