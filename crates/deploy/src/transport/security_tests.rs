//! Invariant: whoever has no certificate of this run, or says what it may not, is refused and logged, and the others
//! do not notice.

use super::hello::{Answer, Hello, Purpose, Standing, hear, say};
use super::identity::Tls;
use super::lab::{End, PATIENCE, identities, large, root, small, worker};
use super::stream::{Stream, Totals};
use super::wire::{Limits, WIRE_VERSION};
use super::{Authority, LinksConfig};
use hcddl_core::domain::NodeId;
use rustls::pki_types::{CertificateDer, pem::PemObject};
use rustls::{ClientConfig, RootCertStore};
use std::io::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What has been logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// Waits for words, and forgets everything.
    async fn says(&self, words: &str) {
        let found = async {
            while !String::from_utf8_lossy(&self.0.lock().unwrap()).contains(words) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        if tokio::time::timeout(PATIENCE, found).await.is_err() {
            panic!("`{words}` is not in:\n{}", String::from_utf8_lossy(&self.0.lock().unwrap()));
        }
        self.0.lock().unwrap().clear();
    }
}

fn hello(run: &str) -> Hello {
    let standing = Standing { life: 0, losses: 0 };
    let (from, to, purpose) = (NodeId(1), NodeId(0), Purpose::Control);
    Hello { wire: WIRE_VERSION, run: run.to_owned(), from, to, purpose, connection: 1, standing }
}

async fn dial(tls: &Tls, root: SocketAddr) -> std::io::Result<Stream> {
    Stream::connect(&root.to_string(), Some(tls), "root", &Arc::new(Totals::default())).await
}

/// Says hello; the answer must be silence or a refusal.
async fn refused(tls: &Tls, root: SocketAddr, hello: &Hello) -> Option<String> {
    let mut stream = dial(tls, root).await.ok()?;
    say(&mut stream.io, hello).await.ok()?;
    match hear::<Answer>(&mut stream.io).await {
        Ok((Answer::Refused(why), _)) => Some(why),
        Ok((Answer::Welcome(_), _)) => panic!("welcome"),
        Err(_) => None,
    }
}

/// Waits until the other end hangs up.
async fn hung_up(io: &mut (impl tokio::io::AsyncRead + Unpin)) {
    let mut rest = Vec::new();
    // An alert may come first, and the end may be a reset: both say the same.
    let _ = tokio::time::timeout(PATIENCE, io.read_to_end(&mut rest)).await.expect("hung up");
}

// One thread, so that all logs come here.
#[tokio::test]
async fn strangers_are_refused_and_logged_and_the_run_goes_on() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::WARN)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);

    let authority = Authority::new("guarded").unwrap();
    let [a, b, other_node] = ["root", "worker 1", "worker 2"].map(|name| authority.issue(name).unwrap());
    let config =
        LinksConfig { handshake_timeout: Duration::from_secs(1), ..root("guarded", Some(a.clone())) };
    let mut root = End::start(config).await;
    let address = root.address();
    let mut worker = End::start(worker("guarded", Some(b), address)).await;
    root.send(1, small(1));
    assert_eq!(worker.word().await, "1 from 0");

    // No certificate at all.
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.certificate_pem().as_bytes()).unwrap()).unwrap();
    let mut anonymous = Tls::new("guarded", &other_node).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    anonymous.client = Arc::new(
        ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth(),
    );
    assert_eq!(refused(&anonymous, address, &hello("guarded")).await, None);
    log.says("peer sent no certificates").await;

    // A certificate of another run, even if that has the same name; the caller would not believe us either.
    let [_, forged] = identities("guarded");
    let mut forged = forged.unwrap();
    let stranger = Tls::new("guarded", &forged).unwrap();
    assert!(dial(&stranger, address).await.is_err());
    log.says("no TLS connection").await;
    forged.authority.clone_from(&a.authority);
    let stranger = Tls::new("guarded", &forged).unwrap();
    assert_eq!(refused(&stranger, address, &hello("guarded")).await, None);
    log.says("invalid peer certificate").await;

    // Another node of this run that claims to be worker 1.
    let other = Tls::new("guarded", &other_node).unwrap();
    assert_eq!(refused(&other, address, &hello("guarded")).await, None);
    log.says("it says that it is `worker 1`, its certificate does not").await;

    // Itself, but not a neighbour; another run; another version; another node; nobody.
    let stranger = Hello { from: NodeId(2), ..hello("guarded") };
    assert_eq!(refused(&other, address, &stranger).await.unwrap(), "it is not a neighbour of this node");
    log.says("it is not a neighbour").await;
    let other_run = Hello { from: NodeId(2), ..hello("another") };
    assert!(refused(&other, address, &other_run).await.unwrap().contains("run `another`"));
    log.says("run `another`").await;
    let other_version = Hello { wire: 99, ..stranger.clone() };
    assert!(refused(&other, address, &other_version).await.unwrap().contains("wire format 99"));
    log.says("wire format 99").await;
    let nobody = Hello { from: NodeId(9), ..stranger };
    assert_eq!(refused(&other, address, &nobody).await, None);
    log.says("not a node of this run").await;

    // A hello that claims to be long, and one that is cut short.
    let late = "it did not say who it is within 1s";
    for (bytes, says) in [(&[255, 255, 255, 127, 0][..], "no hello"), (&[100, 0, 0, 0, 1, 2], late)] {
        let mut stream = dial(&other, address).await.unwrap();
        stream.io.write_all(bytes).await.unwrap();
        stream.io.flush().await.unwrap();
        hung_up(&mut stream.io).await;
        log.says(says).await;
    }

    // No TLS, and nothing at all.
    let mut garbage = TcpStream::connect(address).await.unwrap();
    garbage.write_all(&[0x55; 4096]).await.unwrap();
    hung_up(&mut garbage).await;
    log.says("no TLS connection").await;
    let mut stalled = TcpStream::connect(address).await.unwrap();
    hung_up(&mut stalled).await;

    // Again and again: all of that has been said.
    for _ in 0..30 {
        let mut garbage = TcpStream::connect(address).await.unwrap();
        // It may have been sent away already.
        let _ = garbage.write_all(&[0x55; 64]).await;
        hung_up(&mut garbage).await;
    }
    let logged = String::from_utf8_lossy(&log.0.lock().unwrap()).into_owned();
    assert!(!logged.contains("refused"), "{logged}");

    // The connection of the two has lived through all this.
    worker.send(0, large(2, 1000));
    assert_eq!(root.word().await, "2 from 1");
    root.send(1, small(3));
    assert_eq!(worker.word().await, "3 from 0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tensor_beyond_the_limits_is_refused_and_the_connection_comes_back() {
    let [a, b] = identities("long");
    let mut root = End::start(LinksConfig { limits: Limits::for_model(1000), ..root("long", a) }).await;
    let mut worker = End::start(worker("long", b, root.address())).await;
    worker.send(0, large(1, 1000));
    assert_eq!(root.word().await, "1 from 1");
    worker.send(0, large(2, 1001));
    assert_eq!([root.word().await, worker.word().await], ["reconnected 1", "reconnected 0"]);
    worker.send(0, large(3, 1000));
    assert_eq!(root.word().await, "3 from 1");
}

#[tokio::test(flavor = "multi_thread")]
async fn in_the_clear_another_secret_does_not_get_in() {
    let config = LinksConfig { start_timeout: Duration::from_secs(2), ..root("secret", None) };
    let mut root = End::start(config).await;
    let secret = "guessed".to_owned();
    let start_timeout = Duration::from_secs(2);
    let mut worker =
        End::start(LinksConfig { secret, start_timeout, ..worker("secret", None, root.address()) }).await;
    assert_eq!([root.word().await, worker.word().await], ["down 1", "down 0"]);
}
