use super::*;
use crate::kernels::gemm_dot;
use hcddl_core::domain::Stream;
use hcddl_core::domain::digest::of_values;

fn random(len: usize, salt: u64) -> Vec<f32> {
    let mut stream = Stream::new(5, "gemm", salt, 0);
    (0..len).map(|_| stream.uniform() as f32 - 0.5).collect()
}

/// The definition, in scalar code.
fn by_definition(m: usize, n: usize, k: usize, a: View, b: View, c: &mut [f32], add: bool) {
    for i in 0..m {
        for j in 0..n {
            let mut total = add.then_some(c[i * n + j]);
            for k0 in (0..k).step_by(K_BLOCK) {
                let sum = (k0..k.min(k0 + K_BLOCK)).fold(0f32, |sum, p| {
                    let left = a.data[i * a.row_stride + p * a.column_stride];
                    left.mul_add(b.data[p * b.row_stride + j * b.column_stride], sum)
                });
                total = Some(total.map_or(sum, |total| total + sum));
            }
            c[i * n + j] = total.unwrap_or(0.0);
        }
    }
}

#[test]
fn every_shape_stride_and_instruction_set_gives_the_bits_of_the_definition() {
    let sizes = [1, 2, 3, 5, 7, 12, 16, 17, 31, 33];
    let mut shapes: Vec<(usize, usize, usize)> = vec![];
    for m in sizes {
        for n in sizes {
            shapes.extend([(m, n, 1), (m, n, 2), (m, n, 10), (m, n, 65)]);
        }
    }
    shapes.extend([(1, 10, 784), (32, 1, 1100), (1, 1, 513), (32, 128, 64), (7, 40, 1025), (25, 48, 512)]);
    shapes.extend([(0, 3, 2), (3, 0, 2), (3, 2, 0)]);
    for (m, n, k) in shapes {
        let (a, b) = (random(m * k, 1), random(k * n, 2));
        for a in [View::rows(&a, k), View::transposed(&a, m)] {
            for b in [View::rows(&b, n), View::transposed(&b, k)] {
                for add in [false, true] {
                    let mut expected = random(m * n, 3);
                    by_definition(m, n, k, a, b, &mut expected, add);
                    for isa in Isa::available() {
                        let mut c = random(m * n, 3);
                        gemm(*isa, m, n, k, a, b, &mut c, add);
                        assert_eq!(of_values(&c), of_values(&expected), "{m}x{n}x{k} {isa:?} add {add}");
                    }
                }
            }
        }
    }
}

#[test]
fn packed_blocks_give_the_same_bits_too() {
    // More than one block of rows, of k and panels of columns, with rests of each.
    for (m, n, k) in [(205, 70, 530), (64, 33, 100), (13, 100, 700), (400, 9, 20), (193, 17, 513)] {
        let (a, b) = (random(m * k, 1), random(k * n, 2));
        for a in [View::rows(&a, k), View::transposed(&a, m)] {
            for b in [View::rows(&b, n), View::transposed(&b, k)] {
                let mut expected = random(m * n, 3);
                by_definition(m, n, k, a, b, &mut expected, true);
                for isa in Isa::available() {
                    let mut c = random(m * n, 3);
                    gemm(*isa, m, n, k, a, b, &mut c, true);
                    assert_eq!(of_values(&c), of_values(&expected), "{m}x{n}x{k} {isa:?}");
                }
            }
        }
    }
}

#[test]
fn dot_products_have_the_bits_of_their_definition_too() {
    for (m, n, k) in [(1, 1, 1), (1, 1, 16), (2, 3, 15), (3, 5, 17), (6, 25, 576), (7, 11, 100), (4, 4, 0)] {
        let (a, b) = (random(m * k, 1), random(n * k, 2));
        for add in [false, true] {
            let mut expected = random(m * n, 3);
            for i in 0..m {
                for j in 0..n {
                    let mut lanes = [0f32; LANES];
                    for p in 0..k.next_multiple_of(LANES) {
                        let (x, y) = if p < k { (a[i * k + p], b[j * k + p]) } else { (0.0, 0.0) };
                        lanes[p % LANES] = x.mul_add(y, lanes[p % LANES]);
                    }
                    for half in [8, 4, 2, 1] {
                        for l in 0..half {
                            lanes[l] += lanes[l + half];
                        }
                    }
                    expected[i * n + j] = if add { expected[i * n + j] + lanes[0] } else { lanes[0] };
                }
            }
            for isa in Isa::available() {
                let mut c = random(m * n, 3);
                gemm_dot(*isa, m, n, k, &a, View::rows(&b, k), &mut c, add);
                assert_eq!(of_values(&c), of_values(&expected), "{m}x{n}x{k} {isa:?} add {add}");
            }
        }
    }
}

#[test]
#[should_panic(expected = "beyond its slice")]
fn a_matrix_beyond_its_slice_is_refused() {
    gemm(Isa::Portable, 2, 2, 2, View::rows(&[0.0; 3], 2), View::rows(&[0.0; 4], 2), &mut [0.0; 4], false);
}

#[test]
fn rows_may_lie_anywhere_and_overlap() {
    for (m, n, k) in [(3, 40, 30), (8, 576, 25), (17, 9, 600), (60, 32, 20), (1, 1, 1)] {
        let (a, data) = (random(m * k.max(n), 1), random(1000 + k.max(n), 2));
        let offsets: Vec<u32> = (0..k.max(n) as u32).map(|row| row * 379 % 1000).collect();
        let gathered = |columns: usize| -> Vec<f32> {
            let row = |start: &u32| &data[*start as usize..][..columns];
            offsets.iter().flat_map(|start| row(start).to_vec()).collect()
        };
        let scattered = View::scattered(&data, &offsets);
        for isa in Isa::available() {
            let mut results = [vec![0.0; m * n], vec![0.0; m * n], vec![0.0; m * n], vec![0.0; m * n]];
            let left = View::rows(&a, k);
            gemm(*isa, m, n, k, left, scattered, &mut results[0], false);
            gemm(*isa, m, n, k, left, View::rows(&gathered(n), n), &mut results[1], false);
            gemm_dot(*isa, m, n, k, &a, scattered, &mut results[2], false);
            gemm_dot(*isa, m, n, k, &a, View::rows(&gathered(k), k), &mut results[3], false);
            assert_eq!(results[0], results[1], "{m}x{n}x{k} {isa:?}");
            assert_eq!(results[2], results[3], "{m}x{n}x{k} {isa:?}, dot products");
        }
    }
}
