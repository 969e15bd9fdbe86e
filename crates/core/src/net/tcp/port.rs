//! A line as a queue: first in, first out, with a bound.

use crate::domain::{Span, Time};
use crate::net::pace::Bits;
use serde::{Deserialize, Serialize};

/// See the module.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Port {
    /// Bytes per second.
    capacity: Bits,
    /// When everything that was sent so far has left.
    free: Time,
    /// While nothing moves: since when, and the capacity before.
    stopped: Option<(Time, Bits)>,
}

/// What became of a train of segments.
pub(super) struct Passage {
    /// When its first segment leaves the queue, and its last one.
    pub start: Time,
    pub end: Time,
}

impl Port {
    pub(super) fn new(capacity: f64) -> Self {
        let stopped = (capacity <= 0.0).then_some((Time::ZERO, Bits(1.0)));
        Self { capacity: Bits(capacity), free: Time::ZERO, stopped }
    }

    pub(super) fn capacity(&self) -> f64 {
        self.capacity.0
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.is_some()
    }

    /// How long what comes now waits.
    pub(super) fn wait(&self, now: Time) -> Span {
        self.free.max(now).since(now)
    }

    /// Bytes that wait.
    pub(super) fn queue(&self, now: Time) -> f64 {
        let seconds = self.wait(now).seconds();
        if seconds == 0.0 { 0.0 } else { seconds * self.capacity.0 }
    }

    /// How long so many bytes keep it busy.
    pub(super) fn busy(&self, bytes: u64) -> Span {
        Span::from_seconds(bytes as f64 / self.capacity.0)
    }

    /// Takes bytes in. A shaper lets `burst` bytes pass at once when it has been idle (a token bucket).
    pub(super) fn pass(&mut self, now: Time, bytes: u64, burst: u64) -> Passage {
        let credit = self.busy(burst);
        let earliest = Time(now.0.saturating_sub(credit.0));
        let start = self.free.max(earliest);
        self.free = start + self.busy(bytes);
        Passage { start: start.max(now), end: self.free.max(now) }
    }

    /// Changes the capacity; returns how moments after `now` that lie within its queue move: see [`Stretch`].
    pub(super) fn set_capacity(&mut self, now: Time, capacity: f64) -> Stretch {
        let queue = self.wait(self.stopped.map_or(now, |(since, _)| since));
        let (since, before) = self.stopped.take().unwrap_or((now, self.capacity));
        self.capacity = Bits(capacity);
        if capacity <= 0.0 {
            self.stopped = Some((since, before));
            return Stretch { since, now, queue, factor: f64::INFINITY };
        }
        let factor = before.0 / capacity;
        let stretch = Stretch { since, now, queue, factor: if factor.is_nan() { 1.0 } else { factor } };
        self.free = stretch.moved(self.free.max(since));
        stretch
    }
}

/// How a change of capacity moves what waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stretch {
    since: Time,
    now: Time,
    queue: Span,
    factor: f64,
}

impl Stretch {
    /// Where a moment lies after the change.
    pub(super) fn moved(&self, at: Time) -> Time {
        let ahead = at.max(self.since).since(self.since);
        let inside = ahead.min(self.queue);
        self.now + inside.scale(self.factor) + Span(ahead.0 - inside.0)
    }
}
