//! Who decides delays and fates from outside: a schedule, or a search for orders of events that break something.
//!
//! Without a director every latency, job time and loss is drawn from its own named stream. A director may decide
//! any of them instead; what it leaves open is drawn as before, and no other draw is shifted.

use super::{Beginning, Sending};
use hcddl_core::domain::{NodeId, Span, Time};
use hcddl_plan::plan::schedule::{Decision, Schedule};
use std::collections::BTreeMap;

/// What a director decides of a message; what is `None` is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Decided {
    /// Its latency, one way.
    pub latency: Option<Span>,
    /// Whether it is lost.
    pub lost: Option<bool>,
    /// Whether it arrives twice.
    pub duplicate: Option<bool>,
}

/// Decides delays and fates. It is asked once for each, in the order of the run.
pub trait Director: Send {
    /// What becomes of a message.
    fn message(&mut self, sending: &Sending<'_>) -> Decided;
    /// How long a job takes.
    fn job(&mut self, beginning: &Beginning<'_>) -> Option<Span>;
    /// When a fault happens, by its place in the plan and its time there. Faults keep their order.
    fn fault(&mut self, index: u32, at: Time) -> Option<Time>;
}

/// Decides what a schedule lists, and nothing else.
#[derive(Clone, Debug, Default)]
pub struct Player {
    messages: BTreeMap<(NodeId, NodeId, u64), Decided>,
    jobs: BTreeMap<(NodeId, u64), Span>,
    faults: BTreeMap<u32, Time>,
}

impl Player {
    /// The player of a schedule.
    #[must_use]
    pub fn new(schedule: &Schedule) -> Self {
        let mut player = Self::default();
        for decision in &schedule.decisions {
            match *decision {
                Decision::Message { from, to, number, latency, lost, duplicate } => {
                    player.messages.insert((from, to, number), Decided { latency, lost, duplicate });
                }
                Decision::Job { node, number, duration } => {
                    player.jobs.insert((node, number), duration);
                }
                Decision::Fault { index, at } => {
                    player.faults.insert(index, at);
                }
            }
        }
        player
    }
}

impl Director for Player {
    fn message(&mut self, sending: &Sending<'_>) -> Decided {
        self.messages.get(&(sending.from, sending.to, sending.number)).copied().unwrap_or_default()
    }

    fn job(&mut self, beginning: &Beginning<'_>) -> Option<Span> {
        self.jobs.get(&(beginning.node, beginning.number)).copied()
    }

    fn fault(&mut self, index: u32, _: Time) -> Option<Time> {
        self.faults.get(&index).copied()
    }
}
