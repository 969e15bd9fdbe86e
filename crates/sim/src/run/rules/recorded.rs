//! Durations of a real run, which stand in for what is modelled (`hcddl replay --clock recorded`).

use super::{Beginning, Fate, Rule, Sending, Took};
use hcddl_core::domain::{JobId, Lane, NodeId, Span};
use hcddl_core::net::PortId;
use hcddl_plan::plan::{Changing, LinkPlan, MessageRule, Plan, TracePlan};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Durations of a real run.
#[derive(Clone, Debug, Default)]
pub struct Recorded {
    /// Of each whole job.
    pub jobs: BTreeMap<(NodeId, JobId), Span>,
    /// Of other jobs of a node: the median.
    pub usual_jobs: BTreeMap<(NodeId, &'static str), Span>,
    /// Of each message, by sender, receiver and position among what was sent, from 0; from sending to hearing.
    pub trips: BTreeMap<(NodeId, NodeId, u64), (Lane, Span)>,
    /// Of other messages of a directed pair: the median of the lane.
    pub usual_trips: BTreeMap<(NodeId, NodeId, Lane), Span>,
    /// What is in these durations already.
    pub conditions: Conditions,
}

/// What held while durations were recorded. With another plan, what is new in it acts on top of them: injections, rules
/// of messages, links of other settings, which are modelled.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Conditions {
    /// Injections that the nodes applied, by their settings.
    pub injections: Vec<String>,
    /// Rules of the plan: they are the simulator's, so the recorded run had none of them, and its replay has none.
    pub rules: Vec<MessageRule>,
    /// Settings of the links of each node.
    pub links: Vec<String>,
}

impl Conditions {
    /// Those of a run of this plan.
    #[must_use]
    pub fn of(plan: &Plan) -> Self {
        Self {
            injections: plan.injections.iter().map(|injection| format!("{injection:?}")).collect(),
            rules: plan.faults.rules.clone(),
            links: (0..plan.nodes.len()).map(|node| links(plan, node)).collect(),
        }
    }

    /// Whether the links between two nodes are as they were.
    #[must_use]
    pub fn same_links(&self, plan: &Plan, from: NodeId, to: NodeId) -> bool {
        [from, to].iter().all(|node| {
            self.links.get(node.index()).is_none_or(|before| *before == links(plan, node.index()))
        })
    }
}

/// All that decides how long a message of a node takes: its links, the rates of every port and shared line on the way,
/// and how transfers share them.
fn links(plan: &Plan, node: usize) -> String {
    let node = &plan.nodes[node];
    let host = &plan.hosts[node.host.index()];
    let ways =
        node.neighbours.iter().map(|neighbour| neighbour.link).chain([node.link]).chain(node.link_down);
    let links: Vec<&LinkPlan> = ways.map(|link| &plan.network.links[usize::from(link)]).collect();
    let access = node.access.map_or([host.up, host.down], |(up, down)| [up, down]);
    let ports = [host.up, host.down, access[0], access[1]].into_iter();
    let ports: Vec<PortId> =
        ports.chain(links.iter().flat_map(|link| link.segments.iter().copied())).collect();
    let rates: Vec<f64> =
        ports.iter().map(|port| plan.network.ports[port.0 as usize].bytes_per_second).collect();
    let traces: Vec<&TracePlan> = plan.traces.iter().filter(|trace| changes(trace, &ports)).collect();
    // Stations of a cell share one port.
    let cell = plan.hosts.iter().enumerate().filter(|(_, other)| other.up == host.up).map(|(i, _)| i);
    let cell: Vec<usize> = cell.collect();
    format!("{links:?} {rates:?} {traces:?} {cell:?} {} {:?}", host.airtime, plan.network.contention)
}

/// Whether a trace changes the rate of one of these ports.
fn changes(trace: &TracePlan, ports: &[PortId]) -> bool {
    matches!(&trace.what, Changing::Rate(port, _) if ports.contains(port))
}

impl Recorded {
    /// How long a job took, if that is known.
    #[must_use]
    pub fn job(&self, node: NodeId, job: JobId, label: &'static str) -> Option<Span> {
        self.jobs.get(&(node, job)).or_else(|| self.usual_jobs.get(&(node, label))).copied()
    }

    /// How long a message took, if that is known.
    #[must_use]
    pub fn trip(&self, from: NodeId, to: NodeId, number: u64, lane: Lane) -> Option<Span> {
        let same = self.trips.get(&(from, to, number)).filter(|(of, _)| *of == lane);
        same.map(|(_, trip)| trip).or_else(|| self.usual_trips.get(&(from, to, lane))).copied()
    }
}

/// The rule: takes the durations of a run, where there is one.
pub(super) struct Follow<'a> {
    plan: &'a Plan,
    recorded: Option<Arc<Recorded>>,
}

impl<'a> Follow<'a> {
    pub fn new(plan: &'a Plan) -> Self {
        Self { plan, recorded: None }
    }

    pub fn follow(&mut self, recorded: Arc<Recorded>) {
        self.recorded = Some(recorded);
    }

    /// How long a message took, where links are as they were; `number` counts from 1.
    pub fn trip(&self, from: NodeId, to: NodeId, number: u64, lane: Lane) -> Option<Span> {
        let recorded = self.recorded.as_ref()?;
        let trip = recorded.trip(from, to, number - 1, lane)?;
        recorded.conditions.same_links(self.plan, from, to).then_some(trip)
    }
}

impl Rule for Follow<'_> {
    fn message(&mut self, sending: &Sending<'_>, fate: &mut Fate) {
        fate.latency = self.trip(sending.from, sending.to, sending.number, sending.message.lane());
        fate.carried = fate.latency.is_some();
    }

    fn job(&mut self, beginning: &Beginning<'_>, took: &mut Took) {
        let recorded = self.recorded.as_ref();
        let label = beginning.work.label();
        took.duration = recorded.and_then(|recorded| recorded.job(beginning.node, beginning.job, label));
        took.recorded = took.duration.is_some();
    }
}
