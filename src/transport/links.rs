//! A node's connections to its neighbours in other processes.

use super::identity::Identity;
use super::wire::{Limits, WireError};
use crate::domain::{Message, NodeId};
use std::net::SocketAddr;
use std::time::Duration;
use thiserror::Error;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::UnboundedSender;

/// Who a process is, whom it talks to, and when it gives up.
#[derive(Clone, Debug)]
pub struct LinksConfig {
    /// Name of the run; connections of another run are refused.
    pub run: String,
    /// The node of this process.
    pub me: NodeId,
    /// Names of all nodes, by [`NodeId`].
    pub names: Vec<String>,
    /// The only address that it listens on; `None` when it dials all of its neighbours. Port 0 takes any.
    pub listen: Option<SocketAddr>,
    /// The nodes that it talks to.
    pub neighbours: Vec<Neighbour>,
    /// Certificate and key of this node; `None` sends everything in the clear.
    pub identity: Option<Identity>,
    /// Known to all processes of the run and to nobody else.
    pub secret: String,
    /// How often this node has been started before in this run.
    pub birth: u32,
    /// Time between two signs of life.
    pub heartbeat: Duration,
    /// Silence after which a neighbour is lost.
    pub detection: Duration,
    /// Absence from the start after which a neighbour is lost.
    pub start_timeout: Duration,
    /// Time that a new connection has to say who it is.
    pub handshake_timeout: Duration,
    /// What is accepted from neighbours.
    pub limits: Limits,
}

/// A node at the other end of an edge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// The node.
    pub node: NodeId,
    /// `host:port` to dial; `None` when it dials us.
    pub dial: Option<String>,
}

/// Which of a sender's messages this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Starts of the sender before the one that sent it.
    pub birth: u32,
    /// Position among what this birth of the sender sent to this receiver.
    pub ordinal: u64,
}

/// What the links tell the node.
#[derive(Debug)]
pub enum Input {
    /// A message; in order for each sender and lane while a connection lasts.
    Received {
        /// The neighbour that sent it.
        from: NodeId,
        /// Which of its messages it is.
        stamp: Stamp,
        /// The message.
        message: Message,
        /// Drop it when the message has been handled: the neighbour may then send more tensors.
        credit: Credit,
    },
    /// A neighbour that was lost is there.
    Up(NodeId),
    /// A neighbour is lost: silent for too long, absent from the start, or started again.
    Down(NodeId),
    /// The connection broke and is there again; nobody was lost. What was on its way may be gone.
    Reconnected(NodeId),
    /// The runtime of a neighbour says something.
    Notice {
        /// The neighbour.
        from: NodeId,
        /// What it says.
        bytes: Vec<u8>,
    },
}

/// The room that a received tensor takes, given back when dropped.
#[derive(Debug, Default)]
pub struct Credit(#[allow(dead_code)] Option<OwnedSemaphorePermit>);

/// Bytes over all connections since the start, encryption and acknowledgements of TCP left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes sent.
    pub sent: u64,
    /// Bytes received.
    pub received: u64,
}

/// Why links could not be started.
#[derive(Debug, Error)]
pub enum LinkError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {error}; is another process using the port?")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        error: std::io::Error,
    },
    /// The certificate or key cannot be used.
    #[error("identity of node `{node}`: {message}")]
    Identity {
        /// The node.
        node: String,
        /// What is wrong with it.
        message: String,
    },
    /// The configuration contradicts itself.
    #[error("links of node {me}: {message}")]
    Config {
        /// The node.
        me: NodeId,
        /// What is wrong.
        message: String,
    },
    /// The control actors could not be started.
    #[error("cannot start the control actors: {0}")]
    Control(String),
    /// A message that has no encoding.
    #[error(transparent)]
    Wire(#[from] WireError),
}

/// The connections of one node. Dropping them closes everything at once; [`Links::close`] first sends what waits.
#[derive(Debug)]
pub struct Links {
    listening: Option<SocketAddr>,
}

impl Links {
    /// Listens, dials, and reports to `inputs` from now on.
    ///
    /// # Errors
    /// [`LinkError`] when the address is taken, the identity is unusable or the configuration contradicts itself.
    pub async fn start(config: LinksConfig, inputs: UnboundedSender<Input>) -> Result<Self, LinkError> {
        let _ = (config, inputs);
        unimplemented!("in the next commit")
    }

    /// The address that it listens on.
    #[must_use]
    pub fn listening(&self) -> Option<SocketAddr> {
        self.listening
    }

    /// Queues a message; never blocks. Messages to a neighbour that is lost, or whose connection is broken, go
    /// nowhere: reliable delivery sends them again.
    pub fn send(&self, to: NodeId, stamp: Stamp, message: Message) {
        let _ = (to, stamp, message);
        unimplemented!("in the next commit")
    }

    /// Says something to the runtime of a neighbour, outside of the nodes' conversation; at most 64 KiB.
    pub fn notice(&self, to: NodeId, bytes: Vec<u8>) {
        let _ = (to, bytes);
        unimplemented!("in the next commit")
    }

    /// Bytes of tensors that wait to be sent.
    #[must_use]
    pub fn queued_bytes(&self) -> u64 {
        unimplemented!("in the next commit")
    }

    /// Bytes so far.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        unimplemented!("in the next commit")
    }

    /// Waits until the neighbours that are connected have received everything, `flush` at most, then closes.
    pub async fn close(self, flush: Duration) {
        let _ = flush;
        unimplemented!("in the next commit")
    }
}
