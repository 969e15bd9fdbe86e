//! Devices: how long work takes on them and what it costs in energy.

use crate::domain::{Span, Stream};
use crate::net::Distribution;
use std::sync::Arc;

/// A device as the simulator sees it.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Row of the table.
    pub name: String,
    /// Sustained f32 operations per second of one training job (all cores).
    pub flops_per_second: f64,
    /// Memory bandwidth in bytes per second of one job.
    pub memory_bytes_per_second: f64,
    /// Fixed cost of a job.
    pub overhead: Span,
    /// Standard deviation of the logarithm of a job's time.
    pub jitter_sigma: f64,
    /// Alternation of normal and slow phases.
    pub slow_phase: Option<SlowPhase>,
    /// Time of one gradient step instead of the counted one.
    pub step_time: Option<Arc<dyn Distribution>>,
    /// Jobs that can run at once without slowing each other down.
    pub cores: u32,
    /// Watts when idle.
    pub idle_watts: f64,
    /// Watts when computing.
    pub load_watts: f64,
    /// Joules for each byte sent or received.
    pub joules_per_byte: f64,
    /// Name of the network profile that its card has by default.
    pub nic: String,
}

/// Alternation of normal and slow phases (throttling, a background job): a two-state Markov process.
#[derive(Clone, Debug, PartialEq)]
pub struct SlowPhase {
    /// Compute times are multiplied by this in a slow phase.
    pub factor: f64,
    /// Mean length of a normal phase.
    pub normal_mean: Span,
    /// Mean length of a slow phase.
    pub slow_mean: Span,
}

/// What a job costs, independent of the device.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct JobCost {
    /// Floating-point operations.
    pub flops: f64,
    /// Bytes moved.
    pub bytes: f64,
    /// Gradient steps within it; 0 for arithmetic of a server.
    pub steps: u64,
}

impl Profile {
    /// Time of a job on an otherwise idle device: overhead + max(flops / rate, bytes / bandwidth) x jitter.
    #[must_use]
    pub fn duration(&self, cost: &JobCost, stream: &mut Stream) -> Span {
        let _ = (cost, stream);
        Span::ZERO
    }
}
