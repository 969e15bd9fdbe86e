//! What the task of an edge is told.

use super::bulk::Incoming;
use super::control::Content;
use super::links::Stamp;
use super::meet::{Caller, Meeting};
use hcddl_core::domain::Message;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// What an edge hears.
pub(super) enum EdgeEvent {
    /// The node sends a message.
    Send(Outgoing),
    /// The runtime says something.
    Notice(Vec<u8>),
    /// Tell when everything has arrived; dropped when that cannot be known.
    Flush(oneshot::Sender<()>),
    /// The neighbour calls.
    Called(Caller),
    /// An attempt to connect has ended.
    Met { connection: u64, result: Result<Box<Meeting>, String> },
    /// The other end's actor says something.
    Frame { connection: u64, content: Content },
    /// The bulk stream brings something.
    Bulk { connection: u64, incoming: Incoming },
    /// One of the two connections is gone.
    Lost { connection: u64, why: String },
}

/// The queue of an edge.
#[derive(Clone)]
pub(super) struct EdgeSender(pub UnboundedSender<EdgeEvent>);

impl EdgeSender {
    /// Queues an event; nobody hears it once the links are closed.
    pub fn tell(&self, event: EdgeEvent) {
        let _ = self.0.send(event);
    }
}

/// A message that waits to be sent.
pub(super) struct Outgoing {
    pub stamp: Stamp,
    pub message: Message,
    /// Counted as waiting until this is dropped.
    pub _queued: Queued,
}

/// A part of the bytes that wait.
pub(super) struct Queued(u64, Arc<AtomicU64>);

impl Queued {
    pub fn new(bytes: u64, total: &Arc<AtomicU64>) -> Self {
        total.fetch_add(bytes, Relaxed);
        Self(bytes, total.clone())
    }
}

impl Drop for Queued {
    fn drop(&mut self) {
        self.1.fetch_sub(self.0, Relaxed);
    }
}

/// A task that ends with its owner.
pub(super) struct Task(JoinHandle<()>);

impl Task {
    pub fn spawn(future: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(tokio::spawn(future))
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}
