//! The meaning of a scenario: everything checked, named things resolved, units gone. `sim` and `deploy`
//! take a [`Plan`]; only `scenario/` makes one.

mod deploy;
pub mod schedule;
mod traces;

pub use deploy::{DeployPlan, Settings};
pub use hcddl_core::net::Contention;
pub use hcddl_core::node::server::Traffic;
pub use hcddl_core::node::uplink::{Push, UplinkPlan};
pub use hcddl_learn::local::LocalRule;
pub use hcddl_learn::plan::{LearningPlan, LocalWork};
pub use schedule::Schedule;
pub use traces::{Changing, Held, TracePlan};

use hcddl_core::domain::work::UpdateKind;
use hcddl_core::domain::{Choice, HostId, NodeId, NodeName, Seeds, Span, Time};
use hcddl_core::inject::{Direction, Hop, Injection};
use hcddl_core::net::{Distribution, PortId};
use hcddl_core::trace::Bursts;
use serde::Serialize;
use std::sync::Arc;

/// A checked scenario.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Name of the run.
    pub name: String,
    /// Seeds of data, initialisation and interleaving.
    pub seeds: Seeds,
    /// Every participant, in order of [`NodeId`].
    pub nodes: Vec<NodePlan>,
    /// Every machine, in order of [`HostId`].
    pub hosts: Vec<HostPlan>,
    /// Settings of servers; [`Role::Server`] points here.
    pub tiers: Vec<TierPlan>,
    /// Settings of the peers, when there are any.
    pub peers: Option<PeerPlan>,
    /// What is trained.
    pub learning: LearningPlan,
    /// When the run ends.
    pub stop: StopPlan,
    /// What is measured, and when.
    pub evaluation: EvaluationPlan,
    /// Links and contention.
    pub network: NetworkPlan,
    /// What goes wrong, in order of time.
    pub faults: FaultsPlan,
    /// Delays and fates that are decided instead of drawn.
    pub schedule: Option<Schedule>,
    /// Latencies and compute times that are changed on purpose, in the order in which they apply.
    pub injections: Vec<Injection>,
    /// Rates of ports and presence of nodes over time.
    pub traces: Vec<TracePlan>,
    /// How it is deployed.
    pub deploy: DeployPlan,
    /// What must hold at the end.
    pub expect: Expect,
    /// Compute no gradients: only times, bytes, versions and staleness.
    pub timing_only: bool,
    /// A codec for each distinct `compression` choice; [`TierPlan`] points here.
    pub codecs: Vec<Choice>,
    /// Settings without effect and other things the user should know, each a sentence.
    pub warnings: Vec<String>,
}

/// One participant.
#[derive(Clone, Debug)]
pub struct NodePlan {
    /// Its name: `global`, `local1`, `worker3`, or as written in a topology file.
    pub name: NodeName,
    /// Of a peer: its place along the ring where the peers form one, else in order of nodes.
    pub place: u32,
    /// What it is.
    pub role: Role,
    /// Its machine.
    pub host: HostId,
    /// The server it reports to.
    pub parent: Option<NodeId>,
    /// Nodes that report to it, ascending.
    pub children: Vec<NodeId>,
    /// A peer's neighbours, ascending (a ring's in ring order: previous, next).
    pub neighbours: Vec<Neighbour>,
    /// Depth below the root; 0 for the root and for peers.
    pub depth: u16,
    /// The kind of link to its parent: index into [`NetworkPlan::links`].
    pub link: u16,
    /// The kind of link from its parent, where that is another one.
    pub link_down: Option<u16>,
    /// Access ports of the link to its parent (up, down), when that link has its own.
    pub access: Option<(PortId, PortId)>,
    /// Static heterogeneity: its compute times are multiplied by this.
    pub slowdown: f64,
    /// Absent until a `join` fault brings it.
    pub joins_later: bool,
    /// Position among the training nodes (workers or peers): which shard it holds.
    pub shard: Option<u32>,
}

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Role {
    /// Aggregates its children; the root when it has no parent. Index into [`Plan::tiers`].
    Server(u16),
    /// Trains for its parent.
    Worker,
    /// Trains and mixes with its neighbours.
    Peer,
}

/// An undirected edge of a peer graph, as one end sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Neighbour {
    /// The other end.
    pub node: NodeId,
    /// Mixing weight W_ij.
    pub weight: f64,
    /// Kind of link: index into [`NetworkPlan::links`].
    pub link: u16,
}

/// A machine.
#[derive(Clone, Debug)]
pub struct HostPlan {
    /// Its name.
    pub name: String,
    /// Row of the device table with its options.
    pub device: hcddl_core::device::Profile,
    /// The constraint that everything it sends passes.
    pub up: PortId,
    /// The constraint that everything it receives passes; equal to `up` on a shared medium: the cell of WiFi, which it
    /// shares with other stations.
    pub down: PortId,
    /// Of a station of WiFi: how much of its cell's rate one byte of its own takes, 1 or more (a slower station keeps
    /// the medium busy for longer); 0 where there is no cell.
    pub airtime: f64,
}

/// Settings of a server.
#[derive(Clone, Debug)]
pub struct TierPlan {
    /// Key under `tiers:` that it came from.
    pub name: String,
    /// When and how it commits.
    pub policy: Choice,
    /// How it combines updates.
    pub fold: Choice,
    /// How it applies the aggregate; `None` for a server that only forwards aggregates.
    pub optimizer: Option<Choice>,
    /// What its children send: decided by the policy unless set.
    pub update: UpdateKind,
    /// What it pushes to its parent; `None` at the root.
    pub uplink: Option<UplinkPlan>,
    /// Largest Euclidean norm of a child's update; a longer one is shortened.
    pub max_norm: Option<f64>,
    /// How children get the new model.
    pub traffic: Traffic,
    /// Codec of updates from its children: index into [`Plan::codecs`].
    pub compress_up: Option<u16>,
    /// Codec of models to its children: index into [`Plan::codecs`].
    pub compress_down: Option<u16>,
}

/// Settings of decentralised training.
#[derive(Clone, Debug)]
pub struct PeerPlan {
    /// Row of the peer table.
    pub algorithm: Choice,
}

/// When the run ends: at the first of these.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct StopPlan {
    /// Commits of the root (rounds of a synchronous server, updates of an asynchronous one), or rounds of
    /// every peer.
    pub rounds: Option<u64>,
    /// Virtual time.
    pub time: Option<Span>,
    /// Test accuracy in [0, 1].
    pub target_accuracy: Option<f64>,
}

/// What is measured, and when.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EvaluationPlan {
    /// Commits of the root between two evaluations; 0 for only the end.
    pub every: u64,
    /// Whether the untrained model is evaluated too.
    pub at_start: bool,
    /// Names of the metrics.
    pub metrics: Vec<String>,
    /// Whether each peer's own model is evaluated too.
    pub per_node: bool,
    /// Which model counts as the best, where there is a validation split.
    pub best: BestBy,
}

/// Which model counts as the best one of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BestBy {
    /// The one with the least validation loss.
    #[default]
    ValLoss,
    /// The one with the highest validation accuracy.
    ValAccuracy,
}

/// Links and contention.
#[derive(Clone, Debug)]
pub struct NetworkPlan {
    /// How concurrent transfers share constraints.
    pub contention: Contention,
    /// Capacity of every constraint in bytes per second, in order of [`PortId`].
    pub ports: Vec<PortPlan>,
    /// The kinds of link; nodes point here.
    pub links: Vec<LinkPlan>,
    /// Resend until acknowledged (needed when messages can be lost or duplicated).
    pub reliable: bool,
    /// First wait for an acknowledgement before a resend; doubles each time.
    pub resend_after: Span,
}

/// A constraint.
#[derive(Clone, Debug, PartialEq)]
pub struct PortPlan {
    /// For messages and the timeline: `worker3.up`.
    pub name: String,
    /// Nominal capacity in bytes per second; a link's `efficiency` of them are payload.
    pub bytes_per_second: f64,
}

/// A kind of link.
#[derive(Clone, Debug)]
pub struct LinkPlan {
    /// `lan`, `wan` or the name of an override.
    pub name: String,
    /// One-way latency.
    pub latency: Arc<dyn Distribution>,
    /// Bytes per second one transfer cannot exceed; infinity for no limit but the ports.
    pub rate_max: f64,
    /// Probability that a packet is lost. On reliable lanes that is delay.
    pub loss: f64,
    /// Share of the rate that carries payload.
    pub efficiency: f64,
    /// Constraints that all transfers on this link share (a WAN segment).
    pub segments: Vec<PortId>,
}

/// What goes wrong.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct FaultsPlan {
    /// In order of time.
    pub events: Vec<FaultEvent>,
    /// Message rules, active between two moments.
    pub rules: Vec<MessageRule>,
    /// How long it takes others to notice that a node is lost or back.
    pub detection: Span,
}

impl Plan {
    /// Whether nodes or links fail at some moment, or nodes leave.
    #[must_use]
    pub fn loses_somebody(&self) -> bool {
        self.faults.events.iter().any(|event| !matches!(event.fault, Fault::SlowDown(..)))
            || self.traces.iter().any(|trace| matches!(trace.what, Changing::Presence(..)))
    }
}

impl FaultsPlan {
    /// Whether single messages can be lost or arrive twice.
    #[must_use]
    pub fn loses_messages(&self) -> bool {
        self.rules.iter().any(|rule| rule.loss > 0.0 || rule.duplicate > 0.0)
    }
}

/// One fault.
#[derive(Clone, Debug, PartialEq, Serialize, serde::Deserialize)]
pub struct FaultEvent {
    /// When.
    pub at: Time,
    /// What.
    pub fault: Fault,
}

/// What can happen to nodes and links.
#[derive(Clone, Debug, PartialEq, Serialize, serde::Deserialize)]
pub enum Fault {
    /// The node loses its memory and stops.
    Crash(NodeId),
    /// A crashed node starts again, without its memory (a root server: from its last checkpoint).
    Restart(NodeId),
    /// The node says good-bye and stops.
    Leave(NodeId),
    /// A node that left, or was absent from the start, comes (back).
    Join(NodeId),
    /// The node's compute times are multiplied by this from now on; 1 heals.
    SlowDown(NodeId, f64),
    /// Messages between the two wait until the link is up again.
    LinkDown(NodeId, NodeId),
    /// Ends a `LinkDown`.
    LinkUp(NodeId, NodeId),
    /// Nodes of different groups cannot reach each other; a node named in no group reaches all.
    Partition(Vec<Vec<NodeId>>),
    /// Ends a `Partition`.
    Heal,
}

/// A rule about messages.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MessageRule {
    /// Active from here.
    pub from: Time,
    /// Active until here.
    pub until: Time,
    /// Only messages of this sender.
    pub sender: Option<NodeId>,
    /// Only messages to this receiver.
    pub receiver: Option<NodeId>,
    /// Probability that a message is lost, in the long run.
    pub loss: f64,
    /// Losses come in bursts: the probability at each moment is that of the state of the link.
    pub bursts: Option<Bursts>,
    /// Probability that a message arrives twice.
    pub duplicate: f64,
    /// Added to the latency.
    pub delay: Span,
}

impl MessageRule {
    /// Whether it applies to a message.
    #[must_use]
    pub fn applies(&self, now: Time, from: NodeId, to: NodeId) -> bool {
        (self.from..self.until).contains(&now)
            && self.sender.is_none_or(|node| node == from)
            && self.receiver.is_none_or(|node| node == to)
    }
}

/// What must hold at the end of a run for `hcddl test` to pass.
#[derive(Clone, Debug, Default, PartialEq, Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Expect {
    /// Final test accuracy is at least this (0 to 1).
    pub accuracy_min: Option<f64>,
    /// Final test loss is at most this.
    pub loss_max: Option<f64>,
    /// The target accuracy is reached within this virtual time, in seconds.
    pub time_to_target_s_max: Option<f64>,
    /// The run ends within this virtual time, in seconds.
    pub virtual_time_s_max: Option<f64>,
    /// At least so many commits.
    pub commits_min: Option<u64>,
    /// Mean staleness is at most this.
    pub staleness_mean_max: Option<f64>,
    /// Every update that was sent is in exactly one commit, dropped by the policy, or on its way at the end.
    pub no_lost_update: bool,
    /// The weight digest is this (32 hexadecimal digits).
    pub weight_digest: Option<String>,
    /// The trace digest is this (32 hexadecimal digits).
    pub trace_digest: Option<String>,
}

/// A message's way as injections see it.
#[must_use]
pub fn hop(plan: &Plan, from: NodeId, to: NodeId) -> Hop {
    let (sender, receiver) = (&plan.nodes[from.index()], &plan.nodes[to.index()]);
    let direction = if sender.parent == Some(to) {
        Some(Direction::Up)
    } else if receiver.parent == Some(from) {
        Some(Direction::Down)
    } else {
        None
    };
    let trains = |node: &NodePlan| !matches!(node.role, Role::Server(_));
    Hop { from, to, direction, lan: trains(sender) || trains(receiver) }
}
