//! Two bits for each value, with the rest kept: the gradient compression of MXNet, which GeoMX uses too.
//!
//! r += g; if r >= t send +t and r -= t; if r <= -t send -t and r += t; otherwise send 0. The codes are 11, 10
//! and 00; 16 values share a 32-bit word, the first in the top two bits of its first byte.

use super::{BuildCodec, Codec, expect_bytes};
use crate::domain::{Choice, OptionError, Row, Stream};
use serde::Deserialize;
use std::sync::Arc;

const PLUS: u8 = 0b11;
const MINUS: u8 = 0b10;

/// Sends plus or minus the threshold, or nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TwoBit {
    /// What one code is worth; more than zero.
    pub threshold: f32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Options {
    threshold: f32,
}

impl Default for Options {
    fn default() -> Self {
        Self { threshold: 0.5 }
    }
}

/// The row of the table.
pub(super) fn row() -> Row<BuildCodec> {
    Row {
        name: "two_bit",
        summary: "plus or minus `threshold` or nothing, 16 values in 4 bytes; the rest waits for the next time",
        example: "{name: two_bit, threshold: 0.5}",
        positional: &["threshold"],
        build,
    }
}

fn build(choice: &Choice) -> Result<Arc<dyn Codec>, OptionError> {
    let Options { threshold } = choice.options()?;
    OptionError::check(threshold > 0.0 && threshold.is_finite(), "threshold", threshold, "more than zero")?;
    Ok(Arc::new(TwoBit { threshold }))
}

impl TwoBit {
    /// The code of an accumulated value, from which what is sent is taken away.
    fn code(&self, left: &mut f32) -> u8 {
        if *left >= self.threshold {
            *left -= self.threshold;
            PLUS
        } else if *left <= -self.threshold {
            *left += self.threshold;
            MINUS
        } else {
            0
        }
    }
}

impl Codec for TwoBit {
    fn name(&self) -> &'static str {
        "two_bit"
    }

    fn bytes(&self, len: usize) -> u64 {
        4 * len.div_ceil(16) as u64
    }

    fn keeps_residual(&self) -> bool {
        true
    }

    fn encode(&self, values: &[f32], residual: Option<&mut [f32]>, _: &mut Stream) -> Vec<u8> {
        let mut fresh = Vec::new();
        let residual = residual.unwrap_or_else(|| {
            fresh.resize(values.len(), 0.0);
            &mut fresh
        });
        let mut bytes = vec![0u8; self.bytes(values.len()) as usize];
        for (i, (left, value)) in residual.iter_mut().zip(values).enumerate() {
            *left += value;
            bytes[i / 4] |= self.code(left) << (6 - 2 * (i % 4));
        }
        bytes
    }

    fn decode(&self, bytes: &[u8], out: &mut [f32]) -> Result<(), String> {
        expect_bytes(self, bytes, out.len())?;
        for i in 0..bytes.len() * 4 {
            let value = match bytes[i / 4] >> (6 - 2 * (i % 4)) & 0b11 {
                0 => 0.0,
                code if i >= out.len() => {
                    return Err(format!("two_bit has code {code} after its last value"));
                }
                PLUS => self.threshold,
                MINUS => -self.threshold,
                _ => return Err(format!("two_bit has the unused code 1 at value {i}")),
            };
            if let Some(out) = out.get_mut(i) {
                *out = value;
            }
        }
        Ok(())
    }

    /// Add, two comparisons, subtract; the vector and the residual are read, the residual written, 2 bits sent.
    fn cost_per_element(&self) -> (f64, f64) {
        (4.0, 12.25)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_packed_from_the_top_and_the_rest_waits() {
        let codec = TwoBit { threshold: 0.5 };
        let mut stream = Stream::new(0, "codec", 0, 0);
        let mut residual = [0.25, 0.0, 0.0, 0.0, 0.0];
        let bytes = codec.encode(&[0.25, -1.25, 0.25, 0.0, 0.75], Some(&mut residual), &mut stream);
        assert_eq!(bytes, [0b1110_0000, 0b1100_0000, 0, 0]);
        assert_eq!(residual, [0.0, -0.75, 0.25, 0.0, 0.25]);
        let mut out = [9.0; 5];
        codec.decode(&bytes, &mut out).unwrap();
        assert_eq!(out, [0.5, -0.5, 0.0, 0.0, 0.5]);
    }

    #[test]
    fn unused_codes_and_a_dirty_tail_are_refused() {
        let codec = TwoBit { threshold: 0.5 };
        let error = |bytes: [u8; 4]| codec.decode(&bytes, &mut [0.0; 5]).unwrap_err();
        assert!(error([0b0001_0000, 0, 0, 0]).contains("unused code 1 at value 1"));
        assert!(error([0, 0b0011_0000, 0, 0]).contains("code 3 after its last value"));
    }
}
