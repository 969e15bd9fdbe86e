//! A node's connections to its neighbours in other processes.

use super::control::Control;
use super::edge::{Edge, Timing};
use super::identity::{Identity, IdentityError, Tls};
use super::listen::listen;
use super::meet::Process;
use super::queue::{EdgeEvent, EdgeSender, Outgoing, Queued, Task};
use super::stream::Totals;
use super::wire::Limits;
use hcddl_core::domain::{Lane, Message, NodeId};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

/// Longest notice, in bytes.
const NOTICE_BYTES_MAX: usize = 64 << 10;
/// Longest name of a run, in bytes: it travels in the hello.
const RUN_BYTES_MAX: usize = 512;

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
    pub life: u32,
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
    /// The life of the sender that sent it.
    pub life: u32,
    /// Position among what this life of the sender sent to this receiver.
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
pub struct Credit(#[allow(dead_code)] pub(super) Option<OwnedSemaphorePermit>);

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
        me: u32,
        /// What is wrong.
        message: String,
    },
    /// The control actors could not be started.
    #[error("cannot start the control actors: {0}")]
    Control(String),
}

/// The connections of one node. Dropping them closes everything at once; [`Links::close`] first sends what waits.
pub struct Links {
    listening: Option<SocketAddr>,
    edges: Arc<BTreeMap<NodeId, EdgeSender>>,
    queued: Arc<AtomicU64>,
    process: Arc<Process>,
    tasks: Vec<Task>,
}

impl Links {
    /// Listens, dials, and reports to `inputs` from now on.
    ///
    /// # Errors
    /// [`LinkError`] when the address is taken, the identity is unusable or the configuration contradicts itself.
    pub async fn start(config: LinksConfig, inputs: UnboundedSender<Input>) -> Result<Self, LinkError> {
        let name = config.check()?.to_owned();
        let identity_error =
            |e: IdentityError| LinkError::Identity { node: name.clone(), message: e.to_string() };
        let tls = config.identity.as_ref().map(|identity| Tls::new(&config.run, identity));
        let tls = tls.transpose().map_err(identity_error)?;
        let listener = match config.listen {
            Some(address) => {
                Some(TcpListener::bind(address).await.map_err(|error| LinkError::Listen { address, error })?)
            }
            None => None,
        };
        let process = Arc::new(Process {
            control: Control::start(&config.run, &name, config.life, &config.secret).await?,
            run: config.run,
            me: config.me,
            names: config.names,
            life: config.life,
            tls,
            handshake_timeout: config.handshake_timeout,
            limits: config.limits,
            totals: Arc::new(Totals::default()),
            repeats: Arc::default(),
        });
        let timing = Timing {
            heartbeat: config.heartbeat,
            detection: config.detection,
            start_timeout: config.start_timeout,
        };
        let (mut edges, mut tasks) = (BTreeMap::new(), Vec::new());
        for Neighbour { node, dial } in config.neighbours {
            let (sender, events) = unbounded_channel();
            let sender = EdgeSender(sender);
            edges.insert(node, sender.clone());
            let edge = Edge::new(process.clone(), (node, dial), timing, (sender, events), inputs.clone());
            tasks.push(Task::spawn(edge.run()));
        }
        let edges = Arc::new(edges);
        let listening = listener.as_ref().and_then(|listener| listener.local_addr().ok());
        if let Some(listener) = listener {
            tasks.push(Task::spawn(listen(listener, process.clone(), edges.clone())));
        }
        Ok(Self { listening, edges, queued: Arc::new(AtomicU64::new(0)), process, tasks })
    }

    /// The address that it listens on.
    #[must_use]
    pub fn listening(&self) -> Option<SocketAddr> {
        self.listening
    }

    /// Queues a message; never blocks. Messages to a neighbour that is lost, or whose connection is broken, go
    /// nowhere: reliable delivery sends them again. So do messages to a node that is not a neighbour.
    pub fn send(&self, to: NodeId, stamp: Stamp, message: Message) {
        let bytes = if message.lane() == Lane::Model { message.bytes() } else { 0 };
        let queued = Queued::new(bytes, &self.queued);
        self.tell(to, EdgeEvent::Send(Outgoing { stamp, message, _queued: queued }));
    }

    /// Says something to the runtime of a neighbour, outside of the nodes' conversation; at most 64 KiB. Nobody hears
    /// it while the neighbour is not connected.
    pub fn notice(&self, to: NodeId, bytes: Vec<u8>) {
        if bytes.len() > NOTICE_BYTES_MAX {
            tracing::error!("a notice of {} bytes was not sent: the most is {NOTICE_BYTES_MAX}", bytes.len());
            return;
        }
        self.tell(to, EdgeEvent::Notice(bytes));
    }

    fn tell(&self, to: NodeId, event: EdgeEvent) {
        match self.edges.get(&to) {
            Some(edge) => edge.tell(event),
            None => tracing::error!("node {} is not a neighbour of node {}", to.0, self.process.me.0),
        }
    }

    /// Bytes of messages with tensors that wait to be sent.
    #[must_use]
    pub fn queued_bytes(&self) -> u64 {
        self.queued.load(Relaxed)
    }

    /// Bytes so far.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        let totals = &self.process.totals;
        Traffic { sent: totals.sent.load(Relaxed), received: totals.received.load(Relaxed) }
    }

    /// Waits until the neighbours that are connected have received everything, `flush` at most, then closes.
    pub async fn close(mut self, flush: Duration) {
        let waiting: Vec<_> = self
            .edges
            .values()
            .map(|edge| {
                let (done, is_done) = oneshot::channel();
                edge.tell(EdgeEvent::Flush(done));
                is_done
            })
            .collect();
        let all = async {
            for is_done in waiting {
                // An error means that this neighbour is not connected.
                let _ = is_done.await;
            }
        };
        if tokio::time::timeout(flush, all).await.is_err() {
            tracing::warn!("closing although neighbours have not received everything within {flush:?}");
        }
        self.tasks.clear();
        self.process.control.stop().await;
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        self.process.control.kill();
    }
}

impl LinksConfig {
    /// The name of this node, if everything fits together.
    fn check(&self) -> Result<&str, LinkError> {
        let wrong = |message: String| LinkError::Config { me: self.me.0, message };
        let name = self.names.get(self.me.index()).ok_or_else(|| wrong("it has no name".to_owned()))?;
        if self.run.len() > RUN_BYTES_MAX {
            return Err(wrong(format!("the name of the run is longer than {RUN_BYTES_MAX} bytes")));
        }
        for Neighbour { node, dial } in &self.neighbours {
            if *node == self.me || node.index() >= self.names.len() {
                return Err(wrong(format!("node {} cannot be its neighbour", node.0)));
            }
            if dial.is_none() && self.listen.is_none() {
                return Err(wrong(format!(
                    "`{}` dials it, but it does not listen",
                    self.names[node.index()]
                )));
            }
        }
        Ok(name)
    }
}

#[cfg(test)]
#[path = "links_tests.rs"]
mod tests;
