//! Sums inside of kernels: sixteen lanes, then a fixed tree; short ones in order. The order depends on the length
//! only, so every instruction set gives the same bits.

use super::lanes::LANES;

/// The sums of what `f` makes of each element of a and b (as far as both reach).
#[inline(always)]
pub(super) fn sums<const N: usize>(a: &[f32], b: &[f32], f: impl Fn(f32, f32) -> [f32; N]) -> [f32; N] {
    if a.len() < LANES {
        return a.iter().zip(b).fold([0.0; N], |mut sums, (a, b)| {
            let terms = f(*a, *b);
            for n in 0..N {
                sums[n] += terms[n];
            }
            sums
        });
    }
    let mut lanes = [[0f32; LANES]; N];
    let (a_chunks, b_chunks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let (a_rest, b_rest) = (a_chunks.remainder(), b_chunks.remainder());
    for (a, b) in a_chunks.zip(b_chunks) {
        for l in 0..LANES {
            let terms = f(a[l], b[l]);
            for n in 0..N {
                lanes[n][l] += terms[n];
            }
        }
    }
    for (l, (a, b)) in a_rest.iter().zip(b_rest).enumerate() {
        let terms = f(*a, *b);
        for n in 0..N {
            lanes[n][l] += terms[n];
        }
    }
    lanes.map(tree)
}

#[inline(always)]
fn tree(mut lanes: [f32; LANES]) -> f32 {
    for half in [8, 4, 2, 1] {
        for i in 0..half {
            lanes[i] += lanes[i + half];
        }
    }
    lanes[0]
}

/// The sum of values.
#[inline(always)]
pub(super) fn sum(values: &[f32]) -> f32 {
    sums(values, values, |v, _| [v])[0]
}
