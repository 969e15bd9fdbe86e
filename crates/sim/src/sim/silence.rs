//! Neighbours that fall silent because the scenario loses their messages. A deployment notices by signs of life that do
//! not come; here nobody sends any, so a lost message makes the conductor look after `faults.detection` whether one of
//! them would have come. Who is silent counts as lost, at both ends, and is called again now and then: so resending has
//! an end, and a neighbour that gets through again is back.

use super::conductor::Conductor;
use super::heap::Pending;
use crate::run::RunError;
use crate::run::runner::Runner;
use hcddl_core::domain::{NodeId, Span, Stream, Time};
use hcddl_plan::factory::Delivery;

/// Signs of life within `faults.detection`: as many as in a deployment with default settings.
const BEATS: u64 = 10;
/// The pause between two calls doubles up to this power of two times `faults.detection`.
const PAUSE_MAX: u32 = 6;
/// A neighbour that was called so often in vain is given up.
const CALLS_MAX: u32 = 1000;

impl<R: Runner> Conductor<'_, R> {
    /// A message was lost: if it is one of many, its ends will lose each other.
    pub(super) fn suspect(&mut self, from: NodeId, to: NodeId) {
        if !matches!(self.core.factory.delivery(), Delivery::Timed(_)) {
            return;
        }
        let lives = &self.lives;
        let life = |node: NodeId| lives.get(&node).copied().unwrap_or(0);
        let pair = self.bonds.pair(from, to, life);
        if !pair.apart && !std::mem::replace(&mut pair.watched, true) {
            let (a, b) = (from.min(to), from.max(to));
            self.heap.push(self.now + self.plan.faults.detection, Pending::Listen { a, b });
        }
    }

    /// Two nodes one of which may be silent are looked at.
    pub(super) async fn listen(&mut self, a: NodeId, b: NodeId) -> Result<(), RunError> {
        let Some(pair) = self.bonds.known(a, b) else { return Ok(()) };
        if pair.silent {
            return self.call(a, b).await;
        }
        pair.watched = false;
        if pair.apart || !(self.hears_nothing(a, b) || self.hears_nothing(b, a)) {
            return Ok(());
        }
        let Some(pair) = self.bonds.known(a, b) else { return Ok(()) };
        (pair.apart, pair.silent, pair.calls) = (true, true, 0);
        self.call_later(a, b);
        self.lose_sight(a, b).await?;
        self.lose_sight(b, a).await
    }

    /// Whether nothing of `from` has come to `to` for so long that it counts as lost, neither a message nor a sign of
    /// life.
    fn hears_nothing(&mut self, from: NodeId, to: NodeId) -> bool {
        let detection = self.plan.faults.detection;
        let since = Time(self.now.0.saturating_sub(detection.0));
        if self.network.heard(from, to) > since {
            return false;
        }
        let beat = |k: u64| Time(since.0 + detection.0 / BEATS * k);
        let all_lost: f64 = (1..=BEATS).map(|k| self.rules.faults.loss(beat(k), from, to)).product();
        let edge = (u64::from(from.0) << 32) | u64::from(to.0);
        Stream::new(self.plan.seeds.interleaving, "silence", edge, self.now.0).uniform() < all_lost
    }

    /// One calls the other: they meet if that gets through both ways.
    async fn call(&mut self, a: NodeId, b: NodeId) -> Result<(), RunError> {
        let (seed, now) = (self.plan.seeds.interleaving, self.now);
        let mut stream = Stream::new(seed, "call", (u64::from(a.0) << 32) | u64::from(b.0), now.0);
        let there = self.rules.faults.loss(now, a, b) <= stream.uniform();
        let back = self.rules.faults.loss(now, b, a) <= stream.uniform();
        let linked = self.are_linked(a, b);
        let Some(pair) = self.bonds.known(a, b) else { return Ok(()) };
        pair.calls += 1;
        if there && back && linked {
            pair.silent = false;
            return self.meet(a, b).await;
        }
        self.call_later(a, b);
        Ok(())
    }

    fn call_later(&mut self, a: NodeId, b: NodeId) {
        let detection = self.plan.faults.detection;
        let mute_until =
            self.rules.faults.mute_until(self.now, a, b).max(self.rules.faults.mute_until(self.now, b, a));
        let Some(pair) = self.bonds.known(a, b) else { return };
        let pause = Span(detection.0.max(1)).times(1 << pair.calls.min(PAUSE_MAX));
        let at = match mute_until {
            // It never gets through again.
            Some(Time::MAX) => return,
            Some(until) => until + detection,
            None => self.now + pause,
        };
        if pair.calls < CALLS_MAX {
            self.heap.push(at, Pending::Listen { a, b });
        }
    }
}
