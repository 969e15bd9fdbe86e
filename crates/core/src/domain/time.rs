//! Virtual time: unsigned integer nanoseconds, so that no rounding depends on the machine.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::{Add, AddAssign, Sub};

/// A moment: nanoseconds since the start of the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Time(pub u64);

/// A length of time in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Span(pub u64);

impl Time {
    /// The start of every run.
    pub const ZERO: Time = Time(0);
    /// Later than every event.
    pub const MAX: Time = Time(u64::MAX);

    /// Seconds since the start, for display and CSV only: never feed it back into the simulation.
    #[must_use]
    pub fn seconds(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// Time since `earlier`, zero if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Time) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }
}

impl Span {
    /// No time at all.
    pub const ZERO: Span = Span(0);

    /// Rounds seconds to the nearest nanosecond. Negative and NaN become zero; more than 584 years saturate.
    #[must_use]
    pub fn from_seconds(seconds: f64) -> Span {
        Span((seconds * 1e9 + 0.5) as u64)
    }

    /// Whole milliseconds.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Span {
        Span(millis * 1_000_000)
    }

    /// Whole microseconds.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Span {
        Span(micros * 1_000)
    }

    /// Seconds, for display and CSV.
    #[must_use]
    pub fn seconds(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// Scales by a factor, rounding to the nearest nanosecond; the one place where a span meets a float.
    #[must_use]
    pub fn scale(self, factor: f64) -> Span {
        Span((self.0 as f64 * factor + 0.5) as u64)
    }

    /// This span `count` times, saturating.
    #[must_use]
    pub fn times(self, count: u64) -> Span {
        Span(self.0.saturating_mul(count))
    }
}

impl Add<Span> for Time {
    type Output = Time;
    fn add(self, span: Span) -> Time {
        Time(self.0.saturating_add(span.0))
    }
}

impl Add for Span {
    type Output = Span;
    fn add(self, other: Span) -> Span {
        Span(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Span {
    fn add_assign(&mut self, other: Span) {
        *self = *self + other;
    }
}

impl Sub for Span {
    type Output = Span;
    fn sub(self, other: Span) -> Span {
        Span(self.0.saturating_sub(other.0))
    }
}

impl std::iter::Sum for Span {
    fn sum<I: Iterator<Item = Span>>(iter: I) -> Span {
        iter.fold(Span::ZERO, Add::add)
    }
}

/// The shortest unit that keeps four significant digits: `1.25 ms`.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ns = self.0 as f64;
        match self.0 {
            0..1_000 => write!(f, "{} ns", self.0),
            1_000..1_000_000 => write!(f, "{} us", four_digits(ns / 1e3)),
            1_000_000..1_000_000_000 => write!(f, "{} ms", four_digits(ns / 1e6)),
            1_000_000_000..120_000_000_000 => write!(f, "{} s", four_digits(ns / 1e9)),
            120_000_000_000..7_200_000_000_000 => write!(f, "{} min", four_digits(ns / 60e9)),
            _ => write!(f, "{} h", four_digits(ns / 3600e9)),
        }
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Span(self.0).fmt(f)
    }
}

fn four_digits(value: f64) -> String {
    let decimals = if value >= 100.0 {
        1
    } else if value >= 10.0 {
        2
    } else {
        3
    };
    let text = format!("{value:.decimals$}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_the_shortest_unit() {
        assert_eq!(Span(999).to_string(), "999 ns");
        assert_eq!(Span(1_250_000).to_string(), "1.25 ms");
        assert_eq!(Span::from_seconds(90.0).to_string(), "90 s");
        assert_eq!(Span::from_seconds(7200.0).to_string(), "2 h");
    }

    #[test]
    fn rounds_to_the_nearest_nanosecond_and_never_wraps() {
        assert_eq!(Span::from_seconds(-1.0), Span::ZERO);
        assert_eq!(Span::from_seconds(1.5e-9), Span(2));
        assert_eq!(Time::MAX + Span(1), Time::MAX);
    }
}
