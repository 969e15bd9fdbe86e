//! A door: connections between a controller and devices that come to it by themselves, both ends authenticated by
//! certificates of one authority.

use super::gate::{Gate, Pass};
use super::identity::{Authority, Identity, IdentityError, Tls};
use super::stream::{Stream, Totals};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};

/// A connection with both ends proved.
pub trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

/// Time for a handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Callers that may be proving themselves at a time, and how many of them from one address.
const CALLERS: (usize, usize) = (256, 64);
const SUBJECT: &str = "hcddl door";
const CONTROLLER: &str = "controller";
const DEVICE: &str = "device";

/// Identities for a controller and for its devices, of a new authority that is forgotten.
///
/// # Errors
/// [`IdentityError`] when the system gives no random numbers.
pub fn identities() -> Result<(Identity, Identity), IdentityError> {
    let authority = Authority::new(SUBJECT)?;
    Ok((authority.issue(CONTROLLER)?, authority.issue(DEVICE)?))
}

/// The controller's end.
pub struct Door {
    listener: TcpListener,
    tls: Tls,
    gate: Arc<Gate>,
}

/// Somebody at the door.
pub struct Caller {
    tcp: TcpStream,
    /// Where it calls from.
    pub address: SocketAddr,
    pass: Pass,
}

impl Door {
    /// Listens.
    ///
    /// # Errors
    /// When the address is taken or the identity unusable.
    pub async fn open(address: SocketAddr, identity: &Identity) -> io::Result<Self> {
        let tls = Tls::new(SUBJECT, identity).map_err(io::Error::other)?;
        let gate = Gate::new(CALLERS.0, CALLERS.1);
        Ok(Self { listener: TcpListener::bind(address).await?, tls, gate })
    }

    /// The next caller, whoever it is.
    pub async fn accept(&self) -> Caller {
        loop {
            match self.listener.accept().await {
                Ok((tcp, address)) => {
                    if let Some(pass) = self.gate.enter(address.ip()) {
                        return Caller { tcp, address, pass };
                    }
                }
                Err(error) => {
                    self.gate.cannot_accept(&error);
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    /// Whether a caller is a device; strangers are logged and sent away.
    pub async fn prove(&self, caller: Caller) -> Option<Box<dyn Connection>> {
        let Caller { tcp, pass, .. } = caller;
        let totals = Arc::new(Totals::default());
        let accepted = tokio::time::timeout(HANDSHAKE, Stream::accept(tcp, Some(&self.tls), &totals)).await;
        let (kind, why) = match accepted {
            Ok(Ok((stream, shown))) if self.tls.is(shown.as_deref(), DEVICE) => {
                return Some(Box::new(stream.io));
            }
            Ok(Ok(_)) => ("device", "its certificate is not that of a device".to_owned()),
            Ok(Err(error)) => ("tls", format!("no TLS connection: {error}")),
            Err(_) => ("silent", format!("it did not prove itself within {HANDSHAKE:?}")),
        };
        pass.refuse(kind, &why).await;
        None
    }

    /// Whether a line about somebody at this address is to be written now, and what to put behind it.
    pub(crate) fn line(&self, address: SocketAddr, kind: &'static str) -> Option<String> {
        self.gate.line(address.ip(), kind)
    }
}

/// The device's end: calls the controller at `host:port`.
///
/// # Errors
/// When nobody answers, or not the controller that the identity belongs to.
pub async fn call(address: &str, identity: &Identity) -> io::Result<Box<dyn Connection>> {
    let tls = Tls::new(SUBJECT, identity).map_err(io::Error::other)?;
    let totals = Arc::new(Totals::default());
    let calling = Stream::connect(address, Some(&tls), CONTROLLER, &totals);
    let stream = tokio::time::timeout(HANDSHAKE, calling).await.map_err(|_| io::ErrorKind::TimedOut)??;
    Ok(Box::new(stream.io))
}
