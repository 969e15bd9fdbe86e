//! Products of short results and long rows, by dot products: k is summed in sixteen lanes, which are added as a fixed
//! tree. Defined by this order, so every instruction set, tile and shape gives the same bits.

// The indexes of a tile are constants that name registers.
#![allow(clippy::needless_range_loop)]

use super::lanes::{self, LANES, Lanes};
use super::{Isa, View};

/// C = A B', or C += A B' when `add`, by dot products of rows: A is m x k, row after row, the rows of B (n x k) are
/// contiguous, C is m x n, row after row. Element k goes to lane k mod 16.
///
/// # Panics
/// If a matrix does not fit its slice.
#[allow(clippy::too_many_arguments)]
pub fn gemm_dot(isa: Isa, m: usize, n: usize, k: usize, a: &[f32], b: View, c: &mut [f32], add: bool) {
    b.check(n, k);
    assert!(a.len() >= m * k && c.len() >= m * n, "a matrix of a product does not fit its slice");
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
unsafe fn dot_avx512(m: usize, n: usize, k: usize, a: &[f32], b: View, c: &mut [f32], add: bool) {
    unsafe { dots::<std::arch::x86_64::__m512, 4, 4>(m, n, k, a, b, c, add) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn dot_avx2(m: usize, n: usize, k: usize, a: &[f32], b: View, c: &mut [f32], add: bool) {
    unsafe { dots::<super::lanes::x86::Pair, 2, 2>(m, n, k, a, b, c, add) }
}

/// Tiles of at most `R` rows of A, and of `S` of B or one.
#[inline(always)]
unsafe fn dots<L: Lanes, const R: usize, const S: usize>(
    m: usize,
    n: usize,
    k: usize,
    a: &[f32],
    b: View,
    c: &mut [f32],
    add: bool,
) {
    let (a, c) = (a.as_ptr(), c.as_mut_ptr());
    // The longer side outside: its rows are read once.
    let by_rows = m * 4 > n;
    let (mut i, mut j) = (0, 0);
    while i < m && j < n {
        let (rows, columns) = (R.min(m - i), if n - j < S { 1 } else { S });
        unsafe { any_tile::<L, R, S>(k, rows, columns, a.add(i * k), b, j, c.add(i * n + j), n, add) };
        if by_rows {
            j += columns;
            if j == n {
                (i, j) = (i + rows, 0);
            }
        } else {
            i += rows;
            if i == m {
                (i, j) = (0, j + columns);
            }
        }
    }
}

#[inline(always)]
#[allow(clippy::too_many_arguments)]
unsafe fn any_tile<L: Lanes, const R: usize, const S: usize>(
    k: usize,
    rows: usize,
    columns: usize,
    a: *const f32,
    b: View,
    j: usize,
    c: *mut f32,
    n: usize,
    add: bool,
) {
    unsafe {
        match (rows, columns == S) {
            (4, true) if R >= 4 => dot_tile::<L, 4, S>(k, a, b, j, c, n, add),
            (3, true) if R >= 3 => dot_tile::<L, 3, S>(k, a, b, j, c, n, add),
            (2, true) if R >= 2 => dot_tile::<L, 2, S>(k, a, b, j, c, n, add),
            (_, true) => dot_tile::<L, 1, S>(k, a, b, j, c, n, add),
            (4, false) if R >= 4 => dot_tile::<L, 4, 1>(k, a, b, j, c, n, add),
            (3, false) if R >= 3 => dot_tile::<L, 3, 1>(k, a, b, j, c, n, add),
            (2, false) if R >= 2 => dot_tile::<L, 2, 1>(k, a, b, j, c, n, add),
            (_, false) => dot_tile::<L, 1, 1>(k, a, b, j, c, n, add),
        }
    }
}

#[inline(always)]
unsafe fn dot_tile<L: Lanes, const R: usize, const S: usize>(
    k: usize,
    a: *const f32,
    b: View,
    j: usize,
    c: *mut f32,
    c_stride: usize,
    add: bool,
) {
    unsafe {
        let mut sums = [[L::splat(0.0); S]; R];
        let b: [*const f32; S] = std::array::from_fn(|s| b.row(j + s));
        let full = k / LANES * LANES;
        for p in (0..full).step_by(LANES) {
            let mut left = [L::splat(0.0); R];
            for r in 0..R {
                left[r] = L::load(a.add(r * k + p));
            }
            for s in 0..S {
                let right = L::load(b[s].add(p));
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
                    sums[r][s] = left.fma(L::load_part(b[s].add(full), mask), sums[r][s]);
                }
            }
        }
        let mut totals = [0f32; LANES];
        if R * S > 4 {
            let mut all = [L::splat(0.0); LANES];
            for r in 0..R {
                all[r * S..(r + 1) * S].copy_from_slice(&sums[r]);
            }
            lanes::sums(all).store(totals.as_mut_ptr());
        } else {
            for r in 0..R {
                for s in 0..S {
                    totals[r * S + s] = sums[r][s].sum();
                }
            }
        }
        for r in 0..R {
            for s in 0..S {
                let to = c.add(r * c_stride + s);
                *to = if add { *to + totals[r * S + s] } else { totals[r * S + s] };
            }
        }
    }
}
