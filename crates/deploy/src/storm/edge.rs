//! Two ends of an edge in the storm: when they dial, meet, fall silent and part. The rules are those of
//! `transport::edge`, with its constants; sockets are modelled.

use hcddl_core::domain::{Span, Time};
use hcddl_core::node::bond::{Bond, Change, Standing};

/// First and longest pause between two attempts to connect.
const REDIAL: (u64, u64) = (50, 3000);
/// A connection that lasted so long was a good one.
const GOOD: Span = Span::from_millis(1000);

/// Whether an end is connected, and by which connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Apart,
    Meeting(u64),
    Together(u64),
}

/// One end.
#[derive(Debug)]
pub(super) struct End {
    pub bond: Bond,
    pub phase: Phase,
    /// The last sign of life.
    pub heard: Time,
    since: Time,
    /// A process that was stopped hears first what has arrived meanwhile.
    pub judge_from: Time,
    attempts: u32,
    /// Counts pauses before dialling: an older one is not looked at.
    pub pauses: u64,
    /// What the other end was when it called.
    pub other: Option<Standing>,
}

impl End {
    pub fn new(now: Time) -> Self {
        Self {
            bond: Bond::default(),
            phase: Phase::Apart,
            heard: now,
            since: now,
            judge_from: now,
            attempts: 0,
            pauses: 0,
            other: None,
        }
    }

    pub fn is_together(&self, connection: u64) -> bool {
        self.phase == Phase::Together(connection)
    }

    /// Drops the connection, if any; returns the pause before the next attempt, a quarter more or less by `draw`.
    pub fn part(&mut self, now: Time, draw: f64) -> Span {
        if matches!(self.phase, Phase::Together(_)) && now.since(self.since) >= GOOD {
            self.attempts = 0;
        }
        let pause = (REDIAL.0 << self.attempts.min(10)).min(REDIAL.1);
        self.attempts = self.attempts.saturating_add(1);
        self.phase = Phase::Apart;
        self.pauses += 1;
        Span::from_millis(pause).scale(0.75 + 0.5 * draw)
    }

    /// The connection is complete.
    pub fn meet(&mut self, now: Time, connection: u64, other: Standing) -> &'static [Change] {
        (self.heard, self.since) = (now, now);
        self.phase = Phase::Together(connection);
        self.bond.meet(other)
    }

    /// Whether the other end has been silent for so long that it counts as lost.
    pub fn is_silent(&self, now: Time, detection: Span, start_timeout: Span) -> bool {
        let silence = if self.bond.has_met() { detection } else { start_timeout };
        !self.bond.is_down() && now >= (self.heard + silence).max(self.judge_from)
    }
}
