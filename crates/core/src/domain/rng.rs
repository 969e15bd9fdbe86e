//! Named, counter-based random streams.
//!
//! A stream is named by (seed, purpose, two numbers): for example (interleaving seed, "latency", from, to).
//! Draw k of a stream depends on that name and on k alone, so adding a node, a link or a draw elsewhere
//! shifts nothing: two runs that differ in one setting share all other randomness (common random numbers).

use super::math;
use serde::{Deserialize, Serialize};

/// The three independent seeds of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seeds {
    /// Partition of the data, order of the samples, local randomness of training.
    pub data: u64,
    /// Initial parameters.
    pub init: u64,
    /// Everything that moves events in time: latency, jitter, stragglers, loss, client sampling ties.
    pub interleaving: u64,
}

impl Seeds {
    /// One seed for all three.
    #[must_use]
    pub fn all(seed: u64) -> Self {
        Self { data: seed, init: seed, interleaving: seed }
    }
}

const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// The finaliser of SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014).
#[inline]
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// A key derived from another one and a number.
#[inline]
#[must_use]
pub fn derived(key: u64, number: u64) -> u64 {
    mix(key ^ mix(number.wrapping_add(GOLDEN)))
}

/// All streams of one purpose: the part of their names that they share is worked out once.
#[derive(Clone, Copy, Debug)]
pub struct Streams {
    key: u64,
}

impl Streams {
    /// The streams of this purpose.
    #[must_use]
    pub fn new(seed: u64, purpose: &str) -> Self {
        let mut key = mix(seed.wrapping_add(GOLDEN));
        for byte in purpose.bytes() {
            key = mix(key ^ u64::from(byte)).wrapping_add(GOLDEN);
        }
        Self { key }
    }

    /// The one with these numbers, at its start: the same as [`Stream::new`] gives.
    #[inline]
    #[must_use]
    pub fn stream(&self, a: u64, b: u64) -> Stream {
        let key = mix(self.key ^ a).wrapping_add(GOLDEN);
        Stream { key: mix(key ^ b).wrapping_add(GOLDEN), counter: 0 }
    }
}

/// One named stream and its position.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stream {
    key: u64,
    counter: u64,
}

impl Stream {
    /// The stream of this name at its start.
    #[must_use]
    pub fn new(seed: u64, purpose: &str, a: u64, b: u64) -> Self {
        Streams::new(seed, purpose).stream(a, b)
    }

    /// The same stream, standing before draw `counter`.
    #[must_use]
    pub fn at(mut self, counter: u64) -> Self {
        self.counter = counter;
        self
    }

    /// How many words were drawn.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.counter
    }

    /// 64 uniform bits.
    #[inline]
    pub fn word(&mut self) -> u64 {
        self.counter += 1;
        mix(self.key.wrapping_add(self.counter.wrapping_mul(GOLDEN)))
    }

    /// Uniform in [0, 1), a multiple of 2^-53.
    #[inline]
    pub fn uniform(&mut self) -> f64 {
        (self.word() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// Uniform in (0, 1]: safe to take the logarithm of.
    #[inline]
    pub fn uniform_open(&mut self) -> f64 {
        ((self.word() >> 11) + 1) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// Uniform integer in [0, bound), without modulo bias (Lemire, 2019).
    ///
    /// # Panics
    /// If `bound` is zero.
    pub fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "an integer below zero was asked for");
        loop {
            let product = u128::from(self.word()) * u128::from(bound);
            let low = product as u64;
            if low >= bound || low >= bound.wrapping_neg() % bound {
                return (product >> 64) as u64;
            }
        }
    }

    /// Standard normal (Box and Muller, 1958); takes two words.
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * math::ln(self.uniform_open())).sqrt();
        radius * math::cos(std::f64::consts::TAU * self.uniform())
    }

    /// Exponential with mean 1.
    pub fn exponential(&mut self) -> f64 {
        -math::ln(self.uniform_open())
    }

    /// Gamma with this shape and scale 1 (Marsaglia and Tsang, 2000).
    pub fn gamma(&mut self, shape: f64) -> f64 {
        if shape < 1.0 {
            let boost = math::pow(self.uniform_open(), 1.0 / shape);
            return self.gamma(shape + 1.0) * boost;
        }
        let d = shape - 1.0 / 3.0;
        let c = 1.0 / (9.0 * d).sqrt();
        loop {
            let x = self.normal();
            let v = 1.0 + c * x;
            if v <= 0.0 {
                continue;
            }
            let v = v * v * v;
            let u = self.uniform_open();
            if math::ln(u) < 0.5 * x * x + d - d * v + d * math::ln(v) {
                return d * v;
            }
        }
    }

    /// Shuffles in place (Fisher and Yates, from the end).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            let j = self.below(i as u64 + 1) as usize;
            items.swap(i, j);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draw_depends_on_name_and_position_only() {
        let mut a = Stream::new(7, "latency", 1, 2);
        let first: Vec<u64> = (0..5).map(|_| a.word()).collect();
        let mut b = Stream::new(7, "latency", 1, 2).at(3);
        assert_eq!(b.word(), first[3]);
        for other in
            [Stream::new(8, "latency", 1, 2), Stream::new(7, "loss", 1, 2), Stream::new(7, "latency", 2, 1)]
        {
            assert_ne!(other.clone().word(), first[0]);
        }
    }

    #[test]
    fn moments_are_right() {
        let mut s = Stream::new(1, "test", 0, 0);
        let n = 40_000;
        let mean = |f: &mut dyn FnMut() -> f64| (0..n).map(|_| f()).sum::<f64>() / f64::from(n);
        assert!((mean(&mut || s.uniform()) - 0.5).abs() < 0.01);
        assert!(mean(&mut || s.normal()).abs() < 0.03);
        assert!((mean(&mut || s.exponential()) - 1.0).abs() < 0.03);
        assert!((mean(&mut || s.gamma(0.5)) - 0.5).abs() < 0.02);
        assert!((mean(&mut || s.gamma(4.0)) - 4.0).abs() < 0.06);
    }

    #[test]
    fn below_is_within_bounds_and_reaches_both_ends() {
        let mut s = Stream::new(3, "test", 0, 0);
        let draws: Vec<u64> = (0..1000).map(|_| s.below(3)).collect();
        assert!((0..3).all(|v| draws.contains(&v)) && draws.iter().all(|v| *v < 3));
    }
}
