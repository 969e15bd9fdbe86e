//! Matrix products whose bits do not depend on the machine.
//!
//! [`gemm()`] sums k in blocks of at most 512: within a block one chain of fused multiply-adds in order of k,
//! starting from zero; then the block is added to what is there. It is defined by this order, not by tiles and
//! blocks of rows, so every instruction set, tile and shape (also vectors) gives the same bits.
//!
//! The `gemm` crate would do for large shapes when the caller splits k, but it changes its order for
//! vectors and small shapes (horizontal sums), and allocates in each call.

// The indexes of a tile are constants that name registers.
#![allow(clippy::needless_range_loop)]

use super::lanes::{LANES, Lanes};
use super::{Isa, transpose};
use std::cell::RefCell;

/// Longest chain of fused multiply-adds.
pub const K_BLOCK: usize = 512;
/// Rows of A in a block; of K_BLOCK columns they take 384 KiB.
const M_BLOCK: usize = 192;
/// Elements of a block of A from which on it is packed.
const PACK_FROM: usize = 4096;

/// A read-only matrix: element (i, j) lies at `i * row_stride + j * column_stride` of the slice, one of the two being
/// 1; or row i starts at an offset of its own.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    data: &'a [f32],
    row_stride: usize,
    column_stride: usize,
    offsets: Option<&'a [u32]>,
}

impl<'a> View<'a> {
    /// A matrix stored row after row, `columns` elements each.
    #[must_use]
    pub fn rows(data: &'a [f32], columns: usize) -> Self {
        Self { data, row_stride: columns, column_stride: 1, offsets: None }
    }

    /// The transpose of a matrix stored row after row, `columns` elements each.
    #[must_use]
    pub fn transposed(data: &'a [f32], columns: usize) -> Self {
        Self { data, row_stride: 1, column_stride: columns, offsets: None }
    }

    /// A matrix whose rows start at these offsets of the slice; they may overlap. Only a right factor can be one.
    #[must_use]
    pub fn scattered(data: &'a [f32], offsets: &'a [u32]) -> Self {
        Self { data, row_stride: 0, column_stride: 1, offsets: Some(offsets) }
    }

    /// The rows from this one on.
    #[must_use]
    pub fn below(self, row: usize) -> Self {
        Self { data: &self.data[row * self.row_stride..], ..self }
    }

    /// Where element (i, j) lies.
    fn at(&self, i: usize, j: usize) -> *const f32 {
        self.data.as_ptr().wrapping_add(i * self.row_stride + j * self.column_stride)
    }

    /// Where row i starts.
    #[inline(always)]
    pub(super) fn row(&self, i: usize) -> *const f32 {
        self.offsets.map_or_else(|| self.at(i, 0), |offsets| self.at(0, offsets[i] as usize))
    }

    pub(super) fn check(&self, rows: usize, columns: usize) {
        let start = match self.offsets {
            Some(offsets) => offsets[..rows].iter().max().map_or(0, |largest| *largest as usize),
            None => rows.saturating_sub(1) * self.row_stride,
        };
        let last = start + columns.saturating_sub(1) * self.column_stride;
        assert!(rows * columns == 0 || last < self.data.len(), "a matrix reaches beyond its slice");
    }
}

/// C = A B, or C += A B when `add`. A is m x k, B is k x n, C is m x n, row after row.
///
/// # Panics
/// If a matrix does not fit its slice.
#[allow(clippy::too_many_arguments)]
pub fn gemm(isa: Isa, m: usize, n: usize, k: usize, a: View, b: View, c: &mut [f32], add: bool) {
    assert!(a.offsets.is_none(), "the left factor of a product is scattered");
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
    /// Tiles of at most `M` rows and `V` vectors. For each block of k and of rows, panels of columns; a panel of B
    /// and a block of A fit the second cache, and are copied so that a tile reads them in order if that pays.
    #[inline(always)]
    unsafe fn run<L: Lanes, const M: usize, const V: usize>(self) {
        let packed = packing_memory();
        let packed_b = packed.wrapping_add(M_BLOCK * K_BLOCK);
        for k0 in (0..self.k).step_by(K_BLOCK) {
            let depth = K_BLOCK.min(self.k - k0);
            let add = self.add || k0 > 0;
            for i0 in (0..self.m).step_by(M_BLOCK) {
                let height = M_BLOCK.min(self.m - i0);
                let a = self.a.at(i0, k0);
                let pack_a = height * depth > PACK_FROM && (self.n > V * LANES || self.a.column_stride != 1);
                if pack_a {
                    unsafe { pack_rows::<L, M>(a, self.a, height, depth, packed) };
                }
                let a = if pack_a { None } else { Some((a, self.a.row_stride, self.a.column_stride)) };
                for j0 in (0..self.n).step_by(V * LANES) {
                    let width = (V * LANES).min(self.n - j0);
                    let from = self.b.at(if self.b.offsets.is_some() { 0 } else { k0 }, j0);
                    unsafe {
                        let (b, b_stride) = if self.b.column_stride != 1 && width > 1 {
                            pack_columns::<L>(from, self.b, depth, width, packed_b);
                            (packed_b.cast_const(), width)
                        } else if height > 4 * M && width == V * LANES && self.b.row_stride > width {
                            copy_rows::<L, V>(from, self.b.row_stride, depth, packed_b);
                            (packed_b.cast_const(), width)
                        } else {
                            (from, self.b.row_stride)
                        };
                        let c = self.c.add(i0 * self.n + j0);
                        let offsets = self.b.offsets.map(|offsets| offsets[k0..].as_ptr());
                        let panel = Panel { height, depth, a, packed, b, b_stride, offsets, c, add };
                        if V == 2 && width > LANES {
                            self.rows::<L, M, 2>(&panel, width);
                        } else {
                            self.rows::<L, M, 1>(&panel, width);
                        }
                    }
                }
            }
        }
    }

    /// All rows of a panel of columns.
    #[inline(always)]
    unsafe fn rows<L: Lanes, const M: usize, const V: usize>(&self, panel: &Panel, width: usize) {
        let mut i = 0;
        while i < panel.height {
            unsafe {
                i += match tile_rows::<M>(panel.height - i) {
                    12 => self.tile::<L, 12, V>(panel, i, width),
                    8 => self.tile::<L, 8, V>(panel, i, width),
                    6 => self.tile::<L, 6, V>(panel, i, width),
                    4 => self.tile::<L, 4, V>(panel, i, width),
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
        let (a, stride, step) = match panel.a {
            Some((a, stride, step)) => (a.wrapping_add(i * stride), stride, step),
            None => (panel.packed.wrapping_add(i * panel.depth), 1, R),
        };
        unsafe {
            let c = panel.c.add(i * self.n);
            match (width == V * LANES, panel.offsets.is_some()) {
                (true, false) => tile::<L, R, V, false, false>(panel, a, stride, step, c, self.n, width),
                (false, false) => tile::<L, R, V, true, false>(panel, a, stride, step, c, self.n, width),
                (true, true) => tile::<L, R, V, false, true>(panel, a, stride, step, c, self.n, width),
                (false, true) => tile::<L, R, V, true, true>(panel, a, stride, step, c, self.n, width),
            }
        }
        R
    }
}

/// Rows of the next tile when this many are left.
#[inline(always)]
fn tile_rows<const M: usize>(left: usize) -> usize {
    match left {
        12.. if M >= 12 && left != 16 => 12,
        8.. if M >= 8 => 8,
        6.. if M >= 6 => 6,
        4.. => 4,
        left => left,
    }
}

/// One block of k and of rows, and up to two vectors of columns.
struct Panel {
    height: usize,
    depth: usize,
    /// Start, distance of rows and of columns, unless the block is packed: then tile after tile, each with its
    /// columns one after another.
    a: Option<(*const f32, usize, usize)>,
    packed: *const f32,
    b: *const f32,
    b_stride: usize,
    /// Where its rows start, instead of the stride.
    offsets: Option<*const u32>,
    c: *mut f32,
    add: bool,
}

/// R x (V vectors) results in registers; `PART`: the last vector is not full; `SCATTERED`: the rows of B have offsets.
#[inline(always)]
unsafe fn tile<L: Lanes, const R: usize, const V: usize, const PART: bool, const SCATTERED: bool>(
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
        let mut offsets = panel.offsets.unwrap_or(std::ptr::null());
        for _ in 0..panel.depth {
            if SCATTERED {
                b = panel.b.add(*offsets as usize);
                offsets = offsets.add(1);
            }
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
            if !SCATTERED {
                b = b.wrapping_add(panel.b_stride);
            }
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

/// Copies `depth` rows of a panel of `V` vectors so that they are contiguous.
#[inline(always)]
unsafe fn copy_rows<L: Lanes, const V: usize>(from: *const f32, stride: usize, depth: usize, to: *mut f32) {
    for p in 0..depth {
        for v in 0..V {
            unsafe { L::load(from.add(p * stride + v * LANES)).store(to.add((p * V + v) * LANES)) };
        }
    }
}

/// Copies a panel of B whose columns are contiguous, so that its rows are, `width` elements each.
#[inline(always)]
unsafe fn pack_columns<L: Lanes>(from: *const f32, b: View, depth: usize, width: usize, to: *mut f32) {
    unsafe { transpose::strided::<L>(width, depth, from, b.column_stride, to, width) }
}

/// Copies a block of A as [`Panel`] says.
#[inline(always)]
unsafe fn pack_rows<L: Lanes, const M: usize>(
    from: *const f32,
    a: View,
    height: usize,
    depth: usize,
    to: *mut f32,
) {
    let mut i = 0;
    while i < height {
        let rows = tile_rows::<M>(height - i);
        unsafe {
            let (from, to) = (from.add(i * a.row_stride), to.add(i * depth));
            if a.column_stride == 1 {
                transpose::strided::<L>(rows, depth, from, a.row_stride, to, rows);
            } else {
                let mask = L::mask(rows);
                for p in 0..depth {
                    L::load_part(from.add(p * a.column_stride), mask).store_part(to.add(p * rows), mask);
                }
            }
        }
        i += rows;
    }
}

/// Where blocks are packed: one of A and a panel of B, for this thread.
fn packing_memory() -> *mut f32 {
    #[derive(Clone)]
    #[repr(align(64))]
    struct Line(#[allow(dead_code)] [f32; LANES]);
    thread_local! {
        static MEMORY: RefCell<Vec<Line>> = const { RefCell::new(Vec::new()) };
    }
    MEMORY.with_borrow_mut(|memory| {
        memory.resize(M_BLOCK * K_BLOCK / LANES + 2 * K_BLOCK, Line([0.0; LANES]));
        memory.as_mut_ptr().cast()
    })
}

#[cfg(test)]
#[path = "gemm_tests.rs"]
mod tests;
