//! Loops over slices: activations, bias, sums of columns, the optimiser's arithmetic.

use super::{math, multiversion};

multiversion! {
    /// y = tanh(y).
    pub fn tanh(y: &mut [f32]) {
        for y in y {
            *y = math::tanh(*y);
        }
    }

    /// y = 1 / (1 + exp(-y)).
    pub fn sigmoid(y: &mut [f32]) {
        for y in y {
            *y = math::sigmoid(*y);
        }
    }

    /// dy = dy y (1 - y), for y = sigmoid(x).
    pub fn sigmoid_backward(dy: &mut [f32], y: &[f32]) {
        for (dy, y) in dy.iter_mut().zip(y) {
            *dy *= y * (1.0 - y);
        }
    }

    /// y = sin(scale x).
    pub fn sine(x: &[f32], y: &mut [f32], scale: f32) {
        for (y, x) in y.iter_mut().zip(x) {
            *y = math::sin(scale * x);
        }
    }

    /// dx = dy scale cos(scale x).
    pub fn sine_backward(x: &[f32], dy: &[f32], dx: &mut [f32], scale: f32) {
        for ((dx, dy), x) in dx.iter_mut().zip(dy).zip(x) {
            *dx = dy * scale * math::cos(scale * x);
        }
    }

    /// y = max(y, 0); NaN stays.
    pub fn relu(y: &mut [f32]) {
        for y in y {
            *y = if *y < 0.0 { 0.0 } else { *y };
        }
    }

    /// dy = dy (1 - y^2), for y = tanh(x).
    pub fn tanh_backward(dy: &mut [f32], y: &[f32]) {
        for (dy, y) in dy.iter_mut().zip(y) {
            *dy *= (-*y).mul_add(*y, 1.0);
        }
    }

    /// dy = dy where y > 0, else 0, for y = max(x, 0).
    pub fn relu_backward(dy: &mut [f32], y: &[f32]) {
        for (dy, y) in dy.iter_mut().zip(y) {
            *dy = if *y > 0.0 { *dy } else { 0.0 };
        }
    }

    /// Each row of y becomes the bias.
    pub fn fill_rows(y: &mut [f32], bias: &[f32]) {
        for row in y.chunks_exact_mut(bias.len()) {
            row.copy_from_slice(bias);
        }
    }

    /// `to` becomes the transpose of `from`, a matrix with this many columns.
    pub fn transpose(from: &[f32], columns: usize, to: &mut [f32]) {
        let rows = from.len() / columns;
        // In blocks that stay in the cache.
        for first in (0..columns).step_by(16) {
            for (i, row) in from.chunks_exact(columns).enumerate() {
                for (j, value) in row.iter().enumerate().skip(first).take(16) {
                    to[j * rows + i] = *value;
                }
            }
        }
    }

    /// sums = the sum of the rows of dy, in order of the rows.
    pub fn sum_rows(dy: &[f32], sums: &mut [f32]) {
        sums.fill(0.0);
        for row in dy.chunks_exact(sums.len()) {
            for (sum, d) in sums.iter_mut().zip(row) {
                *sum += d;
            }
        }
    }

    /// The sum of values: sixteen lanes, then a fixed tree.
    pub fn sum(values: &[f32]) -> f32 {
        let mut lanes = [0f32; 16];
        let chunks = values.chunks_exact(16);
        let rest = chunks.remainder();
        for chunk in chunks {
            for (lane, v) in lanes.iter_mut().zip(chunk) {
                *lane += v;
            }
        }
        for (lane, v) in lanes.iter_mut().zip(rest) {
            *lane += v;
        }
        for half in [8, 4, 2, 1] {
            for i in 0..half {
                lanes[i] += lanes[i + half];
            }
        }
        lanes[0]
    }

    /// The sum of squares in f64: sixteen lanes, then a fixed tree.
    pub fn sum_squares(values: &[f32]) -> f64 {
        let mut lanes = [0f64; 16];
        for chunk in values.chunks(16) {
            for (lane, v) in lanes.iter_mut().zip(chunk) {
                let v = f64::from(*v);
                *lane = v.mul_add(v, *lane);
            }
        }
        for half in [8, 4, 2, 1] {
            for i in 0..half {
                lanes[i] += lanes[i + half];
            }
        }
        lanes[0]
    }

    /// Whether no value is NaN or infinite.
    pub fn all_finite(values: &[f32]) -> bool {
        const EXPONENT: u32 = 0x7f80_0000;
        let broken = |v: &f32| u32::from(v.to_bits() & EXPONENT == EXPONENT);
        values.chunks(1024).all(|chunk| chunk.iter().map(broken).sum::<u32>() == 0)
    }

    /// y = (1 - share) y + share x.
    pub fn average(y: &mut [f32], share: f32, x: &[f32]) {
        for (y, x) in y.iter_mut().zip(x) {
            *y = share.mul_add(x - *y, *y);
        }
    }

    /// y = factor x + y.
    pub fn add_scaled(y: &mut [f32], factor: f32, x: &[f32]) {
        for (y, x) in y.iter_mut().zip(x) {
            *y = factor.mul_add(*x, *y);
        }
    }

    /// y = factor y.
    pub fn scale(y: &mut [f32], factor: f32) {
        for y in y {
            *y *= factor;
        }
    }

    /// y = y - x.
    pub fn subtract(y: &mut [f32], x: &[f32]) {
        for (y, x) in y.iter_mut().zip(x) {
            *y -= x;
        }
    }

    /// to = (from / divisor - mean) / deviation.
    pub fn normalise(to: &mut [f32], from: &[u8], divisor: f32, mean: f32, deviation: f32) {
        for (to, from) in to.iter_mut().zip(from) {
            *to = (f32::from(*from) / divisor - mean) / deviation;
        }
    }

    /// to = (from / divisor - mean) / deviation, each value with its own mean and deviation.
    pub fn normalise_each(to: &mut [f32], from: &[u8], divisor: f32, mean: &[f32], deviation: &[f32]) {
        for (((to, from), mean), deviation) in to.iter_mut().zip(from).zip(mean).zip(deviation) {
            *to = (f32::from(*from) / divisor - mean) / deviation;
        }
    }

    /// to = from / divisor.
    pub fn divide(to: &mut [f32], from: &[u8], divisor: f32) {
        for (to, from) in to.iter_mut().zip(from) {
            *to = f32::from(*from) / divisor;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::Isa;
    use hcddl_core::domain::digest::of_values;

    #[test]
    fn every_instruction_set_gives_the_same_bits() {
        for len in [0, 1, 15, 16, 17, 100] {
            let x: Vec<f32> = (0..len).map(|i| (i as f32 * 0.37 - 9.0).abs() * 0.3 - 1.0).collect();
            let digests: Vec<_> = Isa::available()
                .iter()
                .map(|isa| {
                    let mut y = x.clone();
                    tanh(*isa, &mut y);
                    tanh_backward(*isa, &mut y, &x);
                    add_scaled(*isa, &mut y, 0.3, &x);
                    relu_backward(*isa, &mut y, &x);
                    let mut sines = x.clone();
                    sine(*isa, &x, &mut sines, 30.0);
                    sine_backward(*isa, &x, &sines, &mut y, 30.0);
                    average(*isa, &mut y, 0.3, &x);
                    let (total, squares) = (sum(*isa, &y), sum_squares(*isa, &y));
                    y.extend([total, squares as f32]);
                    of_values(&y)
                })
                .collect();
            assert!(digests.windows(2).all(|pair| pair[0] == pair[1]), "{len}: {digests:?}");
        }
    }

    #[test]
    fn sums_and_normalisation() {
        let isa = Isa::best();
        let values: Vec<f32> = (1..=100).map(|i| i as f32).collect();
        assert_eq!(sum(isa, &values), 5050.0);
        assert_eq!(sum_squares(isa, &values), 338_350.0);
        assert!(all_finite(isa, &values) && all_finite(isa, &[]));
        for broken in [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let with = [&values[..], &[broken]].concat();
            assert!(!all_finite(isa, &with) && !all_finite(isa, &[broken]), "{broken}");
        }
        assert!(all_finite(isa, &[f32::MAX, f32::MIN, f32::MIN_POSITIVE, -0.0]));
        let mut sums = [9.0; 3];
        sum_rows(isa, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &mut sums);
        assert_eq!(sums, [5.0, 7.0, 9.0]);
        let mut x = [0.0; 2];
        normalise(isa, &mut x, &[0, 255], 255.0, 0.5, 0.25);
        assert_eq!(x, [-2.0, 2.0]);
        let mut transposed = [0.0; 6];
        transpose(isa, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 3, &mut transposed);
        assert_eq!(transposed, [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
        divide(isa, &mut x, &[0, 51], 255.0);
        assert_eq!(x, [0.0, 51.0 / 255.0]);
    }

    #[test]
    fn relu_keeps_nan() {
        let mut y = [f32::NAN, -1.0, 2.0];
        relu(Isa::best(), &mut y);
        assert!(y[0].is_nan() && y[1..] == [0.0, 2.0]);
    }
}
