//! Codecs: what travels instead of raw f32.

use crate::domain::Stream;

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
