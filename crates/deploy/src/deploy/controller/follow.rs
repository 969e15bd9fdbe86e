//! Follows a run: one connection to each supervisor, dialled again when it breaks; renewing the lease as long as we live.

use super::course::{self, Course, End, HostState, Redial, Update};
use super::fleet::{ControlDir, Fleet};
use super::launch::{talk, why_gone};
use super::record::{HostRecord, Record};
use crate::deploy::remote::Remote;
use futures_util::StreamExt;
use hcddl_core::domain::Time;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{interval, sleep};
use tokio_util::codec::{FramedRead, LinesCodec};

/// Silence of a supervisor that is connected, of which is told: it speaks twice a second.
const SILENT: Duration = Duration::from_secs(10);
/// Time between looking for Ctrl-C.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Bytes of a status at most.
const STATUS_MAX: usize = 16 << 20;

/// Is shown every change.
pub trait Follower {
    /// Something is new.
    fn changed(&mut self, hosts: &[HostState]);
}

/// Follows a run until it is over or `interrupt` is raised.
pub async fn follow(
    fleet: &Fleet,
    record: &Record,
    interrupt: &AtomicBool,
    show: &mut dyn Follower,
) -> (End, Vec<HostState>) {
    let mut course = Course::new(record);
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
    let mut look = interval(LOOK_EVERY);
    let begun = Instant::now();
    loop {
        tokio::select! {
            Some((index, update)) = news.recv() => {
                course.take(index, update);
                show.changed(&course.states);
            }
            _ = look.tick() => {}
        }
        let now = Time(begun.elapsed().as_nanos() as u64);
        if let Some(end) = course.end(now, interrupt.load(Ordering::SeqCst)) {
            return (end, course.states);
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
        let mut redial = Redial::default();
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
                Ok(remote) => match self.listen(&remote, &mut redial).await {
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
            sleep(Duration::from_nanos(redial.pause().0)).await;
        }
    }

    async fn tell(&self, update: Update) {
        let _ = self.updates.send((self.index, update)).await;
    }

    /// Listens until the supervisor ends, or is found missing: why.
    async fn listen(&self, remote: &Remote, redial: &mut Redial) -> Result<Option<String>, String> {
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
                    let Some(status) = course::heard(&self.host, &line) else { continue };
                    let ended = status.ended.is_some();
                    *redial = Redial::default();
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
