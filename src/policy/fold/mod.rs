//! Folds: how a server combines updates. The only place, with the server optimisers, that sees values.

use crate::node::FoldInput;

/// Combines tensors of equal length. Pure; the order of the inputs is part of the result.
pub trait FoldRule: Send + Sync + std::fmt::Debug {
    /// Its name in the table.
    fn name(&self) -> &'static str;
    /// Weights as the rule uses them, one for each input (for `mean` all 1/n).
    fn weights(&self, inputs: &[FoldInput]) -> Vec<f32>;
    /// Combines the inputs into `out`, with `base` the server's current model.
    fn fold(&self, inputs: &[FoldInput], weights: &[f32], base: &[f32], out: &mut [f32]);
    /// Whether inputs need the parameters that they were computed at.
    fn needs_snapshots(&self) -> bool {
        false
    }
}
