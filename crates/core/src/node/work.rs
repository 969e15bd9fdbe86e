//! Work: everything that costs time. A job is a pure function of its description, so it can be cancelled
//! with partial credit, run again or replayed.

use crate::domain::{Data, Params};
use serde::{Deserialize, Serialize};

pub use crate::domain::work::{FoldInput, Folded, OptState, Train, Trained, UpdateKind};
pub use crate::policy::fold::Fold;

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

impl Work {
    /// Its name on a timeline.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Work::Train(_) => "train",
            Work::Fold(_) => "fold",
            Work::Encode { .. } => "encode",
            Work::Decode { .. } => "decode",
        }
    }
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
