//! Follows a run: one connection to each supervisor, dialled again when it breaks; renewing the lease as long as we live.

use super::fleet::{ControlDir, Fleet};
use super::launch::{talk, why_gone};
use super::record::{HostRecord, Record};
use crate::deploy::agent::{AgentStatus, Ended, FULL, NodeStatus};
use crate::deploy::remote::Remote;
use futures_util::StreamExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{interval, sleep};
use tokio_util::codec::{FramedRead, LinesCodec};

/// Time that the other nodes have to end after the root.
const AFTER_ROOT: Duration = Duration::from_secs(15);
/// As [`AFTER_ROOT`], when all those that are left are held by a signal.
const AFTER_ROOT_PAUSED: Duration = Duration::from_secs(2);
/// Silence of a supervisor that is connected, of which is told: it speaks twice a second.
const SILENT: Duration = Duration::from_secs(10);
/// Time between looking for Ctrl-C.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Bytes of a status at most.
const STATUS_MAX: usize = 16 << 20;
/// Longest time between two attempts to reach a host.
const REDIAL_MAX: Duration = Duration::from_secs(5);

/// What is known about a host.
#[derive(Clone, Debug, Default)]
pub struct HostState {
    /// What its supervisor said last.
    pub status: Option<AgentStatus>,
    /// Why it cannot be heard now.
    pub problem: Option<String>,
    /// Whether nothing more will come from it.
    pub over: bool,
}

/// How following ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// Every node has ended, or the root and all those that can be heard.
    Finished,
    /// The root's process was killed, had no room on its disk, or its host lost it: the others wait for it.
    RootLost(String),
    /// Ctrl-C.
    Interrupted,
}

/// Is shown every change.
pub trait Follower {
    /// Something is new.
    fn changed(&mut self, hosts: &[HostState]);
}

enum Update {
    Status(Box<AgentStatus>),
    /// It cannot be heard; more may come.
    Lost(String),
    /// The host is there, its supervisor is not, and has not ended as it should: why.
    Gone(String),
}

/// Follows a run until it is over or `interrupt` is raised.
pub async fn follow(
    fleet: &Fleet,
    record: &Record,
    interrupt: &AtomicBool,
    show: &mut dyn Follower,
) -> (End, Vec<HostState>) {
    let mut states = vec![HostState::default(); record.hosts.len()];
    let (updates, mut news) = mpsc::channel(64);
    let mut links = JoinSet::new();
    for (index, host) in record.hosts.iter().enumerate() {
        let link = Link {
            index,
            host: host.clone(),
            run: record.run.clone(),
            timeout: fleet.timeout,
            control: Arc::clone(&fleet.control),
            renew: Duration::from_nanos(record.lease / 4).max(Duration::from_millis(50)),
            updates: updates.clone(),
        };
        links.spawn(link.stay(fleet.remotes[index].as_ref().ok().cloned()));
    }
    let mut root_ended: Option<Instant> = None;
    let mut look = interval(LOOK_EVERY);
    loop {
        tokio::select! {
            Some((index, update)) = news.recv() => {
                states[index].take(update);
                show.changed(&states);
            }
            _ = look.tick() => {}
        }
        if interrupt.load(Ordering::SeqCst) {
            return (End::Interrupted, states);
        }
        let root = record.root.as_deref().and_then(|name| find(&states, name));
        if let Some((host, node)) = root {
            let how = node.ended.clone().filter(|_| node.pid.is_none());
            let stopped = host.status.as_ref().and_then(|status| status.ended);
            let told = matches!(stopped, Some(Ended::Stopped | Ended::LeaseExpired));
            match how {
                // It can go on from its last checkpoint once what took it away is over.
                Some(how) if (how.starts_with("signal") || how.ends_with(FULL)) && !told => {
                    return (End::RootLost(how), states);
                }
                Some(_) => _ = root_ended.get_or_insert_with(Instant::now),
                None if host.over => return (End::RootLost("its host lost it".to_owned()), states),
                None => root_ended = None,
            }
        }
        // Who is held by a signal will not end by itself.
        let wait = if only_paused(&states) { AFTER_ROOT_PAUSED } else { AFTER_ROOT };
        let late = root_ended.is_some_and(|since| since.elapsed() > wait);
        if late || states.iter().all(|state| state.over) {
            return (End::Finished, states);
        }
    }
}

/// Whether every node that runs is held by a signal, and every host is heard.
fn only_paused(states: &[HostState]) -> bool {
    let heard = states.iter().all(|host| host.problem.is_none() && host.status.is_some());
    let mut nodes = states.iter().filter_map(|host| host.status.as_ref()).flat_map(|status| &status.nodes);
    heard && nodes.all(|node| node.pid.is_none() || node.paused)
}

/// A node and its host.
fn find<'a>(states: &'a [HostState], name: &str) -> Option<(&'a HostState, &'a NodeStatus)> {
    states.iter().find_map(|host| {
        let nodes = &host.status.as_ref()?.nodes;
        nodes.iter().find(|node| node.name == name).map(|node| (host, node))
    })
}

impl HostState {
    fn take(&mut self, update: Update) {
        match update {
            Update::Status(status) => {
                self.over = status.ended.is_some();
                self.problem = None;
                self.status = Some(*status);
            }
            // Nothing more was to come from it.
            Update::Lost(_) if self.over => {}
            Update::Lost(problem) => self.problem = Some(problem),
            Update::Gone(why) => {
                self.problem = Some(why);
                self.over = true;
            }
        }
    }
}

/// The connection to a host.
struct Link {
    index: usize,
    host: HostRecord,
    run: String,
    timeout: Duration,
    control: Arc<ControlDir>,
    renew: Duration,
    updates: mpsc::Sender<(usize, Update)>,
}

impl Link {
    async fn stay(self, mut remote: Option<Remote>) {
        let mut pause = Duration::from_millis(500);
        let kept = remote.clone().filter(Remote::is_joined);
        loop {
            let connected = match remote.take() {
                Some(remote) => Ok(remote),
                None => match &kept {
                    // A device that came by itself comes again by itself; its name is its own choice and no address.
                    Some(device) => Ok(device.clone()),
                    None => Remote::connect(&self.host.host, self.timeout, self.control.path()).await,
                },
            };
            let problem = match connected {
                Ok(remote) => match self.listen(&remote, &mut pause).await {
                    Ok(None) => return,
                    Ok(Some(why)) => {
                        self.tell(Update::Gone(why)).await;
                        return;
                    }
                    Err(problem) => problem,
                },
                Err(error) => error.to_string(),
            };
            self.tell(Update::Lost(problem)).await;
            sleep(pause).await;
            pause = (2 * pause).min(REDIAL_MAX);
        }
    }

    async fn tell(&self, update: Update) {
        let _ = self.updates.send((self.index, update)).await;
    }

    /// Listens until the supervisor ends, or is found missing: why.
    async fn listen(&self, remote: &Remote, pause: &mut Duration) -> Result<Option<String>, String> {
        let started = remote.start("follow the run", &talk(&self.host, &self.run)).await;
        let mut process = started.map_err(|error| error.to_string())?;
        let mut stdin = process.stdin.take().expect("a new process has an input");
        let mut renew = interval(self.renew);
        let mut lines = FramedRead::new(&mut process.stdout, LinesCodec::new_with_max_length(STATUS_MAX));
        let mut heard = Instant::now();
        loop {
            tokio::select! {
                () = sleep(SILENT.saturating_sub(heard.elapsed())) => {
                    let problem = format!("its supervisor has said nothing for {} s", SILENT.as_secs());
                    self.tell(Update::Lost(problem)).await;
                    heard = Instant::now();
                }
                _ = renew.tick() => {
                    if stdin.write_all(b"renew\n").await.is_err() || stdin.flush().await.is_err() {
                        break;
                    }
                }
                line = lines.next() => {
                    let Some(Ok(line)) = line else { break };
                    heard = Instant::now();
                    let Ok(mut status) = serde_json::from_str::<AgentStatus>(&line) else { continue };
                    // A host speaks for its own nodes and no others.
                    status.nodes.retain(|node| self.host.nodes.contains(&node.name));
                    let ended = status.ended.is_some();
                    *pause = Duration::from_millis(500);
                    self.tell(Update::Status(Box::new(status))).await;
                    if ended {
                        return Ok(None);
                    }
                }
            }
        }
        drop(stdin);
        let mut said = String::new();
        let _ = (&mut process.stderr).take(1 << 16).read_to_string(&mut said).await;
        match process.wait().await? {
            Some(super::GONE) => Ok(Some(why_gone(&said))),
            _ => Err(if said.trim().is_empty() {
                "the connection broke".to_owned()
            } else {
                said.trim().to_owned()
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_what_it_said_last() {
        let mut state = HostState::default();
        state.take(Update::Lost("gone".to_owned()));
        assert_eq!((state.problem.as_deref(), state.over), (Some("gone"), false));
        state.take(Update::Status(Box::default()));
        assert_eq!((state.problem.as_deref(), state.over), (None, false));
        let ended = AgentStatus { ended: Some(Ended::Finished), ..AgentStatus::default() };
        state.take(Update::Status(Box::new(ended)));
        assert!(state.over);
        state.take(Update::Lost("the connection broke".to_owned()));
        assert_eq!((state.problem.as_deref(), state.over), (None, true), "it had ended");
        state.take(Update::Gone("killed".to_owned()));
        assert!(state.over && state.problem.is_some() && state.status.is_some());
    }
}
