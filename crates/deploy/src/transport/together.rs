//! An edge while it is connected: the two lanes.

use super::bulk::{BulkError, Reader, Room, Writer};
use super::control::{Call, Content, Frame, Session};
use super::links::Stamp;
use super::meet::{Meeting, Process};
use super::queue::{EdgeEvent, EdgeSender, Outgoing, Task};
use super::stream::Meter;
use super::wire;
use hcddl_core::domain::{Lane, NodeId};
use ractor::ActorRef;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio::time::Instant;

/// Two ends that talk.
pub(super) struct Together {
    /// Number of the pair of connections.
    pub connection: u64,
    /// When they met.
    pub since: Instant,
    remote: ActorRef<Call>,
    bulk: UnboundedSender<ToWrite>,
    meters: [Arc<Meter>; 2],
    /// Whether control and bulk have been marked by the other end, and whom to tell.
    flush: Option<([bool; 2], oneshot::Sender<()>)>,
    _session: Session,
    _tasks: [Task; 2],
}

impl Together {
    /// Starts to talk.
    pub fn new(
        meeting: Meeting,
        node: NodeId,
        process: &Arc<Process>,
        room: &Room,
        edge: &EdgeSender,
    ) -> Self {
        let Meeting { connection, session, remote, bulk, early, meters, .. } = meeting;
        let (read, write) = tokio::io::split(bulk);
        let reader = Reader::new(read, early, process.limits, room.clone());
        let (queue, queued) = unbounded_channel();
        let reading = Task::spawn(read_bulk(reader, (process.clone(), node), connection, edge.clone()));
        let writing = Task::spawn(write_bulk(Writer::new(write), queued, connection, edge.clone()));
        Self {
            connection,
            since: Instant::now(),
            remote,
            bulk: queue,
            meters,
            flush: None,
            _session: session,
            _tasks: [reading, writing],
        }
    }

    /// When the other end was last heard.
    pub fn heard(&self) -> Instant {
        let [control, bulk] = &self.meters;
        Instant::from_std(control.heard().max(bulk.heard()))
    }

    /// Sends a message in its lane.
    pub fn send(&self, outgoing: Outgoing) {
        if outgoing.message.lane() == Lane::Model {
            // The writer is gone only when the connection is: the edge will hear of it.
            let _ = self.bulk.send(ToWrite::Message(outgoing));
            return;
        }
        match wire::encode(&outgoing.message) {
            Ok(frame) => {
                let Stamp { life, ordinal } = outgoing.stamp;
                self.say(Content::Message { life, ordinal, frame });
            }
            Err(error) => tracing::error!("a message cannot be sent: {error}"),
        }
    }

    /// Tells `done` when the other end has come this far in both lanes.
    pub fn flush(&mut self, done: oneshot::Sender<()>) {
        self.flush = Some(([false; 2], done));
        self.say(Content::Mark);
        let _ = self.bulk.send(ToWrite::Mark);
    }

    /// Says something in the control lane.
    pub fn say(&self, content: Content) {
        Frame { connection: self.connection, content }.cast(&self.remote);
    }

    /// The other end has come as far as control (0) or bulk (1) was marked.
    pub fn marked(&mut self, which: usize) {
        let Some((marks, _)) = &mut self.flush else { return };
        marks[which] = true;
        if *marks == [true, true]
            && let Some((_, done)) = self.flush.take()
        {
            let _ = done.send(());
        }
    }
}

enum ToWrite {
    Message(Outgoing),
    Mark,
}

async fn read_bulk<R: AsyncRead + Unpin>(
    mut reader: Reader<R>,
    (process, node): (Arc<Process>, NodeId),
    connection: u64,
    edge: EdgeSender,
) {
    let why = loop {
        match reader.next().await {
            Ok(Some(incoming)) => edge.tell(EdgeEvent::Bulk { connection, incoming }),
            Ok(None) => break "the bulk connection ended".to_owned(),
            Err(BulkError::Io(error)) => break error.to_string(),
            Err(BulkError::Wire(error)) => {
                process.warn(node, "tensors", &format!("a message with tensors was refused: {error}"));
                break error.to_string();
            }
        }
    };
    edge.tell(EdgeEvent::Lost { connection, why });
}

async fn write_bulk<W: AsyncWrite + Unpin>(
    mut writer: Writer<W>,
    mut queue: UnboundedReceiver<ToWrite>,
    connection: u64,
    edge: EdgeSender,
) {
    while let Some(next) = queue.recv().await {
        let sent = match &next {
            ToWrite::Message(outgoing) => writer.send(outgoing.stamp, &outgoing.message).await,
            ToWrite::Mark => writer.mark().await,
        };
        match sent {
            Ok(()) => {}
            // Nothing of it has been written.
            Err(BulkError::Wire(error)) => tracing::error!("a message cannot be sent: {error}"),
            Err(BulkError::Io(error)) => {
                return edge.tell(EdgeEvent::Lost { connection, why: error.to_string() });
            }
        }
    }
}
