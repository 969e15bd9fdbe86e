//! Work: everything that costs time. A job is a pure function of its description, so it can be cancelled
//! with partial credit, run again or replayed.

use crate::domain::{Data, Params};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A job's description.
#[derive(Clone, Debug, PartialEq)]
pub enum Work {
    /// Gradient steps on the node's own shard.
    Train(Train),
    /// A server's (or a collective's) arithmetic over tensors.
    Fold(Box<Fold>),
    /// Compress a tensor.
    Encode {
        /// The plain tensor.
        tensor: Params,
        /// What earlier encodings left over (error feedback), if the codec keeps it.
        residual: Option<Params>,
        /// Which codec: index into the plan's codecs.
        codec: u16,
        /// Names the random stream of a randomised codec.
        counter: u64,
    },
    /// Decompress a tensor.
    Decode {
        /// The coded tensor.
        data: Data,
        /// Which codec: index into the plan's codecs.
        codec: u16,
    },
}

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
}

/// State of an optimiser over the flat vector.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OptState {
    /// Steps taken.
    pub step: u64,
    /// One vector for each moment, in the optimiser's own order.
    pub slots: Vec<Params>,
}

/// A server's arithmetic: combine inputs by a rule, then perhaps let an optimiser apply the result.
#[derive(Clone, Debug)]
pub struct Fold {
    /// How to combine.
    pub rule: Arc<dyn crate::policy::fold::FoldRule>,
    /// What to combine, in a fixed order.
    pub inputs: Vec<FoldInput>,
    /// The server's model before.
    pub base: Params,
    /// How to apply the aggregate to `base`; `None` leaves the model alone.
    pub apply: Option<Arc<dyn crate::policy::optimizer::ServerOptimizer>>,
    /// State of that optimiser.
    pub opt: OptState,
    /// Whether the aggregate points downhill already (a delta) or uphill (a gradient).
    pub kind: UpdateKind,
    /// Whether the aggregate itself is wanted (an uplink sends it on).
    pub keep_aggregate: bool,
}

impl PartialEq for Fold {
    fn eq(&self, other: &Self) -> bool {
        self.rule.name() == other.rule.name()
            && self.inputs == other.inputs
            && self.base == other.base
            && self.apply.as_ref().map(|a| a.name()) == other.apply.as_ref().map(|a| a.name())
            && self.opt == other.opt
            && self.kind == other.kind
            && self.keep_aggregate == other.keep_aggregate
    }
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
    /// Weight of each input as the rule used it.
    pub weights: Vec<f32>,
}

/// A job's result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Outcome {
    /// Of [`Work::Train`].
    Trained(Trained),
    /// Of [`Work::Fold`].
    Folded(Box<Folded>),
    /// Of [`Work::Encode`]: the coded tensor and what it left over.
    Encoded {
        /// What travels.
        data: Data,
        /// Error feedback for the next time.
        residual: Option<Params>,
    },
    /// Of [`Work::Decode`].
    Decoded(Params),
    /// The job failed (a NaN loss, an empty shard); says why.
    Failed(String),
}
