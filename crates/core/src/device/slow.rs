//! When a device is slow: phases of exponential length, normal and slow in turn.

use super::SlowPhase;
use crate::domain::{Span, Stream, Time};
use serde::{Deserialize, Serialize};

/// The phases of one device: a pure function of its stream and the time asked for, whatever was asked before.
///
/// Phases are drawn as far as the latest time asked for and kept (8 bytes each). A job may use the factor at
/// its start for its whole length: an approximation that is good while jobs are shorter than phases.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SlowPhases {
    phase: SlowPhase,
    stream: Stream,
    /// End of each phase; the first is a normal one, from the start of the run.
    ends: Vec<Time>,
}

impl SlowPhases {
    /// The phases that this stream gives.
    #[must_use]
    pub fn new(phase: SlowPhase, stream: Stream) -> Self {
        Self { phase, stream, ends: Vec::new() }
    }

    /// What compute times are multiplied by at `now`: 1 in a normal phase.
    pub fn factor(&mut self, now: Time) -> f64 {
        while self.ends.last().is_none_or(|end| *end <= now && *end < Time::MAX) {
            let mean =
                if self.ends.len().is_multiple_of(2) { self.phase.normal_mean } else { self.phase.slow_mean };
            let length = mean.scale(self.stream.exponential()).max(Span(1));
            let from = self.ends.last().copied().unwrap_or(Time::ZERO);
            self.ends.push(from + length);
        }
        let ended = self.ends.partition_point(|end| *end <= now);
        if ended.is_multiple_of(2) { 1.0 } else { self.phase.factor }
    }
}
