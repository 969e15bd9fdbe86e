//! Top-k with error feedback: only the largest values travel, the rest is added to the next vector.
//!
//! a = g + e; the k values of largest magnitude of a are sent; e = a - sent (Stich, Cordonnier, Jaggi: Sparsified
//! SGD with Memory, 2018; Aji and Heafield, 2017). Of equal magnitudes the smaller index is sent.
//!
//! Encoding: k indices as little-endian u32, ascending, then their k values as little-endian f32.

use super::{BuildCodec, Codec, expect_bytes};
use crate::domain::{Choice, OptionError, Row, Stream};
use serde::Deserialize;
use std::cmp::Reverse;
use std::sync::Arc;

/// Sends the largest values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TopK {
    /// Share of the values that is sent, in (0, 1]; at least one value.
    pub fraction: f64,
    /// Whether what is left out is added to the next vector.
    pub error_feedback: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Options {
    fraction: f64,
    error_feedback: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { fraction: 0.01, error_feedback: true }
    }
}

/// The row of the table.
pub(super) fn row() -> Row<BuildCodec> {
    Row {
        name: "top_k",
        summary: "the share `fraction` of largest magnitude; the rest waits for the next time",
        example: "{name: top_k, fraction: 0.01, error_feedback: true}",
        positional: &["fraction"],
        build,
    }
}

fn build(choice: &Choice) -> Result<Arc<dyn Codec>, OptionError> {
    let Options { fraction, error_feedback } = choice.options()?;
    OptionError::check(fraction > 0.0 && fraction <= 1.0, "fraction", fraction, "more than 0, up to 1")?;
    Ok(Arc::new(TopK { fraction, error_feedback }))
}

impl TopK {
    /// How many of `len` values are sent.
    #[must_use]
    pub fn count(&self, len: usize) -> usize {
        ((len as f64 * self.fraction).ceil() as usize).clamp(1, len.max(1)).min(len)
    }

    /// Indices of the values that are sent, ascending.
    fn select(&self, values: &[f32]) -> Vec<u32> {
        let last = u32::try_from(values.len()).expect("a vector has at most 2^32 - 1 values");
        let count = self.count(values.len());
        let mut indices: Vec<u32> = (0..last).collect();
        if count < values.len() {
            // The bits of a magnitude have the order of the magnitude; the index makes the order total.
            let key = |i: &u32| (Reverse(values[*i as usize].abs().to_bits()), *i);
            indices.select_nth_unstable_by_key(count, key);
            indices.truncate(count);
            indices.sort_unstable();
        }
        indices
    }
}

impl Codec for TopK {
    fn name(&self) -> &'static str {
        "top_k"
    }

    fn bytes(&self, len: usize) -> u64 {
        8 * self.count(len) as u64
    }

    fn keeps_residual(&self) -> bool {
        self.error_feedback
    }

    fn encode(&self, values: &[f32], residual: Option<&mut [f32]>, _: &mut Stream) -> Vec<u8> {
        let write = |indices: &[u32], from: &[f32]| -> Vec<u8> {
            let positions = indices.iter().flat_map(|i| i.to_le_bytes());
            positions.chain(indices.iter().flat_map(|i| from[*i as usize].to_le_bytes())).collect()
        };
        let Some(residual) = residual else { return write(&self.select(values), values) };
        residual.iter_mut().zip(values).for_each(|(left, value)| *left += value);
        let indices = self.select(residual);
        let bytes = write(&indices, residual);
        indices.iter().for_each(|i| residual[*i as usize] = 0.0);
        bytes
    }

    fn decode(&self, bytes: &[u8], out: &mut [f32]) -> Result<(), String> {
        expect_bytes(self, bytes, out.len())?;
        let word = |four: &[u8]| u32::from_le_bytes([four[0], four[1], four[2], four[3]]);
        let (indices, values) = bytes.split_at(bytes.len() / 2);
        let indices: Vec<usize> = indices.chunks_exact(4).map(|four| word(four) as usize).collect();
        if !indices.is_sorted_by(|a, b| a < b) || indices.last().is_some_and(|last| *last >= out.len()) {
            return Err(format!("the indices of top_k are not ascending below {}", out.len()));
        }
        out.fill(0.0);
        for (i, four) in indices.into_iter().zip(values.chunks_exact(4)) {
            out[i] = f32::from_bits(word(four));
        }
        Ok(())
    }

    /// About ten operations for the addition and a selection in linear time; the vector and the residual are
    /// read, the residual written, the indices written and moved.
    fn cost_per_element(&self) -> (f64, f64) {
        (10.0, 24.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_travel_ties_by_index_and_the_rest_waits() {
        let codec = TopK { fraction: 0.4, error_feedback: true };
        let mut stream = Stream::new(0, "codec", 0, 0);
        let mut residual = [0.0, 0.0, 0.0, 0.0, 0.5];
        let mut out = [9.0; 5];
        let bytes = codec.encode(&[1.0, -3.0, 2.0, -2.0, 0.0], Some(&mut residual), &mut stream);
        codec.decode(&bytes, &mut out).unwrap();
        assert_eq!((out, residual), ([0.0, -3.0, 2.0, 0.0, 0.0], [1.0, 0.0, 0.0, -2.0, 0.5]));
        let bytes = codec.encode(&[0.5, 0.0, 0.0, 0.0, 1.0], Some(&mut residual), &mut stream);
        codec.decode(&bytes, &mut out).unwrap();
        assert_eq!((out, residual), ([1.5, 0.0, 0.0, -2.0, 0.0], [0.0, 0.0, 0.0, 0.0, 1.5]));
    }

    #[test]
    fn at_least_one_and_at_most_all_travel() {
        let count = |fraction, len| TopK { fraction, error_feedback: true }.count(len);
        assert_eq!(
            [count(0.01, 0), count(0.01, 1), count(0.01, 50), count(0.01, 101), count(1.0, 7)],
            [0, 1, 1, 2, 7]
        );
    }

    #[test]
    fn indices_out_of_order_or_range_are_refused() {
        let codec = TopK { fraction: 0.4, error_feedback: true };
        for indices in [[1u32, 1], [2, 1], [0, 5]] {
            let mut bytes: Vec<u8> = indices.iter().flat_map(|i| i.to_le_bytes()).collect();
            bytes.extend([0; 8]);
            let error = codec.decode(&bytes, &mut [0.0; 5]).unwrap_err();
            assert!(error.contains("ascending below 5"), "{error}");
        }
    }
}
