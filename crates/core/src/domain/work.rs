//! What jobs are about: training, folding, and what they cost. Plain data that policies, learners, devices and
//! nodes share.

use super::{Params, Strange};
use serde::{Deserialize, Serialize};

/// What a training job returns in its tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UpdateKind {
    /// The mean gradient over `steps` batches, all at the given parameters.
    Gradient,
    /// Parameters after `steps` local optimiser steps minus those before.
    Delta,
    /// Parameters after `steps` local optimiser steps.
    Model,
}

/// Gradient steps: a pure function of these fields, the plan and the node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Train {
    /// Parameters to start from.
    pub model: Params,
    /// State of the local optimiser, `None` for a fresh one.
    pub opt: Option<OptState>,
    /// Batches this node has consumed before: position in its endless, shuffled sequence of batches.
    pub cursor: u64,
    /// Gradient steps to do; at least 1.
    pub steps: u64,
    /// What to return.
    pub output: UpdateKind,
    /// Factor on the configured learning rate (a schedule decided by the server); usually 1.
    pub lr_scale: f32,
}

/// The result of a training job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trained {
    /// Gradient, delta or model, as asked.
    pub tensor: Params,
    /// State of the local optimiser afterwards, if it is kept.
    pub opt: Option<OptState>,
    /// Steps really done: fewer than asked when cancelled with partial credit.
    pub steps: u64,
    /// Samples seen.
    pub samples: u64,
    /// Mean loss over the steps; NaN in a timing-only run.
    pub loss: f32,
    /// Forward passes of single samples.
    pub forward_passes: u64,
    /// The step (from 1) at which loss or parameters ceased to be finite, if that ended the job and the tensor
    /// therefore means no change: no samples count.
    pub skipped: Option<u64>,
}

/// State of an optimiser over the flat vector.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OptState {
    /// Steps taken.
    pub step: u64,
    /// One vector for each moment, in the optimiser's own order.
    pub slots: Vec<Params>,
}

/// One tensor of a fold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FoldInput {
    /// Its values.
    pub tensor: Params,
    /// The weight that the policy gave it, before the rule normalises.
    pub weight: f32,
    /// Training samples behind it.
    pub samples: u64,
    /// The parameters that it was computed at, for rules that need them (DC-ASGD).
    pub snapshot: Option<Params>,
}

/// The result of a fold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Folded {
    /// The model afterwards.
    pub model: Params,
    /// The optimiser's state afterwards.
    pub opt: OptState,
    /// The aggregate, if asked for.
    pub aggregate: Option<Params>,
    /// Weight of each input that was folded, as the rule used it.
    pub weights: Vec<f32>,
    /// What was strange about which inputs, by their places; what is refused has no weight.
    pub strange: Vec<(usize, Strange)>,
}

/// What one sample costs.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Cost {
    /// Floating-point operations of a forward pass of one sample; a gradient step costs 3 times that.
    pub forward_flops: f64,
    /// Bytes moved by a forward pass of one sample besides the parameters (activations).
    pub activation_bytes: f64,
    /// Parameters.
    pub params: usize,
    /// Samples in a batch.
    pub batch: usize,
}
