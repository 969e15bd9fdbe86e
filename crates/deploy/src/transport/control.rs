//! Small messages and signs of life, through ractor_cluster.
//!
//! Each process has one actor that takes them, named after run, node and life. For each connection a node session of
//! ractor_cluster shows the other end's actor as one of ours, to which we cast. The connections are made and checked
//! by us and handed over, so nobody who is not authenticated reaches ractor_cluster's own handshake.

use super::gate::Repeats;
use super::links::LinkError;
use super::queue::{EdgeEvent, EdgeSender};
use super::stream::Stream;
use hcddl_core::domain::NodeId;
use ractor::{Actor, ActorCell, ActorId, ActorProcessingErr, ActorRef, SupervisionEvent};
use ractor_cluster::node::{NodeConnectionMode, SessionCheckReply};
use ractor_cluster::{
    BoxRead, BoxWrite, ClusterBidiStream, NetworkStream, NodeServerMessage, NodeSession, NodeSessionMessage,
    RactorClusterMessage,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
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
    Message { life: u32, ordinal: u64, frame: Vec<u8> },
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
        match hcddl_files::bytes::to_bytes(self) {
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
        match hcddl_files::bytes::from_bytes::<Frame>(&bytes, CONTENT_BYTES_MAX) {
            Ok(frame) => self.0.deliver(frame),
            // The session does not say whose it was; the sequence numbers of what is lost will tell its sender.
            Err(error) => {
                if let Some(more) = self.0.repeats.line((), "frame", Instant::now()) {
                    tracing::warn!("a control frame was dropped: {error}{more}");
                }
            }
        }
        Ok(())
    }
}

/// The sessions of a process by the numbers of their connections.
#[derive(Default)]
struct Sessions {
    live: Mutex<BTreeMap<u64, Live>>,
    changed: Notify,
    /// What neighbours cause to be logged.
    repeats: Repeats<()>,
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

    fn opened(&self, connection: u64, session: ActorRef<NodeSessionMessage>) {
        match self.lock().get_mut(&connection) {
            Some(live) if !live.abandoned => live.actor = Some(session),
            _ => session.stop(None),
        }
    }

    fn ready(&self, connection: u64) {
        if let Some(live) = self.lock().get_mut(&connection)
            && let (Some(ready), Some(session)) = (live.ready.take(), &live.actor)
        {
            let _ = ready.send(session.get_cell());
        }
    }

    fn ended(&self, connection: u64, why: &str) {
        if let Some(live) = self.lock().remove(&connection) {
            live.edge.tell(EdgeEvent::Lost { connection, why: why.to_owned() });
        }
        self.changed.notify_waiters();
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

fn label(connection: u64) -> String {
    format!("{connection:016x}")
}

/// Stands where ractor_cluster has its node server: takes connections that we have made and checked, and nothing
/// else. The crate's own listens on a port, which any user of the machine can reach; this one has no socket at all.
struct Switchboard {
    sessions: Arc<Sessions>,
    cookie: String,
    /// Name of the process within ractor_cluster.
    name: String,
}

/// The connections of sessions that live, and the number of the next session.
#[derive(Default)]
struct Switched {
    connections: BTreeMap<ActorId, u64>,
    next: u64,
}

impl Switchboard {
    fn session(&self, myself: &ActorRef<NodeServerMessage>, number: u64, is_server: bool) -> NodeSession {
        // ractor_cluster keeps the type of names to itself: a message that has one lends it.
        let lender = NodeServerMessage::UpdateSession { actor_id: myself.get_id(), name: Default::default() };
        let NodeServerMessage::UpdateSession { mut name, .. } = lender else {
            unreachable!("as it was made")
        };
        name.name.clone_from(&self.name);
        name.connection_string.clone_from(&self.name);
        let (cookie, mode) = (self.cookie.clone(), NodeConnectionMode::Isolated);
        NodeSession::new(number, is_server, cookie, myself.clone(), name, mode)
            .with_max_inbound_frame_size(FRAME_BYTES_MAX)
    }

    async fn opened(
        &self,
        myself: &ActorRef<NodeServerMessage>,
        stream: Box<dyn ClusterBidiStream>,
        is_server: bool,
        switched: &mut Switched,
    ) {
        let Some(connection) = stream.peer_label().and_then(|label| u64::from_str_radix(&label, 16).ok())
        else {
            return;
        };
        let session = self.session(myself, switched.next, is_server);
        switched.next += 1;
        let (reader, writer) = stream.split();
        let stream = NetworkStream::External { peer_label: None, local_label: None, reader, writer };
        match Actor::spawn_linked(None, session, stream, myself.get_cell()).await {
            Ok((actor, _)) => {
                switched.connections.insert(actor.get_id(), connection);
                self.sessions.opened(connection, actor);
            }
            Err(error) => self.sessions.ended(connection, &format!("no session: {error}")),
        }
    }
}

impl Actor for Switchboard {
    type Msg = NodeServerMessage;
    type State = Switched;
    type Arguments = ();

    async fn pre_start(
        &self,
        _: ActorRef<NodeServerMessage>,
        (): (),
    ) -> Result<Switched, ActorProcessingErr> {
        Ok(Switched::default())
    }

    async fn handle(
        &self,
        myself: ActorRef<NodeServerMessage>,
        message: NodeServerMessage,
        switched: &mut Switched,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            NodeServerMessage::ConnectionOpenedExternal { stream, is_server } => {
                self.opened(&myself, stream, is_server, switched).await;
            }
            NodeServerMessage::ConnectionReady(session) => {
                if let Some(connection) = switched.connections.get(&session) {
                    self.sessions.ready(*connection);
                }
            }
            // An edge opens a session only when those before it are gone: there is nothing to elect.
            NodeServerMessage::CheckSession { reply, .. } => {
                let _ = reply.send(SessionCheckReply::NoOtherConnection);
            }
            _ => {}
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<NodeServerMessage>,
        event: SupervisionEvent,
        switched: &mut Switched,
    ) -> Result<(), ActorProcessingErr> {
        if let SupervisionEvent::ActorTerminated(actor, ..) | SupervisionEvent::ActorFailed(actor, _) = event
            && let Some(connection) = switched.connections.remove(&actor.get_id())
        {
            self.sessions.ended(connection, "the control connection ended");
        }
        Ok(())
    }
}

/// The control side of a process.
pub(super) struct Control {
    sessions: Arc<Sessions>,
    receiver: ActorRef<Call>,
    server: ActorRef<NodeServerMessage>,
    run: String,
}

/// A node's actor by run, node and life: several nodes may share a process in tests.
fn actor_name(run: &str, node: &str, life: u32) -> String {
    format!("hcddl {run} {node} {life}")
}

impl Control {
    /// Starts the actors.
    pub async fn start(run: &str, node: &str, life: u32, secret: &str) -> Result<Arc<Self>, LinkError> {
        let failed = |error: ractor::SpawnErr| LinkError::Control(error.to_string());
        let sessions = Arc::new(Sessions::default());
        let name = actor_name(run, node, life);
        let receiver = Receiver(sessions.clone());
        let (receiver, _) = Actor::spawn(Some(name.clone()), receiver, ()).await.map_err(failed)?;
        // Both ends of every connection have proved themselves by then; the cookie is ractor_cluster's own question.
        let cookie = hcddl_core::domain::text::hex(&Sha256::digest(format!("{run}\n{secret}")));
        let switchboard = Switchboard { sessions: sessions.clone(), cookie, name };
        let (server, _) = Actor::spawn(None, switchboard, ()).await.map_err(failed)?;
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

    /// Waits until all sessions with a node are gone: there is one with each.
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
            // The switchboard never took it, or does not react: the next attempt will tell.
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
    pub async fn ready(&mut self, node: &str, life: u32) -> Option<ActorRef<Call>> {
        let session = self.ready.take()?.await.ok()?;
        let name = actor_name(&self.control.run, node, life);
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
