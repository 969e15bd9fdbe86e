//! How much of a device's speed each kind of kernel reaches, by the shape of its work: a table that is measured, and
//! what it predicts.

use crate::domain::math;
use crate::domain::operation::{Kind, Operation, Operations};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Efficiencies of one kind of kernel over a grid of sizes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grid {
    /// Sizes that were measured, ascending, of each of the first sides; further sides count in proportion.
    pub axes: Vec<Vec<u32>>,
    /// Floating-point operations per second over those of the device, the last axis running fastest.
    pub efficiency: Vec<f64>,
}

/// A table of efficiencies, and of what memory gives by how much of it is used.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Efficiency {
    /// What was measured.
    pub kinds: BTreeMap<Kind, Grid>,
    /// Rate of reading and writing a set of so many bytes again and again, over that of memory: smaller sets lie in
    /// caches. Ascending.
    pub reach: Vec<(f64, f64)>,
    /// Bytes of the machine's last cache.
    pub cache: f64,
    /// How many times as long as the sum of their kernels whole steps take: those that lie in caches, and those that do
    /// not. Between an eighth of the last cache and all of it, something between.
    pub context: [f64; 2],
}

/// Thousands of numbers are no text: their sum tells tables apart.
impl std::fmt::Debug for Efficiency {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let of = |grid: &Grid| grid.efficiency.iter().sum::<f64>();
        let sum = self.kinds.values().map(of).chain(self.reach.iter().map(|point| point.1)).sum::<f64>();
        write!(f, "Efficiency({} kinds, {sum})", self.kinds.len())
    }
}

/// Where a value lies between points of an axis: the one below, and how far from there to the next in logarithms.
fn place(axis: &[u32], value: u32) -> (usize, f64) {
    let above = axis.partition_point(|point| *point <= value);
    if above == 0 {
        return (0, 0.0);
    }
    if above == axis.len() {
        return (above - 1, 0.0);
    }
    let ln = |x: u32| math::ln(f64::from(x.max(1)));
    let (low, high) = (ln(axis[above - 1]), ln(axis[above]));
    (above - 1, (ln(value) - low) / (high - low))
}

impl Grid {
    /// The efficiency at a size: geometric means of the neighbours on the grid, by distance in logarithms. Beyond the
    /// grid that of its edge.
    #[must_use]
    pub fn at(&self, size: [u32; 3]) -> f64 {
        let places: Vec<(usize, f64)> =
            self.axes.iter().zip(size).map(|(axis, side)| place(axis, side)).collect();
        let mut sum = 0.0;
        for corner in 0..1usize << places.len() {
            let (mut index, mut weight) = (0, 1.0);
            for (i, ((at, share), axis)) in places.iter().zip(&self.axes).enumerate() {
                let upper = corner >> i & 1 == 1;
                index = index * axis.len() + at + usize::from(upper && *share > 0.0);
                weight *= if upper { *share } else { 1.0 - share };
            }
            if weight > 0.0 {
                sum += weight * math::ln(self.efficiency[index]);
            }
        }
        math::exp(sum)
    }

    /// What is wrong with it.
    fn check(&self, kind: Kind) -> Result<(), String> {
        let ascending = |axis: &Vec<u32>| !axis.is_empty() && axis.windows(2).all(|pair| pair[0] < pair[1]);
        if self.axes.is_empty() || self.axes.len() > 3 || !self.axes.iter().all(ascending) {
            return Err(format!("`{kind:?}` needs one to three axes of ascending sizes"));
        }
        let points: usize = self.axes.iter().map(Vec::len).product();
        if self.efficiency.len() != points {
            let found = self.efficiency.len();
            return Err(format!("`{kind:?}` has {found} efficiencies for {points} points of its grid"));
        }
        match self.efficiency.iter().find(|value| !(**value > 0.0 && value.is_finite())) {
            Some(value) => Err(format!("`{kind:?}` has the efficiency {value}; allowed: more than 0")),
            None => Ok(()),
        }
    }
}

impl Efficiency {
    /// Checks a table that comes from outside.
    ///
    /// # Errors
    /// What is wrong with it and what is allowed.
    pub fn check(&self) -> Result<(), String> {
        for kind in Kind::ALL {
            let grid =
                self.kinds.get(&kind).ok_or_else(|| format!("`{kind:?}` is missing; measure again"))?;
            grid.check(kind)?;
        }
        let ascending = self.reach.windows(2).all(|pair| pair[0].0 < pair[1].0);
        let positive = self.reach.iter().all(|(bytes, rate)| *bytes > 0.0 && *rate > 0.0 && rate.is_finite());
        if self.reach.is_empty() || !ascending || !positive {
            return Err("`reach` needs pairs of bytes, ascending, and rates above 0".to_owned());
        }
        if !(self.cache > 0.0 && self.cache.is_finite()) {
            return Err(format!("`cache` is {}; allowed: more than 0", self.cache));
        }
        if !self.context.iter().all(|factor| *factor > 0.0 && factor.is_finite()) {
            return Err("`context` needs two factors above 0".to_owned());
        }
        Ok(())
    }

    /// How far a set of so many bytes reaches out of the caches: from 0 up to an eighth of the last one to 1 from all of
    /// it on.
    #[must_use]
    pub fn share_outside(&self, bytes: f64) -> f64 {
        (1.0 + math::ln(bytes.max(1.0) / self.cache) / math::ln(8.0)).clamp(0.0, 1.0)
    }

    /// How many times as long as the sum of its kernels a step takes that touches so many bytes.
    #[must_use]
    pub fn context(&self, bytes: f64) -> f64 {
        let share = self.share_outside(bytes);
        let [inside, outside] = self.context;
        math::exp((1.0 - share) * math::ln(inside) + share * math::ln(outside))
    }

    /// Rate of memory over that of a set too large for any cache, for a set of so many bytes.
    #[must_use]
    pub fn reach(&self, bytes: f64) -> f64 {
        let above = self.reach.partition_point(|(point, _)| *point <= bytes);
        let Some(high) = self.reach.get(above) else { return self.reach.last().map_or(1.0, |last| last.1) };
        let Some(low) = above.checked_sub(1).map(|below| self.reach[below]) else { return high.1 };
        let share = (math::ln(bytes) - math::ln(low.0)) / (math::ln(high.0) - math::ln(low.0));
        math::exp((1.0 - share) * math::ln(low.1) + share * math::ln(high.1))
    }

    /// Seconds that operations take one after another on one thread of so many operations per second, of a step that
    /// touches `working_set` bytes (sets count `scale` times, in caches of another size): of each what its kernel takes
    /// when it is measured alone, and what fetching its values takes longer than there. Values that were last touched a
    /// step ago come from where all of the step lies; those of a neighbouring layer from where both layers' do, and they
    /// are moved one and a half times, since what is written is read before.
    #[must_use]
    pub fn seconds(
        &self,
        all: &[Operation],
        working_set: f64,
        scale: f64,
        flops: f64,
        memory: f64,
    ) -> Seconds {
        // A copied byte is read and written.
        let per_byte = |set: f64| 1.0 / (2.0 * memory * self.reach(scale * set.max(1.0)));
        let mut seconds = Seconds::default();
        for operation in all {
            let Operation { kind, size, far_bytes: far, near_bytes: near, .. } = *operation;
            let efficiency = self.kinds.get(&kind).map_or(1.0, |grid| grid.at(size));
            let alone = operation.flops() / (efficiency * flops);
            let set = kind.measured_set(size);
            let longer = |bytes: f64, from: f64| bytes * (per_byte(from) - per_byte(set)).max(0.0);
            let fetching = longer(far, working_set) + MOVED * longer(near, 2.0 * near);
            let streams = !kind.is_product() && scale * set > self.cache;
            seconds.memory += fetching + if streams { alone } else { 0.0 };
            let to = if operation.shared { &mut seconds.shared } else { &mut seconds.alone };
            *to += alone + fetching;
        }
        let context = self.context(scale * working_set);
        seconds.alone *= context;
        seconds.shared *= context;
        seconds.memory *= context;
        seconds
    }
}

/// How often a value between two layers is moved: one that is written is read into a cache before.
const MOVED: f64 = 1.5;

/// Time of operations on one thread.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Seconds {
    /// Of those that one thread does whatever there are.
    pub alone: f64,
    /// Of those that are shared out.
    pub shared: f64,
    /// That memory takes, of both.
    pub memory: f64,
}

/// A large step, which is shared out among threads: operations of forward and backward pass.
pub const LARGE_STEP: f64 = 3e7;

impl Seconds {
    /// With so many threads.
    #[must_use]
    pub fn on(self, threads: f64) -> f64 {
        self.alone + self.shared / threads
    }
}

impl Operations {
    /// Floating-point operations of a step, by which large ones are told.
    #[must_use]
    pub fn flops(&self) -> f64 {
        self.step.iter().map(Operation::flops).sum()
    }
}
