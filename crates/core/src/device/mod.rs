//! Devices: how long work takes on them and what it costs in energy.

pub mod efficiency;
mod profiles;
mod slow;
pub mod slowdown;

pub use profiles::{BuildDevice, table};
pub use slow::SlowPhases;

use crate::domain::{Span, Stream, math};
use crate::net::Distribution;
use serde::{Deserialize, Serialize};
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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

/// Bytes of one f32.
const F32_BYTES: f64 = 4.0;

impl JobCost {
    /// Gradient steps on full batches.
    ///
    /// Operations: 3 x forward, since the backward pass is two products for each of the forward pass (one for
    /// the gradient of the weights, one for that of the inputs). Bytes: the parameters three times (read
    /// forward, read backward, updated) and the activations three times that of a forward pass.
    #[must_use]
    pub fn training(cost: &crate::domain::work::Cost, steps: u64) -> Self {
        let (batch, count) = (cost.batch as f64, steps as f64);
        Self {
            flops: count * 3.0 * cost.forward_flops * batch,
            bytes: count * 3.0 * (F32_BYTES * cost.params as f64 + cost.activation_bytes * batch),
            steps,
        }
    }

    /// A fold of so many inputs of `len` elements: multiply and add each element; read every input and the
    /// model, write the model.
    #[must_use]
    pub fn fold(inputs: usize, len: usize) -> Self {
        let (inputs, len) = (inputs as f64, len as f64);
        Self { flops: 2.0 * inputs * len, bytes: F32_BYTES * (inputs + 2.0) * len, steps: 0 }
    }

    /// Encoding or decoding `len` elements, at the operations and bytes for each that the codec states.
    #[must_use]
    pub fn coding(per_element: (f64, f64), len: usize) -> Self {
        Self { flops: per_element.0 * len as f64, bytes: per_element.1 * len as f64, steps: 0 }
    }
}

impl Profile {
    /// Time of a job on an otherwise idle device: overhead + max(flops / rate, bytes / bandwidth) x jitter,
    /// with jitter exp(sigma z - sigma^2 / 2), z standard normal, whose mean is 1.
    ///
    /// Training on a device with a `step_time` takes the overhead and one draw of it for each step instead.
    /// A job that needs no randomness draws nothing.
    #[must_use]
    pub fn duration(&self, cost: &JobCost, stream: &mut Stream) -> Span {
        if let Some(step_time) = self.step_time.as_ref().filter(|_| cost.steps > 0) {
            return self.overhead + (0..cost.steps).map(|_| step_time.sample(stream)).sum();
        }
        let compute_s = cost.flops / self.flops_per_second;
        let memory_s = cost.bytes / self.memory_bytes_per_second;
        let work = Span::from_seconds(compute_s.max(memory_s));
        let sigma = self.jitter_sigma;
        if sigma == 0.0 || work == Span::ZERO {
            return self.overhead + work;
        }
        self.overhead + work.scale(math::exp(sigma * stream.normal() - sigma * sigma / 2.0))
    }
}

/// Joules of a machine over `total`: all of them, and those above idling.
///
/// `busy` is the time in which it computed; `bytes` is what it sent and received.
#[must_use]
pub fn energy(
    idle_watts: f64,
    load_watts: f64,
    busy: Span,
    total: Span,
    bytes: u64,
    joules_per_byte: f64,
) -> (f64, f64) {
    let marginal = (load_watts - idle_watts) * busy.seconds() + joules_per_byte * bytes as f64;
    (idle_watts * total.seconds() + marginal, marginal)
}

#[cfg(test)]
mod tests;
