//! An edge in the storm: at each end the rules of a deployed one (`transport::rules`), between them connections that are
//! modelled.

use super::world::Pair;
use crate::transport::hello::{Answer, Hello, Purpose};
use crate::transport::links::Stamp;
use crate::transport::rules::{Rules, Timing};
use hcddl_core::domain::{Message, NodeId, Time};
use hcddl_core::node::bond::Standing;

/// What a node sends.
pub(super) type Outgoing = (Stamp, Box<Message>);

/// What passes between two ends.
#[derive(Debug)]
pub(super) enum Content {
    /// The first word of a connection.
    Call(Box<Hello>),
    /// The second one.
    Answer(Purpose, Answer),
    /// The actors of both processes know each other.
    Ready,
    Message(Outgoing),
    Notice(Vec<u8>),
    Beat,
    /// The other end is gone, or knows nothing of this connection.
    Lost,
}

/// One end.
#[derive(Debug)]
pub(super) struct End {
    pub rules: Rules<Outgoing, Content>,
    /// When the connection brought something last.
    pub heard: Time,
    /// When the rules will be told the time.
    pub wake: Option<Time>,
    /// What this end and the other one have said of themselves for the connection that is being made.
    pub ours: Option<Standing>,
    pub other: Option<Standing>,
    /// Tensors that lie in the socket until the connection is complete.
    pub unread: Vec<Outgoing>,
}

impl End {
    /// The end of a process that begins now.
    pub fn new(now: Time, timing: Timing, dials: bool, life: u32) -> Self {
        let rules = Rules::new(now, timing, dials, life);
        Self { rules, heard: now, wake: None, ours: None, other: None, unread: Vec::new() }
    }
}

/// Two ends, of which the first one dials.
pub(super) struct Edge {
    pub ends: [End; 2],
    pub cut_until: Time,
    /// When the last thing that was said arrives, by side and lane: lanes keep their order.
    pub last: [[Time; 2]; 2],
}

impl Edge {
    pub fn new(timing: Timing) -> Self {
        let end = |dials| End::new(Time::ZERO, timing, dials, 0);
        Self { ends: [end(true), end(false)], cut_until: Time::ZERO, last: [[Time::ZERO; 2]; 2] }
    }
}

/// The node at a side of an edge.
pub(super) fn side_of(pair: Pair, side: usize) -> NodeId {
    if side == 0 { pair.0 } else { pair.1 }
}
