//! Matrix products whose bits do not depend on the machine.
//!
//! [`gemm()`] sums k in blocks of at most 512: within a block one chain of fused multiply-adds in order of k,
//! starting from zero; then the block is added to what is there. [`gemm_dot`] sums k in sixteen lanes and
//! adds them as a fixed tree; it is for short results of long rows. Both are defined by these orders, not by
//! the tiles, so every instruction set, tile and shape (also vectors) gives the same bits.
//!
//! The `gemm` crate would do for large shapes when the caller splits k, but it changes its order for
//! vectors and small shapes (horizontal sums), and allocates in each call.

// The indexes of a tile are constants that name registers.
#![allow(clippy::needless_range_loop)]

use super::Isa;
use super::lanes::{LANES, Lanes};
use std::mem::MaybeUninit;

/// Longest chain of fused multiply-adds.
pub const K_BLOCK: usize = 512;

/// A read-only matrix: element (i, j) lies at `i * rows + j * columns` of the slice.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    data: &'a [f32],
    row_stride: usize,
    column_stride: usize,
}

impl<'a> View<'a> {
    /// A matrix stored row after row, `columns` elements each.
    #[must_use]
    pub fn rows(data: &'a [f32], columns: usize) -> Self {
        Self { data, row_stride: columns, column_stride: 1 }
    }

    /// The transpose of a matrix stored row after row, `columns` elements each.
    #[must_use]
    pub fn transposed(data: &'a [f32], columns: usize) -> Self {
        Self { data, row_stride: 1, column_stride: columns }
    }

    fn check(&self, rows: usize, columns: usize) {
        let last = rows.saturating_sub(1) * self.row_stride + columns.saturating_sub(1) * self.column_stride;
        assert!(rows * columns == 0 || last < self.data.len(), "a matrix reaches beyond its slice");
    }
}

/// C = A B, or C += A B when `add`. A is m x k, B is k x n, C is m x n, row after row.
///
/// # Panics
/// If a matrix does not fit its slice.
#[allow(clippy::too_many_arguments)]
pub fn gemm(isa: Isa, m: usize, n: usize, k: usize, a: View, b: View, c: &mut [f32], add: bool) {
    a.check(m, k);
    b.check(k, n);
    assert!(c.len() >= m * n, "the result of a product does not fit its slice");
    if k == 0 && !add {
        c[..m * n].fill(0.0);
    }
    let job = Product { m, n, k, a, b, c: c.as_mut_ptr(), add };
    // SAFETY: the bounds were checked, and `Isa::available` offers only what the processor has.
    unsafe {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => gemm_avx512(job),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => gemm_avx2(job),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => job.run::<super::lanes::arm::Quad, 6, 1>(),
            _ => job.run::<[f32; LANES], 4, 1>(),
        }
    }
}

/// Enables the features for everything that is inlined below it.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,avx512f")]
unsafe fn gemm_avx512(job: Product) {
    unsafe { job.run::<std::arch::x86_64::__m512, 12, 2>() }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn gemm_avx2(job: Product) {
    unsafe { job.run::<super::lanes::x86::Pair, 6, 1>() }
}

/// The arguments of a product.
struct Product<'a> {
    m: usize,
    n: usize,
    k: usize,
    a: View<'a>,
    b: View<'a>,
    c: *mut f32,
    add: bool,
}

impl Product<'_> {
    /// Tiles of at most `M` rows and `V` vectors.
    #[inline(always)]
    unsafe fn run<L: Lanes, const M: usize, const V: usize>(self) {
        let mut packed = [const { MaybeUninit::<f32>::uninit() }; K_BLOCK * 2 * LANES];
        let packed = packed.as_mut_ptr().cast::<f32>();
        for k0 in (0..self.k).step_by(K_BLOCK) {
            let depth = K_BLOCK.min(self.k - k0);
            let add = self.add || k0 > 0;
            let mut j0 = 0;
            while j0 < self.n {
                let width = (V * LANES).min(self.n - j0);
                unsafe {
                    let start = self.b.data.as_ptr();
                    let start = start.wrapping_add(k0 * self.b.row_stride + j0 * self.b.column_stride);
                    let (b, b_stride) = if self.b.column_stride == 1 || width == 1 {
                        (start, self.b.row_stride)
                    } else {
                        pack(start, self.b, depth, width, packed);
                        (packed.cast_const(), width)
                    };
                    let a = self.a.data.as_ptr().wrapping_add(k0 * self.a.column_stride);
                    let panel = Panel { depth, a, b, b_stride, c: self.c.add(j0), add };
                    if V == 2 && width > LANES {
                        self.rows::<L, M, 2>(&panel, width);
                    } else {
                        self.rows::<L, M, 1>(&panel, width);
                    }
                }
                j0 += width;
            }
        }
    }

    /// All rows of a panel of columns.
    #[inline(always)]
    unsafe fn rows<L: Lanes, const M: usize, const V: usize>(&self, panel: &Panel, width: usize) {
        let mut i = 0;
        while i < self.m {
            let left = self.m - i;
            unsafe {
                i += match left {
                    12.. if M >= 12 && left != 16 => self.tile::<L, 12, V>(panel, i, width),
                    8.. if M >= 8 => self.tile::<L, 8, V>(panel, i, width),
                    6.. if M >= 6 => self.tile::<L, 6, V>(panel, i, width),
                    4.. => self.tile::<L, 4, V>(panel, i, width),
                    3 => self.tile::<L, 3, V>(panel, i, width),
                    2 => self.tile::<L, 2, V>(panel, i, width),
                    _ => self.tile::<L, 1, V>(panel, i, width),
                };
            }
        }
    }

    /// R rows from row i; returns R.
    #[inline(always)]
    unsafe fn tile<L: Lanes, const R: usize, const V: usize>(
        &self,
        panel: &Panel,
        i: usize,
        width: usize,
    ) -> usize {
        let (stride, step) = (self.a.row_stride, self.a.column_stride);
        let a = panel.a.wrapping_add(i * stride);
        unsafe {
            let c = panel.c.add(i * self.n);
            if width == V * LANES {
                tile::<L, R, V, false>(panel, a, stride, step, c, self.n, width);
            } else {
                tile::<L, R, V, true>(panel, a, stride, step, c, self.n, width);
            }
        }
        R
    }
}

/// One block of k and up to two vectors of columns.
struct Panel {
    depth: usize,
    a: *const f32,
    b: *const f32,
    b_stride: usize,
    c: *mut f32,
    add: bool,
}

/// R x (V vectors) results in registers; `PART`: the last vector is not full.
#[inline(always)]
unsafe fn tile<L: Lanes, const R: usize, const V: usize, const PART: bool>(
    panel: &Panel,
    mut a: *const f32,
    a_stride: usize,
    a_step: usize,
    c: *mut f32,
    c_stride: usize,
    width: usize,
) {
    unsafe {
        let mask = L::mask(width - (V - 1) * LANES);
        let mut sums = [[L::splat(0.0); V]; R];
        let mut b = panel.b;
        for _ in 0..panel.depth {
            let mut row = [L::splat(0.0); V];
            for v in 0..V {
                let from = b.add(v * LANES);
                row[v] = if PART && v == V - 1 { L::load_part(from, mask) } else { L::load(from) };
            }
            for r in 0..R {
                let left = L::splat(*a.add(r * a_stride));
                for v in 0..V {
                    sums[r][v] = left.fma(row[v], sums[r][v]);
                }
            }
            a = a.wrapping_add(a_step);
            b = b.wrapping_add(panel.b_stride);
        }
        for r in 0..R {
            for v in 0..V {
                let to = c.add(r * c_stride + v * LANES);
                if PART && v == V - 1 {
                    let sum = if panel.add { L::load_part(to, mask).add(sums[r][v]) } else { sums[r][v] };
                    sum.store_part(to, mask);
                } else {
                    let sum = if panel.add { L::load(to).add(sums[r][v]) } else { sums[r][v] };
                    sum.store(to);
                }
            }
        }
    }
}

/// Copies a panel of B so that its rows are contiguous, `width` elements each.
#[inline(always)]
unsafe fn pack(from: *const f32, b: View, depth: usize, width: usize, to: *mut f32) {
    for j in 0..width {
        let column = from.wrapping_add(j * b.column_stride);
        for p in 0..depth {
            unsafe { *to.add(p * width + j) = *column.wrapping_add(p * b.row_stride) };
        }
    }
}

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
    let mut i = 0;
    while i < m {
        let rows = if m - i >= R { R } else { 1 };
        let mut j = 0;
        while j < n {
            let columns = if n - j >= S { S } else { 1 };
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
            j += columns;
        }
        i += rows;
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

#[cfg(test)]
#[path = "gemm_tests.rs"]
mod tests;
