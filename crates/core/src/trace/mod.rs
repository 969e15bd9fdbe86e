//! What changes over time: rates of lines, nodes that are there or away, losses that come in bursts. Each is recorded or
//! comes from a generator, and each is a pure function of a named random stream: [`Course`] lists its changes from the
//! start of the run, so a run that continues lists them again and goes on where it was.

pub mod availability;
pub mod bandwidth;
pub mod loss;
mod recorded;

pub use availability::{Availability, BuildAvailability};
pub use bandwidth::{Bandwidth, BuildBandwidth};
pub use loss::{BuildLoss, Bursts, Loss};
pub use recorded::Recorded;

use crate::domain::Span;

/// Values over time: each holds from its moment on until the next one's. Moments since the beginning, ascending; the first
/// is 0. It may have no end.
pub type Course<V> = Box<dyn Iterator<Item = (Span, V)> + Send>;

/// Alternates between two states for ever: `first` from the start, then each for the lengths that `length` draws.
fn alternate(first: bool, mut length: impl FnMut(bool) -> Span + Send + 'static) -> Course<bool> {
    let mut next = Some((Span::ZERO, first));
    Box::new(std::iter::from_fn(move || {
        let (at, state) = next?;
        // A state lasts at least a nanosecond, so that time goes on; at the end of time there is no change any more.
        let lasts = length(state).0.max(1);
        next = at.0.checked_add(lasts).map(|at| (Span(at), !state));
        Some((at, state))
    }))
}

#[cfg(test)]
mod tests;
