//! exp, ln, tanh, sin and cos of f32 without tables or branches, so that the compiler vectorises loops over them.
//! Polynomials: S. L. Moshier's Cephes library (expf.c, logf.c, tanhf.c, sinf.c), evaluated with fused
//! multiply-adds. Accurate to 2 units in the last place.

#![allow(clippy::excessive_precision)]

/// 1.5 * 2^23: adding it rounds to an integer, which then stands in the low bits.
const ROUNDER: f32 = 12_582_912.0;
/// ln 2 rounded to f32, and the rest of it.
const LN_2_HIGH: f32 = std::f32::consts::LN_2;
const LN_2_LOW: f32 = -1.904_654_3e-9;

/// 2^n for n in -126..=127.
#[inline(always)]
fn power_of_two(n: i32) -> f32 {
    f32::from_bits(((n + 127) as u32) << 23)
}

/// e to the power x; infinite above 88.72, zero below -103.98, NaN of NaN.
#[inline(always)]
#[must_use]
pub fn exp(x: f32) -> f32 {
    let x = if x > 89.0 { 89.0 } else { x };
    let x = if x < -104.0 { -104.0 } else { x };
    let rounded = x.mul_add(std::f32::consts::LOG2_E, ROUNDER);
    let n = (rounded.to_bits() as i32).wrapping_sub(ROUNDER.to_bits() as i32);
    let whole = rounded - ROUNDER;
    let r = whole.mul_add(-LN_2_LOW, whole.mul_add(-LN_2_HIGH, x));
    let p = 1.987_569_15e-4f32;
    let p = p.mul_add(r, 1.398_199_95e-3);
    let p = p.mul_add(r, 8.333_451_9e-3);
    let p = p.mul_add(r, 4.166_579_6e-2);
    let p = p.mul_add(r, 1.666_666_55e-1);
    let p = p.mul_add(r, 5.000_000_1e-1);
    let y = p.mul_add(r * r, r) + 1.0;
    // In two halves: 2^n itself may be subnormal or too large. A NaN's n is arbitrary, its y is NaN.
    let half = n >> 1;
    let (first, second) = (half.clamp(-126, 127), (n.wrapping_sub(half)).clamp(-126, 127));
    y * power_of_two(first) * power_of_two(second)
}

/// 1 / (1 + exp(-x)).
#[inline(always)]
#[must_use]
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// Natural logarithm; -infinity of zero, NaN of negative numbers and of NaN.
#[inline(always)]
#[must_use]
pub fn ln(x: f32) -> f32 {
    let tiny = x < f32::MIN_POSITIVE;
    let scaled = if tiny { x * 8_388_608.0 } else { x };
    let bits = scaled.to_bits() as i32;
    // The mantissa in [sqrt(1/2), sqrt(2)) and its exponent.
    let offset = bits.wrapping_sub(0x3f35_04f3);
    let exponent = offset >> 23;
    let m = f32::from_bits((bits.wrapping_sub(exponent << 23)) as u32) - 1.0;
    let e = exponent as f32 - if tiny { 23.0 } else { 0.0 };
    let p = 7.037_683_6e-2f32;
    let p = p.mul_add(m, -1.151_461_03e-1);
    let p = p.mul_add(m, 1.167_699_87e-1);
    let p = p.mul_add(m, -1.242_014_08e-1);
    let p = p.mul_add(m, 1.424_932_28e-1);
    let p = p.mul_add(m, -1.666_805_77e-1);
    let p = p.mul_add(m, 2.000_071_48e-1);
    let p = p.mul_add(m, -2.499_999_4e-1);
    let p = p.mul_add(m, 3.333_333_1e-1);
    let z = m * m;
    let y = (p * m).mul_add(z, e * LN_2_LOW);
    let y = z.mul_add(-0.5, y) + m;
    let y = e.mul_add(LN_2_HIGH, y);
    let y = if x == f32::INFINITY { x } else { y };
    let y = if x == 0.0 { f32::NEG_INFINITY } else { y };
    if x < 0.0 || x.is_nan() { f32::NAN } else { y }
}

/// Hyperbolic tangent; NaN of NaN.
#[inline(always)]
#[must_use]
pub fn tanh(x: f32) -> f32 {
    let a = x.abs();
    let large = 1.0 - 2.0 / (exp(a + a) + 1.0);
    let z = x * x;
    let p = -5.704_988_7e-3f32;
    let p = p.mul_add(z, 2.063_908_88e-2);
    let p = p.mul_add(z, -5.373_971_55e-2);
    let p = p.mul_add(z, 1.333_144_22e-1);
    let p = p.mul_add(z, -3.333_328_2e-1);
    let small = (p * z).mul_add(x, x);
    if a < 0.625 { small } else { large.copysign(x) }
}

/// pi / 2 in three parts.
const HALF_PI: [f32; 3] = [std::f32::consts::FRAC_PI_2, -4.371_138_83e-8, -1.715_124_5e-15];

/// sin(x + quarters pi / 2).
///
/// Cody and Waite's reduction: x - n pi / 2 for the nearest n, exact in its first step because n has few bits.
#[inline(always)]
fn sin_of_quarters(x: f32, quarters: u32) -> f32 {
    let rounded = x.mul_add(std::f32::consts::FRAC_2_PI, ROUNDER);
    let quarters = rounded.to_bits().wrapping_sub(ROUNDER.to_bits()).wrapping_add(quarters);
    let n = rounded - ROUNDER;
    let r = HALF_PI.iter().fold(x, |r, part| n.mul_add(-part, r));
    let z = r * r;
    let p = (-1.951_529_589_1e-4f32).mul_add(z, 8.332_160_873_6e-3).mul_add(z, -1.666_665_461_1e-1);
    let sine = (p * z).mul_add(r, r);
    let p = 2.443_315_711_809_948e-5f32.mul_add(z, -1.388_731_625_493_765e-3);
    let p = p.mul_add(z, 4.166_664_568_298_827e-2);
    let cosine = (p * z).mul_add(z, z.mul_add(-0.5, 1.0));
    let value = if quarters & 1 == 0 { sine } else { cosine };
    let value = f32::from_bits(value.to_bits() ^ (quarters & 2) << 30);
    if x.abs() <= 4e6 { value } else { f32::NAN }
}

/// Sine; within 2 units in the last place while |x| is at most 8192, then ever less accurate, NaN beyond 4 million.
#[inline(always)]
#[must_use]
pub fn sin(x: f32) -> f32 {
    sin_of_quarters(x, 0)
}

/// Cosine, as accurate as [`sin`].
#[inline(always)]
#[must_use]
pub fn cos(x: f32) -> f32 {
    sin_of_quarters(x, 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Distance in units in the last place of the exact value.
    fn ulps(got: f32, exact: f64) -> f64 {
        let magnitude = (exact.abs() as f32).max(f32::MIN_POSITIVE);
        let ulp = f64::from(f32::from_bits(magnitude.to_bits() + 1)) - f64::from(magnitude);
        (f64::from(got) - exact).abs() / ulp
    }

    fn worst(from: f32, to: f32, f: fn(f32) -> f32, exact: fn(f64) -> f64) -> f64 {
        let n = 200_000;
        (0..=n)
            .map(|i| from + (to - from) * (i as f32 / n as f32))
            .map(|x| ulps(f(x), exact(f64::from(x))))
            .fold(0.0, f64::max)
    }

    #[test]
    fn within_two_units_in_the_last_place() {
        assert!(worst(-87.0, 88.7, exp, libm::exp) < 2.0);
        assert!(worst(-1.0, 1.0, exp, libm::exp) < 2.0);
        assert!(worst(1e-6, 4.0, ln, libm::log) < 2.0);
        assert!(worst(0.9, 1.1, ln, libm::log) < 2.0);
        assert!(worst(4.0, 1e30, ln, libm::log) < 2.0);
        assert!(worst(-10.0, 10.0, tanh, libm::tanh) < 2.0);
        assert!(worst(-0.7, 0.7, tanh, libm::tanh) < 2.0);
        for (from, to) in [(-1.0, 1.0), (-10.0, 10.0), (100.0, 200.0), (-8192.0, 8192.0)] {
            assert!(worst(from, to, sin, libm::sin) < 2.0, "{from} {to}");
            assert!(worst(from, to, cos, libm::cos) < 2.0, "{from} {to}");
        }
        // Next to multiples of pi / 2, where the reduction loses most.
        for n in 1..5215u32 {
            let near = (f64::from(n) * std::f64::consts::FRAC_PI_2) as f32;
            let exact = f64::from(near);
            assert!(ulps(sin(near), libm::sin(exact)) < 2.0, "sin {near}");
            assert!(ulps(cos(-near), libm::cos(exact)) < 2.0, "cos {near}");
        }
    }

    #[test]
    fn ends_of_the_range() {
        assert_eq!((exp(0.0), exp(200.0), exp(-200.0)), (1.0, f32::INFINITY, 0.0));
        assert_eq!((exp(f32::NEG_INFINITY), exp(f32::INFINITY)), (0.0, f32::INFINITY));
        assert!(exp(-100.0) > 0.0 && exp(88.7).is_finite());
        assert_eq!((ln(1.0), ln(0.0), ln(f32::INFINITY)), (0.0, f32::NEG_INFINITY, f32::INFINITY));
        assert!((ln(1e-40) + 92.1034).abs() < 1e-3);
        assert_eq!((tanh(0.0), tanh(50.0), tanh(-50.0)), (0.0, 1.0, -1.0));
        assert!(exp(f32::NAN).is_nan() && ln(f32::NAN).is_nan() && tanh(f32::NAN).is_nan());
        assert!(ln(-1.0).is_nan());
        assert_eq!((sin(0.0), cos(0.0)), (0.0, 1.0));
        assert!(sin(f32::NAN).is_nan() && cos(f32::INFINITY).is_nan() && sin(1e7).is_nan());
    }
}
