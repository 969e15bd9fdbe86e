//! Small messages and signs of life, through ractor_cluster.
//!
//! Each process has one actor that takes them, named after run, node and birth. For each connection a node session of
//! ractor_cluster shows the other end's actor as one of ours, to which we cast. The connections are made and checked
//! by us and handed over, so nobody who is not authenticated reaches ractor_cluster's own handshake.

use super::links::LinkError;
use super::queue::{EdgeEvent, EdgeSender};
use super::stream::Stream;
use super::wire;
use crate::domain::NodeId;
use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef};
use ractor_cluster::node::{NodeConnectionMode, NodeServerSessionInformation};
use ractor_cluster::{
    BoxRead, BoxWrite, ClusterBidiStream, NodeEventSubscription, NodeServer, NodeServerMessage,
    NodeSessionMessage, RactorClusterMessage,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, oneshot};

/// Largest frame that ractor_cluster may receive, in bytes.
const FRAME_BYTES_MAX: u64 = 1 << 20;
/// Largest content of a frame; the rest is for ractor_cluster's own words.
const CONTENT_BYTES_MAX: u64 = FRAME_BYTES_MAX / 2;

/// The only message between processes.
#[derive(RactorClusterMessage)]
pub(super) enum Call {
    /// An encoded [`Frame`].
    Frame(Vec<u8>),
}

/// What a [`Call`] carries.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Frame {
    /// The connection that it belongs to; only its two ends know the number.
    pub connection: u64,
    pub content: Content,
}

/// What is said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Content {
    /// A sign of life.
    Beat,
    /// An encoded message without bodies.
    Message { birth: u32, ordinal: u64, frame: Vec<u8> },
    /// For the runtime.
    Notice(Vec<u8>),
    /// Say that you have come this far.
    Mark,
    /// I have come this far in control frames.
    ControlMarked,
    /// I have come this far in the bulk stream.
    BulkMarked,
}

impl Frame {
    /// Casts it to the other end. Nothing happens when that is gone: the connection will be reported lost.
    pub fn cast(&self, to: &ActorRef<Call>) {
        match wire::to_bytes(self) {
            Ok(bytes) => drop(to.cast(Call::Frame(bytes))),
            Err(error) => tracing::error!("a control frame cannot be encoded: {error}"),
        }
    }
}

struct Receiver(Arc<Sessions>);

impl Actor for Receiver {
    type Msg = Call;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Call>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn handle(
        &self,
        _: ActorRef<Call>,
        Call::Frame(bytes): Call,
        (): &mut (),
    ) -> Result<(), ActorProcessingErr> {
        match wire::from_bytes::<Frame>(&bytes, CONTENT_BYTES_MAX) {
            Ok(frame) => self.0.deliver(frame),
            // The session does not say whose it was; the sequence numbers of what is lost will tell its sender.
            Err(error) => tracing::warn!("a control frame was dropped: {error}"),
        }
        Ok(())
    }
}

/// The sessions of a process by the numbers of their connections.
#[derive(Default)]
struct Sessions {
    live: Mutex<BTreeMap<u64, Live>>,
    changed: Notify,
}

struct Live {
    node: NodeId,
    edge: EdgeSender,
    /// Its owner has dropped it.
    abandoned: bool,
    actor: Option<ActorRef<NodeSessionMessage>>,
    ready: Option<oneshot::Sender<ActorCell>>,
}

impl Sessions {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Live>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn deliver(&self, frame: Frame) {
        let edge = self.lock().get(&frame.connection).map(|live| live.edge.clone());
        if let Some(edge) = edge {
            edge.tell(EdgeEvent::Frame { connection: frame.connection, content: frame.content });
        }
    }

    fn abandon(&self, connection: u64) {
        if let Some(live) = self.lock().get_mut(&connection) {
            live.abandoned = true;
            if let Some(actor) = &live.actor {
                actor.stop(None);
            }
        }
    }
}

/// Listens to what the node server tells about sessions, which it names by [`label`].
struct Watch(Arc<Sessions>);

fn label(connection: u64) -> String {
    format!("{connection:016x}")
}

fn connection_of(session: &NodeServerSessionInformation) -> Option<u64> {
    u64::from_str_radix(&session.peer_addr, 16).ok()
}

impl NodeEventSubscription for Watch {
    fn node_session_opened(&self, session: NodeServerSessionInformation) {
        let mut live = self.0.lock();
        match connection_of(&session).and_then(|connection| live.get_mut(&connection)) {
            Some(live) if !live.abandoned => live.actor = Some(session.actor),
            Some(live) => {
                session.actor.stop(None);
                live.actor = Some(session.actor);
            }
            // Somebody on this machine has found the node server's own listener.
            None => session.actor.stop(None),
        }
    }

    fn node_session_authenticated(&self, _: NodeServerSessionInformation) {}

    fn node_session_ready(&self, session: NodeServerSessionInformation) {
        let ready = connection_of(&session)
            .and_then(|connection| self.0.lock().get_mut(&connection).and_then(|live| live.ready.take()));
        if let Some(ready) = ready {
            let _ = ready.send(session.actor.get_cell());
        }
    }

    fn node_session_disconnected(&self, session: NodeServerSessionInformation) {
        let Some(connection) = connection_of(&session) else { return };
        if let Some(live) = self.0.lock().remove(&connection) {
            live.edge.tell(EdgeEvent::Lost { connection, why: "the control connection ended".to_owned() });
        }
        self.0.changed.notify_waiters();
    }
}

/// The control side of a process.
pub(super) struct Control {
    sessions: Arc<Sessions>,
    receiver: ActorRef<Call>,
    server: ActorRef<NodeServerMessage>,
    run: String,
}

/// A node's actor by run, node and birth: several nodes may share a process in tests.
fn actor_name(run: &str, node: &str, birth: u32) -> String {
    format!("hcddl {run} {node} {birth}")
}

impl Control {
    /// Starts the actors.
    pub async fn start(run: &str, node: &str, birth: u32, secret: &str) -> Result<Arc<Self>, LinkError> {
        let failed = |error: ractor::SpawnErr| LinkError::Control(error.to_string());
        let sessions = Arc::new(Sessions::default());
        let name = actor_name(run, node, birth);
        let receiver = Receiver(sessions.clone());
        let (receiver, _) = Actor::spawn(Some(name.clone()), receiver, ()).await.map_err(failed)?;
        // A node server insists on a listener of its own. This one is reached from this machine only, and takes
        // nobody who does not know the cookie; sessions that we have not opened are stopped all the same.
        let cookie: String =
            Sha256::digest(format!("{run}\n{secret}")).iter().map(|byte| format!("{byte:02x}")).collect();
        let mode = Some(NodeConnectionMode::Isolated);
        let server = NodeServer::new(0, cookie, name, node.to_owned(), None, mode)
            .with_listen_addr(IpAddr::V4(Ipv4Addr::LOCALHOST))
            .with_max_inbound_frame_size(FRAME_BYTES_MAX);
        let (server, _) = Actor::spawn(None, server, ()).await.map_err(failed)?;
        let subscription = Box::new(Watch(sessions.clone()));
        let watch = NodeServerMessage::SubscribeToEvents { id: "links".to_owned(), subscription };
        server.cast(watch).map_err(|error| LinkError::Control(error.to_string()))?;
        Ok(Arc::new(Self { sessions, receiver, server, run: run.to_owned() }))
    }

    /// Hands a connection over; the session belongs to the edge and ends when it is dropped.
    pub fn open(
        self: &Arc<Self>,
        node: NodeId,
        connection: u64,
        stream: Stream,
        is_server: bool,
        edge: EdgeSender,
    ) -> Session {
        let (ready, is_ready) = oneshot::channel();
        let live = Live { node, edge, abandoned: false, actor: None, ready: Some(ready) };
        self.sessions.lock().insert(connection, live);
        let stream = Box::new(Labelled { stream, label: label(connection) });
        if self.server.cast(NodeServerMessage::ConnectionOpenedExternal { stream, is_server }).is_err() {
            self.sessions.lock().remove(&connection);
        }
        Session { control: self.clone(), connection, ready: Some(is_ready) }
    }

    /// Waits until all sessions with a node are gone: the node server keeps only one with each.
    pub async fn gone(&self, node: NodeId, limit: Duration) {
        let gone = async {
            loop {
                let changed = self.sessions.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if !self.sessions.lock().values().any(|live| live.node == node) {
                    return;
                }
                changed.await;
            }
        };
        if tokio::time::timeout(limit, gone).await.is_err() {
            // The node server never took it, or does not react: the next attempt will tell.
            self.sessions.lock().retain(|_, live| live.node != node);
        }
    }

    /// Stops the actors and waits until they have.
    pub async fn stop(&self) {
        let limit = Some(Duration::from_secs(5));
        // An error means that they have stopped already, or will not: nothing else can be done.
        let _ = self.server.stop_and_wait(None, limit).await;
        let _ = self.receiver.stop_and_wait(None, limit).await;
    }

    /// Stops the actors soon.
    pub fn kill(&self) {
        self.server.stop(None);
        self.receiver.stop(None);
    }
}

/// One session, from our side.
pub(super) struct Session {
    control: Arc<Control>,
    connection: u64,
    ready: Option<oneshot::Receiver<ActorCell>>,
}

impl Session {
    /// Waits until both node servers know each other; returns the actor of `node` at the other end.
    pub async fn ready(&mut self, node: &str, birth: u32) -> Option<ActorRef<Call>> {
        let session = self.ready.take()?.await.ok()?;
        let name = actor_name(&self.control.run, node, birth);
        let actors = session.get_children();
        let actor = actors.into_iter().find(|actor| actor.get_name().as_ref() == Some(&name))?;
        Some(actor.into())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.control.sessions.abandon(self.connection);
    }
}

struct Labelled {
    stream: Stream,
    label: String,
}

impl ClusterBidiStream for Labelled {
    fn split(self: Box<Self>) -> (BoxRead, BoxWrite) {
        let (read, write) = tokio::io::split(self.stream.io);
        (Box::new(read), Box::new(write))
    }

    fn peer_label(&self) -> Option<String> {
        Some(self.label.clone())
    }
}
