//! The network: how long a message takes. Distributions, contention, profiles, loss.

use crate::domain::{Span, Time};

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
    /// Every constraint the flow passes, in ascending order, without repeats.
    pub ports: Vec<PortId>,
    /// Share relative to other flows on a constraint; 1 for plain fairness.
    pub weight: f64,
    /// Bytes per second that this flow cannot exceed (TCP window, access rate); infinity for none.
    pub rate_max: f64,
}

/// Contention: how concurrent transfers share constraints. A second source of events beside the heap.
///
/// The fabric knows bytes and rates only; latency is added by the caller. All methods take the current
/// virtual time, which never goes back.
pub trait Fabric: Send {
    /// Starts a flow.
    fn start(&mut self, now: Time, flow: FlowId, spec: FlowSpec);
    /// The next completion and its moment, `None` when nothing runs. Ties: the smallest flow.
    fn next(&mut self) -> Option<(Time, FlowId)>;
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
pub struct FabricState(pub Vec<u8>);

/// A distribution of time spans, drawn from a named stream.
pub trait Distribution: Send + Sync + std::fmt::Debug {
    /// One draw.
    fn sample(&self, stream: &mut crate::domain::Stream) -> Span;
    /// The mean, if it is finite.
    fn mean(&self) -> Option<Span>;
}
