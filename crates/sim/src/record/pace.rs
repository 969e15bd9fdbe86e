//! Does something every so often from a function that is called very often.

use std::time::{Duration, Instant};

/// Says when a while of real time has passed, reading the clock only as often as needed: a clock read costs
/// as much as a simulated event.
#[derive(Debug)]
pub struct Pace {
    every: Duration,
    last: Instant,
    checked: Instant,
    calls: u32,
    calls_between_checks: u32,
}

impl Pace {
    /// Due for the first time after `every`.
    #[must_use]
    pub fn new(every: Duration) -> Self {
        let now = Instant::now();
        Self { every, last: now, checked: now, calls: 0, calls_between_checks: 1 }
    }

    /// Whether it is time again; call it often.
    pub fn due(&mut self) -> bool {
        self.calls += 1;
        if self.calls < self.calls_between_checks {
            return false;
        }
        let now = Instant::now();
        // Aim at eight clock reads for each time that it is due.
        let quick = now - self.checked < self.every / 16;
        self.calls_between_checks =
            if quick { (self.calls_between_checks * 2).min(4096) } else { self.calls_between_checks / 2 };
        self.calls = 0;
        self.checked = now;
        let due = now - self.last >= self.every;
        if due {
            self.last = now;
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_due_about_as_often_as_asked() {
        let mut pace = Pace::new(Duration::from_millis(4));
        let start = Instant::now();
        let mut due = 0;
        while start.elapsed() < Duration::from_millis(60) {
            due += u32::from(pace.due());
        }
        // 15 when nothing disturbs; a busy machine may miss some, but never adds one.
        assert!((1..=15).contains(&due), "{due}");
        let mut slow = Pace::new(Duration::ZERO);
        assert!(slow.due(), "a call that comes after a long pause is not missed");
    }
}
