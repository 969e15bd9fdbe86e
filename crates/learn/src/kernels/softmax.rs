//! Logarithms of probabilities, row by row.

use super::{math, multiversion, reduce};

multiversion! {
    /// y = x - ln(sum of exp(x)), over rows of `len` values.
    pub fn log_softmax(x: &[f32], y: &mut [f32], len: usize) {
        for (x, y) in x.chunks_exact(len).zip(y.chunks_exact_mut(len)) {
            // A comparison with NaN is false: it then shows in the sum.
            let largest = x.iter().fold(x[0], |m, v| if *v > m { *v } else { m });
            for (y, x) in y.iter_mut().zip(x) {
                *y = math::exp(x - largest);
            }
            let total = math::ln(reduce::sum(y));
            for (y, x) in y.iter_mut().zip(x) {
                *y = (x - largest) - total;
            }
        }
    }

    /// dx = dy - exp(y) (sum of dy), for y of [`log_softmax`].
    pub fn log_softmax_backward(y: &[f32], dy: &[f32], dx: &mut [f32], len: usize) {
        let rows = y.chunks_exact(len).zip(dy.chunks_exact(len)).zip(dx.chunks_exact_mut(len));
        for ((y, dy), dx) in rows {
            let total = reduce::sum(dy);
            for ((dx, dy), y) in dx.iter_mut().zip(dy).zip(y) {
                *dx = (-math::exp(*y)).mul_add(total, *dy);
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
        let mut y = [9.0; 4];
        log_softmax(Isa::best(), &[0.0, 1.098_612_3, 1000.0, 0.0], &mut y, 2);
        for (got, want) in y.iter().zip([-1.386_294_4, -0.287_682_07, 0.0, -1000.0]) {
            assert!((got - want).abs() < 1e-6, "{y:?}");
        }
        let mut dx = [9.0; 2];
        log_softmax_backward(Isa::best(), &y[..2], &[1.0, 3.0], &mut dx, 2);
        assert!(dx[0].abs() < 1e-6 && dx[1].abs() < 1e-6, "{dx:?}");
        log_softmax(Isa::best(), &[0.0, f32::NAN], &mut y, 2);
        assert!(y[0].is_nan() && y[1].is_nan());
    }
}
