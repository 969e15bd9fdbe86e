//! First in, first out: each constraint carries one transfer at a time.
//!
//! A transfer queues at every constraint on its way, in order of its start. It runs when it is first in all
//! of its queues, at the smallest capacity on its way (or its own maximum if that is less), and leaves all
//! queues when it ends. The queues agree with one total order, so the oldest transfer always runs and
//! nothing can deadlock; a transfer that waits for its receiver holds up those behind it at its sender, as
//! in a network card. A lower and upper bound for what TCP does, and cheap: O(log n) for each transfer.

use super::pace::{Pace, Speed, amount, whole_bytes};
use super::{Capacities, Fabric, FabricState, FlowId, FlowSpec, PortId};
use crate::domain::Time;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Flows that wait for each other.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Fifo {
    capacities: Capacities,
    /// Flows of each constraint by their place in the order of starts.
    queues: Vec<BTreeMap<u64, FlowId>>,
    flows: BTreeMap<FlowId, Queued>,
    ends: BTreeSet<(Time, FlowId)>,
    started: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Queued {
    spec: FlowSpec,
    /// Place in the order of starts.
    place: u64,
    /// Of a flow that waits the speed is zero.
    pace: Pace,
}

impl Fifo {
    /// No flows yet; capacities in bytes per second, in order of [`PortId`].
    #[must_use]
    pub fn new(capacities: &[f64]) -> Self {
        Self {
            capacities: Capacities::new(capacities),
            queues: vec![BTreeMap::new(); capacities.len()],
            ..Self::default()
        }
    }

    /// Gives a flow its rate if it is first in all of its queues.
    fn serve(&mut self, now: Time, flow: FlowId) {
        let queued = self.flows.get_mut(&flow).expect("a queue holds running flows");
        let is_first =
            |port: &PortId| self.queues[port.0 as usize].first_key_value().map(|e| *e.1) == Some(flow);
        if queued.spec.ports.iter().all(is_first) {
            queued.pace.end().map(|end| self.ends.remove(&(end, flow)));
            queued.pace.set(now, Speed::new(self.capacities.alone(&queued.spec)));
            queued.pace.end().map(|end| self.ends.insert((end, flow)));
        }
    }

    fn remove(&mut self, now: Time, flow: FlowId) -> Option<u64> {
        let Queued { spec, place, pace } = self.flows.remove(&flow)?;
        pace.end().map(|end| self.ends.remove(&(end, flow)));
        for port in &spec.ports {
            self.queues[port.0 as usize].remove(&place);
        }
        for port in &spec.ports {
            let queue = &self.queues[port.0 as usize];
            if let Some((next_place, next)) = queue.first_key_value()
                && *next_place > place
            {
                self.serve(now, *next);
            }
        }
        Some(whole_bytes(pace.left(now)))
    }
}

impl Fabric for Fifo {
    fn start(&mut self, now: Time, flow: FlowId, spec: FlowSpec) {
        let place = self.started;
        self.started += 1;
        for port in &spec.ports {
            self.queues[port.0 as usize].insert(place, flow);
        }
        let pace = Pace::new(amount(spec.bytes), now, Speed::ZERO);
        pace.end().map(|end| self.ends.insert((end, flow)));
        let before = self.flows.insert(flow, Queued { spec, place, pace });
        assert!(before.is_none(), "{flow:?} runs already");
        self.serve(now, flow);
    }

    fn next(&mut self) -> Option<(Time, FlowId)> {
        self.ends.first().copied()
    }

    fn complete(&mut self, now: Time, flow: FlowId) {
        let left = self.remove(now, flow).expect("only a running flow completes");
        debug_assert_eq!(left, 0, "{flow:?} is not done");
    }

    fn cancel(&mut self, now: Time, flow: FlowId) -> Option<u64> {
        self.remove(now, flow)
    }

    fn set_capacity(&mut self, now: Time, port: PortId, bytes_per_second: f64) {
        self.capacities.set(port, bytes_per_second);
        if let Some((_, first)) = self.queues[port.0 as usize].first_key_value() {
            self.serve(now, *first);
        }
    }

    fn save(&self) -> FabricState {
        FabricState::Fifo(Box::new(self.clone()))
    }

    fn load(&mut self, state: FabricState) {
        let FabricState::Fifo(saved) = state else {
            panic!("the saved state is of another kind of contention")
        };
        *self = *saved;
    }
}
