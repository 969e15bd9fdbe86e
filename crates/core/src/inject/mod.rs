//! Injections: latencies that are added, scaled or replaced, and nodes that are slowed down, somewhere for a while. The
//! one place where a simulated message and a deployed one are made late on purpose: the simulator asks when a message
//! is sent, a deployed node when it arrives.

mod injector;
mod trace;

pub use injector::{InjectState, Injector};
pub use trace::Trace;

use crate::device::SlowPhase;
use crate::domain::{NodeId, Span, Time};
use crate::net::Distribution;
use std::sync::Arc;

/// One change, where and when it holds.
#[derive(Clone, Debug)]
pub struct Injection {
    /// Which links, or whose compute times.
    pub place: Place,
    /// Only messages in this direction; `None` for both.
    pub direction: Option<Direction>,
    /// Active from here.
    pub from: Time,
    /// Active until here.
    pub until: Time,
    /// Within that, only in bursts; `None` for all the time.
    pub bursts: Option<Bursts>,
    /// What it does.
    pub change: Change,
}

/// Where an injection holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// On every link, or at every worker and peer.
    All,
    /// On links that end in a worker or a peer.
    Lan,
    /// On links between servers.
    Wan,
    /// On the links of these nodes, or at these nodes; ascending.
    Nodes(Vec<NodeId>),
    /// On the link between two nodes; for peers `up` is from the first to the second.
    Link(NodeId, NodeId),
}

/// A direction on a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Towards the root.
    Up,
    /// Away from the root.
    Down,
}

/// When an injection holds, within its time.
#[derive(Clone, Debug, PartialEq)]
pub enum Bursts {
    /// On and off in turn, on first.
    Regular {
        /// How long it is on.
        on: Span,
        /// How long it is off.
        off: Span,
    },
    /// Off and on in turn, off first, for times of exponential length: a two-state Markov process (Gilbert, Capacity of
    /// a Burst-Noise Channel, 1960).
    Random(SlowPhase),
}

/// What an injection does.
#[derive(Clone, Debug)]
pub enum Change {
    /// Adds to the latency.
    Add(Amount),
    /// Multiplies the latency.
    Scale(f64),
    /// Takes the place of the latency.
    Replace(Amount),
    /// Multiplies compute times.
    SlowDown(f64),
}

/// A latency that is added, or put in the place of another.
#[derive(Clone, Debug)]
pub enum Amount {
    /// Drawn for each message.
    Drawn {
        /// From this.
        distribution: Arc<dyn Distribution>,
        /// How much of the last deviation from the mean on the same link is kept, 0 to below 1: a first-order
        /// autoregression that leaves mean and variance as they are.
        correlation: f64,
    },
    /// As recorded at that time.
    Trace(Trace),
}

/// A message on its way, as injections see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hop {
    /// Its sender.
    pub from: NodeId,
    /// Its receiver.
    pub to: NodeId,
    /// Its direction in a tree; `None` between peers.
    pub direction: Option<Direction>,
    /// Whether one of the two trains.
    pub lan: bool,
}

impl Injection {
    /// Whether this is about a message.
    #[must_use]
    pub fn concerns(&self, hop: Hop) -> bool {
        let Hop { from, to, direction, lan } = hop;
        let (here, direction) = match &self.place {
            _ if matches!(self.change, Change::SlowDown(_)) => (false, None),
            Place::All => (true, direction),
            Place::Lan => (lan, direction),
            Place::Wan => (!lan, direction),
            Place::Nodes(nodes) => ([from, to].iter().any(|n| nodes.binary_search(n).is_ok()), direction),
            Place::Link(a, b) if (from, to) == (*a, *b) => (true, direction.or(Some(Direction::Up))),
            Place::Link(a, b) if (from, to) == (*b, *a) => (true, direction.or(Some(Direction::Down))),
            Place::Link(..) => (false, None),
        };
        here && self.direction.is_none_or(|only| direction == Some(only))
    }

    /// Whether this is about a node's compute times.
    #[must_use]
    pub fn slows(&self, node: NodeId) -> Option<f64> {
        let here = match &self.place {
            Place::All => true,
            Place::Nodes(nodes) => nodes.binary_search(&node).is_ok(),
            _ => false,
        };
        match self.change {
            Change::SlowDown(factor) if here => Some(factor),
            _ => None,
        }
    }
}
