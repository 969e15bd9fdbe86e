//! The supervisor of a host: it starts the nodes of a run, watches them, tells the controller, and stops them when it is
//! told to or when the controller is gone. Durations are measured with the monotonic clock; the date decides nothing.

pub mod lock;
mod nodes;
pub mod sample;
pub mod socket;
pub mod status;

pub use nodes::{FULL, kill_left};
pub use socket::Order;
pub use status::{AgentStatus, Ended, NodeStatus};

use super::deployment::Deployment;
use lock::Lock;
use nodes::Nodes;
use rustix::process::Signal;
use sample::Sampler;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval};

/// Name of the supervisor's own log in the directory of a run.
pub const LOG: &str = "agent.log";
/// Time between two status lines.
const TELL_EVERY: Duration = Duration::from_millis(500);
/// Time between two samples of the host.
const SAMPLE_EVERY: Duration = Duration::from_secs(2);
/// Time between asking a node to end and killing it.
const GRACE: Duration = Duration::from_secs(5);

/// Why a supervisor cannot start.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// Another run, or this one, is on this host.
    #[error("the run `{0}` is on this host; stop it first: `hcddl deploy stop {0}`")]
    Held(String),
    /// A file of the run is missing or damaged, or the system said no.
    #[error("{what}: {error}")]
    Io {
        /// What was tried.
        what: String,
        /// What the system said.
        error: io::Error,
    },
}

fn io_error(what: &Path) -> impl FnOnce(io::Error) -> AgentError {
    let what = what.display().to_string();
    move |error| AgentError::Io { what, error }
}

/// A supervisor that holds the lock and listens, but has started nothing yet.
#[derive(Debug)]
pub struct Agent {
    lock: Lock,
    status: AgentStatus,
    lease: Duration,
    listener: UnixListener,
    sampler: Sampler,
    dir: std::path::PathBuf,
}

impl Agent {
    /// Takes the lock and opens every file, within a runtime; the current directory becomes `dir`, an absolute path.
    ///
    /// # Errors
    /// [`AgentError`].
    pub fn open(dir: &Path) -> Result<Self, AgentError> {
        let mut status = AgentStatus::read(dir).map_err(io_error(&dir.join(status::FILE)))?;
        let file = dir.join("deployment.json");
        let deployment: Deployment = std::fs::read(&file)
            .and_then(|bytes| serde_json::from_slice(&bytes).map_err(io::Error::from))
            .map_err(io_error(&file))?;
        let path = Lock::path(dir);
        let lock = Lock::take(&path, &deployment.run).map_err(|held| match held {
            Ok(run) => AgentError::Held(run),
            Err(error) => io_error(&path)(error),
        })?;
        std::env::set_current_dir(dir).map_err(io_error(dir))?;
        let sampler = Sampler::open(dir).map_err(io_error(&dir.join(sample::FILE)))?;
        let listener = listen().map_err(io_error(&dir.join(socket::FILE)))?;
        let mine = deployment.nodes.iter().filter(|node| node.host == status.host);
        let before = std::mem::take(&mut status.nodes);
        status.nodes = mine
            .map(|node| NodeStatus {
                name: node.name.to_string(),
                starts: before.iter().find(|old| node.name == *old.name.as_str()).map_or(0, |old| old.starts),
                ..NodeStatus::default()
            })
            .collect();
        status.pid = std::process::id();
        status.ended = None;
        // Who this is must be known before anybody asks.
        write(&status, dir);
        let lease = Duration::from_nanos(deployment.settings.lease.0);
        Ok(Self { lock, status, lease, listener, sampler, dir: dir.to_owned() })
    }

    /// Starts the nodes and stays until they have ended.
    ///
    /// # Errors
    /// When signals cannot be received or this program cannot be found.
    pub async fn run(mut self) -> io::Result<Ended> {
        let program = match &self.status.node_program {
            Some(program) => program.clone(),
            None => std::env::current_exe()?,
        };
        let (exits, mut exited) = mpsc::unbounded_channel();
        let mut nodes = Nodes::new(&self.dir, program, std::mem::take(&mut self.status.nodes), exits);
        let (told, line) = watch::channel(self.status.line());
        let (orders, mut ordered) = mpsc::channel(16);
        let clients = tokio::spawn(socket::serve(self.listener, line, orders));
        let (mut tell, mut sample) = (interval(TELL_EVERY), interval(SAMPLE_EVERY));
        tell.set_missed_tick_behavior(MissedTickBehavior::Delay);
        sample.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut terminated = signal(SignalKind::terminate())?;
        let mut heard = Instant::now();
        let mut looked = Instant::now();
        let mut stopping: Option<(Ended, Instant)> = None;
        nodes.start();
        while nodes.any_running() {
            let order = tokio::select! {
                biased;
                Some((node, how)) = exited.recv() => {
                    nodes.ended(node, how);
                    None
                }
                Some(order) = ordered.recv() => Some(order),
                _ = terminated.recv() => Some(Order::Stop),
                _ = tell.tick() => {
                    nodes.refresh();
                    self.status.nodes.clone_from(&nodes.status);
                    publish(&self.status, &self.dir, &told);
                    None
                }
                _ = sample.tick() => {
                    let _ = self.sampler.sample(&nodes.running());
                    None
                }
            };
            // While this process itself was held it could not hear anybody.
            if looked.elapsed() > self.lease / 2 {
                heard = Instant::now();
            }
            looked = Instant::now();
            let why = match order {
                Some(Order::Stop) => Some(Ended::Stopped),
                Some(Order::Restart) if stopping.is_none() => {
                    nodes.start();
                    None
                }
                Some(Order::Detach) => {
                    self.status.attached = false;
                    None
                }
                Some(Order::Renew) => {
                    heard = Instant::now();
                    None
                }
                _ if self.status.attached && heard.elapsed() > self.lease => Some(Ended::LeaseExpired),
                _ => None,
            };
            match (&mut stopping, why) {
                (None, Some(why)) => {
                    nodes.signal(Signal::TERM);
                    stopping = Some((why, Instant::now()));
                }
                (Some((_, since)), _) if since.elapsed() > GRACE => nodes.signal(Signal::KILL),
                _ => {}
            }
        }
        nodes.refresh();
        let ended = stopping.map_or(Ended::Finished, |(why, _)| why);
        self.status.nodes = nodes.status;
        self.status.ended = Some(ended);
        let _ = self.sampler.sample(&[]);
        // In this order: who finds no socket reads in the file that this supervisor has ended.
        publish(&self.status, &self.dir, &told);
        let _ = std::fs::remove_file(socket::FILE);
        drop(told);
        let _ = clients.await;
        self.lock.release();
        Ok(ended)
    }
}

fn publish(status: &AgentStatus, dir: &Path, told: &watch::Sender<String>) {
    write(status, dir);
    told.send_replace(status.line());
}

/// A full disk must not end a run: the controller still gets its lines.
fn write(status: &AgentStatus, dir: &Path) {
    if let Err(error) = status.write(dir) {
        tracing::warn!("{}: {error}", status::FILE);
    }
}

/// Listens in the current directory. With the lock in hand, a socket that is there is one that was left.
fn listen() -> io::Result<UnixListener> {
    match std::fs::remove_file(socket::FILE) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    UnixListener::bind(socket::FILE)
}
