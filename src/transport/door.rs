//! A door: connections between a controller and devices that come to it by themselves, both ends authenticated by
//! certificates of one authority.

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
}

impl Door {
    /// Listens.
    ///
    /// # Errors
    /// When the address is taken or the identity unusable.
    pub async fn open(address: SocketAddr, identity: &Identity) -> io::Result<Self> {
        let tls = Tls::new(SUBJECT, identity).map_err(io::Error::other)?;
        Ok(Self { listener: TcpListener::bind(address).await?, tls })
    }

    /// The next caller, whoever it is.
    pub async fn accept(&self) -> (TcpStream, SocketAddr) {
        loop {
            match self.listener.accept().await {
                Ok(accepted) => return accepted,
                // No file descriptors left, or the caller is gone again.
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }

    /// Whether a caller is a device; strangers are logged and sent away.
    pub async fn prove(&self, tcp: TcpStream, address: SocketAddr) -> Option<Box<dyn Connection>> {
        let totals = Arc::new(Totals::default());
        let accepted = tokio::time::timeout(HANDSHAKE, Stream::accept(tcp, Some(&self.tls), &totals)).await;
        match accepted {
            Ok(Ok((stream, shown))) if self.tls.is(shown.as_deref(), DEVICE) => {
                return Some(Box::new(stream.io));
            }
            Ok(Ok(_)) => tracing::warn!("{address} is not a device: refused"),
            Ok(Err(error)) => tracing::warn!("{address} refused: {error}"),
            Err(_) => tracing::warn!("{address} refused: it did not prove itself within {HANDSHAKE:?}"),
        }
        None
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
