//! Interpolating cubic splines on evenly spaced points, with "not a knot" ends: what SciPy's interp1d(kind="cubic")
//! and RectBivariateSpline compute.

/// Fewest points of a spline.
pub(super) const POINTS_MIN: usize = 4;

/// Coefficients of the B-splines centred at -1, 0, .. n of the curve through these n points.
///
/// The curve passes through point i when c[i-1] + 4 c[i] + c[i+1] = 6 f[i]. That its third derivative does not jump
/// at the second point, with the first three of these, gives c[1] = (8 f[1] - f[0] - f[2]) / 6 at once; so at the
/// other end. What remains is tridiagonal.
fn coefficients(f: &[f64]) -> Vec<f64> {
    let n = f.len();
    let mut c = vec![0.0; n + 2];
    // c[i] stands at i + 1.
    let end = |a: f64, b: f64, d: f64| (8.0 * b - a - d) / 6.0;
    c[2] = end(f[0], f[1], f[2]);
    c[n - 1] = end(f[n - 3], f[n - 2], f[n - 1]);
    // Thomas' algorithm for points 2 to n - 3.
    let mut ratio = vec![0.0; n];
    for i in 2..n - 2 {
        let pivot = 4.0 - ratio[i - 1];
        ratio[i] = 1.0 / pivot;
        c[i + 1] = (6.0 * f[i] - c[i]) / pivot;
    }
    for i in (2..n - 2).rev() {
        c[i + 1] -= ratio[i] * c[i + 2];
    }
    c[1] = 6.0 * f[1] - 4.0 * c[2] - c[3];
    c[0] = 6.0 * f[0] - 4.0 * c[1] - c[2];
    c[n] = 6.0 * f[n - 2] - 4.0 * c[n - 1] - c[n - 2];
    c[n + 1] = 6.0 * f[n - 1] - 4.0 * c[n] - c[n - 1];
    c
}

/// The first of the four coefficients that count at `u` points from the first one, and their weights; what lies
/// outside is taken to the edge.
fn weights(u: f64, points: usize) -> (usize, [f64; 4]) {
    let u = u.clamp(0.0, (points - 1) as f64);
    let first = (u as usize).min(points - 2);
    let t = u - first as f64;
    let (s, t2, t3) = (1.0 - t, t * t, t * t * t);
    let sixth = [s * s * s, 3.0 * t3 - 6.0 * t2 + 4.0, 3.0 * (t + t2 - t3) + 1.0, t3];
    (first, sixth.map(|weight| weight / 6.0))
}

/// The curve through `values` at 0, 1, 2, ..., at `count` evenly spaced places from the first to the last.
///
/// # Panics
/// With fewer than four values.
pub(super) fn interpolate(values: &[f64], count: usize) -> Vec<f64> {
    let c = coefficients(values);
    let last = (values.len() - 1) as f64;
    let at = |k: usize| {
        let (first, weights) = weights(last * k as f64 / (count - 1).max(1) as f64, values.len());
        (0..4).map(|i| weights[i] * c[first + i]).sum()
    };
    (0..count).map(at).collect()
}

/// A bicubic spline through the values of a picture.
#[derive(Debug)]
pub(super) struct Surface {
    /// Columns of the picture.
    pub(super) width: usize,
    /// Rows of the picture.
    pub(super) height: usize,
    /// Rows of `width + 2`, `height + 2` of them.
    coefficients: Vec<f64>,
}

impl Surface {
    /// Through these values, row by row.
    ///
    /// # Panics
    /// With fewer than four rows or columns.
    pub(super) fn new(values: &[f64], width: usize) -> Self {
        let height = values.len() / width;
        let mut half: Vec<f64> = Vec::with_capacity(height * (width + 2));
        values.chunks_exact(width).for_each(|row| half.extend(coefficients(row)));
        let mut whole = vec![0.0; (height + 2) * (width + 2)];
        for x in 0..width + 2 {
            let column: Vec<f64> = (0..height).map(|y| half[y * (width + 2) + x]).collect();
            for (y, c) in coefficients(&column).into_iter().enumerate() {
                whole[y * (width + 2) + x] = c;
            }
        }
        Self { width, height, coefficients: whole }
    }

    /// Its value at a column and a row, which may be fractions.
    pub(super) fn at(&self, column: f64, row: f64) -> f64 {
        let (x, across) = weights(column, self.width);
        let (y, down) = weights(row, self.height);
        let mut sum = 0.0;
        for (i, down) in down.iter().enumerate() {
            let row = &self.coefficients[(y + i) * (self.width + 2) + x..][..4];
            sum += down * (0..4).map(|j| across[j] * row[j]).sum::<f64>();
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cubic(x: f64) -> f64 {
        2.0 - x + 0.5 * x * x - 0.1 * x * x * x
    }

    #[test]
    fn a_cubic_is_met_everywhere_whatever_the_number_of_points() {
        for n in POINTS_MIN..10 {
            let values: Vec<f64> = (0..n).map(|i| cubic(i as f64)).collect();
            let count = 10 * (n - 1);
            for (k, y) in interpolate(&values, count).into_iter().enumerate() {
                let x = (n - 1) as f64 * k as f64 / (count - 1) as f64;
                assert!((y - cubic(x)).abs() < 1e-10, "{n} points, at {x}: {y}");
            }
        }
    }

    #[test]
    fn any_points_are_met() {
        let values = [0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 0.0];
        for (value, met) in values.iter().zip(interpolate(&values, 7)) {
            assert!((value - met).abs() < 1e-12);
        }
    }

    #[test]
    fn a_surface_meets_a_product_of_cubics_and_ends_at_its_edge() {
        let (width, height) = (7, 5);
        let points = (0..height).flat_map(|y| (0..width).map(move |x| (x as f64, y as f64)));
        let values: Vec<f64> = points.map(|(x, y)| cubic(x) * cubic(0.5 * y)).collect();
        let surface = Surface::new(&values, width);
        for (x, y) in [(0.0, 0.0), (2.5, 1.25), (5.75, 3.5), (6.0, 4.0)] {
            assert!((surface.at(x, y) - cubic(x) * cubic(0.5 * y)).abs() < 1e-9, "{x}, {y}");
        }
        assert_eq!(surface.at(-3.0, 9.0).to_bits(), surface.at(0.0, 4.0).to_bits());
    }
}
