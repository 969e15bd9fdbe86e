//! What nodes send each other.
//!
//! A message is a registered [`Kind`], a [`Head`] of plain numbers and named [`Body`] tensors. A new
//! algorithm adds its kinds to its own file; no closed enum has to be edited.

use super::{Era, NodeId, Params, Version};
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
#[serde(from = "Slots", into = "Slots")]
pub struct Head {
    /// Version of the model carried (assign) or of the sender (other kinds); the round of a peer.
    pub version: Version,
    /// Version of the receiver's model that the work was based on.
    pub base: Version,
    /// Version of the root's model from which the base descends.
    pub root: Version,
    /// Training samples behind the body: its weight in a weighted mean.
    pub samples: u64,
    /// Gradient steps behind the body; in an assignment the steps asked for (0: as configured).
    pub steps: u64,
    /// Mean training loss over the steps; NaN when unknown.
    pub loss: f32,
    /// What only messages of this kind say.
    pub detail: Detail,
}

/// Twelve bytes whose meaning is the business of each kind: a type of its own names them, and is turned into a `Detail`
/// and back. Of the kinds between servers and workers it is [`Progress`]; an algorithm's own file has its own.
///
/// Not an enum of these types: kinds are an open set, and a reader of bytes that does not know a kind must be able to
/// pass its message on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Detail {
    /// The longer number.
    pub long: u64,
    /// The shorter one.
    pub short: u32,
}

/// The detail of a model that is handed out and of the update that comes back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Updates that the sender has finished: the clock of SSP.
    pub clock: u64,
    /// The era between server and child, as the server counts it: an update for a model of a former one is known as such.
    pub era: Era,
}

impl From<Progress> for Detail {
    fn from(Progress { clock, era }: Progress) -> Self {
        Self { long: clock, short: era.0 }
    }
}

impl From<Detail> for Progress {
    fn from(Detail { long, short }: Detail) -> Self {
        Self { clock: long, era: Era(short) }
    }
}

/// A head as it has always been stored, in checkpoints and as JSON: the details under the names that they had when
/// servers and workers were all there was.
#[derive(Serialize, Deserialize)]
struct Slots {
    version: Version,
    base: Version,
    root: Version,
    clock: u64,
    samples: u64,
    steps: u64,
    part: u32,
    loss: f32,
}

impl From<Head> for Slots {
    fn from(Head { version, base, root, samples, steps, loss, detail }: Head) -> Self {
        Self { version, base, root, clock: detail.long, samples, steps, part: detail.short, loss }
    }
}

impl From<Slots> for Head {
    fn from(Slots { version, base, root, clock, samples, steps, part, loss }: Slots) -> Self {
        Self { version, base, root, samples, steps, loss, detail: Detail { long: clock, short: part } }
    }
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
