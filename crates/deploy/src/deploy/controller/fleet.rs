//! Many hosts at a time.

use crate::deploy::inventory::Host;
use crate::deploy::join::Joined;
use crate::deploy::remote::{Remote, RemoteError};
use std::fs::DirBuilder;
use std::future::Future;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Runs all jobs, `forks` at a time; their results in order.
pub async fn each<T, F>(jobs: Vec<F>, forks: usize) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let slots = Arc::new(Semaphore::new(forks.max(1)));
    let mut running = JoinSet::new();
    for (index, job) in jobs.into_iter().enumerate() {
        let slots = Arc::clone(&slots);
        running.spawn(async move {
            let _slot = slots.acquire_owned().await.expect("never closed");
            (index, job.await)
        });
    }
    let mut results = Vec::new();
    while let Some(joined) = running.join_next().await {
        results.push(joined.expect("jobs do not panic"));
    }
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

/// A directory for SSH's sockets and configurations, for this user alone; removed in the end. Its path is short, since
/// the path of a socket has room for about 100 bytes.
#[derive(Debug)]
pub struct ControlDir(PathBuf);

impl ControlDir {
    /// Makes one.
    ///
    /// # Errors
    /// When there is no place for temporary files.
    pub fn create() -> io::Result<Self> {
        remove_left();
        for attempt in 0..1000 {
            let path = std::env::temp_dir().join(format!("hcddl-{}-{attempt}", std::process::id()));
            match DirBuilder::new().mode(0o700).create(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                made => return made.map(|()| Self(path)),
            }
        }
        Err(io::Error::other("no free name for a temporary directory"))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for ControlDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Removes what controllers left that were killed: `hcddl-<pid>-<n>` of a process that has ended.
fn remove_left() {
    let Ok(entries) = std::fs::read_dir(std::env::temp_dir()) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let parts = name.to_str().and_then(|name| name.strip_prefix("hcddl-")?.split_once('-'));
        let numbers = parts.and_then(|(pid, n)| Some((pid.parse::<u32>().ok()?, n.parse::<u32>().ok()?)));
        if let Some((pid, _)) = numbers
            && Path::new("/proc/self").exists()
            && !Path::new(&format!("/proc/{pid}")).exists()
        {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// Hosts with their connections.
#[derive(Debug)]
pub struct Fleet {
    /// How long to wait for a connection.
    pub timeout: Duration,
    /// Hosts to talk to at a time.
    pub forks: usize,
    /// Where SSH's sockets are.
    pub control: Arc<ControlDir>,
    /// The hosts.
    pub hosts: Vec<Host>,
    /// Their connections.
    pub remotes: Vec<Result<Remote, Arc<RemoteError>>>,
}

impl Fleet {
    /// Connects to all of them, whether or not some cannot be reached.
    ///
    /// # Errors
    /// When there is no place for temporary files.
    pub async fn connect(hosts: Vec<Host>, timeout: Duration, forks: usize) -> io::Result<Self> {
        let control = Arc::new(ControlDir::create()?);
        let jobs = hosts.iter().cloned().map(|host| {
            let control = Arc::clone(&control);
            async move { Remote::connect(&host, timeout, control.path()).await.map_err(Arc::new) }
        });
        let remotes = each(jobs.collect(), forks).await;
        Ok(Self { timeout, forks, control, hosts, remotes })
    }

    /// The same hosts when they have come by themselves.
    ///
    /// # Errors
    /// When there is no place for temporary files.
    pub fn joined(hosts: Vec<Host>, devices: &[Joined], timeout: Duration, forks: usize) -> io::Result<Self> {
        let control = Arc::new(ControlDir::create()?);
        let remote = |host: &Host| match devices.iter().find(|device| device.name == host.name) {
            Some(device) => Ok(Remote::joined(host, device.clone())),
            None => Err(Arc::new(RemoteError::Unreachable {
                host: host.name.clone(),
                problem: "it has not joined".to_owned(),
            })),
        };
        let remotes = hosts.iter().map(remote).collect();
        Ok(Self { timeout, forks, control, hosts, remotes })
    }

    /// Does something with each host; the result of each, in order. One that cannot be reached fails.
    pub async fn each<T, F>(&self, job: impl Fn(usize, Remote) -> F) -> Vec<Result<T, Arc<RemoteError>>>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, RemoteError>> + Send + 'static,
    {
        let jobs = self.remotes.iter().enumerate().map(|(index, remote)| {
            let started = remote.as_ref().map(|remote| job(index, remote.clone())).map_err(Arc::clone);
            async move {
                match started {
                    Ok(job) => job.await.map_err(Arc::new),
                    Err(error) => Err(error),
                }
            }
        });
        each(jobs.collect(), self.forks).await
    }

    /// Ends all connections.
    pub async fn close(self) {
        let closing = self.remotes.into_iter().flatten().map(Remote::close);
        each(closing.collect(), self.forks).await;
    }
}
