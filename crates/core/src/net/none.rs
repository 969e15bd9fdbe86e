//! No contention: a transfer takes bytes over rate, whatever else runs.
//!
//! The rate is the smallest of the capacities on its way and its own maximum. Good for theory and when bytes
//! are tiny; for a parameter server it is far too fast (32 simultaneous pushes take 32 times as long as one).

use super::pace::{Pace, Speed, amount, whole_bytes};
use super::{Capacities, Fabric, FabricState, FlowId, FlowSpec, PortId};
use crate::domain::Time;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Flows that do not disturb each other.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Independent {
    capacities: Capacities,
    flows: BTreeMap<FlowId, (FlowSpec, Pace)>,
    ends: BTreeSet<(Time, FlowId)>,
}

impl Independent {
    /// No flows yet; capacities in bytes per second, in order of [`PortId`].
    #[must_use]
    pub fn new(capacities: &[f64]) -> Self {
        Self { capacities: Capacities::new(capacities), ..Self::default() }
    }

    fn remove(&mut self, flow: FlowId) -> Option<Pace> {
        let (_, pace) = self.flows.remove(&flow)?;
        pace.end().map(|end| self.ends.remove(&(end, flow)));
        Some(pace)
    }
}

impl Fabric for Independent {
    fn start(&mut self, now: Time, flow: FlowId, spec: FlowSpec) {
        let speed = Speed::new(self.capacities.alone(&spec));
        let pace = Pace::new(amount(spec.bytes), now, speed);
        pace.end().map(|end| self.ends.insert((end, flow)));
        assert!(self.flows.insert(flow, (spec, pace)).is_none(), "{flow:?} runs already");
    }

    fn next(&mut self) -> Option<(Time, FlowId)> {
        self.ends.first().copied()
    }

    fn complete(&mut self, now: Time, flow: FlowId) {
        let pace = self.remove(flow).expect("only a running flow completes");
        debug_assert_eq!(pace.left(now), 0, "{flow:?} is not done");
    }

    fn cancel(&mut self, now: Time, flow: FlowId) -> Option<u64> {
        self.remove(flow).map(|pace| whole_bytes(pace.left(now)))
    }

    fn set_capacity(&mut self, now: Time, port: PortId, bytes_per_second: f64) {
        self.capacities.set(port, bytes_per_second);
        for (flow, (spec, pace)) in self.flows.iter_mut().filter(|(_, f)| f.0.ports.contains(&port)) {
            pace.end().map(|end| self.ends.remove(&(end, *flow)));
            pace.set(now, Speed::new(self.capacities.alone(spec)));
            pace.end().map(|end| self.ends.insert((end, *flow)));
        }
    }

    fn save(&self) -> FabricState {
        FabricState::None(Box::new(self.clone()))
    }

    fn load(&mut self, state: FabricState) {
        let FabricState::None(saved) = state else {
            panic!("the saved state is of another kind of contention")
        };
        *self = *saved;
    }
}
