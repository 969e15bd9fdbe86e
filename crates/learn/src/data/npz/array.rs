//! One array of an .npz file, whatever kind of number it holds and in whichever order.

use super::super::files::{Unpacked, wrong};
use super::Archive;
use hcddl_core::domain::OptionError;
use npyz::{DType, Endianness, NpyHeader, Order, TypeChar};
use std::io::Read;
use std::path::Path;

/// The numbers of an array, in C order.
#[derive(Debug, PartialEq)]
pub(super) enum Numbers {
    /// Of the kind u1, as pictures have them.
    Bytes(Vec<u8>),
    /// Of any other kind, as NumPy's `astype(float64)` makes them: exact, but for whole numbers beyond 2^53.
    Others(Vec<f64>),
}

/// An array.
pub(super) struct Array {
    pub numbers: Numbers,
    pub shape: Vec<usize>,
}

/// Why an array holds no classes.
#[derive(Debug, PartialEq)]
pub(super) enum NoClasses {
    /// There are not as many of them as samples.
    Count,
    /// Of this sample: a number that is not whole, or a row that is not one-hot.
    Value(usize, f64),
}

impl Array {
    /// The class of each of so many samples: whole numbers of any kind, or one-hot rows.
    ///
    /// # Errors
    /// [`NoClasses`].
    pub fn classes(self, samples: usize) -> Result<Vec<i64>, NoClasses> {
        let values: Vec<f64> = match self.numbers {
            Numbers::Bytes(bytes) => bytes.into_iter().map(f64::from).collect(),
            Numbers::Others(values) => values,
        };
        if values.len() == samples {
            let whole = |(at, value): (usize, f64)| match value.fract() == 0.0 && value.abs() < 1e15 {
                true => Ok(value as i64),
                false => Err(NoClasses::Value(at, value)),
            };
            return values.into_iter().enumerate().map(whole).collect();
        }
        match self.shape[..] {
            [rows, classes] if rows == samples && classes > 1 => {
                values.chunks_exact(classes).enumerate().map(|(at, row)| hot(at, row)).collect()
            }
            _ => Err(NoClasses::Count),
        }
    }
}

/// The place of the 1 in a row of zeros.
fn hot(at: usize, row: &[f64]) -> Result<i64, NoClasses> {
    let odd = |value: &&f64| **value != 0.0 && **value != 1.0;
    if let Some(value) = row.iter().find(odd) {
        return Err(NoClasses::Value(at, *value));
    }
    match row.iter().filter(|value| **value == 1.0).count() {
        1 => Ok(row.iter().position(|value| *value == 1.0).expect("just counted") as i64),
        ones => Err(NoClasses::Value(at, ones as f64)),
    }
}

/// Reads an array of an archive.
///
/// # Errors
/// No such array, one that is cut short, unpacks to far too much or holds something else than numbers.
pub(super) fn read(archive: &mut Archive, path: &Path, name: &str) -> Result<Array, OptionError> {
    let names = archive.file_names().filter_map(Result::ok);
    let names: Vec<String> = names.filter_map(|name| Some(name.strip_suffix(".npy")?.to_owned())).collect();
    let entry = archive.by_name(&format!("{name}.npy")).map_err(|e| {
        wrong(path, &format!("has no array `{name}` that can be read: {e}"), names.join(", "))
    })?;
    let packed = entry.compressed_size();
    let bad = |message: String, allowed: &str| wrong(path, &format!("array `{name}` {message}"), allowed);
    let broken = |e: std::io::Error| bad(format!("cannot be read: {e}"), "a NumPy array");
    let mut from = Unpacked::new(entry, packed);
    let header = NpyHeader::from_reader(&mut from).map_err(broken)?;
    let kind = header.dtype();
    let DType::Plain(plain) = &kind else {
        return Err(bad(format!("holds records: {}", kind.descr()), KINDS));
    };
    let (letter, size) = (plain.type_char(), plain.num_bytes().unwrap_or(0));
    let big = plain.endianness() == Endianness::Big;
    let decode = decoder(letter, size).ok_or_else(|| bad(format!("holds {}", kind.descr()), KINDS))?;
    let shape: Vec<usize> =
        header.shape().iter().map(|n| usize::try_from(*n).unwrap_or(usize::MAX)).collect();
    let count = shape.iter().try_fold(1usize, |product, n| product.checked_mul(*n));
    let length = count.and_then(|count| count.checked_mul(size));
    let Some(length) = length else {
        return Err(bad(format!("claims the shape {shape:?}"), "a shape of its size"));
    };
    // Grows as data arrives: a damaged header must not reserve gigabytes.
    let mut bytes = Vec::new();
    from.by_ref().take(length as u64).read_to_end(&mut bytes).map_err(broken)?;
    if bytes.len() < length {
        return Err(bad(
            format!("cannot be read: {} of its {length} bytes are there", bytes.len()),
            "a whole file",
        ));
    }
    let fortran = header.order() == Order::Fortran && shape.len() > 1;
    let numbers = if letter == TypeChar::Uint && size == 1 {
        Numbers::Bytes(if fortran { c_order(&bytes, &shape) } else { bytes })
    } else {
        let values: Vec<f64> = bytes
            .chunks_exact(size)
            .map(|chunk| {
                let mut eight = [0; 8];
                eight[..size].copy_from_slice(chunk);
                if big {
                    eight[..size].reverse();
                }
                decode(eight)
            })
            .collect();
        Numbers::Others(if fortran { c_order(&values, &shape) } else { values })
    };
    Ok(Array { numbers, shape })
}

const KINDS: &str = "numbers: bool, i1 to i8, u1 to u8, f2, f4 or f8; `array.astype('float32')` makes them";

/// From little-endian bytes, of which the first ones count.
type Decode = fn([u8; 8]) -> f64;

/// How numbers of a kind are read; `None` for everything but numbers.
fn decoder(letter: TypeChar, size: usize) -> Option<Decode> {
    let decode: Decode = match (letter, size) {
        (TypeChar::Bool, 1) => |b| f64::from(u8::from(b[0] != 0)),
        (TypeChar::Uint, 1 | 2 | 4 | 8) => |b| u64::from_le_bytes(b) as f64,
        (TypeChar::Int, 1) => |b| f64::from(i8::from_le_bytes([b[0]])),
        (TypeChar::Int, 2) => |b| f64::from(i16::from_le_bytes([b[0], b[1]])),
        (TypeChar::Int, 4) => |b| f64::from(i32::from_le_bytes([b[0], b[1], b[2], b[3]])),
        (TypeChar::Int, 8) => |b| i64::from_le_bytes(b) as f64,
        (TypeChar::Float, 2) => |b| half(u16::from_le_bytes([b[0], b[1]])),
        (TypeChar::Float, 4) => |b| f64::from(f32::from_le_bytes([b[0], b[1], b[2], b[3]])),
        (TypeChar::Float, 8) => f64::from_le_bytes,
        _ => return None,
    };
    Some(decode)
}

/// A number of IEEE 754's binary16.
fn half(bits: u16) -> f64 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f64::from(bits & 0x3ff));
    // Powers of two of this size are exact.
    let power = |exponent: i32| f64::from_bits(((1023 + exponent) as u64) << 52);
    sign * match exponent {
        0 => fraction * power(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1.0 + fraction / 1024.0) * power(exponent - 15),
    }
}

/// Values of an array in Fortran order, in C order.
fn c_order<T: Copy>(values: &[T], shape: &[usize]) -> Vec<T> {
    let strides: Vec<usize> = shape
        .iter()
        .scan(1, |stride, size| {
            let own = *stride;
            *stride *= size;
            Some(own)
        })
        .collect();
    let mut index = vec![0usize; shape.len()];
    let mut ordered = Vec::with_capacity(values.len());
    for _ in 0..values.len() {
        ordered.push(values[index.iter().zip(&strides).map(|(i, stride)| i * stride).sum::<usize>()]);
        for (i, size) in index.iter_mut().zip(shape).rev() {
            *i += 1;
            if *i < *size {
                break;
            }
            *i = 0;
        }
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_exact() {
        for (bits, value) in [
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x3555, 0.333_251_953_125),
            (0x0001, 5.960_464_477_539_063e-8),
            (0x7bff, 65504.0),
            (0x8000, -0.0),
        ] {
            assert_eq!(half(bits), value, "{bits:x}");
        }
        assert!(half(0x7c00).is_infinite() && half(0x7e00).is_nan());
    }

    #[test]
    fn fortran_order_is_turned() {
        // [[1, 2, 3], [4, 5, 6]] by columns.
        assert_eq!(c_order(&[1, 4, 2, 5, 3, 6], &[2, 3]), [1, 2, 3, 4, 5, 6]);
        let shape = [2, 3, 2];
        let c: Vec<usize> = (0..12).collect();
        let at = |i: usize, j: usize, k: usize| c[(i * 3 + j) * 2 + k];
        let fortran: Vec<usize> = (0..2)
            .flat_map(|k| (0..3).flat_map(move |j| (0..2).map(move |i| (i, j, k))))
            .map(|(i, j, k)| at(i, j, k))
            .collect();
        assert_eq!(c_order(&fortran, &shape), c);
    }

    #[test]
    fn classes_are_whole_or_one_hot() {
        let array = |values: &[f64], shape: &[usize]| Array {
            numbers: Numbers::Others(values.to_vec()),
            shape: shape.to_vec(),
        };
        assert_eq!(array(&[2.0, 0.0], &[2]).classes(2), Ok(vec![2, 0]));
        assert_eq!(array(&[0.0, 1.0, 1.0, 0.0], &[2, 2]).classes(2), Ok(vec![1, 0]));
        assert_eq!(array(&[0.5, 1.0], &[2]).classes(2), Err(NoClasses::Value(0, 0.5)));
        assert_eq!(array(&[0.0, 0.0, 1.0, 0.0], &[2, 2]).classes(2), Err(NoClasses::Value(0, 0.0)));
        assert_eq!(array(&[0.0; 3], &[3]).classes(2), Err(NoClasses::Count));
    }
}
