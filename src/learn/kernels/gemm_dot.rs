//! Products of short results and long rows, by dot products: k is summed in sixteen lanes, which are added as a fixed
//! tree. Defined by this order, so every instruction set, tile and shape gives the same bits.

// The indexes of a tile are constants that name registers.
#![allow(clippy::needless_range_loop)]

use super::Isa;
use super::lanes::{LANES, Lanes};

/// C = A B', or C += A B' when `add`, by dot products of rows: A is m x k, B is n x k, C is m x n, all row
/// after row. Element k goes to lane k mod 16.
///
/// # Panics
/// If a matrix does not fit its slice.
#[allow(clippy::too_many_arguments)]
pub fn gemm_dot(isa: Isa, m: usize, n: usize, k: usize, a: &[f32], b: &[f32], c: &mut [f32], add: bool) {
    assert!(
        a.len() >= m * k && b.len() >= n * k && c.len() >= m * n,
        "a matrix of a product does not fit its slice"
    );
    // SAFETY: the bounds were checked, and `Isa::available` offers only what the processor has.
    unsafe {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => dot_avx512(m, n, k, a, b, c, add),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => dot_avx2(m, n, k, a, b, c, add),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => dots::<super::lanes::arm::Quad, 2, 3>(m, n, k, a, b, c, add),
            _ => dots::<[f32; LANES], 1, 1>(m, n, k, a, b, c, add),
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,avx512f")]
unsafe fn dot_avx512(m: usize, n: usize, k: usize, a: &[f32], b: &[f32], c: &mut [f32], add: bool) {
    unsafe { dots::<std::arch::x86_64::__m512, 3, 5>(m, n, k, a, b, c, add) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn dot_avx2(m: usize, n: usize, k: usize, a: &[f32], b: &[f32], c: &mut [f32], add: bool) {
    unsafe { dots::<super::lanes::x86::Pair, 2, 2>(m, n, k, a, b, c, add) }
}

#[inline(always)]
unsafe fn dots<L: Lanes, const R: usize, const S: usize>(
    m: usize,
    n: usize,
    k: usize,
    a: &[f32],
    b: &[f32],
    c: &mut [f32],
    add: bool,
) {
    // The longer side outside: its rows are read once.
    let by_rows = m * 4 > n;
    let (outer, inner) = if by_rows { (m, n) } else { (n, m) };
    let (outer_step, inner_step) = if by_rows { (R, S) } else { (S, R) };
    let mut o = 0;
    while o < outer {
        let outer_count = if outer - o >= outer_step { outer_step } else { 1 };
        let mut p = 0;
        while p < inner {
            let inner_count = if inner - p >= inner_step { inner_step } else { 1 };
            let (i, j, rows, columns) =
                if by_rows { (o, p, outer_count, inner_count) } else { (p, o, inner_count, outer_count) };
            unsafe {
                let (from_a, from_b) = (a.as_ptr().add(i * k), b.as_ptr().add(j * k));
                let to = c.as_mut_ptr().add(i * n + j);
                match (rows == 1, columns == 1) {
                    (false, false) => dot_tile::<L, R, S>(k, from_a, from_b, to, n, add),
                    (false, true) => dot_tile::<L, R, 1>(k, from_a, from_b, to, n, add),
                    (true, false) => dot_tile::<L, 1, S>(k, from_a, from_b, to, n, add),
                    (true, true) => dot_tile::<L, 1, 1>(k, from_a, from_b, to, n, add),
                }
            }
            p += inner_count;
        }
        o += outer_count;
    }
}

#[inline(always)]
unsafe fn dot_tile<L: Lanes, const R: usize, const S: usize>(
    k: usize,
    a: *const f32,
    b: *const f32,
    c: *mut f32,
    c_stride: usize,
    add: bool,
) {
    unsafe {
        let mut sums = [[L::splat(0.0); S]; R];
        let full = k / LANES * LANES;
        for p in (0..full).step_by(LANES) {
            let mut left = [L::splat(0.0); R];
            for r in 0..R {
                left[r] = L::load(a.add(r * k + p));
            }
            for s in 0..S {
                let right = L::load(b.add(s * k + p));
                for r in 0..R {
                    sums[r][s] = left[r].fma(right, sums[r][s]);
                }
            }
        }
        if full < k {
            let mask = L::mask(k - full);
            for r in 0..R {
                let left = L::load_part(a.add(r * k + full), mask);
                for s in 0..S {
                    sums[r][s] = left.fma(L::load_part(b.add(s * k + full), mask), sums[r][s]);
                }
            }
        }
        for r in 0..R {
            for s in 0..S {
                let to = c.add(r * c_stride + s);
                *to = if add { *to + sums[r][s].sum() } else { sums[r][s].sum() };
            }
        }
    }
}
