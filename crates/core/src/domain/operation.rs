//! What a gradient step does, kernel by kernel: the vocabulary that models are counted in, kernels measured in and
//! devices' times predicted from.

use serde::{Deserialize, Serialize};

/// A kind of kernel. What `size` of an [`Operation`] means is said at each: three numbers, those not named are 1.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Matrix product C = A B of m x k and k x n, row after row: m, n, k. So are the next three.
    Product,
    /// The same with A transposed.
    ProductLeft,
    /// The same with B transposed.
    ProductRight,
    /// Product of short results by dot products of long rows.
    ProductDot,
    /// [`Kind::Product`] whose B are rows that overlap in memory: columns of an image as strips.
    ProductStrips,
    /// [`Kind::ProductDot`] with such rows.
    ProductDotStrips,
    /// Columns of an image for a convolution: values of a run in memory, runs.
    Unfold,
    /// The same where windows are more than a pixel apart.
    UnfoldStrided,
    /// Columns added back to an image: as [`Kind::Unfold`].
    Fold,
    /// The same where windows are more than a pixel apart.
    FoldStrided,
    /// Transposition: rows, columns.
    Transpose,
    /// Values set to one value: values.
    Fill,
    /// Values copied: values of a run, runs.
    Copy,
    /// Values added to others: values.
    Add,
    /// Rows set to one row: values of a row, rows.
    FillRows,
    /// Sum of rows: values of a row, rows.
    SumRows,
    /// Sum of values: values.
    Sum,
    /// max(x, 0): values. So are the others without another note.
    Relu,
    /// Its derivative.
    ReluBackward,
    /// tanh.
    Tanh,
    /// 1 / (1 + exp(-x)).
    Sigmoid,
    /// Derivatives of tanh and sigmoid.
    TanhBackward,
    /// sin.
    Sine,
    /// Its derivative.
    SineBackward,
    /// Batch normalisation: pixels of a channel, rows, channels.
    BatchNorm,
    /// Its backward pass.
    BatchNormBackward,
    /// Group normalisation: pixels of a channel, channels of a group, groups of all rows.
    GroupNorm,
    /// Its backward pass.
    GroupNormBackward,
    /// Layer normalisation: values of a row, rows.
    LayerNorm,
    /// Its backward pass.
    LayerNormBackward,
    /// Mean of 2 x 2: as [`Kind::Pool`].
    MeanPool,
    /// Its backward pass.
    MeanPoolBackward,
    /// Maximum of 2 x 2: width of the input, planes (of a square image).
    Pool,
    /// Its backward pass.
    PoolBackward,
    /// Pooling of other windows: values of a window, windows.
    PoolWide,
    /// Its backward pass.
    PoolWideBackward,
    /// Depthwise convolution: side of the (square) output, planes of 16 samples, values of a window.
    Depthwise,
    /// Its backward pass.
    DepthwiseBackward,
    /// Gates of an LSTM: values of the state, rows.
    LstmGates,
    /// Their backward pass.
    LstmGatesBackward,
    /// Gates of a GRU: values of the state, rows.
    GruGates,
    /// Their backward pass.
    GruGatesBackward,
    /// Rows of an embedding looked up: values of a row, rows.
    Embedding,
    /// Dropout: values.
    Dropout,
    /// Softmax and cross-entropy (or another loss): classes, rows.
    Loss,
    /// A step of an optimiser without moments (SGD): parameters.
    Sgd,
    /// With one moment (momentum).
    Momentum,
    /// With two moments (Adam).
    Adam,
    /// A layer of a network that is called: calls.
    Call,
}

/// Floating-point operations of an exp, tanh or the like, as a device would count them.
const TRANSCENDENTAL: f64 = 20.0;

impl Kind {
    /// Every kind, in order.
    pub const ALL: [Self; 49] = [
        Self::Product,
        Self::ProductLeft,
        Self::ProductRight,
        Self::ProductDot,
        Self::ProductStrips,
        Self::ProductDotStrips,
        Self::Unfold,
        Self::UnfoldStrided,
        Self::Fold,
        Self::FoldStrided,
        Self::Transpose,
        Self::Fill,
        Self::Copy,
        Self::Add,
        Self::FillRows,
        Self::SumRows,
        Self::Sum,
        Self::Relu,
        Self::ReluBackward,
        Self::Tanh,
        Self::Sigmoid,
        Self::TanhBackward,
        Self::Sine,
        Self::SineBackward,
        Self::BatchNorm,
        Self::BatchNormBackward,
        Self::GroupNorm,
        Self::GroupNormBackward,
        Self::LayerNorm,
        Self::LayerNormBackward,
        Self::MeanPool,
        Self::MeanPoolBackward,
        Self::Pool,
        Self::PoolBackward,
        Self::PoolWide,
        Self::PoolWideBackward,
        Self::Depthwise,
        Self::DepthwiseBackward,
        Self::LstmGates,
        Self::LstmGatesBackward,
        Self::GruGates,
        Self::GruGatesBackward,
        Self::Embedding,
        Self::Dropout,
        Self::Loss,
        Self::Sgd,
        Self::Momentum,
        Self::Adam,
        Self::Call,
    ];

    /// Whether it is a matrix product, which takes its values from caches again and again; other kernels take what memory
    /// gives them once their values are too many for caches.
    #[must_use]
    pub fn is_product(self) -> bool {
        matches!(
            self,
            Self::Product
                | Self::ProductLeft
                | Self::ProductRight
                | Self::ProductDot
                | Self::ProductStrips
                | Self::ProductDotStrips
        )
    }

    /// Floating-point operations of a call, by which efficiencies are told: of kernels that only move values, one for
    /// each value.
    #[must_use]
    pub fn flops(self, size: [u32; 3]) -> f64 {
        let values = size.iter().map(|side| f64::from(*side)).product::<f64>();
        values
            * match self {
                Self::Product | Self::ProductLeft | Self::ProductRight | Self::ProductStrips => 2.0,
                Self::ProductDot | Self::ProductDotStrips => 2.0,
                Self::Add | Self::ReluBackward | Self::Sgd => 2.0,
                Self::Momentum => 4.0,
                Self::Tanh | Self::Sigmoid | Self::Sine | Self::SineBackward => TRANSCENDENTAL,
                Self::BatchNorm | Self::GroupNorm | Self::LayerNorm => 7.0,
                Self::BatchNormBackward | Self::GroupNormBackward | Self::LayerNormBackward => 14.0,
                // Of planes that are as high as they are wide.
                Self::Pool | Self::PoolBackward | Self::MeanPool | Self::MeanPoolBackward => {
                    f64::from(size[0])
                }
                Self::Depthwise => 2.0 * 16.0 * f64::from(size[0]),
                Self::DepthwiseBackward => 4.0 * 16.0 * f64::from(size[0]),
                Self::LstmGates => 5.0 * TRANSCENDENTAL,
                Self::GruGates => 3.0 * TRANSCENDENTAL,
                Self::LstmGatesBackward | Self::GruGatesBackward => 30.0,
                Self::Loss => TRANSCENDENTAL,
                Self::Adam => 15.0,
                _ => 1.0,
            }
    }
}

impl Kind {
    /// About how many bytes a call works on while it is measured over and over: what of it lies in caches is in its
    /// efficiency already.
    #[must_use]
    pub fn measured_set(self, size: [u32; 3]) -> f64 {
        let [a, b, c] = size.map(f64::from);
        match self {
            Self::Product | Self::ProductLeft | Self::ProductRight | Self::ProductStrips => {
                4.0 * (a * c + c * b + a * b)
            }
            Self::ProductDot | Self::ProductDotStrips => 4.0 * (a * c + c * b + a * b),
            Self::BatchNorm | Self::BatchNormBackward => 8.0 * a * b * 16.0,
            Self::GroupNorm | Self::GroupNormBackward => 8.0 * a * b * c.min(512.0),
            Self::Pool | Self::PoolBackward | Self::MeanPool | Self::MeanPoolBackward => {
                5.0 * a * a * b.min(2048.0)
            }
            Self::Depthwise | Self::DepthwiseBackward => 8.0 * 16.0 * a * a * b.min(512.0),
            Self::LstmGates | Self::LstmGatesBackward | Self::GruGates | Self::GruGatesBackward => 32.0 * a,
            _ => 8.0 * a * b,
        }
    }
}

/// Calls of a kernel in a gradient step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Operation {
    /// Which kernel.
    pub kind: Kind,
    /// What a call works on; see [`Kind`].
    pub size: [u32; 3],
    /// Calls.
    pub times: f64,
    /// Bytes that all calls read or write and that were last touched about a step ago (parameters, their gradients,
    /// outputs that the forward pass left): they come from where the whole step fits.
    pub far_bytes: f64,
    /// Bytes that all calls together read or write and that the layer before or after has just touched or will: they
    /// come from where twice as many fit.
    pub near_bytes: f64,
    /// Whether a large step shares them out among threads.
    pub shared: bool,
}

impl Operation {
    /// Calls of a kernel; sides that are not given are 1.
    #[must_use]
    pub fn new<const N: usize>(kind: Kind, size: [usize; N], times: usize) -> Self {
        let mut all = [1; 3];
        for (to, from) in all.iter_mut().zip(size) {
            *to = u32::try_from(from).unwrap_or(u32::MAX);
        }
        Self { kind, size: all, times: times as f64, far_bytes: 0.0, near_bytes: 0.0, shared: false }
    }

    /// With so many values that were last touched about a step ago.
    #[must_use]
    pub fn far(self, values: usize) -> Self {
        Self { far_bytes: 4.0 * values as f64, ..self }
    }

    /// With so many values that the layer before or after touches.
    #[must_use]
    pub fn near(self, values: usize) -> Self {
        Self { near_bytes: 4.0 * values as f64, ..self }
    }

    /// Floating-point operations of all calls.
    #[must_use]
    pub fn flops(&self) -> f64 {
        self.times * self.kind.flops(self.size)
    }
}

/// All that a training job does at one size of batch.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Operations {
    /// In each gradient step, in order.
    pub step: Vec<Operation>,
    /// Once in each job.
    pub job: Vec<Operation>,
    /// Bytes that a step touches: parameters, gradient, outputs and gradients of layers.
    pub working_set: f64,
}

impl Operations {
    /// Whether anything is known: a learner that states no operations is predicted by its flops and bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.step.is_empty()
    }
}
