//! Takes connections, finds out who is calling, and hands callers to their edges. Whatever a caller does, the listener
//! goes on.

use super::gate::Gate;
use super::hello::{Hello, hear};
use super::meet::{Caller, Process};
use super::queue::{EdgeEvent, EdgeSender};
use super::stream::Stream;
use hcddl_core::domain::NodeId;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};

/// Callers that may be saying who they are at the same time, and how many of them from one address: nodes that share a
/// host or come through one router begin together.
const CALLERS: (usize, usize) = (256, 64);

/// Why a caller is refused: a kind, which repeats, and the words.
type Refusal = (&'static str, String);

/// What kind of failure of TLS this is, for those that tell most.
fn kind_of(error: &std::io::Error) -> &'static str {
    match error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::NoCertificatesPresented) => "no certificate",
        Some(rustls::Error::InvalidCertificate(_)) => "certificate",
        Some(rustls::Error::AlertReceived(_)) => "alert",
        _ => "tls",
    }
}

/// Accepts until it is aborted.
pub(super) async fn listen(
    listener: TcpListener,
    process: Arc<Process>,
    edges: Arc<BTreeMap<NodeId, EdgeSender>>,
) {
    let gate = Gate::new(CALLERS.0, CALLERS.1);
    loop {
        let (tcp, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // No file descriptors left, or the caller is gone again: try later.
                gate.cannot_accept(&error);
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Some(pass) = gate.enter(address.ip()) else { continue };
        let (process, edges) = (process.clone(), edges.clone());
        tokio::spawn(async move {
            let limit = process.handshake_timeout;
            let identified = tokio::time::timeout(limit, identify(tcp, &process)).await;
            let late = || Err(("silent", format!("it did not say who it is within {limit:?}")));
            let routed = identified.unwrap_or_else(|_| late()).and_then(|c| route(c, &process, &edges));
            if let Err((kind, why)) = routed {
                pass.refuse(kind, &why).await;
            }
        });
    }
}

/// Who is calling, with proof.
async fn identify(tcp: TcpStream, process: &Process) -> Result<Caller, Refusal> {
    let (mut stream, certificates) = Stream::accept(tcp, process.tls.as_ref(), &process.totals)
        .await
        .map_err(|error| (kind_of(&error), format!("no TLS connection: {error}")))?;
    let (hello, early) =
        hear::<Hello>(&mut stream.io).await.map_err(|error| ("hello", format!("no hello: {error}")))?;
    let name =
        process.names.get(hello.from.index()).ok_or(("node", "it is not a node of this run".to_owned()))?;
    if process.tls.as_ref().is_some_and(|tls| !tls.is(certificates.as_deref(), name)) {
        return Err(("name", format!("it says that it is `{name}`, its certificate does not")));
    }
    Ok(Caller { hello, stream, early })
}

fn route(caller: Caller, process: &Process, edges: &BTreeMap<NodeId, EdgeSender>) -> Result<(), Refusal> {
    let edge = edges.get(&caller.hello.from);
    let refusal = caller.hello.refusal(&process.run, process.me);
    match (refusal, edge) {
        (None, Some(edge)) => {
            edge.tell(EdgeEvent::Called(caller));
            Ok(())
        }
        (refusal, _) => {
            let stranger = || ("neighbour", "it is not a neighbour of this node".to_owned());
            let (kind, why) = refusal.unwrap_or_else(stranger);
            caller.refuse(why.clone(), process.handshake_timeout);
            Err((kind, why))
        }
    }
}
