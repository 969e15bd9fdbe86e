//! The processes of the nodes.

use super::sample;
use super::status::{AgentStatus, NodeStatus};
use crate::deploy::deployment::NodeProgress;
use crate::deploy::node_file;
use rustix::process::{Pid, Signal, kill_process_group};
use std::fs::OpenOptions;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use tokio::process::Command;
use tokio::sync::mpsc;

/// How the end of a process is told that a full disk has ended.
pub const FULL: &str = "the disk of its run directory is full";

/// Starts nodes and watches them end.
#[derive(Debug)]
pub struct Nodes {
    dir: PathBuf,
    program: PathBuf,
    exits: mpsc::UnboundedSender<(usize, io::Result<ExitStatus>)>,
    /// State of each.
    pub status: Vec<NodeStatus>,
}

impl Nodes {
    /// Nodes of these names, none of them running. Each end of a process is sent to `exits`.
    #[must_use]
    pub fn new(
        dir: &Path,
        program: PathBuf,
        before: Vec<NodeStatus>,
        exits: mpsc::UnboundedSender<(usize, io::Result<ExitStatus>)>,
    ) -> Self {
        Self { dir: dir.to_owned(), program, exits, status: before }
    }

    /// Starts the process of a node; whether that went well.
    pub fn start(&mut self, index: usize) -> bool {
        let name = self.status[index].name.clone();
        let spawned = self.spawn(&name);
        let status = &mut self.status[index];
        match spawned {
            Ok(mut child) => {
                status.pid = child.id();
                status.starts += 1;
                status.ended = None;
                let exits = self.exits.clone();
                tokio::spawn(async move {
                    let _ = exits.send((index, child.wait().await));
                });
                true
            }
            Err(error) => {
                status.ended = Some(format!("cannot start `{}`: {error}", self.program.display()));
                false
            }
        }
    }

    /// How many processes have been started.
    #[must_use]
    pub fn starts(&self) -> u32 {
        self.status.iter().map(|node| node.starts).sum()
    }

    fn spawn(&self, name: &str) -> io::Result<tokio::process::Child> {
        let folder = self.dir.join("nodes").join(name);
        std::fs::create_dir_all(&folder)?;
        let log = OpenOptions::new().create(true).append(true).open(folder.join(node_file::LOG))?;
        Command::new(&self.program)
            .arg("node")
            .arg(&self.dir)
            .arg(name)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // A group of its own: a signal reaches what a node starts, too.
            .process_group(0)
            .spawn()
    }

    /// Notes that a process has ended.
    pub fn ended(&mut self, index: usize, how: io::Result<ExitStatus>) {
        self.status[index].pid = None;
        self.status[index].paused = false;
        self.status[index].ended = Some(match how {
            Ok(status) => match (status.code(), status.signal()) {
                // It could not write why itself.
                (Some(code), _) if code != 0 && sample::disk_is_full(&self.dir) => {
                    format!("code {code}; {FULL}")
                }
                (Some(code), _) => format!("code {code}"),
                (None, Some(signal)) => format!("signal {signal}"),
                (None, None) => "unknown".to_owned(),
            },
            Err(error) => format!("cannot be waited for: {error}"),
        });
    }

    /// Name and process of those that run.
    #[must_use]
    pub fn running(&self) -> Vec<(&str, u32)> {
        self.status.iter().filter_map(|node| Some((node.name.as_str(), node.pid?))).collect()
    }

    /// Sends a signal to those that run; one that was paused goes on, or it would not hear it.
    pub fn signal(&self, signal: Signal) {
        for (_, pid) in self.running() {
            signal_group(pid, signal);
            signal_group(pid, Signal::CONT);
        }
    }

    /// Reads what they say about themselves.
    pub fn refresh(&mut self) {
        for node in &mut self.status {
            let file = self.dir.join("nodes").join(&node.name).join(node_file::PROGRESS);
            let read = std::fs::read(file).ok();
            let progress = read.and_then(|bytes| serde_json::from_slice::<NodeProgress>(&bytes).ok());
            node.progress = progress.or(node.progress.take());
            node.paused = node.pid.is_some_and(sample::is_paused);
            node.memory_bytes = node.memory_bytes.max(node.pid.map_or(0, sample::peak_of));
        }
    }
}

fn signal_group(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process_group(pid, signal);
    }
}

/// Kills what a supervisor that has ended left running; the names of those nodes. A process counts only when its
/// command line names this run directory, so that a number that has been given away again hurts nobody.
#[must_use]
pub fn kill_left(dir: &Path, status: &AgentStatus) -> Vec<String> {
    let mut killed = Vec::new();
    for node in &status.nodes {
        let Some(pid) = node.pid else { continue };
        if sample::works_for(pid, dir) {
            signal_group(pid, Signal::KILL);
            killed.push(node.name.clone());
        }
    }
    killed
}
