//! Two bytes for each value: what every 16-bit float format shares.

use super::{Codec, expect_bytes};
use crate::domain::Stream;

/// A 16-bit float format. Rounds to the nearest, ties to even; too large becomes the largest finite value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Half {
    /// Its name in the table.
    pub name: &'static str,
    /// The nearest value of the format.
    pub encoded: fn(f32) -> u16,
    /// The exact f32 of a value of the format.
    pub decoded: fn(u16) -> f32,
}

impl Codec for Half {
    fn name(&self) -> &'static str {
        self.name
    }

    fn bytes(&self, len: usize) -> u64 {
        2 * len as u64
    }

    fn keeps_residual(&self) -> bool {
        false
    }

    fn encode(&self, values: &[f32], _: Option<&mut [f32]>, _: &mut Stream) -> Vec<u8> {
        values.iter().flat_map(|value| (self.encoded)(*value).to_le_bytes()).collect()
    }

    fn decode(&self, bytes: &[u8], out: &mut [f32]) -> Result<(), String> {
        expect_bytes(self, bytes, out.len())?;
        for (value, pair) in out.iter_mut().zip(bytes.chunks_exact(2)) {
            *value = (self.decoded)(u16::from_le_bytes([pair[0], pair[1]]));
        }
        Ok(())
    }

    /// Two integer operations; 4 bytes on one side, 2 on the other.
    fn cost_per_element(&self) -> (f64, f64) {
        (2.0, 6.0)
    }
}
