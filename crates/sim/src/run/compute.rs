//! Modelled compute time: what a job costs, and how jobs of one host share its cores and its memory. How long a job takes
//! on an idle host, the chain of rules decides ([`super::rules`]).

use super::rules::{Beginning, Chain, ChainState, Took};
use hcddl_core::compress::Codec;
use hcddl_core::device::{JobCost, Predicted, Profile, SlowPhases, Temperature};
use hcddl_core::domain::work::Cost;
use hcddl_core::domain::{HostId, JobId, NodeId, Span, Time};
use hcddl_core::net::{FabricState, FlowId, FlowSpec, PortId, Way};
use hcddl_core::node::work::Work;
use hcddl_learn::Learner;
use hcddl_plan::plan::{Contention, NodePlan, Plan};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What the compute model knows while it runs, and what the chain of rules knows of nodes: their checkpoints have lain
/// together since before the chain was one.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ComputeState {
    /// Jobs begun by each node: names the draws of the next one.
    begun: Vec<u64>,
    /// Factors of `slow_down` faults.
    slowed: BTreeMap<NodeId, f64>,
    phases: BTreeMap<NodeId, SlowPhases>,
    temperatures: BTreeMap<HostId, Temperature>,
    /// Jobs that share the cores of a host, by their flow.
    shared: BTreeMap<u64, u64>,
    next_flow: u64,
    fabric: FabricState,
}

/// See the module.
pub struct Compute<'a> {
    plan: &'a Plan,
    cost: Cost,
    /// Samples in a batch of each node.
    batches: Vec<usize>,
    /// What tables of efficiencies say of each node's jobs.
    predicted: Vec<Option<Predicted>>,
    /// Operations and bytes for each element, by codec.
    codecs: Vec<(f64, f64)>,
    /// Cores and memory as constraints, when jobs of some host can get in each other's way.
    cores: Option<Box<dyn hcddl_core::net::Fabric>>,
    crowded: Vec<bool>,
    pub state: ComputeState,
}

/// Core-nanoseconds per second of one core.
const CORE_RATE: f64 = 1e9;

impl<'a> Compute<'a> {
    pub fn new(plan: &'a Plan, learner: &dyn Learner, codecs: &[Arc<dyn Codec>]) -> Self {
        let codecs = codecs.iter().map(|c| c.cost_per_element()).collect();
        let mut nodes_of_host = vec![0u32; plan.hosts.len()];
        plan.nodes.iter().for_each(|n| nodes_of_host[n.host.index()] += 1);
        let crowded: Vec<bool> = plan
            .hosts
            .iter()
            .zip(nodes_of_host)
            // Where kernels are told apart, jobs that could run side by side still share memory.
            .map(|(host, nodes)| {
                nodes > host.device.cores.max(1) || nodes > 1 && host.device.efficiency.is_some()
            })
            .collect();
        // The cores of each host, then its memory, which gives one job after another all that it has.
        let cores_of = plan.hosts.iter().map(|h| f64::from(h.device.cores.max(1)) * CORE_RATE);
        let capacities: Vec<f64> = cores_of.chain(plan.hosts.iter().map(|_| CORE_RATE)).collect();
        let fair = Contention::FairShare { unfairness: 0.0 };
        let cores = crowded.contains(&true).then(|| hcddl_core::net::build(&fair, &capacities, 0));
        let cost = learner.cost();
        let of_node = |i| cost.batch.min(learner.shard_len(NodeId(i as u32)).max(1));
        let batches: Vec<usize> = (0..plan.nodes.len()).map(of_node).collect();
        let predicted = predictions(plan, learner, &batches);
        let state = ComputeState { begun: vec![0; plan.nodes.len()], ..ComputeState::default() };
        Self { plan, cost, batches, predicted, codecs, cores, crowded, state }
    }

    /// Its state, with what the chain knows of nodes.
    pub fn save(&self, chain: &ChainState) -> ComputeState {
        let fabric = self.cores.as_ref().map(|c| c.save()).unwrap_or_default();
        let ChainState { slowed, phases, temperatures, .. } = chain.clone();
        ComputeState { fabric, slowed, phases, temperatures, ..self.state.clone() }
    }

    /// Continues from a state; puts what is the chain's there.
    pub fn load(&mut self, mut state: ComputeState, chain: &mut ChainState) {
        if let Some(cores) = &mut self.cores {
            cores.load(std::mem::take(&mut state.fabric));
        }
        chain.slowed = std::mem::take(&mut state.slowed);
        chain.phases = std::mem::take(&mut state.phases);
        chain.temperatures = std::mem::take(&mut state.temperatures);
        self.state = state;
    }

    /// How long a job takes on its node's device when nothing else runs there.
    pub fn duration(
        &mut self,
        now: Time,
        node: NodeId,
        job: JobId,
        work: &Work,
        chain: &mut Chain<'_>,
    ) -> Took {
        let cost = self.job_cost(node, work);
        let begun = &mut self.state.begun[node.index()];
        *begun += 1;
        let number = *begun;
        chain.job(&Beginning { now, node, job, number, work, cost: &cost, factor: 1.0 })
    }

    /// Floating-point operations of a job.
    pub fn flops(&self, node: NodeId, work: &Work) -> f64 {
        self.job_cost(node, work).flops
    }

    fn job_cost(&self, node: NodeId, work: &Work) -> JobCost {
        match work {
            Work::Train(job) => {
                let batch = self.batches[node.index()];
                let seconds = |found: Predicted| found.step * job.steps as f64 + found.job;
                let predicted = self.predicted[node.index()].map(seconds);
                JobCost { predicted, ..JobCost::training(&Cost { batch, ..self.cost }, job.steps) }
            }
            Work::Fold(job) => {
                JobCost::fold(job.inputs.len(), job.inputs.first().map_or(0, |i| i.tensor.len()))
            }
            Work::Encode { tensor, codec, .. } => self.coding(*codec, tensor.len()),
            Work::Decode { data, codec } => self.coding(*codec, (data.bytes() / 4) as usize),
        }
    }

    fn coding(&self, codec: u16, len: usize) -> JobCost {
        JobCost::coding(self.codecs[usize::from(codec)], len)
    }

    /// Whether jobs of a node's host share its cores or its memory.
    pub fn is_crowded(&self, node: NodeId) -> bool {
        self.crowded[self.plan.nodes[node.index()].host.index()]
    }

    /// Whether memory decides how long a job takes, on a device that tells kernels apart.
    pub fn waits_for_memory(&self, node: NodeId, work: &Work) -> bool {
        let device = &self.plan.hosts[self.plan.nodes[node.index()].host.index()].device;
        if device.efficiency.is_none() {
            return false;
        }
        match (work, self.predicted[node.index()]) {
            (Work::Train(_), Some(found)) => found.memory_share >= 0.5,
            _ => {
                let JobCost { flops, bytes, .. } = self.job_cost(node, work);
                bytes / device.memory_bytes_per_second > flops / device.flops_per_second
            }
        }
    }

    /// Starts a job on a crowded host, one that waits for `memory` or not; its end comes from [`Compute::next_end`].
    pub fn start_shared(&mut self, now: Time, node: NodeId, duration: Span, key: u64, memory: bool) {
        let host = self.plan.nodes[node.index()].host;
        self.state.next_flow += 1;
        let flow = self.state.next_flow;
        self.state.shared.insert(flow, key);
        let mut ports = vec![PortId(host.0)];
        if memory {
            ports.push(PortId(self.plan.hosts.len() as u32 + host.0));
        }
        let way = Way::default();
        let spec = FlowSpec { bytes: duration.0, ports, weight: 1.0, rate_max: CORE_RATE, way };
        self.cores.as_mut().expect("some host is crowded").start(now, FlowId(flow), spec);
    }

    /// The end of the next job on a crowded host.
    pub fn next_end(&mut self) -> Option<(Time, FlowId)> {
        if self.state.shared.is_empty() { None } else { self.cores.as_mut()?.next() }
    }

    /// Takes the job that [`Compute::next_end`] announced.
    pub fn complete(&mut self, now: Time, flow: FlowId) -> u64 {
        self.cores.as_mut().expect("some host is crowded").complete(now, flow);
        self.state.shared.remove(&flow.0).expect("only running jobs end")
    }

    /// Gives up a job on a crowded host.
    pub fn cancel_shared(&mut self, now: Time, key: u64) {
        let flow = self.state.shared.iter().find(|(_, k)| **k == key).map(|(flow, _)| *flow);
        if let (Some(flow), Some(cores)) = (flow, &mut self.cores) {
            cores.cancel(now, FlowId(flow));
            self.state.shared.remove(&flow);
        }
    }
}

/// What each node's device makes of a step on its batches: worked out once for each kind of device and size of batch.
fn predictions(plan: &Plan, learner: &dyn Learner, batches: &[usize]) -> Vec<Option<Predicted>> {
    let mut found: Vec<(&Profile, usize, Option<Predicted>)> = Vec::new();
    let mut of_node = |(node, batch): (&NodePlan, &usize)| {
        let device = &plan.hosts[node.host.index()].device;
        device.efficiency.as_ref()?;
        let same = |one: &Profile| {
            let numbers =
                |d: &Profile| (d.flops_per_second, d.memory_bytes_per_second, d.cache_bytes, d.threads);
            let tables = one.efficiency.as_ref().zip(device.efficiency.as_ref());
            numbers(one) == numbers(device) && tables.is_some_and(|(one, other)| Arc::ptr_eq(one, other))
        };
        if let Some((.., known)) = found.iter().find(|(one, size, _)| size == batch && same(one)) {
            return *known;
        }
        let predicted = device.predicted(&learner.operations(*batch));
        found.push((device, *batch, predicted));
        predicted
    };
    plan.nodes.iter().zip(batches).map(&mut of_node).collect()
}
