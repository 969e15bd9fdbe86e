//! A group with several shared constraints: progressive filling.
//!
//! All rates per weight grow together until a constraint is full or a flow reaches its cap; those flows are
//! frozen and the others grow on (Bertsekas and Gallager, Data Networks, 1992, section 6.5.2). The whole mesh
//! is solved anew whenever it changes: O(f log f) for f flows.

use super::star::{Ordered, Star, weight, weight_units};
use super::{Flow, Flows, Share};
use crate::domain::Time;
use crate::net::pace::{Amount, Pace, Speed};
use crate::net::{Capacities, FlowId, PortId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Flows whose rates are solved together; the share of each is [`Share::Own`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Mesh {
    flows: BTreeSet<FlowId>,
    ends: BTreeSet<(Time, FlowId)>,
}

/// Flows that hang together, ascending, and the constraints that at least two of them pass, ascending.
#[derive(Debug, PartialEq)]
pub(super) struct Part {
    pub(super) members: Vec<FlowId>,
    pub(super) shared: Vec<PortId>,
}

fn own(flow: &Flow) -> &Pace {
    match &flow.share {
        Share::Own(pace) => pace,
        Share::Tag(_) => unreachable!("a flow of a mesh has its own pace"),
    }
}

impl Mesh {
    pub(super) fn is_empty(&self) -> bool {
        self.flows.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.flows.len()
    }

    pub(super) fn members(&self) -> Vec<FlowId> {
        self.flows.iter().copied().collect()
    }

    /// Takes in a flow that has not been solved.
    pub(super) fn add(&mut self, flow: FlowId) {
        self.flows.insert(flow);
    }

    /// Takes in another mesh; its ends stay good for what is done already.
    pub(super) fn absorb(&mut self, other: Mesh) {
        self.flows.extend(other.flows);
        self.ends.extend(other.ends);
    }

    /// Takes in a whole star.
    pub(super) fn absorb_star(&mut self, star: &Star, now: Time, flows: &mut Flows) {
        for id in star.members() {
            let flow = flows.get_mut(&id).expect("a member runs");
            let left = star.left(flow, now);
            flow.share = Share::Own(Pace::new(left, now, Speed::ZERO));
            if left == 0 {
                self.ends.insert((now, id));
            }
            self.flows.insert(id);
        }
    }

    /// Takes out a flow and returns what it has left; the mesh must be solved before time goes on.
    pub(super) fn remove(&mut self, id: FlowId, now: Time, flows: &Flows) -> Amount {
        let pace = own(&flows[&id]);
        self.flows.remove(&id);
        pace.end().map(|end| self.ends.remove(&(end, id)));
        pace.left(now)
    }

    /// The next completion, once solved.
    pub(super) fn head(&self) -> Option<(Time, FlowId)> {
        self.ends.first().copied()
    }

    /// A flow that is done at `now`, solved or not.
    pub(super) fn due(&self, now: Time) -> Option<(Time, FlowId)> {
        self.head().filter(|(end, _)| *end <= now)
    }

    /// The mesh of these flows with their fair rates from `now` on.
    pub(super) fn solve(part: &Part, now: Time, capacities: &Capacities, flows: &mut Flows) -> Mesh {
        let limits: Vec<f64> = part.shared.iter().map(|port| capacities.get(*port)).collect();
        let demands: Vec<Demand> = part
            .members
            .iter()
            .map(|id| {
                let spec = &flows[id].spec;
                let mut demand = Demand { weight: spec.weight, cap: spec.rate_max.max(0.0), ports: vec![] };
                for port in &spec.ports {
                    match part.shared.binary_search(port) {
                        Ok(shared) => demand.ports.push(shared),
                        Err(_) => demand.cap = demand.cap.min(capacities.get(*port).max(0.0)),
                    }
                }
                demand
            })
            .collect();
        let rates = fill(&demands, &limits);
        let mut mesh = Mesh { flows: part.members.iter().copied().collect(), ends: BTreeSet::new() };
        for (id, rate) in part.members.iter().zip(rates) {
            let flow = flows.get_mut(id).expect("a member runs");
            let pace = Pace::new(own(flow).left(now), now, Speed::new(rate));
            pace.end().map(|end| mesh.ends.insert((end, *id)));
            flow.share = Share::Own(pace);
        }
        mesh
    }
}

/// What hangs together among these flows (ascending), in order of the smallest flow.
pub(super) fn parts(members: &[FlowId], flows: &Flows) -> Vec<Part> {
    let mut users: BTreeMap<PortId, Vec<usize>> = BTreeMap::new();
    for (i, id) in members.iter().enumerate() {
        flows[id].spec.ports.iter().for_each(|port| users.entry(*port).or_default().push(i));
    }
    users.retain(|_, users| users.len() > 1);
    // Union-find whose root is the smallest index.
    let mut root: Vec<usize> = (0..members.len()).collect();
    fn find(root: &mut [usize], mut i: usize) -> usize {
        while root[i] != i {
            root[i] = root[root[i]];
            i = root[i];
        }
        i
    }
    for users in users.values() {
        for pair in users.windows(2) {
            let (a, b) = (find(&mut root, pair[0]), find(&mut root, pair[1]));
            root[a.max(b)] = a.min(b);
        }
    }
    let mut parts: BTreeMap<usize, Part> = BTreeMap::new();
    for (i, id) in members.iter().enumerate() {
        let part =
            parts.entry(find(&mut root, i)).or_insert_with(|| Part { members: vec![], shared: vec![] });
        part.members.push(*id);
    }
    for (port, users) in &users {
        let first = find(&mut root, users[0]);
        parts.get_mut(&first).expect("every root has a part").shared.push(*port);
    }
    parts.into_values().collect()
}

/// What a flow asks for: its weight, its cap in bytes per second and the shared constraints it passes.
struct Demand {
    weight: f64,
    cap: f64,
    ports: Vec<usize>,
}

/// The weighted max-min fair rates in bytes per second.
fn fill(demands: &[Demand], limits: &[f64]) -> Vec<f64> {
    let mut filling = Filling::new(demands, limits);
    let mut caps: Vec<(Ordered, usize)> =
        demands.iter().enumerate().map(|(i, d)| (Ordered::new(d.cap / d.weight), i)).collect();
    caps.sort_unstable();
    let mut caps = caps.into_iter().peekable();
    loop {
        while caps.next_if(|(_, i)| filling.rates[*i].is_some()).is_some() {}
        match (filling.levels.first().copied(), caps.peek().copied()) {
            (Some((level, port)), cap) if cap.is_none_or(|(ratio, _)| level < ratio) => {
                for i in std::mem::take(&mut filling.users[port]) {
                    if filling.rates[i].is_none() {
                        filling.freeze(i, demands[i].weight * level.value());
                    }
                }
            }
            (_, Some((_, i))) => filling.freeze(i, demands[i].cap),
            (_, None) => break,
        }
    }
    filling.rates.into_iter().map(|rate| rate.unwrap_or(0.0)).collect()
}

struct Filling<'a> {
    demands: &'a [Demand],
    rates: Vec<Option<f64>>,
    /// Flows on each constraint.
    users: Vec<Vec<usize>>,
    /// What the frozen flows leave of each constraint.
    free: Vec<f64>,
    /// Weight of the flows that still grow, in units of 2^-32.
    weights: Vec<u64>,
    /// The level at which each constraint with growing flows is full; infinite ones never are.
    levels: BTreeSet<(Ordered, usize)>,
}

impl<'a> Filling<'a> {
    fn new(demands: &'a [Demand], limits: &[f64]) -> Self {
        let mut filling = Self {
            demands,
            rates: vec![None; demands.len()],
            users: vec![vec![]; limits.len()],
            free: limits.to_vec(),
            weights: vec![0; limits.len()],
            levels: BTreeSet::new(),
        };
        for (i, demand) in demands.iter().enumerate() {
            for port in &demand.ports {
                filling.users[*port].push(i);
                filling.weights[*port] += weight_units(demand.weight);
            }
        }
        for port in 0..limits.len() {
            filling.levels.extend(filling.level(port));
        }
        filling
    }

    fn level(&self, port: usize) -> Option<(Ordered, usize)> {
        let grows = self.weights[port] > 0 && self.free[port].is_finite();
        grows.then(|| (Ordered::new(self.free[port] / weight(self.weights[port])), port))
    }

    /// Fixes a flow's rate.
    fn freeze(&mut self, i: usize, rate: f64) {
        self.rates[i] = Some(rate);
        for port in &self.demands[i].ports {
            self.level(*port).map(|level| self.levels.remove(&level));
            self.free[*port] = (self.free[*port] - rate).max(0.0);
            self.weights[*port] -= weight_units(self.demands[i].weight);
            self.levels.extend(self.level(*port));
        }
    }
}
