//! What nodes send each other.
//!
//! A message is a registered [`Kind`], a [`Head`] of plain numbers and named [`Body`] tensors. A new
//! algorithm adds its kinds to its own file; no closed enum has to be edited.

use super::{NodeId, Params, Version};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::sync::Arc;

/// The name of a kind of message: `assign`, `update`, `chunk`, ...
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Kind(Cow<'static, str>);

impl Kind {
    /// A kind known when the crate was built.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self(Cow::Borrowed(name))
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0
    }
}

/// A kind read from the wire.
impl From<String> for Kind {
    fn from(name: String) -> Self {
        Self(Cow::Owned(name))
    }
}

/// Delivery is ordered per (from, to, lane) only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Lane {
    /// Small messages without tensors; never wait behind a tensor.
    Control,
    /// Messages with tensors.
    Model,
}

/// The numbers of a message. Fields that a kind does not use are zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Head {
    /// Version of the model carried (assign) or of the sender (other kinds); the round of a peer.
    pub version: Version,
    /// Version of the receiver's model that the work was based on.
    pub base: Version,
    /// Version of the root's model from which the base descends.
    pub root: Version,
    /// Updates that the sender has finished (the clock of SSP); a step of a collective.
    pub clock: u64,
    /// Training samples behind the body: its weight in a weighted mean.
    pub samples: u64,
    /// Gradient steps behind the body; in an assignment the steps asked for (0: as configured).
    pub steps: u64,
    /// Position for collectives: the index of a chunk. Between a server and its child how often the child was lost, so
    /// that an update for a model from before its loss is known as such.
    pub part: u32,
    /// Mean training loss over the steps; NaN when unknown.
    pub loss: f32,
}

/// Bytes of the encoded head, sequence numbers, kind, lane and checksum: fixed, so that `sim` charges what
/// `deploy` sends. The wire module asserts it.
pub const HEAD_BYTES: u64 = 96;
/// Bytes that describe one body: name, codec, element count, byte count.
pub const BODY_HEAD_BYTES: u64 = 32;

/// A tensor in a message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Body {
    /// What it is: `model`, `gradient`, `delta`, ...
    pub name: Cow<'static, str>,
    /// Its values.
    pub data: Data,
}

/// Values of a body, plain or coded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Data {
    /// Raw f32.
    Dense(Params),
    /// The output of a codec of `compress/`.
    Coded(Coded),
}

/// The output of a codec.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Coded {
    /// Name of the codec in its table.
    pub codec: Cow<'static, str>,
    /// Elements of the plain tensor.
    pub len: usize,
    /// Encoded size; known even when the payload is absent (timing-only).
    pub bytes: u64,
    /// The encoded bytes.
    pub payload: Option<Arc<Vec<u8>>>,
}

impl Data {
    /// Encoded size in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        match self {
            Data::Dense(params) => params.bytes(),
            Data::Coded(coded) => coded.bytes,
        }
    }
}

/// One message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// What it means.
    pub kind: Kind,
    /// Its numbers.
    pub head: Head,
    /// Its tensors, usually none or one.
    pub bodies: Vec<Body>,
    /// Position in the sender's numbered sequence to this receiver; 0 when the sender does not number.
    pub sequence: u64,
}

impl Message {
    /// A message without tensors.
    #[must_use]
    pub fn control(kind: Kind, head: Head) -> Self {
        Self { kind, head, bodies: Vec::new(), sequence: 0 }
    }

    /// A message with one tensor.
    #[must_use]
    pub fn with(kind: Kind, head: Head, name: &'static str, data: Data) -> Self {
        Self { kind, head, bodies: vec![Body { name: Cow::Borrowed(name), data }], sequence: 0 }
    }

    /// The lane it travels in.
    #[must_use]
    pub fn lane(&self) -> Lane {
        if self.bodies.is_empty() { Lane::Control } else { Lane::Model }
    }

    /// Exact encoded size, without TCP/IP framing (which the link's efficiency covers).
    #[must_use]
    pub fn bytes(&self) -> u64 {
        HEAD_BYTES + self.bodies.iter().map(|b| BODY_HEAD_BYTES + b.data.bytes()).sum::<u64>()
    }

    /// The plain tensor of the first body, if it is dense.
    #[must_use]
    pub fn params(&self) -> Option<&Params> {
        match self.bodies.first() {
            Some(Body { data: Data::Dense(params), .. }) => Some(params),
            _ => None,
        }
    }
}

/// A directed pair of nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Edge {
    /// The sender.
    pub from: NodeId,
    /// The receiver.
    pub to: NodeId,
}
