//! A group with at most one shared constraint, its *anchor*: virtual time and two heaps.
//!
//! Every flow may have a cap (its own maximum, constraints that it has to itself). With the *level* chosen
//! such that the rates add up to the anchor's capacity, a flow's rate is min(cap, weight x level). Virtual
//! time grows at the level, so a flow that is not capped ends when virtual time has grown by bytes / weight:
//! its tag never changes, whoever comes and goes (generalised processor sharing: Parekh and Gallager, 1993).
//! A capped flow has a constant rate and a constant end. Only flows that cross their cap when the level
//! changes are moved between the two heaps.

use super::{Flow, Flows, Share};
use crate::domain::Time;
use crate::net::pace::{Amount, Pace, Speed};
use crate::net::{Capacities, FlowId, PortId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

const WEIGHT_UNIT: f64 = 4_294_967_296.0; // 2^32
const RATE_UNIT: f64 = 281_474_976_710_656.0; // 2^48

/// A weight rounded to a multiple of 2^-32, above zero, so that sums of weights are exact.
pub(super) fn quantised(weight: f64) -> f64 {
    weight_units(weight).max(1) as f64 / WEIGHT_UNIT
}

/// A weight in units of 2^-32.
pub(super) fn weight_units(weight: f64) -> u64 {
    (weight * WEIGHT_UNIT + 0.5) as u64
}

/// Units of 2^-32 as a weight.
pub(super) fn weight(units: u64) -> f64 {
    units as f64 / WEIGHT_UNIT
}

/// A float that is not negative, as an integer of the same order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Ordered(u64);

impl Ordered {
    pub(super) fn new(value: f64) -> Self {
        Self(value.max(0.0).to_bits())
    }

    pub(super) fn value(self) -> f64 {
        f64::from_bits(self.0)
    }
}

/// Flows around one constraint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Star {
    anchor: Option<PortId>,
    at: Time,
    virtual_time: Amount,
    /// Bytes per second for each unit of weight.
    level: Ordered,
    speed: Speed,
    /// Sum of the weights that share, in units of 2^-32.
    sharing_weight: u64,
    /// Sum of the finite caps of the capped, in units of 2^-48 bytes per second.
    capped_rate: u128,
    /// Flows that share, by tag.
    tags: BTreeSet<(Amount, FlowId)>,
    /// Flows that share, by cap / weight.
    sharing: BTreeSet<(Ordered, FlowId)>,
    /// Capped flows by cap / weight.
    capped: BTreeSet<(Ordered, FlowId)>,
    /// Capped flows by end, those that are not stopped.
    ends: BTreeSet<(Time, FlowId)>,
}

/// The rate that everything a flow does not share with others of its group allows.
fn cap(flow: &Flow, anchor: Option<PortId>, capacities: &Capacities) -> f64 {
    let own = flow.spec.ports.iter().filter(|port| Some(**port) != anchor);
    own.map(|port| capacities.get(*port)).fold(flow.spec.rate_max, f64::min).max(0.0)
}

/// The level at which a flow reaches its cap.
fn ratio(flow: &Flow) -> Ordered {
    Ordered::new(flow.cap.0 / flow.spec.weight)
}

/// A finite rate in exactly summable units; an infinite one counts as nothing and is looked for elsewhere.
fn rate_units(rate: f64) -> u128 {
    if rate.is_finite() { (rate * RATE_UNIT) as u128 } else { 0 }
}

/// An amount times a factor; exact for 1, the usual weight.
fn scaled(amount: Amount, factor: f64) -> Amount {
    if factor == 1.0 { amount } else { (amount as f64 * factor) as Amount }
}

impl Star {
    pub(super) fn new(anchor: Option<PortId>, now: Time) -> Self {
        Self {
            anchor,
            at: now,
            virtual_time: 0,
            level: Ordered::new(f64::INFINITY),
            speed: Speed::ZERO,
            sharing_weight: 0,
            capped_rate: 0,
            tags: BTreeSet::new(),
            sharing: BTreeSet::new(),
            capped: BTreeSet::new(),
            ends: BTreeSet::new(),
        }
    }

    pub(super) fn anchor(&self) -> Option<PortId> {
        self.anchor
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sharing.is_empty() && self.capped.is_empty()
    }

    pub(super) fn members(&self) -> impl Iterator<Item = FlowId> + '_ {
        self.sharing.iter().chain(&self.capped).map(|entry| entry.1)
    }

    /// What a member has left to send.
    pub(super) fn left(&self, flow: &Flow, now: Time) -> Amount {
        match &flow.share {
            Share::Own(pace) => pace.left(now),
            Share::Tag(tag) => scaled(tag.saturating_sub(self.virtual_time_at(now)), flow.spec.weight),
        }
    }

    fn virtual_time_at(&self, now: Time) -> Amount {
        let grown = self.speed.sent(now.since(self.at).0);
        if self.tags.is_empty() { 0 } else { self.virtual_time.saturating_add(grown) }
    }

    fn advance(&mut self, now: Time) {
        self.virtual_time = self.virtual_time_at(now);
        self.at = now;
    }

    /// Takes in a flow whose share is [`Share::Own`]; [`Star::balance`] must follow before time goes on.
    pub(super) fn add(&mut self, id: FlowId, now: Time, capacities: &Capacities, flows: &mut Flows) {
        self.advance(now);
        let flow = flows.get_mut(&id).expect("an added flow runs");
        flow.cap.0 = cap(flow, self.anchor, capacities);
        // At an infinite rate all would be sent at once: only a balanced star may grant that.
        if ratio(flow) <= self.level && flow.cap.0.is_finite() {
            self.cap(id, flow);
        } else {
            self.uncap(id, flow);
        }
    }

    /// Takes out a flow and returns what it has left; [`Star::balance`] must follow before time goes on.
    pub(super) fn remove(&mut self, id: FlowId, now: Time, flows: &mut Flows) -> Amount {
        self.advance(now);
        let flow = flows.get_mut(&id).expect("a removed flow runs");
        let left = self.left(flow, now);
        self.leave(id, flow);
        left
    }

    fn leave(&mut self, id: FlowId, flow: &Flow) {
        match &flow.share {
            Share::Tag(tag) => {
                self.tags.remove(&(*tag, id));
                self.sharing.remove(&(ratio(flow), id));
                self.sharing_weight -= weight_units(flow.spec.weight);
            }
            Share::Own(pace) => {
                pace.end().map(|end| self.ends.remove(&(end, id)));
                self.capped.remove(&(ratio(flow), id));
                self.capped_rate -= rate_units(flow.cap.0);
            }
        }
    }

    /// Puts a flow that is in neither heap among the capped.
    fn cap(&mut self, id: FlowId, flow: &mut Flow) {
        let pace = Pace::new(self.left(flow, self.at), self.at, Speed::new(flow.cap.0));
        pace.end().map(|end| self.ends.insert((end, id)));
        self.capped.insert((ratio(flow), id));
        self.capped_rate += rate_units(flow.cap.0);
        flow.share = Share::Own(pace);
    }

    /// Puts a flow that is in neither heap among those that share.
    fn uncap(&mut self, id: FlowId, flow: &mut Flow) {
        let left = self.left(flow, self.at);
        let tag = self.virtual_time.saturating_add(scaled(left, 1.0 / flow.spec.weight));
        self.tags.insert((tag, id));
        self.sharing.insert((ratio(flow), id));
        self.sharing_weight += weight_units(flow.spec.weight);
        flow.share = Share::Tag(tag);
    }

    /// The level at which those that share use up what the capped leave.
    fn solve(&self, capacity: f64) -> Ordered {
        if self.sharing.is_empty() || capacity.is_infinite() {
            return Ordered::new(f64::INFINITY);
        }
        let free = rate_units(capacity).saturating_sub(self.capped_rate) as f64 / RATE_UNIT;
        Ordered::new(free / weight(self.sharing_weight))
    }

    /// Solves the level anew and moves flows that cross their cap; returns how many moved.
    ///
    /// First the level falls: flows whose cap lies above it share. Then it rises: flows that reach their cap
    /// are capped, and each of them can only raise it further. So each flow moves at most twice.
    pub(super) fn balance(&mut self, now: Time, capacities: &Capacities, flows: &mut Flows) -> u64 {
        self.advance(now);
        let capacity = self.anchor.map_or(f64::INFINITY, |port| capacities.get(port));
        let mut moved = 0;
        self.level = self.solve(capacity);
        while let Some((ratio, id)) = self.capped.last().copied() {
            let too_much = self.capped_rate > rate_units(capacity) || ratio.value().is_infinite();
            if ratio <= self.level && !(capacity.is_finite() && self.sharing.is_empty() && too_much) {
                break;
            }
            self.change(id, flows, Star::uncap);
            self.level = self.solve(capacity);
            moved += 1;
        }
        while let Some((ratio, id)) = self.sharing.first().copied() {
            if ratio > self.level {
                break;
            }
            self.change(id, flows, Star::cap);
            self.level = self.solve(capacity);
            moved += 1;
        }
        self.speed = if self.sharing.is_empty() { Speed::ZERO } else { Speed::new(self.level.value()) };
        moved
    }

    fn change(&mut self, id: FlowId, flows: &mut Flows, to: fn(&mut Star, FlowId, &mut Flow)) {
        let flow = flows.get_mut(&id).expect("a member runs");
        let left = self.left(flow, self.at);
        self.leave(id, flow);
        flow.share = Share::Own(Pace::new(left, self.at, Speed::ZERO));
        to(self, id, flow);
    }

    /// The next completion, once balanced.
    pub(super) fn head(&self) -> Option<(Time, FlowId)> {
        let sharing = self.tags.first().and_then(|(tag, id)| {
            let left = tag.saturating_sub(self.virtual_time);
            self.speed.end(self.at, left).map(|end| (end, *id))
        });
        sharing.into_iter().chain(self.ends.first().copied()).min()
    }

    /// A flow that is done at `now`, balanced or not.
    pub(super) fn due(&self, now: Time) -> Option<(Time, FlowId)> {
        let virtual_time = self.virtual_time_at(now);
        let sharing = self.tags.first().filter(|(tag, _)| *tag <= virtual_time).map(|(_, id)| (now, *id));
        let capped = self.ends.first().filter(|(end, _)| *end <= now).copied();
        sharing.into_iter().chain(capped).min()
    }
}
