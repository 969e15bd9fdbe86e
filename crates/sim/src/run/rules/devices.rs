//! What a device does to a job: its time (`devices`), differences between devices of a kind (`devices.heterogeneity`,
//! `devices.slowdown`), phases in which it is slow, and heat. In a recorded duration all of this is contained.

use super::{Beginning, Rule, Took};
use hcddl_core::device::{Profile, SlowPhases, Temperature};
use hcddl_core::domain::{HostId, NodeId, Stream, Streams};
use hcddl_plan::plan::Plan;
use std::collections::BTreeMap;

fn device(plan: &Plan, node: NodeId) -> &Profile {
    &plan.hosts[plan.nodes[node.index()].host.index()].device
}

/// Multiplies by the node's own factor.
pub(super) struct Heterogeneity<'a> {
    plan: &'a Plan,
}

impl<'a> Heterogeneity<'a> {
    pub fn new(plan: &'a Plan) -> Self {
        Self { plan }
    }
}

impl Rule for Heterogeneity<'_> {
    fn job(&mut self, beginning: &Beginning<'_>, took: &mut Took) {
        if !took.recorded {
            took.factor *= self.plan.nodes[beginning.node.index()].slowdown;
        }
    }
}

/// Multiplies by the factor of the phase that the device is in.
pub(super) struct Phases<'a> {
    plan: &'a Plan,
    pub state: BTreeMap<NodeId, SlowPhases>,
}

impl<'a> Phases<'a> {
    pub fn new(plan: &'a Plan) -> Self {
        Self { plan, state: BTreeMap::new() }
    }
}

impl Rule for Phases<'_> {
    fn job(&mut self, beginning: &Beginning<'_>, took: &mut Took) {
        let node = beginning.node;
        if took.recorded {
            return;
        }
        if let Some(phase) = &device(self.plan, node).slow_phase {
            let seed = self.plan.seeds.interleaving;
            let phases = self.state.entry(node).or_insert_with(|| {
                SlowPhases::new(phase.clone(), Stream::new(seed, "slow-phase", u64::from(node.0), 0))
            });
            took.factor *= phases.factor(beginning.now);
        }
    }
}

/// Draws the time of a job where nothing has decided it.
pub(super) struct Device<'a> {
    plan: &'a Plan,
    draws: Streams,
}

impl<'a> Device<'a> {
    pub fn new(plan: &'a Plan) -> Self {
        Self { plan, draws: Streams::new(plan.seeds.interleaving, "compute") }
    }
}

impl Rule for Device<'_> {
    fn job(&mut self, beginning: &Beginning<'_>, took: &mut Took) {
        if took.duration.is_none() {
            let mut stream = self.draws.stream(u64::from(beginning.node.0), beginning.number);
            took.duration = Some(device(self.plan, beginning.node).duration(beginning.cost, &mut stream));
        }
    }
}

/// Multiplies by what the clock of a hot host costs; knows the job's time.
pub(super) struct Heat<'a> {
    plan: &'a Plan,
    pub state: BTreeMap<HostId, Temperature>,
}

impl<'a> Heat<'a> {
    pub fn new(plan: &'a Plan) -> Self {
        Self { plan, state: BTreeMap::new() }
    }
}

impl Rule for Heat<'_> {
    fn job(&mut self, beginning: &Beginning<'_>, took: &mut Took) {
        let device = device(self.plan, beginning.node);
        if let (Some(thermal), Some(duration)) = (&device.thermal, took.duration) {
            let host = self.plan.nodes[beginning.node.index()].host;
            let (idle, load) = (device.idle_watts, device.load_watts - device.idle_watts);
            let temperature = self.state.entry(host).or_insert_with(|| Temperature::idle(thermal, idle));
            let length = duration.scale(took.factor);
            took.factor *= temperature.begin(thermal, beginning.now, length, (idle, load));
        }
    }
}
