//! Sixteen f32 lanes on each instruction set: one AVX-512 register, two AVX2, four NEON, or an array.
//!
//! Always sixteen, so that a sum over lanes has the same order everywhere.

/// Lanes of a vector.
pub const LANES: usize = 16;

/// Sixteen f32.
///
/// # Safety
/// The methods of an implementation need its instruction set; pointers must be valid for the lanes that
/// are read or written.
pub(super) trait Lanes: Copy {
    /// Which of the first lanes take part.
    type Mask: Copy;
    unsafe fn splat(value: f32) -> Self;
    unsafe fn load(from: *const f32) -> Self;
    unsafe fn store(self, to: *mut f32);
    /// The first `count` lanes, at most sixteen.
    unsafe fn mask(count: usize) -> Self::Mask;
    /// Zero in the lanes outside of the mask, whose memory is not touched.
    unsafe fn load_part(from: *const f32, mask: Self::Mask) -> Self;
    unsafe fn store_part(self, to: *mut f32, mask: Self::Mask);
    /// `self * b + c` with one rounding.
    unsafe fn fma(self, b: Self, c: Self) -> Self;
    unsafe fn add(self, other: Self) -> Self;
    /// `a0 b0 a1 b1 ...`: the first halves of both, lane by lane, and the second halves.
    unsafe fn interleave(self, other: Self) -> (Self, Self);

    /// The sum as a fixed tree: halves of 8, 4, 2, 1.
    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        let mut v = [0f32; LANES];
        unsafe { self.store(v.as_mut_ptr()) };
        let mut half = LANES / 2;
        while half > 0 {
            for i in 0..half {
                v[i] += v[i + half];
            }
            half /= 2;
        }
        v[0]
    }
}

/// The sums of sixteen vectors, each as [`Lanes::sum`] has it.
#[inline(always)]
pub(super) unsafe fn sums<L: Lanes>(mut vectors: [L; LANES]) -> L {
    // Each step adds halves; the vectors then share what it leaves, lane by lane.
    for half in [8, 4, 2, 1] {
        for i in 0..half {
            let (low, high) = unsafe { vectors[i].interleave(vectors[i + half]) };
            vectors[i] = unsafe { low.add(high) };
        }
    }
    vectors[0]
}

impl Lanes for [f32; LANES] {
    type Mask = usize;
    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        [value; LANES]
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        unsafe { from.cast::<Self>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        unsafe { to.cast::<Self>().write_unaligned(self) }
    }
    #[inline(always)]
    unsafe fn mask(count: usize) -> usize {
        count
    }
    #[inline(always)]
    unsafe fn load_part(from: *const f32, mask: usize) -> Self {
        let mut v = [0f32; LANES];
        unsafe { std::ptr::copy_nonoverlapping(from, v.as_mut_ptr(), mask) };
        v
    }
    #[inline(always)]
    unsafe fn store_part(self, to: *mut f32, mask: usize) {
        unsafe { std::ptr::copy_nonoverlapping(self.as_ptr(), to, mask) }
    }
    #[inline(always)]
    unsafe fn fma(self, b: Self, mut c: Self) -> Self {
        for l in 0..LANES {
            c[l] = self[l].mul_add(b[l], c[l]);
        }
        c
    }
    #[inline(always)]
    unsafe fn add(mut self, other: Self) -> Self {
        for l in 0..LANES {
            self[l] += other[l];
        }
        self
    }
    #[inline(always)]
    unsafe fn interleave(self, other: Self) -> (Self, Self) {
        let half = |start: usize| {
            std::array::from_fn(|l| if l % 2 == 0 { self[start + l / 2] } else { other[start + l / 2] })
        };
        (half(0), half(LANES / 2))
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) mod x86 {
    use super::{LANES, Lanes};
    use std::arch::x86_64::*;

    impl Lanes for __m512 {
        type Mask = __mmask16;
        #[inline(always)]
        unsafe fn splat(value: f32) -> Self {
            unsafe { _mm512_set1_ps(value) }
        }
        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            unsafe { _mm512_loadu_ps(from) }
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            unsafe { _mm512_storeu_ps(to, self) }
        }
        #[inline(always)]
        unsafe fn mask(count: usize) -> __mmask16 {
            ((1u32 << count) - 1) as __mmask16
        }
        #[inline(always)]
        unsafe fn load_part(from: *const f32, mask: __mmask16) -> Self {
            unsafe { _mm512_maskz_loadu_ps(mask, from) }
        }
        #[inline(always)]
        unsafe fn store_part(self, to: *mut f32, mask: __mmask16) {
            unsafe { _mm512_mask_storeu_ps(to, mask, self) }
        }
        #[inline(always)]
        unsafe fn fma(self, b: Self, c: Self) -> Self {
            unsafe { _mm512_fmadd_ps(self, b, c) }
        }
        #[inline(always)]
        unsafe fn add(self, other: Self) -> Self {
            unsafe { _mm512_add_ps(self, other) }
        }
        #[inline(always)]
        unsafe fn interleave(self, other: Self) -> (Self, Self) {
            // From 16 on, an index names a lane of the other.
            unsafe {
                let first = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
                let second = _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
                (_mm512_permutex2var_ps(self, first, other), _mm512_permutex2var_ps(self, second, other))
            }
        }
    }

    /// Two AVX registers.
    #[derive(Clone, Copy)]
    pub struct Pair(__m256, __m256);

    /// Sixteen ones, then sixteen zeros: a mask is a window on it.
    static WINDOW: [i32; 2 * LANES] = {
        let mut window = [0; 2 * LANES];
        let mut i = 0;
        while i < LANES {
            window[i] = -1;
            i += 1;
        }
        window
    };

    impl Lanes for Pair {
        type Mask = (__m256i, __m256i);
        #[inline(always)]
        unsafe fn splat(value: f32) -> Self {
            unsafe { Self(_mm256_set1_ps(value), _mm256_set1_ps(value)) }
        }
        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            unsafe { Self(_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8))) }
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            unsafe {
                _mm256_storeu_ps(to, self.0);
                _mm256_storeu_ps(to.add(8), self.1);
            }
        }
        #[inline(always)]
        unsafe fn mask(count: usize) -> Self::Mask {
            unsafe {
                let start = WINDOW.as_ptr().add(LANES - count).cast::<__m256i>();
                (_mm256_loadu_si256(start), _mm256_loadu_si256(start.add(1)))
            }
        }
        #[inline(always)]
        unsafe fn load_part(from: *const f32, mask: Self::Mask) -> Self {
            unsafe {
                Self(_mm256_maskload_ps(from, mask.0), _mm256_maskload_ps(from.wrapping_add(8), mask.1))
            }
        }
        #[inline(always)]
        unsafe fn store_part(self, to: *mut f32, mask: Self::Mask) {
            unsafe {
                _mm256_maskstore_ps(to, mask.0, self.0);
                _mm256_maskstore_ps(to.wrapping_add(8), mask.1, self.1);
            }
        }
        #[inline(always)]
        unsafe fn fma(self, b: Self, c: Self) -> Self {
            unsafe { Self(_mm256_fmadd_ps(self.0, b.0, c.0), _mm256_fmadd_ps(self.1, b.1, c.1)) }
        }
        #[inline(always)]
        unsafe fn add(self, other: Self) -> Self {
            unsafe { Self(_mm256_add_ps(self.0, other.0), _mm256_add_ps(self.1, other.1)) }
        }
        #[inline(always)]
        unsafe fn interleave(self, other: Self) -> (Self, Self) {
            let both = |a, b| unsafe {
                let (low, high) = (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
                Self(_mm256_permute2f128_ps(low, high, 0x20), _mm256_permute2f128_ps(low, high, 0x31))
            };
            (both(self.0, other.0), both(self.1, other.1))
        }
    }
}

#[cfg(target_arch = "aarch64")]
pub(super) mod arm {
    use super::{LANES, Lanes};
    use std::arch::aarch64::*;

    /// Four NEON registers.
    #[derive(Clone, Copy)]
    pub struct Quad([float32x4_t; 4]);

    impl Lanes for Quad {
        type Mask = usize;
        #[inline(always)]
        unsafe fn splat(value: f32) -> Self {
            unsafe { Self([vdupq_n_f32(value); 4]) }
        }
        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            unsafe {
                Self([
                    vld1q_f32(from),
                    vld1q_f32(from.add(4)),
                    vld1q_f32(from.add(8)),
                    vld1q_f32(from.add(12)),
                ])
            }
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            unsafe {
                for (i, v) in self.0.into_iter().enumerate() {
                    vst1q_f32(to.add(4 * i), v);
                }
            }
        }
        #[inline(always)]
        unsafe fn mask(count: usize) -> usize {
            count
        }
        #[inline(always)]
        unsafe fn load_part(from: *const f32, mask: usize) -> Self {
            unsafe { Self::load(<[f32; LANES]>::load_part(from, mask).as_ptr()) }
        }
        #[inline(always)]
        unsafe fn store_part(self, to: *mut f32, mask: usize) {
            let mut v = [0f32; LANES];
            unsafe {
                self.store(v.as_mut_ptr());
                v.store_part(to, mask);
            }
        }
        #[inline(always)]
        unsafe fn fma(self, b: Self, mut c: Self) -> Self {
            for i in 0..4 {
                c.0[i] = unsafe { vfmaq_f32(c.0[i], self.0[i], b.0[i]) };
            }
            c
        }
        #[inline(always)]
        unsafe fn add(mut self, other: Self) -> Self {
            for i in 0..4 {
                self.0[i] = unsafe { vaddq_f32(self.0[i], other.0[i]) };
            }
            self
        }
        #[inline(always)]
        unsafe fn interleave(self, other: Self) -> (Self, Self) {
            let (a, b) = (self.0, other.0);
            let low = |i: usize| unsafe { vzip1q_f32(a[i], b[i]) };
            let high = |i: usize| unsafe { vzip2q_f32(a[i], b[i]) };
            (Self([low(0), high(0), low(1), high(1)]), Self([low(2), high(2), low(3), high(3)]))
        }
    }
}
