//! Codecs: what travels instead of raw f32. One file and one row each; no compression is the absence of a codec.

mod apart;
mod bf16;
mod fp16;
mod half;
mod top_k;
mod two_bit;

pub use apart::apart;
pub use top_k::TopK;
pub use two_bit::TwoBit;

use crate::domain::{Choice, OptionError, Stream, Table};
use std::sync::Arc;

/// Makes a codec from its options.
pub type BuildCodec = fn(&Choice) -> Result<Arc<dyn Codec>, OptionError>;

/// Every codec.
#[must_use]
pub fn table() -> Table<BuildCodec> {
    Table::new("codec", vec![fp16::row(), bf16::row(), top_k::row(), two_bit::row()])
}

/// The codec that a choice names.
///
/// # Errors
/// [`OptionError`] when there is no such row or its options are wrong.
pub fn codec(choice: &Choice) -> Result<Arc<dyn Codec>, OptionError> {
    let table = table();
    let (row, choice) = table.resolve(choice)?;
    (row.build)(&choice).map_err(|error| error.with_example(row.example))
}

/// Compresses flat vectors. Pure: error feedback is passed in and out.
pub trait Codec: Send + Sync + std::fmt::Debug {
    /// Its name in the table.
    fn name(&self) -> &'static str;
    /// Encoded bytes of a vector of `len` elements: known without values, so that timing-only runs and
    /// buffers can use it. A codec whose size depends on values returns its upper bound and encodes to
    /// exactly that size.
    fn bytes(&self, len: usize) -> u64;
    /// Whether [`Codec::encode`] uses and returns a residual.
    fn keeps_residual(&self) -> bool;
    /// Encodes `values` (plus `residual`, if kept, which becomes what was left out).
    fn encode(&self, values: &[f32], residual: Option<&mut [f32]>, stream: &mut Stream) -> Vec<u8>;
    /// Decodes into `out`, whose length is the plain length.
    ///
    /// # Errors
    /// A message when the bytes are not an encoding of that length.
    fn decode(&self, bytes: &[u8], out: &mut [f32]) -> Result<(), String>;
    /// Floating-point operations and bytes moved for each element, to charge its time.
    fn cost_per_element(&self) -> (f64, f64);
}

/// The options of a codec that has none: any key is an error.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct NoOptions {}

/// Checks the length of an encoding.
fn expect_bytes(codec: &dyn Codec, bytes: &[u8], len: usize) -> Result<(), String> {
    let expected = codec.bytes(len);
    if bytes.len() as u64 == expected {
        return Ok(());
    }
    Err(format!("{} of {len} values takes {expected} bytes, not {}", codec.name(), bytes.len()))
}

#[cfg(test)]
mod tests;
