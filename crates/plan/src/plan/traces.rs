//! What changes over time.

use hcddl_core::domain::{NodeId, Span, Stream, Time};
use hcddl_core::net::PortId;
use hcddl_core::trace::{Availability, Bandwidth};
use std::sync::Arc;

/// A port's rate, or whether a node is there, over time.
#[derive(Clone, Debug)]
pub struct TracePlan {
    /// What changes, and how.
    pub what: Changing,
    /// The trace begins here.
    pub from: Time,
    /// Names its random stream; the same for both directions of a line that change alike.
    pub key: (u64, u64),
}

/// What changes, and how.
#[derive(Clone, Debug)]
pub enum Changing {
    /// The rate of a port.
    Rate(PortId, Arc<dyn Bandwidth>),
    /// Whether a node is there.
    Presence(NodeId, Arc<dyn Availability>),
}

/// What holds from a moment on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Held {
    /// The rate of a port in bytes per second.
    Rate(PortId, f64),
    /// Whether a node is there.
    Presence(NodeId, bool),
}

impl TracePlan {
    /// Its changes in order of time, the first where it begins; `seed` is that of the interleaving.
    #[must_use]
    pub fn course(&self, seed: u64) -> Box<dyn Iterator<Item = (Time, Held)> + Send> {
        let stream = Stream::new(seed, "trace", self.key.0, self.key.1);
        let from = self.from;
        // What would come after the end of all time does not.
        let moment = move |at: Span| from.0.checked_add(at.0).map(Time);
        match &self.what {
            Changing::Rate(port, bandwidth) => {
                let port = *port;
                let course = bandwidth.course(stream);
                Box::new(course.map_while(move |(at, rate)| Some((moment(at)?, Held::Rate(port, rate)))))
            }
            Changing::Presence(node, availability) => {
                let node = *node;
                let course = availability.course(stream);
                Box::new(
                    course.map_while(move |(at, there)| Some((moment(at)?, Held::Presence(node, there)))),
                )
            }
        }
    }
}
