//! How two ends come together: two connections for each edge, the control connection first.

use super::control::{Call, Control, Session};
use super::gate::{Repeats, plain};
use super::hello::{Answer, Hello, Purpose, Standing, hear, say};
use super::identity::Tls;
use super::queue::EdgeSender;
use super::stream::{Duplex, Meter, Stream, Totals};
use super::wire::{Limits, WIRE_VERSION};
use bytes::BytesMut;
use hcddl_core::domain::NodeId;
use ractor::ActorRef;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedReceiver;

/// What all edges of a process share.
pub(super) struct Process {
    pub run: String,
    pub me: NodeId,
    pub names: Vec<String>,
    pub life: u32,
    pub tls: Option<Tls>,
    pub handshake_timeout: Duration,
    pub limits: Limits,
    pub totals: Arc<Totals>,
    pub control: Arc<Control>,
    /// What neighbours cause to be logged.
    pub repeats: Arc<Repeats<NodeId>>,
}

impl Process {
    /// The name of a node.
    pub fn name(&self, node: NodeId) -> &str {
        &self.names[node.index()]
    }

    /// Warns of a neighbour, of each kind of thing once and then now and then.
    pub fn warn(&self, node: NodeId, kind: &'static str, what: &str) {
        if let Some(more) = self.repeats.line(node, kind, std::time::Instant::now()) {
            tracing::warn!("{}: {}{more}", self.name(node), plain(what));
        }
    }
}

/// A connection that was accepted, and what it said.
pub(super) struct Caller {
    pub hello: Hello,
    pub stream: Stream,
    /// What came behind the hello.
    pub early: BytesMut,
}

impl Caller {
    /// Sends it away, in the background.
    pub fn refuse(mut self, why: String, limit: Duration) {
        tokio::spawn(async move {
            let answer = Answer::Refused(why);
            // It may be gone already; then there is nobody to tell.
            let _ = tokio::time::timeout(limit, say(&mut self.stream.io, &answer)).await;
        });
    }
}

/// Two ends that are connected.
pub(super) struct Meeting {
    /// Number of the pair of connections.
    pub connection: u64,
    /// What the other end said of itself.
    pub standing: Standing,
    /// Ends the control connection when dropped.
    pub session: Session,
    /// The actor at the other end.
    pub remote: ActorRef<Call>,
    /// The bulk connection.
    pub bulk: Box<dyn Duplex>,
    /// What came on it behind the hello.
    pub early: BytesMut,
    /// When control and bulk were last heard.
    pub meters: [Arc<Meter>; 2],
}

/// Dials both connections.
pub(super) async fn dial(
    process: &Process,
    node: NodeId,
    address: &str,
    connection: u64,
    ours: Standing,
    edge: EdgeSender,
) -> Result<Meeting, String> {
    process.control.gone(node, process.handshake_timeout).await;
    let hello = |purpose| Hello {
        wire: WIRE_VERSION,
        run: process.run.clone(),
        from: process.me,
        to: node,
        purpose,
        connection,
        standing: ours,
    };
    let (control, standing, early) = call(process, node, address, hello(Purpose::Control)).await?;
    if !early.is_empty() {
        return Err("it spoke out of turn".to_owned());
    }
    let (bulk, _, early) = call(process, node, address, hello(Purpose::Bulk)).await?;
    join(process, node, standing, (connection, control, false), (bulk, early), edge).await
}

/// Dials one connection.
async fn call(
    process: &Process,
    node: NodeId,
    address: &str,
    hello: Hello,
) -> Result<(Stream, Standing, BytesMut), String> {
    let calling = async {
        let name = process.name(node);
        let mut stream = Stream::connect(address, process.tls.as_ref(), name, &process.totals).await?;
        say(&mut stream.io, &hello).await?;
        let (answer, early) = hear::<Answer>(&mut stream.io).await?;
        std::io::Result::Ok((stream, answer, early))
    };
    match tokio::time::timeout(process.handshake_timeout, calling).await {
        Ok(Ok((stream, Answer::Welcome(standing), early))) => Ok((stream, standing, early)),
        Ok(Ok((_, Answer::Refused(why), _))) => Err(format!("it refuses: {why}")),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {:?}", process.handshake_timeout)),
    }
}

/// Answers a control connection, and the bulk connection that follows.
pub(super) async fn welcome(
    process: &Process,
    mut caller: Caller,
    mut bulk: UnboundedReceiver<Caller>,
    ours: Standing,
    edge: EdgeSender,
) -> Result<Meeting, String> {
    let limit = process.handshake_timeout;
    let Hello { from: node, connection, standing, .. } = caller.hello;
    process.control.gone(node, limit).await;
    if !caller.early.is_empty() {
        return Err("it spoke out of turn".to_owned());
    }
    let answering = async {
        say(&mut caller.stream.io, &Answer::Welcome(ours)).await?;
        let mut bulk = bulk.recv().await.ok_or(std::io::ErrorKind::UnexpectedEof)?;
        say(&mut bulk.stream.io, &Answer::Welcome(ours)).await?;
        std::io::Result::Ok(bulk)
    };
    let bulk = tokio::time::timeout(limit, answering)
        .await
        .map_err(|_| format!("its second connection did not come within {limit:?}"))?
        .map_err(|error| error.to_string())?;
    join(process, node, standing, (connection, caller.stream, true), (bulk.stream, bulk.early), edge).await
}

/// Hands the control connection to ractor_cluster and waits until the actors know each other.
async fn join(
    process: &Process,
    node: NodeId,
    standing: Standing,
    (connection, control, is_server): (u64, Stream, bool),
    (bulk, early): (Stream, BytesMut),
    edge: EdgeSender,
) -> Result<Meeting, String> {
    let meters = [control.meter.clone(), bulk.meter.clone()];
    let mut session = process.control.open(node, connection, control, is_server, edge);
    let ready = session.ready(process.name(node), standing.life);
    let remote = tokio::time::timeout(process.handshake_timeout, ready)
        .await
        .map_err(|_| "the control actors did not find each other".to_owned())?
        .ok_or_else(|| "the control connection ended at once".to_owned())?;
    Ok(Meeting { connection, standing, session, remote, bulk: bulk.io, early, meters })
}
