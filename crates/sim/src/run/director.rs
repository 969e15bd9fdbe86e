//! Who decides delays and fates: the one place where the order of a run's events can be changed from outside.
//!
//! Without a director every latency, job time and loss is drawn from its own named stream. A director may decide
//! any of them instead; what it leaves open is drawn as before, and no other draw is shifted.

use hcddl_core::device::JobCost;
use hcddl_core::domain::{Message, NodeId, Span, Time};
use hcddl_core::node::work::Work;
use hcddl_plan::plan::schedule::{Decision, Schedule};
use std::collections::BTreeMap;

/// A message that is about to leave, on a link between two hosts.
#[derive(Clone, Copy, Debug)]
pub struct Sending<'a> {
    /// Now.
    pub now: Time,
    /// The sender.
    pub from: NodeId,
    /// The receiver.
    pub to: NodeId,
    /// How many messages this one makes in this direction, from 1.
    pub number: u64,
    /// The message.
    pub message: &'a Message,
    /// The kind of link: index into the plan's links.
    pub link: u16,
    /// The probabilities that the plan's rules lose it and repeat it, the largest of each.
    pub chances: (f64, f64),
}

/// A job that is about to begin.
#[derive(Clone, Copy, Debug)]
pub struct Beginning<'a> {
    /// Now.
    pub now: Time,
    /// Whose.
    pub node: NodeId,
    /// How many jobs this one makes for the node, from 1.
    pub number: u64,
    /// What it does.
    pub work: &'a Work,
    /// What it costs on any device.
    pub cost: &'a JobCost,
    /// Its time on the device is multiplied by this.
    pub factor: f64,
}

/// What a director decides of a message; what is `None` is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fate {
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
    fn message(&mut self, sending: &Sending<'_>) -> Fate;
    /// How long a job takes.
    fn job(&mut self, beginning: &Beginning<'_>) -> Option<Span>;
    /// When a fault happens, by its place in the plan and its time there. Faults keep their order.
    fn fault(&mut self, index: u32, at: Time) -> Option<Time>;
}

/// Decides what a schedule lists, and nothing else.
#[derive(Clone, Debug, Default)]
pub struct Player {
    messages: BTreeMap<(NodeId, NodeId, u64), Fate>,
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
                    player.messages.insert((from, to, number), Fate { latency, lost, duplicate });
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
    fn message(&mut self, sending: &Sending<'_>) -> Fate {
        self.messages.get(&(sending.from, sending.to, sending.number)).copied().unwrap_or_default()
    }

    fn job(&mut self, beginning: &Beginning<'_>) -> Option<Span> {
        self.jobs.get(&(beginning.node, beginning.number)).copied()
    }

    fn fault(&mut self, index: u32, _: Time) -> Option<Time> {
        self.faults.get(&index).copied()
    }
}
