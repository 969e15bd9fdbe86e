//! Pooling over windows of 2 x 2 pixels side by side, the common case: rows at a time, without branches. Images are
//! planes `[height, width]`; a last odd row or column fills no window.

use super::multiversion;

/// The larger one, the first of equals; a NaN wins, so that it reaches the loss.
#[inline(always)]
fn larger(best: f32, v: f32) -> f32 {
    if v > best || v.is_nan() { v } else { best }
}

multiversion! {
    /// y = the largest of each window.
    pub fn max_2x2(height: usize, width: usize, x: &[f32], y: &mut [f32]) {
        let (rows, columns) = (height / 2, width / 2);
        for (plane, y) in x.chunks_exact(height * width).zip(y.chunks_exact_mut(rows * columns)) {
            for (lines, y) in plane.chunks_exact(2 * width).zip(y.chunks_exact_mut(columns)) {
                let (top, bottom) = lines.split_at(width);
                let windows = top.chunks_exact(2).zip(bottom.chunks_exact(2));
                for (y, (a, b)) in y.iter_mut().zip(windows) {
                    *y = larger(larger(larger(a[0], a[1]), b[0]), b[1]);
                }
            }
        }
    }

    /// dx = dy where x is the first in its window to equal y, else 0.
    pub fn max_2x2_backward(height: usize, width: usize, x: &[f32], y: &[f32], dy: &[f32], dx: &mut [f32]) {
        let (rows, columns) = (height / 2, width / 2);
        dx.fill(0.0);
        let planes = x.chunks_exact(height * width).zip(dx.chunks_exact_mut(height * width));
        let outputs = y.chunks_exact(rows * columns).zip(dy.chunks_exact(rows * columns));
        for ((x, dx), (y, dy)) in planes.zip(outputs) {
            let lines = x.chunks_exact(2 * width).zip(dx.chunks_exact_mut(2 * width));
            let outputs = y.chunks_exact(columns).zip(dy.chunks_exact(columns));
            for ((x, dx), (y, dy)) in lines.zip(outputs) {
                let ((top, bottom), (to_top, to_bottom)) = (x.split_at(width), dx.split_at_mut(width));
                let inputs = top.chunks_exact(2).zip(bottom.chunks_exact(2));
                let gradients = to_top.chunks_exact_mut(2).zip(to_bottom.chunks_exact_mut(2));
                for (((a, b), (da, db)), (y, dy)) in inputs.zip(gradients).zip(y.iter().zip(dy)) {
                    let hits = [a[0] == *y, a[1] == *y, b[0] == *y, b[1] == *y];
                    let chosen = |hit: bool| if hit { *dy } else { 0.0 };
                    da[0] = chosen(hits[0]);
                    da[1] = chosen(!hits[0] & hits[1]);
                    db[0] = chosen(!(hits[0] | hits[1]) & hits[2]);
                    db[1] = chosen(!(hits[0] | hits[1] | hits[2]) & hits[3]);
                }
            }
        }
    }

    /// y = the mean of each window.
    pub fn mean_2x2(height: usize, width: usize, x: &[f32], y: &mut [f32]) {
        let (rows, columns) = (height / 2, width / 2);
        for (plane, y) in x.chunks_exact(height * width).zip(y.chunks_exact_mut(rows * columns)) {
            for (lines, y) in plane.chunks_exact(2 * width).zip(y.chunks_exact_mut(columns)) {
                let (top, bottom) = lines.split_at(width);
                let windows = top.chunks_exact(2).zip(bottom.chunks_exact(2));
                for (y, (a, b)) in y.iter_mut().zip(windows) {
                    *y = 0.25 * (0.0 + a[0] + a[1] + b[0] + b[1]);
                }
            }
        }
    }

    /// dx = dy / 4 in each window, 0 outside of all.
    pub fn mean_2x2_backward(height: usize, width: usize, dy: &[f32], dx: &mut [f32]) {
        let (rows, columns) = (height / 2, width / 2);
        dx.fill(0.0);
        for (dx, dy) in dx.chunks_exact_mut(height * width).zip(dy.chunks_exact(rows * columns)) {
            for (dx, dy) in dx.chunks_exact_mut(2 * width).zip(dy.chunks_exact(columns)) {
                let (top, bottom) = dx.split_at_mut(width);
                let windows = top.chunks_exact_mut(2).zip(bottom.chunks_exact_mut(2));
                for ((a, b), dy) in windows.zip(dy) {
                    let share = 0.25 * dy;
                    a.copy_from_slice(&[share, share]);
                    b.copy_from_slice(&[share, share]);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::Isa;

    #[test]
    fn by_hand() {
        // Two planes of 3 x 5: the last row and column fill no window. Ties go to the first, a NaN wins.
        let mut x = vec![0.0; 30];
        x[..10].copy_from_slice(&[1.0, 4.0, -1.0, -2.0, 9.0, 4.0, 2.0, -3.0, -1.0, 9.0]);
        x[15..25].copy_from_slice(&[1.0, f32::NAN, 5.0, 6.0, 9.0, 2.0, 3.0, 7.0, 8.0, 9.0]);
        for isa in Isa::available() {
            let (mut y, mut dx) = ([9.0; 4], [9.0; 30]);
            max_2x2(*isa, 3, 5, &x, &mut y);
            assert_eq!(y[..2], [4.0, -1.0]);
            assert!(y[2].is_nan() && y[3] == 8.0, "{y:?}");
            max_2x2_backward(*isa, 3, 5, &x, &y, &[10.0, 20.0, 30.0, 40.0], &mut dx);
            let places: Vec<(usize, f32)> = dx.into_iter().enumerate().filter(|(_, d)| *d != 0.0).collect();
            assert_eq!(places, [(1, 10.0), (2, 20.0), (23, 40.0)]);
            mean_2x2(*isa, 3, 5, &x, &mut y);
            assert_eq!(y[..2], [11.0 / 4.0, -7.0 / 4.0]);
            assert_eq!(y[3], 26.0 / 4.0);
            mean_2x2_backward(*isa, 3, 5, &[4.0, 8.0, 0.0, 0.0], &mut dx);
            assert_eq!(dx[..10], [1.0, 1.0, 2.0, 2.0, 0.0, 1.0, 1.0, 2.0, 2.0, 0.0]);
            assert!(dx[10..].iter().all(|d| *d == 0.0));
        }
    }
}
