//! Transposes of matrices, in blocks of 16 x 16 that stay in registers.

use super::Isa;
use super::lanes::{LANES, Lanes};

/// `to` [columns, rows] becomes the transpose of `from` [rows, columns].
///
/// # Panics
/// If a matrix does not fit its slice.
pub fn transpose(isa: Isa, rows: usize, columns: usize, from: &[f32], to: &mut [f32]) {
    transpose_strided(isa, (rows, columns), (from, columns), (to, rows));
}

/// As [`transpose`], for matrices whose rows lie the given numbers of elements apart.
///
/// # Panics
/// If a matrix does not fit its slice.
pub fn transpose_strided(
    isa: Isa,
    (rows, columns): (usize, usize),
    (from, from_stride): (&[f32], usize),
    (to, to_stride): (&mut [f32], usize),
) {
    if rows == 0 || columns == 0 {
        return;
    }
    let fits =
        from.len() >= (rows - 1) * from_stride + columns && to.len() >= (columns - 1) * to_stride + rows;
    assert!(fits, "a matrix reaches beyond its slice");
    let (from, to) = (from.as_ptr(), to.as_mut_ptr());
    // SAFETY: the bounds were checked, and `Isa::available` offers only what the processor has.
    unsafe {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => avx512(rows, columns, from, from_stride, to, to_stride),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => avx2(rows, columns, from, from_stride, to, to_stride),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => strided::<super::lanes::arm::Quad>(rows, columns, from, from_stride, to, to_stride),
            _ => strided::<[f32; LANES]>(rows, columns, from, from_stride, to, to_stride),
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,avx512f")]
unsafe fn avx512(m: usize, n: usize, from: *const f32, from_stride: usize, to: *mut f32, to_stride: usize) {
    unsafe { strided::<std::arch::x86_64::__m512>(m, n, from, from_stride, to, to_stride) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2(m: usize, n: usize, from: *const f32, from_stride: usize, to: *mut f32, to_stride: usize) {
    unsafe { strided::<super::lanes::x86::Pair>(m, n, from, from_stride, to, to_stride) }
}

/// As [`transpose_strided`], for code of one instruction set.
///
/// # Safety
/// Both matrices must be valid, and the processor must have the instruction set.
#[inline(always)]
pub(super) unsafe fn strided<L: Lanes>(
    rows: usize,
    columns: usize,
    from: *const f32,
    from_stride: usize,
    to: *mut f32,
    to_stride: usize,
) {
    for i in (0..rows).step_by(LANES) {
        let height = LANES.min(rows - i);
        for j in (0..columns).step_by(LANES) {
            let width = LANES.min(columns - j);
            unsafe {
                let (from, to) = (from.add(i * from_stride + j), to.add(j * to_stride + i));
                if width == 1 {
                    (0..height).for_each(|r| *to.add(r) = *from.add(r * from_stride));
                } else if height == 1 {
                    (0..width).for_each(|c| *to.add(c * to_stride) = *from.add(c));
                } else if height == LANES && width == LANES {
                    block::<L, false>(height, width, from, from_stride, to, to_stride);
                } else {
                    block::<L, true>(height, width, from, from_stride, to, to_stride);
                }
            }
        }
    }
}

/// One block; `PART`: of less than 16 rows or columns.
#[inline(always)]
unsafe fn block<L: Lanes, const PART: bool>(
    height: usize,
    width: usize,
    from: *const f32,
    from_stride: usize,
    to: *mut f32,
    to_stride: usize,
) {
    unsafe {
        let mut rows = [L::splat(0.0); LANES];
        for (r, row) in rows.iter_mut().enumerate().take(height) {
            let from = from.add(r * from_stride);
            *row = if PART { L::load_part(from, L::mask(width)) } else { L::load(from) };
        }
        // Four perfect shuffles of the sixteen rows.
        for _ in 0..4 {
            let mut shuffled = rows;
            for r in 0..LANES / 2 {
                (shuffled[2 * r], shuffled[2 * r + 1]) = rows[r].interleave(rows[r + LANES / 2]);
            }
            rows = shuffled;
        }
        for (c, column) in rows.iter().enumerate().take(width) {
            let to = to.add(c * to_stride);
            if PART { column.store_part(to, L::mask(height)) } else { column.store(to) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_element_comes_to_its_place() {
        for (rows, columns) in
            [(1, 1), (16, 16), (3, 5), (17, 33), (12, 100), (1, 40), (40, 1), (48, 32), (0, 3)]
        {
            let from: Vec<f32> = (0..rows * columns).map(|i| i as f32).collect();
            for isa in Isa::available() {
                let mut to = vec![-1.0; rows * columns];
                transpose(*isa, rows, columns, &from, &mut to);
                let right = |i: usize| to[i] == from[i % rows * columns + i / rows];
                assert!((0..to.len()).all(right), "{rows}x{columns} {isa:?}");
            }
        }
    }
}
