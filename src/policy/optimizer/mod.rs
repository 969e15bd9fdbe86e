//! Server optimisers: how an aggregate is applied to the model.

/// Applies a descent direction to the model.
pub trait ServerOptimizer: Send + Sync + std::fmt::Debug {
    /// Its name in the table.
    fn name(&self) -> &'static str;
    /// Number of state vectors.
    fn slots(&self) -> usize;
    /// One step: `model` moves against `gradient`; `slots` hold one vector each; `step` counts from 1.
    fn step(&self, model: &mut [f32], gradient: &[f32], slots: &mut [Vec<f32>], step: u64);
}
