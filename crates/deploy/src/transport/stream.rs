//! A TCP connection, encrypted or not, that counts what passes and remembers when it last heard anything.

use super::identity::Tls;
use rustls::pki_types::CertificateDer;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// Bytes over all connections of a process.
#[derive(Debug, Default)]
pub(super) struct Totals {
    pub sent: AtomicU64,
    pub received: AtomicU64,
}

/// When a connection was last heard.
#[derive(Debug)]
pub(super) struct Meter {
    start: Instant,
    /// Nanoseconds after `start`.
    heard: AtomicU64,
    totals: Arc<Totals>,
}

impl Meter {
    fn new(totals: Arc<Totals>) -> Arc<Self> {
        Arc::new(Self { start: Instant::now(), heard: AtomicU64::new(0), totals })
    }

    /// The last time that bytes arrived; the start when none has.
    pub fn heard(&self) -> Instant {
        self.start + Duration::from_nanos(self.heard.load(Relaxed))
    }
}

/// A connected byte stream.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// One connection.
pub(super) struct Stream {
    pub io: Box<dyn Duplex>,
    pub meter: Arc<Meter>,
}

impl Stream {
    /// Dials an address; with TLS the other end must be `node`.
    pub async fn connect(
        address: &str,
        tls: Option<&Tls>,
        node: &str,
        totals: &Arc<Totals>,
    ) -> io::Result<Self> {
        let (tcp, meter) = Metered::new(TcpStream::connect(address).await?, totals)?;
        let io: Box<dyn Duplex> = match tls {
            None => Box::new(tcp),
            Some(tls) => {
                Box::new(TlsConnector::from(tls.client.clone()).connect(tls.name_of(node), tcp).await?)
            }
        };
        Ok(Self { io, meter })
    }

    /// Takes a connection; with TLS also the certificates that the other end has shown, their chain checked.
    pub async fn accept(
        tcp: TcpStream,
        tls: Option<&Tls>,
        totals: &Arc<Totals>,
    ) -> io::Result<(Self, Option<Vec<CertificateDer<'static>>>)> {
        let (tcp, meter) = Metered::new(tcp, totals)?;
        let Some(tls) = tls else { return Ok((Self { io: Box::new(tcp), meter }, None)) };
        let stream = TlsAcceptor::from(tls.server.clone()).accept(tcp).await?;
        let certificates = stream
            .get_ref()
            .1
            .peer_certificates()
            .map(|c| c.iter().map(|c| c.clone().into_owned()).collect());
        Ok((Self { io: Box::new(stream), meter }, certificates))
    }
}

struct Metered {
    tcp: TcpStream,
    meter: Arc<Meter>,
}

impl Metered {
    fn new(tcp: TcpStream, totals: &Arc<Totals>) -> io::Result<(Self, Arc<Meter>)> {
        tcp.set_nodelay(true)?;
        let meter = Meter::new(totals.clone());
        Ok((Self { tcp, meter: meter.clone() }, meter))
    }

    fn sent(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = &written {
            self.meter.totals.sent.fetch_add(*bytes as u64, Relaxed);
        }
        written
    }
}

impl AsyncRead for Metered {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.tcp).poll_read(cx, buffer);
        let bytes = buffer.filled().len() - before;
        if bytes > 0 {
            let meter = &self.meter;
            meter.totals.received.fetch_add(bytes as u64, Relaxed);
            meter.heard.store(meter.start.elapsed().as_nanos() as u64, Relaxed);
        }
        read
    }
}

impl AsyncWrite for Metered {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.tcp).poll_write(cx, bytes);
        self.sent(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.tcp).poll_write_vectored(cx, slices);
        self.sent(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}
