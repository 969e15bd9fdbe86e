//! Weighted max-min fair share: how long-lived TCP flows divide constraints, as a fluid.
//!
//! A rate allocation is max-min fair when no flow's rate per weight can grow without shrinking that of a
//! flow which has less (Bertsekas and Gallager, Data Networks, 1992, section 6.5). It changes only when a
//! flow starts or ends or a capacity changes.
//!
//! Flows that share a constraint, directly or through others, form a *group*; rates are solved for each
//! group on its own. A constraint with a single flow only caps that flow. So in most groups at most one
//! constraint is shared: a `star` (n workers push to one server), which costs O(log n) for each flow.
//! The other groups are a `mesh`, solved by progressive filling. A flow that joins two stars makes a mesh
//! of them; a mesh is taken apart again when its flows no longer hang together.
//!
//! Exactness: rates are solved in f64, visiting flows in order of their ids, and rounded once (see
//! `net::pace`); bytes and times are integers from there on.

mod mesh;
mod star;
#[cfg(test)]
mod tests;

use super::pace::{Amount, Bits, Pace, Speed, amount, whole_bytes};
use super::{Capacities, Fabric, FabricState, FlowId, FlowSpec, PortId};
use crate::domain::Time;
use mesh::Mesh;
use serde::{Deserialize, Serialize};
use star::Star;
use std::collections::{BTreeMap, BTreeSet};

/// Flows that share fairly.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Fair {
    now: Time,
    capacities: Capacities,
    ports: Vec<PortUse>,
    flows: Flows,
    groups: BTreeMap<GroupId, Group>,
    groups_made: GroupId,
    /// The next completion of each group that has one.
    heads: BTreeSet<(Time, FlowId, GroupId)>,
    /// Groups whose rates have to be solved before time goes on.
    dirty: BTreeSet<GroupId>,
    visits: u64,
}

type GroupId = u64;
type Flows = BTreeMap<FlowId, Flow>;

/// All flows on a constraint are in one group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct PortUse {
    flows: u32,
    group: GroupId,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Flow {
    spec: FlowSpec,
    group: GroupId,
    /// The least of its own maximum and of the constraints that it has to itself, when last solved.
    cap: Bits,
    share: Share,
}

/// How a flow's progress is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Share {
    /// It ends when its star's virtual time reaches this.
    Tag(Amount),
    /// It has a rate of its own.
    Own(Pace),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Group {
    shape: Shape,
    head: Option<(Time, FlowId)>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Shape {
    Star(Star),
    Mesh(Mesh),
}

impl Fair {
    /// No flows yet; capacities in bytes per second, in order of [`PortId`].
    #[must_use]
    pub fn new(capacities: &[f64]) -> Self {
        Self {
            capacities: Capacities::new(capacities),
            ports: vec![PortUse::default(); capacities.len()],
            ..Self::default()
        }
    }

    /// How many times a flow was looked at: the work done so far, for tests and benchmarks.
    #[must_use]
    pub fn visits(&self) -> u64 {
        self.visits
    }

    /// Moves on to `now`, before which all rates must be solved.
    fn tick(&mut self, now: Time) {
        debug_assert!(now >= self.now, "time goes back from {:?} to {now:?}", self.now);
        if now > self.now {
            self.refresh();
            self.now = now;
        }
    }

    /// Solves the rates of all groups that changed.
    fn refresh(&mut self) {
        for id in std::mem::take(&mut self.dirty) {
            let group = self.groups.get_mut(&id).expect("a dirty group exists");
            match &mut group.shape {
                Shape::Star(star) => {
                    self.visits += star.balance(self.now, &self.capacities, &mut self.flows);
                    let head = star.head();
                    self.set_head(id, head);
                }
                Shape::Mesh(mesh) => {
                    let members = mesh.members();
                    self.rebuild(id, &members);
                }
            }
        }
    }

    fn set_head(&mut self, id: GroupId, head: Option<(Time, FlowId)>) {
        let group = self.groups.get_mut(&id).expect("a head belongs to a group");
        if group.head != head {
            if let Some((at, flow)) = std::mem::replace(&mut group.head, head) {
                self.heads.remove(&(at, flow, id));
            }
            head.map(|(at, flow)| self.heads.insert((at, flow, id)));
        }
    }

    /// Marks a group whose flows changed. Until it is solved, its head is a flow that is done already.
    fn touch(&mut self, id: GroupId) {
        let due = match &mut self.groups.get_mut(&id).expect("a touched group exists").shape {
            Shape::Star(star) => star.due(self.now),
            Shape::Mesh(mesh) => mesh.due(self.now),
        };
        self.set_head(id, due);
        self.dirty.insert(id);
    }

    fn is_star_around(&self, id: GroupId, port: PortId) -> bool {
        matches!(&self.groups[&id].shape, Shape::Star(star) if star.anchor() == Some(port))
    }

    fn is_mesh(&self, id: GroupId) -> bool {
        matches!(&self.groups[&id].shape, Shape::Mesh(_))
    }

    fn drop_group(&mut self, id: GroupId) -> Shape {
        self.set_head(id, None);
        self.dirty.remove(&id);
        self.groups.remove(&id).expect("a dropped group exists").shape
    }

    fn add_group(&mut self, shape: Shape) -> GroupId {
        let id = self.groups_made;
        self.groups_made += 1;
        self.groups.insert(id, Group { shape, head: None });
        id
    }

    /// Makes one mesh, to be solved later, of whole groups and perhaps a new flow. The largest mesh among them takes in
    /// the others, so that n flows that start together are claimed O(n log n) times in all, not n times each.
    fn merge(&mut self, groups: &BTreeSet<GroupId>, new: Option<FlowId>) {
        let len = |id: &GroupId| match &self.groups[id].shape {
            Shape::Star(_) => None,
            Shape::Mesh(mesh) => Some(mesh.len()),
        };
        let largest = groups.iter().filter_map(|id| Some((len(id)?, *id))).max();
        let id = largest.map_or_else(|| self.add_group(Shape::Mesh(Mesh::default())), |(_, id)| id);
        let shape = &mut self.groups.get_mut(&id).expect("just found or made").shape;
        let Shape::Mesh(mut mesh) = std::mem::replace(shape, Shape::Mesh(Mesh::default())) else {
            unreachable!("it was chosen as a mesh")
        };
        let mut taken_in: Vec<FlowId> = new.into_iter().collect();
        for other in groups.iter().filter(|other| **other != id) {
            match self.drop_group(*other) {
                Shape::Star(star) => {
                    taken_in.extend(star.members());
                    mesh.absorb_star(&star, self.now, &mut self.flows);
                }
                Shape::Mesh(other) => {
                    taken_in.extend(other.members());
                    mesh.absorb(other);
                }
            }
        }
        new.into_iter().for_each(|flow| mesh.add(flow));
        self.groups.get_mut(&id).expect("just found or made").shape = Shape::Mesh(mesh);
        self.visits += taken_in.len() as u64;
        self.claim(id, &taken_in);
        self.touch(id);
    }

    /// Notes that these flows, and so the constraints on their way, are of this group.
    fn claim(&mut self, id: GroupId, members: &[FlowId]) {
        for flow in members {
            let flow = self.flows.get_mut(flow).expect("members run");
            flow.group = id;
            flow.spec.ports.iter().for_each(|port| self.ports[port.0 as usize].group = id);
        }
    }

    /// Splits a mesh into what still hangs together and solves each part.
    fn rebuild(&mut self, id: GroupId, members: &[FlowId]) {
        self.visits += members.len() as u64;
        self.drop_group(id);
        for part in mesh::parts(members, &self.flows) {
            let shape = if part.shared.len() <= 1 {
                let mut star = Star::new(part.shared.first().copied(), self.now);
                for flow in &part.members {
                    star.add(*flow, self.now, &self.capacities, &mut self.flows);
                }
                self.visits += star.balance(self.now, &self.capacities, &mut self.flows);
                Shape::Star(star)
            } else {
                Shape::Mesh(Mesh::solve(&part, self.now, &self.capacities, &mut self.flows))
            };
            let head = match &shape {
                Shape::Star(star) => star.head(),
                Shape::Mesh(mesh) => mesh.head(),
            };
            let id = self.add_group(shape);
            self.claim(id, &part.members);
            self.set_head(id, head);
        }
    }

    fn remove(&mut self, now: Time, flow: FlowId) -> Option<Amount> {
        self.tick(now);
        let id = self.flows.get(&flow)?.group;
        self.visits += 1;
        let group = self.groups.get_mut(&id).expect("a flow's group exists");
        let left = match &mut group.shape {
            Shape::Star(star) => star.remove(flow, now, &mut self.flows),
            Shape::Mesh(mesh) => mesh.remove(flow, now, &self.flows),
        };
        let is_empty = match &group.shape {
            Shape::Star(star) => star.is_empty(),
            Shape::Mesh(mesh) => mesh.is_empty(),
        };
        if is_empty {
            self.drop_group(id);
        } else {
            self.touch(id);
        }
        let gone = self.flows.remove(&flow)?;
        gone.spec.ports.iter().for_each(|port| self.ports[port.0 as usize].flows -= 1);
        Some(left)
    }
}

impl Fabric for Fair {
    fn start(&mut self, now: Time, flow: FlowId, mut spec: FlowSpec) {
        self.tick(now);
        self.visits += 1;
        spec.weight = star::quantised(spec.weight);
        let busy = |port: &&PortId| self.ports[port.0 as usize].flows > 0;
        let mut shared =
            spec.ports.iter().filter(busy).map(|port| (*port, self.ports[port.0 as usize].group));
        let joined = match (shared.next(), shared.next()) {
            (None, _) => Ok(None),
            (Some((port, id)), None) if self.is_star_around(id, port) || self.is_mesh(id) => Ok(Some(id)),
            (first, second) => {
                Err(first.into_iter().chain(second).chain(shared).map(|entry| entry.1).collect())
            }
        };
        spec.ports.iter().for_each(|port| self.ports[port.0 as usize].flows += 1);
        let share = Share::Own(Pace::new(amount(spec.bytes), now, Speed::ZERO));
        let before = self.flows.insert(flow, Flow { spec, group: 0, cap: Bits(0.0), share });
        assert!(before.is_none(), "{flow:?} runs already");

        let id = match joined {
            Ok(Some(group)) => group,
            Ok(None) => self.add_group(Shape::Star(Star::new(None, now))),
            Err(groups) => return self.merge(&groups, Some(flow)),
        };
        match &mut self.groups.get_mut(&id).expect("just found").shape {
            Shape::Star(star) => star.add(flow, now, &self.capacities, &mut self.flows),
            Shape::Mesh(mesh) => mesh.add(flow),
        }
        self.claim(id, &[flow]);
        self.touch(id);
    }

    fn next(&mut self) -> Option<(Time, FlowId)> {
        if self.heads.first().is_none_or(|head| head.0 > self.now) {
            self.refresh();
        }
        self.heads.first().map(|(at, flow, _)| (*at, *flow))
    }

    fn complete(&mut self, now: Time, flow: FlowId) {
        let left = self.remove(now, flow).expect("only a running flow completes");
        debug_assert_eq!(left, 0, "{flow:?} is not done");
    }

    fn cancel(&mut self, now: Time, flow: FlowId) -> Option<u64> {
        self.remove(now, flow).map(whole_bytes)
    }

    fn set_capacity(&mut self, now: Time, port: PortId, bytes_per_second: f64) {
        self.tick(now);
        self.capacities.set(port, bytes_per_second);
        let PortUse { flows, group } = self.ports[port.0 as usize];
        if flows > 0 {
            match &self.groups[&group].shape {
                Shape::Star(star) if star.anchor() != Some(port) => {
                    self.merge(&BTreeSet::from([group]), None)
                }
                _ => self.touch(group),
            }
        }
    }

    fn save(&self) -> FabricState {
        FabricState::Fair(Box::new(self.clone()))
    }

    fn load(&mut self, state: FabricState) {
        let FabricState::Fair(saved) = state else {
            panic!("the saved state is of another kind of contention")
        };
        *self = *saved;
    }
}
