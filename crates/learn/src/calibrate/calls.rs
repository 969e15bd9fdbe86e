//! A call of each kind of kernel at a size, with its memory at hand.

use crate::batch::Targets;
use crate::kernels::dropout::drop_out;
use crate::kernels::{Isa, View, elementwise, gates, gemm, gemm_dot, transpose};
use crate::layer::{
    self, Activation, AvgPool2d, Backward, BatchNorm, Chain, Conv2d, Embedding, Forward, GroupNorm, Layer,
    LayerNorm, MaxPool2d, Pass, PoolShape, Statistics,
};
use crate::loss::Loss;
use crate::optimizer::{self, LocalOptimizer, Step};
use hcddl_core::domain::Stream;
use hcddl_core::domain::operation::Kind;
use std::hint::black_box;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

type Call = Box<dyn FnMut()>;

/// Memory as layers have it: 16 bytes after the start of a line of the cache, where an allocator puts large vectors. Most
/// loads then touch two lines; which ones do must not be a matter of chance here.
struct Values {
    all: Vec<f32>,
    start: usize,
    len: usize,
}

impl Values {
    fn new(len: usize, value: impl Fn(usize) -> f32) -> Self {
        let mut all = vec![0f32; len + 32];
        let at = all.as_ptr().addr() / 4 % 16;
        let start = (16 + 4 - at) % 16;
        all[start..start + len].iter_mut().enumerate().for_each(|(i, to)| *to = value(i));
        Self { all, start, len }
    }
}

impl Deref for Values {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        &self.all[self.start..self.start + self.len]
    }
}

impl DerefMut for Values {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.all[self.start..self.start + self.len]
    }
}

/// Values around 0, so that no branch is always taken.
fn values(len: usize) -> Values {
    let mut stream = Stream::new(1, "calibrate", len as u64, 0);
    let some: Vec<f32> = (0..len.min(65_537)).map(|_| stream.uniform() as f32 - 0.5).collect();
    Values::new(len, |i| some[i % some.len()])
}

fn zeros(len: usize) -> Values {
    Values::new(len, |_| 0.0)
}

/// The call of a kind at a size.
pub(super) fn of(isa: Isa, kind: Kind, size: [usize; 3]) -> Call {
    let [a, b, _] = size;
    match kind {
        Kind::Product | Kind::ProductLeft | Kind::ProductRight | Kind::ProductDot => product(isa, kind, size),
        Kind::ProductStrips | Kind::ProductDotStrips => strips(isa, kind, size),
        Kind::Unfold | Kind::UnfoldStrided | Kind::Fold | Kind::FoldStrided => columns(isa, kind, a, b),
        Kind::Transpose | Kind::Copy | Kind::FillRows | Kind::SumRows => rows(isa, kind, a, b),
        Kind::BatchNorm => forward(isa, batch_norm(size), b),
        Kind::BatchNormBackward => backward(isa, batch_norm(size), b),
        Kind::GroupNorm => forward(isa, group_norm(size).0, group_norm(size).1),
        Kind::GroupNormBackward => backward(isa, group_norm(size).0, group_norm(size).1),
        Kind::LayerNorm => forward(isa, Box::new(LayerNorm { len: a }), b),
        Kind::LayerNormBackward => backward(isa, Box::new(LayerNorm { len: a }), b),
        Kind::Pool => forward(isa, Box::new(MaxPool2d(plain_pool(a, b))), 1),
        Kind::PoolBackward => backward(isa, Box::new(MaxPool2d(plain_pool(a, b))), 1),
        Kind::MeanPool => forward(isa, Box::new(AvgPool2d(plain_pool(a, b))), 1),
        Kind::MeanPoolBackward => backward(isa, Box::new(AvgPool2d(plain_pool(a, b))), 1),
        Kind::PoolWide => forward(isa, wide_pool(a, b), 1),
        Kind::PoolWideBackward => backward(isa, wide_pool(a, b), 1),
        Kind::Depthwise => forward(isa, depthwise(a, b), 16),
        Kind::DepthwiseBackward => backward(isa, depthwise(a, b), 16),
        Kind::LstmGates | Kind::LstmGatesBackward => lstm(isa, kind, a),
        Kind::GruGates | Kind::GruGatesBackward => gru(isa, kind, a),
        Kind::Embedding => forward(isa, Box::new(Embedding { vocabulary: 2, width: a, padding: None }), b),
        Kind::Loss => loss(isa, a, b),
        Kind::Sgd | Kind::Momentum | Kind::Adam => optimizer(isa, kind, a),
        Kind::Call => calls(isa),
        _ => vector(isa, kind, a),
    }
}

fn product(isa: Isa, kind: Kind, [m, n, k]: [usize; 3]) -> Call {
    let (a, b, mut c) = (values(m * k), values(k * n), zeros(m * n));
    Box::new(move || {
        let (a, b, c) = (black_box(&a[..]), black_box(&b[..]), black_box(&mut c[..]));
        let left = if kind == Kind::ProductLeft { View::transposed(a, m) } else { View::rows(a, k) };
        let right = if kind == Kind::ProductRight { View::transposed(b, k) } else { View::rows(b, n) };
        if kind == Kind::ProductDot {
            gemm_dot(isa, m, n, k, a, View::rows(b, k), c, false);
        } else {
            gemm(isa, m, n, k, left, right, c, false);
        }
    })
}

/// Rows of B of which every four overlap almost wholly, as those of a window's lines do.
fn strips(isa: Isa, kind: Kind, [m, n, k]: [usize; 3]) -> Call {
    let dot = kind == Kind::ProductDotStrips;
    let (rows, len) = if dot { (n, k) } else { (k, n) };
    let offsets: Vec<u32> = (0..rows).map(|row| (row / 4 * (len + 24) + row % 4 * 8) as u32).collect();
    let (a, b, mut c) = (values(m * k), values(rows.div_ceil(4) * (len + 24)), zeros(m * n));
    Box::new(move || {
        let (a, b, c) = (black_box(&a[..]), black_box(&b[..]), black_box(&mut c[..]));
        let b = View::scattered(b, &offsets);
        if dot {
            gemm_dot(isa, m, n, k, a, b, c, false);
        } else {
            gemm(isa, m, n, k, View::rows(a, k), b, c, false);
        }
    })
}

/// Columns of windows of 3 x 3: runs of so many values.
fn columns(isa: Isa, kind: Kind, run: usize, runs: usize) -> Call {
    let apart = matches!(kind, Kind::UnfoldStrided | Kind::FoldStrided);
    let back = matches!(kind, Kind::Fold | Kind::FoldStrided);
    // Images of eight rows; each gives a run for each row and pixel of the window.
    let height = (runs / 9).clamp(1, 8);
    let channels = (runs / 9 / height).max(1);
    let (height, width, stride) = if apart { (2 * height, 2 * run, 2) } else { (height, run, 1) };
    let (values_in, values_out) = (channels * height * width, channels * 9 * (height / stride).max(1) * run);
    let (mut image, mut to) = (values(values_in), values(values_out));
    // What the sizes really are may be a little less than what is asked for.
    let calls = (run * runs) as f64 / values_out as f64;
    let mut owed = 0.0;
    Box::new(move || {
        owed += calls;
        while owed >= 1.0 {
            owed -= 1.0;
            let (image, to) = (black_box(&mut image[..]), black_box(&mut to[..]));
            layer::columns_of_three(isa, [height, width, stride], image, to, back);
        }
    })
}

fn rows(isa: Isa, kind: Kind, a: usize, b: usize) -> Call {
    let (mut x, mut y, mut row) = (values(a * b), values(a * b), values(a));
    Box::new(move || {
        let (x, y, row) = (black_box(&mut x[..]), black_box(&mut y[..]), black_box(&mut row[..]));
        match kind {
            Kind::Transpose => transpose(isa, a, b, x, y),
            Kind::Copy => {
                for (from, to) in x.chunks_exact(a).zip(y.chunks_exact_mut(a)) {
                    to.copy_from_slice(from);
                }
            }
            Kind::FillRows => elementwise::fill_rows(isa, y, row),
            _ => elementwise::sum_rows(isa, x, row),
        }
    })
}

fn vector(isa: Isa, kind: Kind, len: usize) -> Call {
    let (x, mut y, mut z) = (values(len), values(len), values(len));
    Box::new(move || {
        let (x, y, z) = (black_box(&x[..]), black_box(&mut y[..]), black_box(&mut z[..]));
        match kind {
            Kind::Fill => y.fill(1.0),
            Kind::Add => elementwise::add_scaled(isa, y, 1e-6, x),
            Kind::Sum => {
                black_box(elementwise::sum(isa, x));
            }
            Kind::Relu => elementwise::relu(isa, y),
            Kind::ReluBackward => elementwise::relu_backward(isa, y, x),
            Kind::Tanh => elementwise::tanh(isa, y),
            Kind::Sigmoid => elementwise::sigmoid(isa, y),
            Kind::TanhBackward => elementwise::tanh_backward(isa, y, x),
            Kind::Sine => elementwise::sine(isa, x, y, 1.0),
            Kind::SineBackward => elementwise::sine_backward(isa, x, y, z, 1.0),
            Kind::Dropout => drop_out(isa, 1, 0.5, x, y),
            other => unreachable!("{other:?} is measured by another function"),
        }
    })
}

/// What a layer works on.
struct Memory {
    layer: Box<dyn Layer>,
    pass: Pass,
    params: Values,
    x: Values,
    y: Values,
    kept: Values,
    scratch: Values,
}

impl Memory {
    fn new(isa: Isa, layer: Box<dyn Layer>, batch: usize) -> Self {
        let pass = Pass { isa, batch, steps: 1, threads: 1, training: Some(1) };
        let params = values(layer.tensors().iter().map(layer::Tensor::len).sum());
        let mut x = values(layer.input_len() * batch);
        match layer.kind() {
            "embedding" => x.fill(1.0),
            // As a ReLU leaves them: where many are equal, branches are hard to foresee.
            "max_pool" => x.iter_mut().for_each(|x| *x = x.max(0.0)),
            _ => {}
        }
        let (y, kept) = (zeros(layer.output_len() * batch), zeros(layer.kept_len(pass)));
        let scratch = zeros(layer.scratch_len(pass));
        let mut memory = Self { layer, pass, params, x, y, kept, scratch };
        memory.forward();
        memory
    }

    fn forward(&mut self) {
        let Self { layer, pass, params, x, y, kept, scratch } = self;
        layer.forward(*pass, params, Forward { x: black_box(x), y: black_box(y), kept, scratch });
    }
}

fn forward(isa: Isa, layer: Box<dyn Layer>, batch: usize) -> Call {
    let mut memory = Memory::new(isa, layer, batch);
    Box::new(move || memory.forward())
}

fn backward(isa: Isa, layer: Box<dyn Layer>, batch: usize) -> Call {
    let memory = Memory::new(isa, layer, batch);
    let Memory { layer, pass, params, x, y, mut kept, mut scratch } = memory;
    let (mut dy, mut dx) = (values(y.len()), zeros(x.len()));
    let mut gradient = zeros(params.len());
    Box::new(move || {
        let io = Backward {
            x: black_box(&x),
            y: &y,
            dy: black_box(&mut dy),
            dx: Some(black_box(&mut dx)),
            kept: &mut kept,
            gradient: &mut gradient,
            scratch: &mut scratch,
        };
        layer.backward(pass, &params, io);
    })
}

fn batch_norm([pixels, _, channels]: [usize; 3]) -> Box<dyn Layer> {
    let (statistics, activation) = (Statistics::Aggregated, Activation::Identity);
    Box::new(BatchNorm { channels, pixels, statistics, activation })
}

/// The layer and its rows.
fn group_norm([pixels, channels, all]: [usize; 3]) -> (Box<dyn Layer>, usize) {
    let groups = all.min(2);
    let activation = Activation::Identity;
    (Box::new(GroupNorm { channels: channels * groups, pixels, groups, activation }), all / groups)
}

fn plain_pool(width: usize, planes: usize) -> PoolShape {
    PoolShape::new((planes, width, width), 2)
}

/// Of overlapping windows, one row of them.
fn wide_pool(window: usize, windows: usize) -> Box<dyn Layer> {
    let size = window.isqrt();
    let shape = PoolShape::new((windows.div_ceil(16), size, 15 * (size - 1) + size), size);
    Box::new(MaxPool2d(PoolShape { stride: size - 1, ..shape }))
}

fn depthwise(side: usize, planes: usize) -> Box<dyn Layer> {
    let image = (planes, side, side);
    Box::new(Conv2d { padding: 1, groups: planes, bias: false, ..Conv2d::new(image, planes, 3) })
}

fn lstm(isa: Isa, kind: Kind, hidden: usize) -> Call {
    let (mut gate, mut state) = (values(4 * hidden), values(4 * hidden));
    Box::new(move || {
        let [i, f, g, o] = quarters(black_box(&mut gate), hidden);
        let [previous, c, tanh_c, h] = quarters(black_box(&mut state), hidden);
        if kind == Kind::LstmGates {
            gates::lstm(isa, i, f, g, o, previous, c, tanh_c, h);
        } else {
            gates::lstm_backward(isa, i, f, g, o, previous, tanh_c, h, c);
        }
    })
}

fn gru(isa: Isa, kind: Kind, hidden: usize) -> Call {
    let (mut gate, mut state, mut others) = (values(4 * hidden), values(4 * hidden), values(4 * hidden));
    Box::new(move || {
        let [r, z, n, _] = quarters(black_box(&mut gate), hidden);
        let [hr, hz, hn, _] = quarters(black_box(&mut state), hidden);
        let [previous, h, dprevious, _] = quarters(black_box(&mut others), hidden);
        if kind == Kind::GruGates {
            gates::gru(isa, r, z, n, [hr, hz, hn], previous, h);
        } else {
            gates::gru_backward(isa, r, z, n, hr, hz, hn, previous, h, dprevious);
        }
    })
}

fn quarters(all: &mut [f32], len: usize) -> [&mut [f32]; 4] {
    let (a, rest) = all.split_at_mut(len);
    let (b, rest) = rest.split_at_mut(len);
    let (c, d) = rest.split_at_mut(len);
    [a, b, c, d]
}

fn loss(isa: Isa, classes: usize, rows: usize) -> Call {
    let (outputs, mut gradient) = (values(classes * rows), zeros(classes * rows));
    let targets = Targets::Classes((0..rows).map(|row| (row % classes) as u32).collect());
    Box::new(move || {
        let outputs = black_box(&outputs[..]);
        black_box(Loss::CrossEntropy.apply(isa, outputs, &targets, classes, &mut gradient));
    })
}

fn optimizer(isa: Isa, kind: Kind, len: usize) -> Call {
    let rule: Arc<dyn LocalOptimizer> = optimizer::with_moments(match kind {
        Kind::Sgd => 0,
        Kind::Momentum => 1,
        _ => 2,
    });
    let (mut x, gradient, start) = (values(len), values(len), values(len));
    let mut moments = [0, 1].map(|i| zeros(if i < rule.moments() { len } else { 0 }));
    Box::new(move || {
        let [first, second] = &mut moments;
        let (x, gradient) = (black_box(&mut x[..]), black_box(&gradient[..]));
        let moments = [&mut first[..], &mut second[..]];
        rule.step(Step { isa, lr: 1e-6, number: 3, proximal: 0.0, x, gradient, start: &start, moments });
    })
}

/// A chain of layers with nothing to do, of which one call is taken.
fn calls(isa: Isa) -> Call {
    const LAYERS: usize = 16;
    let one = || Box::new(layer::Activate { len: 1, activation: Activation::Identity }) as Box<dyn Layer>;
    let mut memory = Memory::new(isa, Box::new(Chain::new((0..LAYERS).map(|_| one()).collect())), 1);
    let mut owed = 0;
    Box::new(move || {
        owed += 1;
        if owed == LAYERS {
            owed = 0;
            memory.forward();
        }
    })
}
