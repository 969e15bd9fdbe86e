//! Normalisation: moments of channels and groups, and what is made of them. Sums of slices are f32 in sixteen lanes
//! (see `reduce`), sums over slices f64 in order.

use super::{multiversion, reduce};

/// Added to variances, as PyTorch does by default.
pub const EPSILON: f32 = 1e-5;

/// Slices of equal length, evenly spaced in a vector: a channel's pixels in each row of a batch.
#[derive(Clone, Copy, Debug)]
pub struct Planes {
    /// First value of the first slice.
    pub start: usize,
    /// From the start of one slice to the start of the next.
    pub stride: usize,
    /// Values of a slice.
    pub len: usize,
}

impl Planes {
    /// One slice: all of a vector.
    #[must_use]
    pub fn whole(len: usize) -> Self {
        Self { start: 0, stride: len, len }
    }

    #[inline(always)]
    fn of(self, data: &[f32]) -> impl Iterator<Item = &[f32]> {
        data.get(self.start..).unwrap_or_default().chunks(self.stride).map(move |chunk| &chunk[..self.len])
    }

    /// The slices of a vector; none of an empty one.
    #[inline(always)]
    pub fn of_mut(self, data: &mut [f32]) -> impl Iterator<Item = &mut [f32]> {
        data.get_mut(self.start..)
            .unwrap_or_default()
            .chunks_mut(self.stride)
            .map(move |chunk| &mut chunk[..self.len])
    }
}

/// Mean and biased variance of all values of the slices, in two passes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moments {
    /// The mean.
    pub mean: f32,
    /// The mean of the squared distances from the mean.
    pub variance: f32,
}

impl Moments {
    /// 1 / sqrt(variance + [`EPSILON`]).
    #[inline(always)]
    #[must_use]
    pub fn precision(self) -> f32 {
        1.0 / (self.variance + EPSILON).sqrt()
    }
}

multiversion! {
    /// The moments of slices.
    pub fn moments(x: &[f32], planes: Planes) -> Moments {
        let mut count = 0;
        let mut total = 0f64;
        for plane in planes.of(x) {
            count += plane.len();
            total += f64::from(reduce::sum(plane));
        }
        let mean = (total / count as f64) as f32;
        let squares = |plane: &[f32]| reduce::sums(plane, plane, |x, _| [(x - mean) * (x - mean)])[0];
        let total = planes.of(x).fold(0f64, |total, plane| total + f64::from(squares(plane)));
        Moments { mean, variance: (total / count as f64) as f32 }
    }

    /// y = (x - mean) factor + shift.
    pub fn shift_and_scale(x: &[f32], y: &mut [f32], planes: Planes, mean: f32, factor: f32, shift: f32) {
        for (x, y) in planes.of(x).zip(planes.of_mut(y)) {
            for (y, x) in y.iter_mut().zip(x) {
                *y = (x - mean).mul_add(factor, shift);
            }
        }
    }

    /// The sums of dy and of dy (x - mean).
    pub fn gradient_sums(dy: &[f32], x: &[f32], planes: Planes, mean: f32) -> [f64; 2] {
        let mut sums = [0f64; 2];
        for (dy, x) in planes.of(dy).zip(planes.of(x)) {
            let own = reduce::sums(dy, x, |d, x| [d, d * (x - mean)]);
            sums[0] += f64::from(own[0]);
            sums[1] += f64::from(own[1]);
        }
        sums
    }

    /// dx = a dy + b (x - mean) + c.
    pub fn combine(dy: &[f32], x: &[f32], dx: &mut [f32], planes: Planes, mean: f32, factors: [f32; 3]) {
        let [a, b, c] = factors;
        for ((dy, x), dx) in planes.of(dy).zip(planes.of(x)).zip(planes.of_mut(dx)) {
            for ((dx, dy), x) in dx.iter_mut().zip(dy).zip(x) {
                *dx = a.mul_add(*dy, b.mul_add(x - mean, c));
            }
        }
    }

    /// Each row of x normalised, times `scale` plus `shift`; `kept` gets each row's mean and variance.
    pub fn layer_norm(x: &[f32], y: &mut [f32], scale: &[f32], shift: &[f32], kept: &mut [f32]) {
        let len = scale.len();
        let rows = x.chunks_exact(len).zip(y.chunks_exact_mut(len)).zip(kept.chunks_exact_mut(2));
        for ((x, y), kept) in rows {
            let mean = reduce::sum(x) / len as f32;
            let variance = reduce::sums(x, x, |x, _| [(x - mean) * (x - mean)])[0] / len as f32;
            let precision = Moments { mean, variance }.precision();
            for (((y, x), scale), shift) in y.iter_mut().zip(x).zip(scale).zip(shift) {
                *y = ((x - mean) * precision).mul_add(*scale, *shift);
            }
            kept.copy_from_slice(&[mean, variance]);
        }
    }

    /// The gradients with respect to the scale and shift of [`layer_norm`], summed in order of the rows.
    pub fn layer_norm_gradient(x: &[f32], dy: &[f32], scale: &mut [f32], shift: &mut [f32], kept: &[f32]) {
        let len = scale.len();
        scale.fill(0.0);
        shift.fill(0.0);
        for ((x, dy), kept) in x.chunks_exact(len).zip(dy.chunks_exact(len)).zip(kept.chunks_exact(2)) {
            let (mean, precision) = (kept[0], Moments { mean: kept[0], variance: kept[1] }.precision());
            for (((scale, shift), x), dy) in scale.iter_mut().zip(shift.iter_mut()).zip(x).zip(dy) {
                *scale = ((x - mean) * precision).mul_add(*dy, *scale);
                *shift += dy;
            }
        }
    }

    /// The gradient with respect to the input of [`layer_norm`].
    pub fn layer_norm_backward(x: &[f32], dy: &[f32], dx: &mut [f32], scale: &[f32], kept: &[f32]) {
        let len = scale.len();
        let rows = x.chunks_exact(len).zip(dy.chunks_exact(len)).zip(dx.chunks_exact_mut(len));
        for (((x, dy), dx), kept) in rows.zip(kept.chunks_exact(2)) {
            let (mean, precision) = (kept[0], Moments { mean: kept[0], variance: kept[1] }.precision());
            for ((dx, dy), scale) in dx.iter_mut().zip(dy).zip(scale) {
                *dx = dy * scale;
            }
            let sums = reduce::sums(dx, x, |d, x| [d, d * (x - mean)]);
            let [a, b, c] = input_factors(sums.map(f64::from), len, precision);
            for (dx, x) in dx.iter_mut().zip(x) {
                *dx = a.mul_add(*dx, b.mul_add(x - mean, c));
            }
        }
    }
}

/// For n normalised values and d the gradient with respect to them: from the sums of d and of d (x - mean) the
/// factors a, b, c of dx = a d + b (x - mean) + c.
#[inline(always)]
#[must_use]
pub fn input_factors(sums: [f64; 2], n: usize, precision: f32) -> [f32; 3] {
    let p = f64::from(precision);
    let [plain, product] = sums.map(|sum| sum / n as f64);
    [precision, (-p * p * p * product) as f32, (-p * plain) as f32]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::Isa;
    use hcddl_core::domain::digest::of_values;

    #[test]
    fn moments_of_a_channel_by_hand_and_far_from_zero() {
        // Two rows of two channels of three pixels.
        let x = [1.0, 2.0, 3.0, 9.0, 9.0, 9.0, 4.0, 5.0, 6.0, 9.0, 9.0, 9.0];
        let planes = Planes { start: 0, stride: 6, len: 3 };
        let isa = Isa::best();
        assert_eq!(moments(isa, &x, planes), Moments { mean: 3.5, variance: 17.5 / 6.0 });
        assert_eq!(moments(isa, &x, Planes { start: 3, ..planes }), Moments { mean: 9.0, variance: 0.0 });
        let far: Vec<f32> = (0..1000).map(|i| 10_000.0 + (i % 2) as f32).collect();
        let Moments { mean, variance } = moments(isa, &far, Planes::whole(1000));
        assert!((mean - 10_000.5).abs() < 1e-2 && (variance - 0.25).abs() < 1e-4, "{mean} {variance}");
    }

    #[test]
    fn every_instruction_set_gives_the_same_bits() {
        for len in [1usize, 3, 15, 16, 17, 50] {
            let x: Vec<f32> = (0..6 * len).map(|i| (i * i % 101) as f32 * 0.37 - 9.0).collect();
            let digest = |isa: &Isa| {
                let planes = Planes { start: len, stride: 2 * len, len };
                let (mut y, mut dx, mut kept) = (x.clone(), x.clone(), vec![0.0; 12]);
                let Moments { mean, variance } = moments(*isa, &x, planes);
                shift_and_scale(*isa, &x, &mut y, planes, mean, variance, 0.3);
                let sums = gradient_sums(*isa, &y, &x, planes, mean).map(|s| s as f32);
                combine(*isa, &y, &x, &mut dx, planes, mean, [sums[0], sums[1], variance]);
                let (scale, shift) = (&x[..len], &x[len..2 * len]);
                layer_norm(*isa, &dx.clone(), &mut dx, scale, shift, &mut kept);
                layer_norm_backward(*isa, &x, &dx, &mut y, scale, &kept);
                let (scale, shift) = y[..2 * len].split_at_mut(len);
                layer_norm_gradient(*isa, &x, &dx, scale, shift, &kept);
                y.extend(dx);
                of_values(&y)
            };
            let digests: Vec<_> = Isa::available().iter().map(digest).collect();
            assert!(digests.windows(2).all(|pair| pair[0] == pair[1]), "{len}: {digests:?}");
        }
    }
}
