//! Thermal throttling: a host's temperature as one resistance and one capacity, and a clock that steps down when it is
//! hot.

use crate::domain::{Span, Time, math};
use serde::{Deserialize, Serialize};

/// How a host warms up, and what it does then.
///
/// T' = (P R - (T - Ta)) / (R C): between two changes of its power P the temperature T goes to Ta + P R with the time
/// constant R C. Below `soft` the clock is full; from there on it is `soft_clock` times that, from `hard` on
/// `hard_clock` times. That is how firmware of the Raspberry Pi does it (documentation, "Frequency management and
/// thermal control": steps from 80 degrees on, harder at 85); its hysteresis of a few degrees is left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Thermal {
    /// R, in kelvin per watt: from the chip to the air.
    pub resistance: f64,
    /// R C.
    pub time_constant: Span,
    /// Ta, in degrees Celsius.
    pub ambient: f64,
    /// From so many degrees on the clock is `soft_clock`.
    pub soft: f64,
    /// From so many degrees on it is `hard_clock`.
    pub hard: f64,
    /// Share of the full clock.
    pub soft_clock: f64,
    /// Share of the full clock.
    pub hard_clock: f64,
}

/// The temperature of one host. It is looked at when a job begins, and costs nothing in between: a job keeps the clock of
/// its start, an approximation that is good while jobs are shorter than the time constant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Temperature {
    /// Degrees Celsius at `at`.
    degrees: f64,
    at: Time,
    /// Until when it computes, and the power of that.
    busy_until: Time,
    busy_watts: f64,
}

impl Thermal {
    /// The temperature after so long at a power.
    fn after(&self, degrees: f64, watts: f64, length: Span) -> f64 {
        let end = self.ambient + watts * self.resistance;
        end + (degrees - end) * math::exp(-length.seconds() / self.time_constant.seconds())
    }

    /// Share of the full clock at a temperature.
    #[must_use]
    pub fn clock(&self, degrees: f64) -> f64 {
        match degrees {
            _ if degrees >= self.hard => self.hard_clock,
            _ if degrees >= self.soft => self.soft_clock,
            _ => 1.0,
        }
    }
}

impl Temperature {
    /// That of a host that has idled for long.
    #[must_use]
    pub fn idle(thermal: &Thermal, idle_watts: f64) -> Self {
        let degrees = thermal.ambient + idle_watts * thermal.resistance;
        Self { degrees, at: Time::ZERO, busy_until: Time::ZERO, busy_watts: idle_watts }
    }

    /// Degrees Celsius at the last look.
    #[must_use]
    pub fn degrees(&self) -> f64 {
        self.degrees
    }

    /// A job begins at `now` that takes `length` at full clock: what its time is multiplied by. The host draws
    /// `watts.1` above idling (`watts.0`) at full clock, and in proportion at a lower one; jobs of several nodes at once
    /// draw it once, as in the account of energy.
    pub fn begin(&mut self, thermal: &Thermal, now: Time, length: Span, watts: (f64, f64)) -> f64 {
        let computing = self.busy_until.min(now).since(self.at);
        self.degrees = thermal.after(self.degrees, self.busy_watts, computing);
        let idling = now.since(self.busy_until.max(self.at).min(now));
        self.degrees = thermal.after(self.degrees, watts.0, idling);
        self.at = now.max(self.at);
        let clock = thermal.clock(self.degrees);
        self.busy_until = self.busy_until.max(now + length.scale(1.0 / clock));
        self.busy_watts = watts.0 + watts.1 * clock;
        1.0 / clock
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn board() -> Thermal {
        Thermal {
            resistance: 10.0,
            time_constant: Span::from_millis(120_000),
            ambient: 25.0,
            soft: 80.0,
            hard: 85.0,
            soft_clock: 0.8,
            hard_clock: 0.5,
        }
    }

    /// 3 W idle: 55 degrees; 6.3 W: 88 in the end, 80 after 120 s x ln(33 / 8) = 170 s of computing without a pause; then, at
    /// .8 of the clock and 5.64 W, 81.4.
    #[test]
    fn a_board_slows_down_when_it_has_computed_for_long_and_recovers() {
        let (thermal, watts) = (board(), (3.0, 3.3));
        let mut host = Temperature::idle(&thermal, watts.0);
        let second = Span::from_millis(1_000);
        let (mut now, mut factors) = (Time::ZERO, Vec::new());
        for _ in 0..400 {
            let factor = host.begin(&thermal, now, second, watts);
            factors.push(factor);
            now = now + second.scale(factor);
        }
        let first_slow = factors.iter().position(|factor| *factor > 1.0).unwrap();
        assert!((169..=172).contains(&first_slow), "{first_slow}");
        assert!(host.degrees() < 81.5 && host.degrees() > 80.5, "{}", host.degrees());
        now = now + Span::from_millis(600_000);
        assert_eq!(host.begin(&thermal, now, second, watts), 1.0);
        assert!((host.degrees() - 55.0).abs() < 0.5, "{}", host.degrees());
        assert_eq!([79.9, 80.0, 84.9, 85.0].map(|t| thermal.clock(t)), [1.0, 0.8, 0.8, 0.5]);
    }

    #[test]
    fn a_stored_temperature_goes_on_as_it_was() {
        let thermal = board();
        let mut host = Temperature::idle(&thermal, 3.0);
        host.begin(&thermal, Time(5), Span::from_millis(70_000), (3.0, 3.3));
        let json = serde_json::to_string(&host).unwrap();
        let mut again: Temperature = serde_json::from_str(&json).unwrap();
        let later = Time(90_000_000_000);
        let length = Span::from_millis(10);
        assert_eq!(
            host.begin(&thermal, later, length, (3.0, 3.3)),
            again.begin(&thermal, later, length, (3.0, 3.3))
        );
        assert_eq!(host, again);
    }
}
