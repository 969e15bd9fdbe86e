//! Takes connections, finds out who is calling, and hands callers to their edges. Whatever a caller does, the listener
//! goes on.

use super::hello::{Hello, hear};
use super::meet::{Caller, Process};
use super::queue::{EdgeEvent, EdgeSender};
use super::stream::Stream;
use crate::domain::NodeId;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// Callers that may be saying who they are at the same time; others are sent away.
const CALLERS_MAX: usize = 256;

/// Accepts until it is aborted.
pub(super) async fn listen(
    listener: TcpListener,
    process: Arc<Process>,
    edges: Arc<BTreeMap<NodeId, EdgeSender>>,
) {
    let callers = Arc::new(Semaphore::new(CALLERS_MAX));
    loop {
        let (tcp, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // No file descriptors left, or the caller is gone again: try later.
                tracing::warn!("cannot accept a connection: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Ok(permit) = callers.clone().try_acquire_owned() else {
            tracing::warn!("connection from {address} refused: {CALLERS_MAX} others are being answered");
            continue;
        };
        let (process, edges) = (process.clone(), edges.clone());
        tokio::spawn(async move {
            let limit = process.handshake_timeout;
            let result = tokio::time::timeout(limit, identify(tcp, &process)).await;
            match result.unwrap_or_else(|_| Err(format!("it did not say who it is within {limit:?}"))) {
                Ok(caller) => route(caller, address, &process, &edges),
                Err(why) => tracing::warn!("connection from {address} refused: {why}"),
            }
            drop(permit);
        });
    }
}

/// Who is calling, with proof.
async fn identify(tcp: TcpStream, process: &Process) -> Result<Caller, String> {
    let (mut stream, certificates) = Stream::accept(tcp, process.tls.as_ref(), &process.totals)
        .await
        .map_err(|error| format!("no TLS connection: {error}"))?;
    let (hello, early) = hear::<Hello>(&mut stream.io).await.map_err(|error| format!("no hello: {error}"))?;
    let name = process.names.get(hello.from.index()).ok_or("it is not a node of this run")?;
    if process.tls.as_ref().is_some_and(|tls| !tls.is(certificates.as_deref(), name)) {
        return Err(format!("it says that it is `{name}`, its certificate does not"));
    }
    Ok(Caller { hello, stream, early })
}

fn route(caller: Caller, address: SocketAddr, process: &Process, edges: &BTreeMap<NodeId, EdgeSender>) {
    let edge = edges.get(&caller.hello.from);
    let refusal = caller.hello.refusal(&process.run, process.me);
    match (refusal, edge) {
        (None, Some(edge)) => edge.tell(EdgeEvent::Called(caller)),
        (refusal, _) => {
            let why = refusal.unwrap_or_else(|| "it is not a neighbour of this node".to_owned());
            tracing::warn!("connection from {address} refused: {why}");
            caller.refuse(why, process.handshake_timeout);
        }
    }
}
