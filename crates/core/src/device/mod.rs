//! Devices: how long work takes on them and what it costs in energy.

pub mod efficiency;
mod profiles;
mod slow;
pub mod slowdown;
mod thermal;

pub use efficiency::Efficiency;
pub use profiles::{BuildDevice, table};
pub use slow::SlowPhases;
pub use thermal::{Temperature, Thermal};

use crate::domain::operation::Operations;
use crate::domain::{Span, Stream, math};
use crate::net::Distribution;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A device as the simulator sees it.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Row of the table.
    pub name: String,
    /// f32 operations per second of the fastest matrix products, on `threads` threads together.
    pub flops_per_second: f64,
    /// Threads that share out a large step; a small one has a thread's part of `flops_per_second`.
    pub threads: u32,
    /// What part of that each kind of kernel reaches; without it, all of it.
    pub efficiency: Option<Arc<Efficiency>>,
    /// Memory bandwidth in bytes per second: of a job, and of all jobs of a host together.
    pub memory_bytes_per_second: f64,
    /// Bytes of its last cache, that of a core or what all share: the table's reach is moved to it.
    pub cache_bytes: f64,
    /// Fixed cost of a job.
    pub overhead: Span,
    /// Standard deviation of the logarithm of a job's time.
    pub jitter_sigma: f64,
    /// Alternation of normal and slow phases.
    pub slow_phase: Option<SlowPhase>,
    /// What it does when it gets hot.
    pub thermal: Option<Thermal>,
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
    /// Seconds that a table of efficiencies predicts for the device of its node, instead of the larger of `flops` and
    /// `bytes` over its rates.
    pub predicted: Option<f64>,
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
            predicted: None,
        }
    }

    /// A fold of so many inputs of `len` elements: multiply and add each element; read every input and the
    /// model, write the model.
    #[must_use]
    pub fn fold(inputs: usize, len: usize) -> Self {
        let (inputs, len) = (inputs as f64, len as f64);
        Self { flops: 2.0 * inputs * len, bytes: F32_BYTES * (inputs + 2.0) * len, steps: 0, predicted: None }
    }

    /// Encoding or decoding `len` elements, at the operations and bytes for each that the codec states.
    #[must_use]
    pub fn coding(per_element: (f64, f64), len: usize) -> Self {
        Self {
            flops: per_element.0 * len as f64,
            bytes: per_element.1 * len as f64,
            steps: 0,
            predicted: None,
        }
    }
}

impl Profile {
    /// Seconds of a training job by the table of efficiencies: of each step, and once. `None` without a table, or where
    /// nothing is known of the steps.
    #[must_use]
    pub fn predicted(&self, all: &Operations) -> Option<Predicted> {
        let table = self.efficiency.as_ref().filter(|_| !all.is_empty())?;
        let (threads, memory) = (f64::from(self.threads.max(1)), self.memory_bytes_per_second);
        // Sets of as many caches reach as far as on the machine of the table.
        let scale = table.cache / self.cache_bytes;
        let of = |list| table.seconds(list, all.working_set, scale, self.flops_per_second / threads, memory);
        let (step, job) = (of(&all.step), of(&all.job));
        let team = if all.flops() >= efficiency::LARGE_STEP { threads } else { 1.0 };
        let seconds = step.on(team);
        Some(Predicted {
            step: seconds,
            job: job.on(1.0),
            memory_share: step.memory / (step.alone + step.shared),
        })
    }

    /// Time of a job on an otherwise idle device: overhead + work x jitter. Work is what the table of efficiencies
    /// predicts, or max(flops / rate, bytes / bandwidth) without one and for arithmetic of servers, which moves memory;
    /// jitter is exp(sigma z - sigma^2 / 2), z standard normal, whose mean is 1.
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
        let work = Span::from_seconds(cost.predicted.unwrap_or(compute_s.max(memory_s)));
        let sigma = self.jitter_sigma;
        if sigma == 0.0 || work == Span::ZERO {
            return self.overhead + work;
        }
        self.overhead + work.scale(math::exp(sigma * stream.normal() - sigma * sigma / 2.0))
    }
}

/// What a table of efficiencies predicts for a training job.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Predicted {
    /// Seconds of a gradient step.
    pub step: f64,
    /// Seconds of what is done once.
    pub job: f64,
    /// Share of a step's time in which memory decides.
    pub memory_share: f64,
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
