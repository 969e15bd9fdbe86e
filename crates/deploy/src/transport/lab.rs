//! What the tests of links share: ends on this machine, and a proxy between them that can be cut and stopped.

use super::{Authority, Identity, Input, Links, LinksConfig, Neighbour, Stamp};
use crate::transport::wire::Limits;
use hcddl_core::domain::{Data, Head, Kind, Message, NodeId, Params, Version};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Nobody waits for so long unless something is broken.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// Node 0 listens, node 1 dials.
pub(super) fn config(run: &str, me: u32, identity: Option<Identity>) -> LinksConfig {
    LinksConfig {
        run: run.to_owned(),
        me: NodeId(me),
        names: ["root", "worker 1", "worker 2"].map(str::to_owned).to_vec(),
        listen: None,
        neighbours: Vec::new(),
        identity,
        secret: "secret".to_owned(),
        life: 0,
        heartbeat: Duration::from_millis(50),
        detection: Duration::from_secs(3),
        start_timeout: PATIENCE,
        handshake_timeout: Duration::from_secs(5),
        limits: Limits::for_model(1 << 20),
    }
}

/// The end that listens, for worker 1.
pub(super) fn root(run: &str, identity: Option<Identity>) -> LinksConfig {
    let neighbours = vec![Neighbour { node: NodeId(1), dial: None }];
    LinksConfig { listen: Some(([127, 0, 0, 1], 0).into()), neighbours, ..config(run, 0, identity) }
}

/// The end that dials.
pub(super) fn worker(run: &str, identity: Option<Identity>, root: SocketAddr) -> LinksConfig {
    let neighbours = vec![Neighbour { node: NodeId(0), dial: Some(root.to_string()) }];
    LinksConfig { neighbours, ..config(run, 1, identity) }
}

pub(super) fn identities(run: &str) -> [Option<Identity>; 2] {
    let authority = Authority::new(run).unwrap();
    ["root", "worker 1"].map(|name| Some(authority.issue(name).unwrap()))
}

/// Links, and what they tell.
pub(super) struct End {
    pub links: Links,
    pub inputs: UnboundedReceiver<Input>,
    sent: u64,
}

impl End {
    pub async fn start(config: LinksConfig) -> Self {
        let (sender, inputs) = unbounded_channel();
        let links = Links::start(config, sender).await.unwrap();
        Self { links, inputs, sent: 0 }
    }

    pub fn address(&self) -> SocketAddr {
        self.links.listening().unwrap()
    }

    pub fn send(&mut self, to: u32, message: Message) {
        self.sent += 1;
        self.links.send(NodeId(to), Stamp { life: 0, ordinal: self.sent }, message);
    }

    pub async fn next(&mut self) -> Input {
        tokio::time::timeout(PATIENCE, self.inputs.recv()).await.expect("an input").expect("open")
    }

    /// The next message.
    pub async fn message(&mut self) -> Message {
        match self.next().await {
            Input::Received { message, .. } => message,
            other => panic!("{other:?} instead of a message"),
        }
    }

    /// The next input, in a word.
    pub async fn word(&mut self) -> String {
        match self.next().await {
            Input::Received { from, message, .. } => format!("{} from {}", message.head.version.0, from.0),
            Input::Up(node) => format!("up {}", node.0),
            Input::Down(node) => format!("down {}", node.0),
            Input::Reconnected(node) => format!("reconnected {}", node.0),
            Input::Notice { from, bytes } => format!("{} from {}", String::from_utf8_lossy(&bytes), from.0),
        }
    }
}

pub(super) fn small(n: u64) -> Message {
    Message::control(Kind::new("n"), Head { version: Version(n), ..Head::default() })
}

pub(super) fn large(n: u64, elements: usize) -> Message {
    let values = (0..elements).map(|i| i as f32 + n as f32).collect();
    let head = Head { version: Version(n), ..Head::default() };
    Message::with(Kind::new("update"), head, "model", Data::Dense(Params::new(values)))
}

/// Passes bytes on, until told otherwise.
pub(super) struct Proxy {
    pub address: SocketAddr,
    tasks: Arc<Mutex<Vec<JoinHandle<()>>>>,
    blocked: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    pub async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let tasks = Arc::new(Mutex::new(Vec::new()));
        let (blocked, is_blocked) = watch::channel(false);
        let here = tasks.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let Ok(far) = TcpStream::connect(target).await else { continue };
                let ((nr, nw), (fr, fw)) = (near.into_split(), far.into_split());
                let mut tasks = here.lock().unwrap();
                tasks.push(tokio::spawn(pass(nr, fw, is_blocked.clone())));
                tasks.push(tokio::spawn(pass(fr, nw, is_blocked.clone())));
            }
        });
        Self { address, tasks, blocked, accepting }
    }

    /// Breaks all connections; new ones are taken.
    pub fn cut(&self) {
        self.tasks.lock().unwrap().drain(..).for_each(|task| task.abort());
    }

    /// Lets nothing through, or everything again.
    pub fn block(&self, blocked: bool) {
        self.blocked.send(blocked).unwrap();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

async fn pass(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mut blocked: watch::Receiver<bool>,
) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(bytes @ 1..) = from.read(&mut buffer).await {
        if blocked.wait_for(|blocked| !blocked).await.is_err()
            || to.write_all(&buffer[..bytes]).await.is_err()
        {
            return;
        }
    }
}
