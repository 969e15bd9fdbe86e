//! What a node of a deployed run reports at its end: `nodes/<name>/life<n>/result.json`.

use crate::transport::links::Traffic;
use hcddl_core::domain::{NodeId, Params, Span, Time, Version, digest};
use hcddl_core::node::Reason;
use hcddl_plan::measure::account::Account;
use hcddl_plan::measure::outcome::{Best, Staleness};
use hcddl_plan::plan::{Plan, Role};
use hcddl_sim::run::probe::Probe;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// See the module. Times are seconds of the node's own clock, which starts with it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NodeResult {
    /// The node.
    pub name: String,
    /// `global server`, `local server`, `worker` or `peer`.
    pub kind: String,
    /// How often it was started before.
    #[serde(rename = "birth")]
    pub life: u32,
    /// Why it ended; `None` of a result that does not say.
    #[serde(default, deserialize_with = "Reason::read")]
    pub reason: Option<Reason>,
    /// Seconds from its start to its end, former lives included where it went on from a checkpoint.
    pub seconds: f64,
    /// Seconds in which a job of its own ran.
    pub compute_s: f64,
    /// Seconds for which the process of its last life had a core; `None` where the system does not tell.
    #[serde(default)]
    pub cpu_s: Option<f64>,
    /// Its last version: commits of a server, rounds of a peer.
    pub version: u64,
    /// Digest of its last model, of servers and peers.
    pub weight_digest: Option<String>,
    /// Instruction set that computed.
    pub kernels: String,
    /// Events handled.
    pub events: u64,
    /// Messages sent.
    pub messages: u64,
    /// Bytes of the messages that it sent towards the root (peers: all), heads included.
    pub bytes_up: u64,
    /// Bytes of the messages that it sent away from the root.
    pub bytes_down: u64,
    /// Bytes on the wire, sent and received, with everything but encryption and TCP.
    pub wire_bytes: (u64, u64),
    /// The shortest round trip of a small message to the parent, or to each neighbouring peer.
    pub round_trips: BTreeMap<String, Span>,
    /// Training jobs finished.
    pub client_fits: u64,
    /// Gradient steps finished.
    pub gradient_steps: u64,
    /// Updates sent to a parent.
    pub updates_sent: u64,
    /// Updates that went into its commits.
    pub updates_committed: u64,
    /// Updates that its policy dropped, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// Staleness of the updates in its commits.
    pub staleness: Staleness,
    /// Last values of all metrics, of nodes that evaluate.
    pub metrics: BTreeMap<String, f64>,
    /// The best model by the validation split, where there is one.
    pub best: Option<Best>,
    /// Seconds until the target accuracy was first reached.
    pub time_to_target_s: Option<f64>,
}

impl NodeResult {
    /// Its file name.
    pub const FILE: &'static str = "result.json";

    pub(crate) fn of(plan: &Plan, node: NodeId, life: u32, now: Time, account: &mut Account) -> Self {
        let placed = &plan.nodes[node.index()];
        let kind = match (placed.role, placed.parent) {
            (Role::Server(_), None) => "global server",
            (Role::Server(_), Some(_)) => "local server",
            (Role::Worker, _) => "worker",
            (Role::Peer, _) => "peer",
        };
        let (bytes_up, bytes_down, _) = account.bytes();
        Self {
            name: placed.name.to_string(),
            kind: kind.to_owned(),
            life,
            seconds: now.seconds(),
            compute_s: account.computed(node, now).seconds(),
            cpu_s: super::agent::sample::cpu_seconds_of(std::process::id()),
            kernels: hcddl_learn::kernels::Isa::best().name().to_owned(),
            events: account.events,
            messages: account.messages,
            bytes_up,
            bytes_down,
            client_fits: account.client_fits,
            gradient_steps: account.gradient_steps,
            updates_sent: account.updates_sent,
            updates_committed: account.updates_committed,
            dropped: account.dropped.clone(),
            staleness: account.staleness(),
            metrics: account.metrics.clone(),
            ..Self::default()
        }
    }

    pub(crate) fn with_evaluation(mut self, probe: &Probe<'_>, model: &Params, version: Version) -> Self {
        self.metrics.extend(probe.state.last.clone());
        self.best = probe.state.best.as_ref().map(|(best, _)| best.clone());
        self.time_to_target_s = probe.state.target_reached.map(Time::seconds);
        self.version = version.0;
        if self.kind != "worker" {
            self.weight_digest = model.values().map(|values| digest::of_values(values).to_string());
        }
        self
    }

    pub(crate) fn ended(
        mut self,
        reason: Reason,
        traffic: Traffic,
        round_trips: BTreeMap<String, Span>,
    ) -> Self {
        self.reason = Some(reason);
        self.round_trips = round_trips;
        self.wire_bytes = (traffic.sent, traffic.received);
        self
    }
}
