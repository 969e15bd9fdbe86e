//! The network: how long a message takes. Distributions, contention, profiles, loss.

pub mod contention;
pub mod fair;
pub mod fifo;
pub mod latency;
pub mod none;
mod pace;
pub mod profile;
pub mod tcp;
pub mod transfer;

use crate::domain::{Span, Time};
pub use tcp::TcpSettings;

/// A flow inside a [`Fabric`]; the caller's own number, unique among the running flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct FlowId(pub u64);

/// A constraint inside a [`Fabric`]: a host's uplink or downlink, a WiFi medium, a shared WAN segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct PortId(pub u32);

/// What a transfer asks of the network.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct FlowSpec {
    /// Bytes on the wire.
    pub bytes: u64,
    /// Every constraint the flow passes, in order of its way, without repeats.
    pub ports: Vec<PortId>,
    /// Share relative to other flows on a constraint; 1 for plain fairness.
    pub weight: f64,
    /// Bytes per second that this flow cannot exceed (TCP window, access rate); infinity for none.
    #[serde(with = "pace::bits")]
    pub rate_max: f64,
    /// What a transport with connections asks besides.
    pub way: Way,
}

/// The connection that a transfer uses.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Way {
    /// Which one; transfers of one connection go one after another.
    pub connection: u64,
    /// There and back when nothing else is on the way.
    pub round_trip: Span,
    /// Constraints that acknowledgements pass.
    pub back: Vec<PortId>,
    /// Bytes of the constraints that a full segment takes.
    pub segment: u64,
}

impl Default for Way {
    fn default() -> Self {
        Self { connection: 0, round_trip: Span::ZERO, back: Vec::new(), segment: tcp::SEGMENT_BYTES }
    }
}

/// How concurrent transfers share constraints.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub enum Contention {
    /// Windows and queues of TCP.
    Tcp(TcpSettings),
    /// Latency plus size over rate; transfers do not disturb each other.
    None,
    /// Store and forward, one transfer at a time on each constraint.
    Fifo,
    /// Weighted max-min fair share; weights are lognormal(0, `unfairness`), drawn for each transfer.
    FairShare {
        /// Standard deviation of the logarithm of a transfer's weight.
        unfairness: f64,
    },
}

/// Contention: how concurrent transfers share constraints. A second source of events beside the heap.
///
/// The fabric knows bytes and rates only; latency is added by the caller. All methods take the current
/// virtual time, which never goes back.
pub trait Fabric: Send {
    /// Starts a flow.
    fn start(&mut self, now: Time, flow: FlowId, spec: FlowSpec);
    /// The next completion and its moment, `None` when nothing runs or all that runs is stopped.
    ///
    /// Ties: the smallest flow; under fair share, of two flows on one constraint that drain within the same
    /// nanosecond the one that drains first. Changes since the last call are worked in here, all at once for
    /// each group of flows: a caller that has other events at the same moment does well to handle them first.
    fn next(&mut self) -> Option<(Time, FlowId)>;
    /// As [`Fabric::next`], but only what completes before `horizon`. Nothing may start later at an earlier moment than
    /// what this works in, so a caller that has an event of its own at `horizon` asks like this.
    fn next_before(&mut self, horizon: Time) -> Option<(Time, FlowId)> {
        self.next().filter(|(at, _)| *at < horizon)
    }
    /// How long a few bytes wait at a constraint, behind what is there already.
    fn wait(&self, _now: Time, _port: PortId) -> Span {
        Span::ZERO
    }
    /// Removes the flow that [`Fabric::next`] announced; `now` is its moment.
    fn complete(&mut self, now: Time, flow: FlowId);
    /// Removes a running flow; returns the bytes it had not sent, `None` if it does not run.
    fn cancel(&mut self, now: Time, flow: FlowId) -> Option<u64>;
    /// Changes a constraint's capacity in bytes per second; zero stops its flows until it is raised again.
    fn set_capacity(&mut self, now: Time, port: PortId, bytes_per_second: f64);
    /// Everything, so that a checkpoint can continue; the inverse of [`Fabric::load`].
    fn save(&self) -> FabricState;
    /// Continues from a saved state of the same fabric.
    fn load(&mut self, state: FabricState);
}

/// A fabric's running flows: exact enough to continue to the same nanosecond.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub enum FabricState {
    /// No fabric.
    #[default]
    Empty,
    /// Of [`none::Independent`].
    None(Box<none::Independent>),
    /// Of [`fifo::Fifo`].
    Fifo(Box<fifo::Fifo>),
    /// Of [`fair::Fair`].
    Fair(Box<fair::Fair>),
    /// Of [`tcp::Tcp`].
    Tcp(Box<tcp::Tcp>),
}

/// The fabric of this kind over constraints with these capacities in bytes per second, in order of [`PortId`]. What it
/// draws comes from `seed`.
#[must_use]
pub fn build(contention: &Contention, capacities: &[f64], seed: u64) -> Box<dyn Fabric> {
    match contention {
        Contention::Tcp(settings) => Box::new(tcp::Tcp::new(*settings, seed, capacities)),
        Contention::None => Box::new(none::Independent::new(capacities)),
        Contention::Fifo => Box::new(fifo::Fifo::new(capacities)),
        Contention::FairShare { .. } => Box::new(fair::Fair::new(capacities)),
    }
}

/// The capacities of constraints in bytes per second, in order of [`PortId`].
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
struct Capacities(Vec<pace::Bits>);

impl Capacities {
    fn new(capacities: &[f64]) -> Self {
        Self(capacities.iter().map(|capacity| pace::Bits(*capacity)).collect())
    }

    fn get(&self, port: PortId) -> f64 {
        self.0[port.0 as usize].0
    }

    fn set(&mut self, port: PortId, bytes_per_second: f64) {
        self.0[port.0 as usize].0 = bytes_per_second;
    }

    /// The largest rate that a flow could have if it were alone.
    fn alone(&self, spec: &FlowSpec) -> f64 {
        spec.ports.iter().map(|port| self.get(*port)).fold(spec.rate_max, f64::min)
    }
}

/// A distribution of time spans, drawn from a named stream.
pub trait Distribution: Send + Sync + std::fmt::Debug {
    /// One draw.
    fn sample(&self, stream: &mut crate::domain::Stream) -> Span;
    /// The mean, if it is finite.
    fn mean(&self) -> Option<Span>;
}

#[cfg(test)]
pub(crate) mod tests;
