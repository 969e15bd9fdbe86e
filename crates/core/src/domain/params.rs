//! Flat parameter vectors.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// A flat f32 vector in the model's documented order: parameters, a gradient, a delta or optimiser state.
///
/// Cloning shares the values. In a timing-only run the length is known and the values are absent.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Params {
    len: usize,
    values: Option<Arc<Vec<f32>>>,
}

impl Params {
    /// Real values.
    #[must_use]
    pub fn new(values: Vec<f32>) -> Self {
        Self { len: values.len(), values: Some(Arc::new(values)) }
    }

    /// `len` values that nobody computes.
    #[must_use]
    pub fn absent(len: usize) -> Self {
        Self { len, values: None }
    }

    /// Number of f32 elements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// True when there are no elements.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The values, or `None` in a timing-only run.
    #[must_use]
    pub fn values(&self) -> Option<&[f32]> {
        self.values.as_deref().map(Vec::as_slice)
    }

    /// Takes the values out, copying only when somebody else still holds them.
    #[must_use]
    pub fn into_values(self) -> Option<Vec<f32>> {
        self.values.map(|shared| Arc::try_unwrap(shared).unwrap_or_else(|shared| shared.as_ref().clone()))
    }

    /// Bytes as raw little-endian f32.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.len as u64 * 4
    }
}

impl fmt::Debug for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.values() {
            Some(values) if values.len() <= 8 => write!(f, "{values:?}"),
            Some(values) => write!(f, "[{} values, {}]", self.len, super::digest::of_values(values)),
            None => write!(f, "[{} values, absent]", self.len),
        }
    }
}
