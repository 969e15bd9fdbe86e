//! Statistics of studies: honest intervals for few, crossed and censored runs.
//!
//! A study crosses seeds (data, initialisation, interleaving), so its runs are not independent: two runs with
//! the same data seed share that seed's luck. Wherever runs are resampled here, *levels of seeds* are resampled,
//! never single runs ([`crossed`]). A run that did not reach the target is censored, never dropped
//! ([`kaplan_meier`], [`paired`]).
//!
//! Everything is a pure function of its input and of named random streams: the same input, the same digits.
//!
//! | file | what |
//! |---|---|
//! | [`quantile`] | quantiles and the usual summary |
//! | [`special`] | normal and Student distributions |
//! | [`bootstrap`] | intervals for the mean and the median of independent runs |
//! | [`crossed`] | intervals for runs that share levels of crossed seeds |
//! | [`kaplan_meier`] | times of which some are only known to be longer |
//! | [`paired`] | how often A beats B with the same seeds |
//! | [`sobol`] | which seed the variance comes from |

pub mod bootstrap;
pub mod crossed;
pub mod kaplan_meier;
pub mod paired;
pub mod quantile;
pub mod sobol;
pub mod special;

use serde::Serialize;

/// An interval that a value lies in with some confidence.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// Its lower end; may be minus infinity.
    pub low: f64,
    /// Its upper end; may be infinity.
    pub high: f64,
}

/// How intervals are computed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Resampling {
    /// Confidence, for example 0.95.
    pub confidence: f64,
    /// Bootstrap repetitions.
    pub repetitions: u32,
    /// Seed of the bootstrap's streams.
    pub seed: u64,
}

impl Default for Resampling {
    fn default() -> Self {
        Self { confidence: 0.95, repetitions: 2000, seed: 1 }
    }
}

impl Resampling {
    /// Probability left out at each end.
    #[must_use]
    pub fn tail(&self) -> f64 {
        (1.0 - self.confidence) / 2.0
    }
}
