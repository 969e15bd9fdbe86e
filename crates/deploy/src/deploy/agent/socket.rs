//! The supervisor's socket: lines in, status lines out.

use crate::transport::gate::plain;
use futures_util::StreamExt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::codec::{FramedRead, LinesCodec};

/// Name of the socket in the directory of a run. It is used from within that directory, since the path of a socket has
/// room for about 100 bytes.
pub const FILE: &str = "agent.sock";

/// Clients at a time: a controller, and commands that ask for the state.
const CLIENTS_MAX: usize = 64;
/// Longest line of a client, in bytes.
const ORDER_BYTES_MAX: usize = 256;

/// What a controller says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// It is there: the lease begins anew.
    Renew,
    /// The run goes on without it.
    Detach,
    /// Stop every node and end.
    Stop,
    /// Start the nodes that are not running.
    Restart,
}

impl Order {
    /// The line of the protocol.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Renew => "renew",
            Self::Detach => "detach",
            Self::Stop => "stop",
            Self::Restart => "restart",
        }
    }

    fn read(line: &str) -> Option<Self> {
        let all = [Self::Renew, Self::Detach, Self::Stop, Self::Restart];
        all.into_iter().find(|order| order.word() == line.trim())
    }
}

/// Serves clients until `status` is closed; each then gets the last status and the end of the stream.
pub async fn serve(listener: UnixListener, status: watch::Receiver<String>, orders: mpsc::Sender<Order>) {
    let mut clients = JoinSet::new();
    let places = Arc::new(Semaphore::new(CLIENTS_MAX));
    let mut closed = status.clone();
    let over = async { while closed.changed().await.is_ok() {} };
    tokio::pin!(over);
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let Ok(place) = places.clone().try_acquire_owned() else { continue };
                    let talk = client(stream, status.clone(), orders.clone());
                    clients.spawn(async move {
                        talk.await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!("{FILE}: {error}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
            // Those who have gone are forgotten.
            Some(_) = clients.join_next() => {}
            () = &mut over => break,
        }
    }
    // A client that does not read keeps nobody.
    let _ =
        tokio::time::timeout(Duration::from_secs(1), async { while clients.join_next().await.is_some() {} })
            .await;
}

async fn client(stream: UnixStream, mut status: watch::Receiver<String>, orders: mpsc::Sender<Order>) {
    let (read, mut write) = stream.into_split();
    let talk = async move {
        // A longer line is the end of the conversation.
        let mut lines = FramedRead::new(read, LinesCodec::new_with_max_length(ORDER_BYTES_MAX));
        while let Some(Ok(line)) = lines.next().await {
            match Order::read(&line) {
                Some(order) => {
                    let _ = orders.send(order).await;
                }
                None => return tracing::warn!("{FILE}: unknown order `{}`", plain(&line)),
            }
        }
    };
    let tell = async move {
        loop {
            let line = status.borrow_and_update().clone();
            if write.write_all(line.as_bytes()).await.is_err() || status.changed().await.is_err() {
                break;
            }
        }
    };
    talk_until(talk, tell).await;
}

/// Whoever ends first ends both: a client that has gone, or a supervisor that ends.
async fn talk_until(talk: impl Future<Output = ()>, tell: impl Future<Output = ()>) {
    tokio::select! {
        () = talk => {}
        () = tell => {}
    }
}

/// Connects standard input and output with the socket in the current directory, until either ends.
///
/// # Errors
/// When nobody listens there.
pub async fn pipe(input: impl AsyncRead + Unpin, output: impl AsyncWrite + Unpin) -> io::Result<()> {
    let (mut read, mut write) = UnixStream::connect(Path::new(FILE)).await?.into_split();
    let (mut input, mut output) = (input, output);
    tokio::select! {
        up = tokio::io::copy(&mut input, &mut write) => up.map(drop),
        down = tokio::io::copy(&mut read, &mut output) => down.map(drop),
    }
}

/// Gives an order (nothing, for an empty one) to the supervisor in the current directory; its state after that.
///
/// # Errors
/// When nobody listens there.
pub async fn say(order: &str) -> io::Result<String> {
    let (read, mut write) = UnixStream::connect(Path::new(FILE)).await?.into_split();
    let mut lines = BufReader::new(read).lines();
    let mut last = lines.next_line().await?.unwrap_or_default();
    if !order.is_empty() {
        write.write_all(format!("{order}\n").as_bytes()).await?;
        last = lines.next_line().await?.unwrap_or(last);
    }
    Ok(last + "\n")
}

/// Tells the supervisor in the current directory to stop and waits until it has; `false` when there is none.
///
/// # Errors
/// When the connection breaks.
pub async fn stop() -> io::Result<bool> {
    let Ok(stream) = UnixStream::connect(Path::new(FILE)).await else { return Ok(false) };
    let (read, mut write) = stream.into_split();
    write.write_all(b"stop\n").await?;
    let mut lines = BufReader::new(read).lines();
    while lines.next_line().await?.is_some() {}
    Ok(true)
}
