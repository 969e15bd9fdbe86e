//! Exact arithmetic of transfers: bytes and rates as 128-bit fixed-point integers.
//!
//! A rate is rounded once, down to 2^-64 bytes per nanosecond, when it is made from a float. From there on
//! everything is exact: what was sent is rate x nanoseconds, however often the time is cut into pieces, so
//! nothing drifts over long runs and a saved state continues to the same nanosecond. The one other rounding
//! is that a completion lies on the first nanosecond at which nothing is left.

use crate::domain::Time;
use serde::{Deserialize, Serialize};

/// Bytes in units of 2^-64.
pub(super) type Amount = u128;

/// Whole bytes as an [`Amount`].
#[must_use]
pub(super) fn amount(bytes: u64) -> Amount {
    u128::from(bytes) << 64
}

/// An amount as whole bytes, rounded up.
#[must_use]
pub(super) fn whole_bytes(amount: Amount) -> u64 {
    (amount >> 64) as u64 + u64::from(amount as u64 != 0)
}

/// A rate in 2^-64 bytes per nanosecond.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Speed(u128);

impl Speed {
    /// Nothing moves.
    pub(super) const ZERO: Speed = Speed(0);
    /// Everything is sent at once.
    pub(super) const INFINITE: Speed = Speed(u128::MAX);

    /// From bytes per second; negative and NaN become zero.
    #[must_use]
    pub(super) fn new(bytes_per_second: f64) -> Speed {
        const UNIT: f64 = 18_446_744_073_709_551_616.0 / 1e9; // 2^64 units, nanoseconds for seconds
        Speed((bytes_per_second * UNIT) as u128)
    }

    /// What is sent in so many nanoseconds.
    #[must_use]
    pub(super) fn sent(self, nanoseconds: u64) -> Amount {
        if self == Speed::INFINITE { Amount::MAX } else { self.0.saturating_mul(u128::from(nanoseconds)) }
    }

    /// The first moment from `since` on at which `left` is sent; `None` if that is never.
    #[must_use]
    pub(super) fn end(self, since: Time, left: Amount) -> Option<Time> {
        match self {
            _ if left == 0 => Some(since),
            Speed::INFINITE => Some(since),
            Speed::ZERO => None,
            Speed(speed) => {
                let nanoseconds = left.div_ceil(speed);
                let end = u64::try_from(nanoseconds).ok()?.checked_add(since.0)?;
                Some(Time(end))
            }
        }
    }
}

/// A flow that runs at a known rate: what was left of it at a moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Pace {
    left: Amount,
    since: Time,
    speed: Speed,
}

impl Pace {
    /// A flow with `left` to send from `since` on.
    #[must_use]
    pub(super) fn new(left: Amount, since: Time, speed: Speed) -> Self {
        Self { left, since, speed }
    }

    /// What is left at `now`.
    #[must_use]
    pub(super) fn left(&self, now: Time) -> Amount {
        self.left.saturating_sub(self.speed.sent(now.since(self.since).0))
    }

    /// The first moment at which nothing is left.
    #[must_use]
    pub(super) fn end(&self) -> Option<Time> {
        self.speed.end(self.since, self.left)
    }

    /// Goes on at another rate.
    pub(super) fn set(&mut self, now: Time, speed: Speed) {
        *self = Self::new(self.left(now), now, speed);
    }
}

/// A float that is saved as its bits.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Bits(#[serde(with = "bits")] pub(super) f64);

/// Floats in a saved state as their bits: exact in every format, infinities included.
pub(super) mod bits {
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(value.to_bits())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        u64::deserialize(deserializer).map(f64::from_bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_does_not_depend_on_how_time_is_cut() {
        let speed = Speed::new(12.5e6 / 3.0);
        let whole = Pace::new(amount(4_000_000), Time(7), speed);
        let mut cut = whole.clone();
        for now in (7..900_000_000).step_by(900_001) {
            cut.set(Time(now), speed);
        }
        assert_eq!(cut.end(), whole.end());
        assert!(whole.end().unwrap().0.abs_diff(7 + 960_000_000) <= 1);
    }

    #[test]
    fn the_end_is_the_first_nanosecond_with_nothing_left() {
        let pace = Pace::new(amount(10), Time(5), Speed::new(3e9));
        assert_eq!(pace.end(), Some(Time(9)));
        assert_eq!((pace.left(Time(9)), whole_bytes(pace.left(Time(8)))), (0, 1));
        assert_eq!(Pace::new(amount(10), Time(5), Speed::ZERO).end(), None);
        assert_eq!(Pace::new(amount(10), Time(5), Speed::new(f64::INFINITY)).end(), Some(Time(5)));
        assert_eq!(Pace::new(0, Time(5), Speed::ZERO).end(), Some(Time(5)));
    }
}
