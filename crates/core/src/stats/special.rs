//! Normal and Student distributions, with the same digits on every platform.

use crate::domain::math;
use std::f64::consts::{PI, SQRT_2};

/// Probability that a standard normal variable is at most `x`.
#[must_use]
pub fn normal_cdf(x: f64) -> f64 {
    0.5 * math::erfc(-x / SQRT_2)
}

/// The standard normal quantile: the inverse of [`normal_cdf`] by bisection and Newton's method, exact to about
/// 1e-14. `p` outside of (0, 1) gives an infinity.
#[must_use]
pub fn normal_quantile(p: f64) -> f64 {
    if p <= 0.0 {
        return f64::NEG_INFINITY;
    }
    if p >= 1.0 {
        return f64::INFINITY;
    }
    let mut x = bisect(p, -40.0, 40.0, normal_cdf);
    for _ in 0..2 {
        let density = math::exp(-0.5 * x * x) / (2.0 * PI).sqrt();
        if density > 0.0 {
            x -= (normal_cdf(x) - p) / density;
        }
    }
    x
}

/// Probability that a Student variable with `df` degrees of freedom is at most `t`.
#[must_use]
pub fn student_cdf(t: f64, df: f64) -> f64 {
    let tail = 0.5 * incomplete_beta(0.5 * df, 0.5, df / (df + t * t));
    if t > 0.0 { 1.0 - tail } else { tail }
}

/// The quantile of Student's distribution with `df` degrees of freedom.
#[must_use]
pub fn student_quantile(p: f64, df: f64) -> f64 {
    if p <= 0.0 {
        return f64::NEG_INFINITY;
    }
    if p >= 1.0 {
        return f64::INFINITY;
    }
    let mut reach = 2.0;
    while student_cdf(reach, df) < p.max(1.0 - p) && reach < 1e12 {
        reach *= 2.0;
    }
    bisect(p, -reach, reach, |t| student_cdf(t, df))
}

/// Where a growing function reaches `p`, to the last bits.
fn bisect(p: f64, mut low: f64, mut high: f64, cdf: impl Fn(f64) -> f64) -> f64 {
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            break;
        }
        if cdf(middle) < p { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

/// The regularised incomplete beta function by its continued fraction (Lentz's method; Press et al.: Numerical
/// Recipes, section 6.4).
fn incomplete_beta(a: f64, b: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    let log_front =
        math::lgamma(a + b) - math::lgamma(a) - math::lgamma(b) + a * math::ln(x) + b * math::ln(1.0 - x);
    let front = math::exp(log_front);
    if x < (a + 1.0) / (a + b + 2.0) {
        front * beta_fraction(a, b, x) / a
    } else {
        1.0 - front * beta_fraction(b, a, 1.0 - x) / b
    }
}

fn beta_fraction(a: f64, b: f64, x: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let guard = |value: f64| if value.abs() < TINY { TINY } else { value };
    let mut c = 1.0;
    let mut d = 1.0 / guard(1.0 - (a + b) * x / (a + 1.0));
    let mut result = d;
    for m in 1..500 {
        let m = f64::from(m);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let mut step = 1.0;
        for term in [even, odd] {
            d = 1.0 / guard(1.0 + term * d);
            c = guard(1.0 + term / c);
            step = c * d;
            result *= step;
        }
        if (step - 1.0_f64).abs() < 1e-15 {
            break;
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reference values: scipy.stats 1.x, `norm.ppf` and `t.ppf`.
    #[test]
    fn quantiles_are_those_of_scipy() {
        for (p, x) in [(0.975, 1.959_963_984_540_054), (0.5, 0.0), (0.001, -3.090_232_306_167_813_5)] {
            assert!((normal_quantile(p) - x).abs() < 1e-12, "{p}");
        }
        for (p, df, t) in [
            (0.975, 1.0, 12.706_204_736_432_095),
            (0.975, 4.0, 2.776_445_105_197_798_7),
            (0.95, 49.0, 1.676_550_892_616_853),
            (0.025, 29.0, -2.045_229_642_132_703),
        ] {
            assert!((student_quantile(p, df) - t).abs() < 1e-9, "{p} {df}: {}", student_quantile(p, df));
        }
    }
}
