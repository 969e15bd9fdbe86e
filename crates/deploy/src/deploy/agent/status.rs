//! What the supervisor of a host is told and tells: `agent.json`, and each line on its socket.

use crate::deploy::deployment::NodeProgress;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};

/// Name of the file in the directory of a run.
pub const FILE: &str = "agent.json";

/// The controller writes the first four; the supervisor keeps the rest current.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AgentStatus {
    /// Name of the run.
    pub run: String,
    /// Name of this host in the deployment.
    pub host: String,
    /// Whether the run stops here when its controller has been silent for as long as the lease.
    pub attached: bool,
    /// The program that is started for each node, with the arguments `node RUN_DIR NAME`; else this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_program: Option<PathBuf>,
    /// Process of the supervisor.
    pub pid: u32,
    /// The nodes of this host, in the order of the deployment.
    pub nodes: Vec<NodeStatus>,
    /// Why the supervisor has ended; `None` while it runs.
    pub ended: Option<Ended>,
}

/// Why a supervisor ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// All its nodes had ended.
    Finished,
    /// It was told to stop.
    Stopped,
    /// Its controller was silent for longer than the lease.
    LeaseExpired,
}

/// A node's process.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeStatus {
    /// Name of the node.
    pub name: String,
    /// Its process while it runs.
    pub pid: Option<u32>,
    /// Whether a signal (SIGSTOP) holds it: it is there and does nothing until SIGCONT.
    pub paused: bool,
    /// How often it has been started.
    pub starts: u32,
    /// How its last process ended: `code 0`, `signal 9`, or why it could not be started.
    pub ended: Option<String>,
    /// The most resident memory that it had, in bytes, over all of its lives on this host.
    pub memory_bytes: u64,
    /// What it says about itself.
    pub progress: Option<NodeProgress>,
}

impl NodeStatus {
    /// Whether it ended as it should.
    #[must_use]
    pub fn succeeded(&self) -> bool {
        self.ended.as_deref() == Some("code 0")
    }
}

impl AgentStatus {
    /// Reads `agent.json` of a run.
    ///
    /// # Errors
    /// When it is missing or no JSON of this form.
    pub fn read(dir: &Path) -> io::Result<Self> {
        let bytes = std::fs::read(dir.join(FILE))?;
        serde_json::from_slice(&bytes).map_err(io::Error::from)
    }

    /// Replaces `agent.json` of a run.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, dir: &Path) -> io::Result<()> {
        hcddl_files::atomic::replace(&dir.join(FILE), self.line().as_bytes())
    }

    /// Whether the supervisor that wrote this is still there.
    #[must_use]
    pub fn is_supervised(&self, dir: &Path) -> bool {
        self.pid > 0 && super::sample::works_for(self.pid, dir)
    }

    /// As one line of JSON.
    #[must_use]
    pub fn line(&self) -> String {
        serde_json::to_string(self).expect("plain data") + "\n"
    }
}
