//! The supervisor of a host: it starts the nodes of a run, watches them, tells the controller, and stops them when it is
//! told to or when the controller is gone. Durations are measured with the monotonic clock; the date decides nothing.

pub mod lock;
mod nodes;
pub mod power;
pub mod sample;
pub mod socket;
pub mod status;
pub(crate) mod watching;

pub use nodes::{FULL, kill_left};
pub use socket::Order;
pub use status::{AgentStatus, Ended, NodeStatus};

use super::deployment::Deployment;
use hcddl_core::domain::{Span, Time};
use lock::Lock;
use nodes::Nodes;
use rustix::process::Signal;
use sample::Sampler;
use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval};
use watching::{Deed, Told, Watch};

/// Name of the supervisor's own log in the directory of a run.
pub const LOG: &str = "agent.log";
/// Time between two status lines.
const TELL_EVERY: Duration = Duration::from_millis(500);
/// Time between two samples of the host.
const SAMPLE_EVERY: Duration = Duration::from_secs(2);

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
    lease: Span,
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
        let lease = deployment.settings.lease;
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
        let begun = Instant::now();
        let now = || Time(begun.elapsed().as_nanos() as u64);
        let mut watch = Watch::new(now(), self.lease, self.status.attached, nodes.status.len());
        let mut ended = obey(&mut watch, &mut nodes, now(), Told::Begin);
        while ended.is_none() {
            let order = tokio::select! {
                biased;
                Some((node, how)) = exited.recv() => {
                    nodes.ended(node, how);
                    Told::Ended(node)
                }
                Some(order) = ordered.recv() => Told::Order(order),
                _ = terminated.recv() => Told::Order(Order::Stop),
                _ = tell.tick() => {
                    nodes.refresh();
                    self.status.nodes.clone_from(&nodes.status);
                    publish(&self.status, &self.dir, &told);
                    Told::Time
                }
                _ = sample.tick() => {
                    let _ = self.sampler.sample(&nodes.running());
                    Told::Time
                }
            };
            let starts = nodes.starts();
            ended = obey(&mut watch, &mut nodes, now(), order);
            self.status.attached = watch.is_attached();
            if nodes.starts() != starts {
                // Should this process be killed now, somebody must know what it has left.
                self.status.nodes.clone_from(&nodes.status);
                publish(&self.status, &self.dir, &told);
            }
        }
        nodes.refresh();
        let ended = ended.unwrap_or(Ended::Finished);
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

/// Does what follows from what happens; why the supervisor ends, if it does.
fn obey(watch: &mut Watch, nodes: &mut Nodes, now: Time, told: Told) -> Option<Ended> {
    let mut next = VecDeque::from([told]);
    let mut ended = None;
    while let Some(told) = next.pop_front() {
        for deed in watch.on(now, told) {
            match deed {
                Deed::Start(node) if !nodes.start(node) => next.push_back(Told::Ended(node)),
                Deed::Start(_) => {}
                Deed::Ask => nodes.signal(Signal::TERM),
                Deed::Kill => nodes.signal(Signal::KILL),
                Deed::End(why) => ended = Some(why),
            }
        }
    }
    ended
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
