//! The masks of dropout, from a hash instead of a stream: any element's bit is computed from its index alone, in
//! 32-bit arithmetic that vectorises.

use super::multiversion;

/// A bijection of 32 bits in which each input bit flips each output bit with a probability near 1/2: `lowbias32`
/// (C. Wellons, Prospecting for Hash Functions, 2018).
#[inline(always)]
fn mix(mut x: u32) -> u32 {
    x = (x ^ (x >> 16)).wrapping_mul(0x7feb_352d);
    x = (x ^ (x >> 15)).wrapping_mul(0x846c_a68b);
    x ^ (x >> 16)
}

/// What element `index` is multiplied with.
#[derive(Clone, Copy)]
struct Mask {
    low: u32,
    high: u32,
    /// Hashes below it are dropped.
    threshold: u32,
    scale: f32,
}

impl Mask {
    #[inline(always)]
    fn new(key: u64, p: f32) -> Self {
        let threshold = (f64::from(p) * 4_294_967_296.0) as u32;
        Self { low: key as u32, high: (key >> 32) as u32, threshold, scale: 1.0 / (1.0 - p) }
    }

    #[inline(always)]
    fn apply(self, index: usize, x: f32) -> f32 {
        let hash = mix(mix(index as u32 ^ self.low) ^ self.high);
        if hash < self.threshold { 0.0 } else { x * self.scale }
    }
}

multiversion! {
    /// y = x with elements dropped: 0 with probability p, else x / (1 - p). The mask is a function of the key and
    /// of the element's index (modulo 2^32).
    pub fn drop_out(key: u64, p: f32, x: &[f32], y: &mut [f32]) {
        let mask = Mask::new(key, p);
        for (i, (y, x)) in y.iter_mut().zip(x).enumerate() {
            *y = mask.apply(i, *x);
        }
    }

    /// The same in place.
    pub fn drop_out_in_place(key: u64, p: f32, y: &mut [f32]) {
        let mask = Mask::new(key, p);
        for (i, y) in y.iter_mut().enumerate() {
            *y = mask.apply(i, *y);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::Isa;

    const LEN: usize = 100_003;

    fn mask(isa: Isa, key: u64, p: f32) -> Vec<f32> {
        let mut y = vec![f32::NAN; LEN];
        drop_out(isa, key, p, &[1.0; LEN], &mut y);
        y
    }

    #[test]
    fn every_instruction_set_gives_the_same_mask_in_place_or_not() {
        for isa in Isa::available() {
            let y = mask(*isa, 1 << 40 | 7, 0.3);
            assert!(y == mask(Isa::Portable, 1 << 40 | 7, 0.3));
            let mut in_place = vec![1.0; LEN];
            drop_out_in_place(*isa, 1 << 40 | 7, 0.3, &mut in_place);
            assert!(y == in_place);
        }
    }

    /// Within four standard deviations: the share that is dropped, and the share on which two keys, neighbouring
    /// elements, or elements a power of two apart agree.
    #[test]
    fn masks_are_as_probable_as_they_should_be_and_independent() {
        let isa = Isa::best();
        for p in [0.1f32, 0.5, 0.75] {
            let kept = |key| mask(isa, key, p).iter().map(|v| *v != 0.0).collect::<Vec<_>>();
            let (p, n) = (f64::from(p), LEN as f64);
            let close = |share: f64, expected: f64| {
                (share - expected).abs() < 4.0 * (expected * (1.0 - expected) / n).sqrt()
            };
            let one = kept(5);
            let share = one.iter().filter(|kept| !**kept).count() as f64 / n;
            assert!(close(share, p), "{share} of {p}");
            let agree = |a: &[bool], b: &[bool]| a.iter().zip(b).filter(|(a, b)| a == b).count() as f64 / n;
            let expected = p * p + (1.0 - p) * (1.0 - p);
            for key in [4, 6, 5 | 1 << 32, 5 | 1 << 63] {
                assert!(close(agree(&one, &kept(key)), expected), "key {key}, p {p}");
            }
            for lag in [1, 2, 16, 128, 1024] {
                assert!(close(agree(&one[lag..], &one) * n / (n - lag as f64), expected), "lag {lag}, p {p}");
            }
        }
    }

    #[test]
    fn the_ends() {
        assert!(mask(Isa::best(), 3, 0.0).iter().all(|v| *v == 1.0));
        assert!(mask(Isa::best(), 3, 0.5).iter().all(|v| *v == 0.0 || *v == 2.0));
    }
}
