//! One clock for all nodes: that of the first life of the root (or of the first peer).
//!
//! Each message from a to b says that b's clock is ahead of a's by no more than (heard - sent), each one back that it is
//! by no less; a sign of life that came back says both. The tightest of each kind within some seconds are those of the
//! fastest messages, which waited nowhere: the minimum filter of network time (Mills, RFC 5905, section 10). Half way
//! between both bounds is the estimate, and half their distance is how wrong it can be, whatever the two directions of
//! the link have in common or not. Where a run lasts longer than a minute, the difference may grow evenly: the slope is
//! the median of those between windows (Theil, Sen). Processes of one host read one oscillator: no slope.
//!
//! Lives are linked to the root's by the chain of least uncertainty.

use std::collections::{BTreeMap, BTreeSet};

/// A life of a node: number of the node, and of the life.
pub type Life = (u32, u32);

/// Nanoseconds of a window of the minimum filter.
const WINDOW: i64 = 5_000_000_000;
/// Windows below which a drift is not looked for.
const WINDOWS_MIN: usize = 12;
/// What quartz drifts at most, as a share: 200 ppm, twice what the worst of cheap ones are sold with.
const DRIFT_MAX: f64 = 200e-6;

/// By how much a clock is ahead of another one, at most and at least, at moments of the other one.
#[derive(Clone, Debug, Default)]
pub struct Bounds {
    windows: BTreeMap<i64, [Option<(i64, i64)>; 2]>,
}

impl Bounds {
    /// At `at` the difference is at most this.
    pub fn at_most(&mut self, at: i64, ahead: i64) {
        let slot = &mut self.windows.entry(at / WINDOW).or_default()[0];
        if slot.is_none_or(|(_, best)| ahead < best) {
            *slot = Some((at, ahead));
        }
    }

    /// At `at` the difference is at least this.
    pub fn at_least(&mut self, at: i64, ahead: i64) {
        let slot = &mut self.windows.entry(at / WINDOW).or_default()[1];
        if slot.is_none_or(|(_, best)| ahead > best) {
            *slot = Some((at, ahead));
        }
    }

    /// The estimate; `None` unless something went there and something back.
    #[must_use]
    pub fn estimate(&self, one_host: bool) -> Option<Ahead> {
        let middle = |bounds: &[Option<(i64, i64)>; 2]| {
            let [Some(most), Some(least)] = bounds else { return None };
            Some(((most.0 + least.0) as f64 / 2.0, (most.1 + least.1) as f64 / 2.0))
        };
        let middles: Vec<(f64, f64)> = self.windows.values().filter_map(middle).collect();
        let drift = if one_host || middles.len() < WINDOWS_MIN { 0.0 } else { slope(&middles) };
        let drift = drift.clamp(-DRIFT_MAX, DRIFT_MAX);
        let without = |(at, ahead): &(i64, i64)| *ahead as f64 - drift * *at as f64;
        let of =
            |side: usize| self.windows.values().filter_map(move |bounds| bounds[side].as_ref()).map(without);
        let (most, least) = (of(0).reduce(f64::min)?, of(1).reduce(f64::max)?);
        Some(Ahead { at_zero: (most + least) / 2.0, drift, uncertainty: ((most - least) / 2.0).abs() })
    }
}

/// How far a clock is ahead of another one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ahead {
    /// Nanoseconds, when the other one shows 0.
    pub at_zero: f64,
    /// Nanoseconds for each nanosecond of the other one.
    pub drift: f64,
    /// Nanoseconds by which it can be wrong.
    pub uncertainty: f64,
}

/// The median of the slopes between points.
fn slope(points: &[(f64, f64)]) -> f64 {
    // Each point with one half a run away: all pairs would be many, and near ones say little.
    let half = points.len() / 2;
    let pairs = points.iter().zip(&points[half..]).filter(|(a, b)| b.0 > a.0);
    let mut slopes: Vec<f64> = pairs.map(|(a, b)| (b.1 - a.1) / (b.0 - a.0)).collect();
    slopes.sort_by(f64::total_cmp);
    slopes.get(slopes.len() / 2).copied().unwrap_or(0.0)
}

/// How a clock is read as the root's: `scale` of what it shows, plus `shift`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Clock {
    scale: f64,
    shift: f64,
    /// Nanoseconds by which a moment can be wrong; `None` where no message went there and back, and dates of the
    /// hosts had to do.
    pub uncertainty: Option<f64>,
    /// The life through which it is known.
    pub through: Option<Life>,
}

impl Clock {
    /// The root's.
    pub const ROOT: Self = Self { scale: 1.0, shift: 0.0, uncertainty: Some(0.0), through: None };

    /// Known by the dates alone: this one's date at 0 is so much later than the root's.
    #[must_use]
    pub fn by_date(later: f64) -> Self {
        Self { scale: 1.0, shift: later, uncertainty: None, through: None }
    }

    /// The root's nanoseconds; what was before the root began is at 0.
    #[must_use]
    pub fn aligned(&self, own: u64) -> u64 {
        // Whole nanoseconds are exact up to 2^53, a hundred days.
        (self.scale * own as f64 + self.shift).round().max(0.0) as u64
    }

    /// Nanoseconds by which it is behind the root's when it shows 0.
    #[must_use]
    pub fn behind(&self) -> f64 {
        self.shift
    }

    /// By how much the root's clock runs faster, as a share.
    #[must_use]
    pub fn drift(&self) -> f64 {
        self.scale - 1.0
    }

    /// The clock that is so far ahead of this one.
    fn beyond(&self, ahead: &Ahead, through: Life) -> Self {
        let scale = self.scale / (1.0 + ahead.drift);
        let uncertainty = self.uncertainty.map(|own| own + ahead.uncertainty);
        Self { scale, shift: self.shift - scale * ahead.at_zero, uncertainty, through: Some(through) }
    }
}

impl Ahead {
    /// The same, seen from the other one.
    fn turned(&self) -> Self {
        let scale = 1.0 + self.drift;
        Self { at_zero: -self.at_zero / scale, drift: 1.0 / scale - 1.0, uncertainty: self.uncertainty }
    }
}

/// The clocks of all lives that messages link to the root's first life.
#[must_use]
pub fn clocks(root: Life, pairs: &BTreeMap<(Life, Life), Ahead>) -> BTreeMap<Life, Clock> {
    let mut next: BTreeMap<Life, Vec<(Life, Ahead)>> = BTreeMap::new();
    for ((a, b), ahead) in pairs {
        next.entry(*a).or_default().push((*b, *ahead));
        next.entry(*b).or_default().push((*a, ahead.turned()));
    }
    let mut known = BTreeMap::from([(root, Clock::ROOT)]);
    // Dijkstra; whole nanoseconds have an order.
    let mut open = BTreeSet::from([(0u64, root)]);
    let mut closed = BTreeSet::new();
    while let Some((_, life)) = open.pop_first() {
        if !closed.insert(life) {
            continue;
        }
        let own = known[&life];
        for (other, ahead) in next.get(&life).into_iter().flatten() {
            let clock = own.beyond(ahead, life);
            let worse = known.get(other).is_some_and(|before| before.uncertainty <= clock.uncertainty);
            if !worse && !closed.contains(other) {
                known.insert(*other, clock);
                open.insert((clock.uncertainty.unwrap_or(0.0) as u64, *other));
            }
        }
    }
    known
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;

    /// A clock 3 s ahead that gains 20 ppm; 4 ms there and 6 ms back, and what waits longer does not matter.
    #[test]
    fn difference_and_drift_are_found_to_the_delay_of_the_fastest() {
        let mut bounds = Bounds::default();
        let ahead = |at: i64| 3_000 * MS + at / 50_000;
        for i in 0..3_000i64 {
            let (sent, waits) = (i * 100 * MS, (i % 7) * 3 * MS);
            let theirs = sent + (4 * MS + waits) + ahead(sent);
            let back = sent + (4 * MS + waits) + (6 * MS + waits);
            bounds.at_most(sent, theirs - sent);
            bounds.at_least(back, theirs - back);
        }
        let found = bounds.estimate(false).unwrap();
        assert!((found.drift - 20e-6).abs() < 1e-6, "{found:?}");
        assert!((found.at_zero - (3_000 * MS) as f64).abs() <= found.uncertainty + 1e4, "{found:?}");
        assert!((found.uncertainty - (5 * MS) as f64).abs() < 0.2 * MS as f64, "{found:?}");
        assert_eq!(bounds.estimate(true).unwrap().drift, 0.0);
        let mut one_way = Bounds::default();
        one_way.at_most(0, 5);
        assert_eq!(one_way.estimate(false), None);
    }

    #[test]
    fn clocks_are_known_through_others_by_the_surest_way() {
        let ahead = |ms: i64, uncertainty: i64| Ahead {
            at_zero: (ms * MS) as f64,
            drift: 0.0,
            uncertainty: (uncertainty * MS) as f64,
        };
        let pairs = BTreeMap::from([
            (((1, 0), (0, 0)), ahead(100, 1)),
            (((2, 0), (1, 0)), ahead(50, 1)),
            (((2, 0), (0, 0)), ahead(140, 9)),
            (((4, 0), (5, 0)), ahead(1, 1)),
        ]);
        let clocks = clocks((0, 0), &pairs);
        // What node 1 shows as 0 is 100 ms at the root.
        assert_eq!(clocks[&(1, 0)].aligned(0), 100 * MS as u64);
        assert_eq!(clocks[&(2, 0)].aligned(7), 150 * MS as u64 + 7);
        assert_eq!(clocks[&(2, 0)].uncertainty, Some((2 * MS) as f64));
        assert_eq!(clocks.len(), 3, "nobody knows the clocks of 4 and 5");
        let turned = Ahead { at_zero: 8.0, drift: 1e-4, uncertainty: 1.0 }.turned().turned();
        assert!((turned.at_zero - 8.0).abs() < 1e-9 && (turned.drift - 1e-4).abs() < 1e-12);
    }
}
