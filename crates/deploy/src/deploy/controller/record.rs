//! `deploy.json` in the local run directory: what is needed to find a run again.

use crate::deploy::inventory::Host;
use hcddl_files::atomic;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::Path;

/// Name of the file.
pub const FILE: &str = "deploy.json";

/// A run and its hosts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Name of the run.
    pub run: String,
    /// Name of the root node; `None` for peers.
    pub root: Option<String>,
    /// Rounds until the run ends, where they end it.
    pub rounds: Option<u64>,
    /// Lease in nanoseconds.
    pub lease: u64,
    /// Whether the run goes on without a controller.
    pub detached: bool,
    /// Whether nothing of it is left on the hosts.
    #[serde(default)]
    pub cleaned: bool,
    /// The hosts that carry nodes.
    pub hosts: Vec<HostRecord>,
}

/// A host and where the run is on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostRecord {
    /// How to reach it.
    pub host: Host,
    /// `<base>` there.
    pub base: String,
    /// The program there.
    pub program: String,
    /// Names of its nodes.
    pub nodes: Vec<String>,
}

impl HostRecord {
    /// Directory of a run on this host.
    #[must_use]
    pub fn run_dir(&self, run: &str) -> String {
        format!("{}/runs/{run}", self.base)
    }
}

impl Record {
    /// Reads the record of a local run directory.
    ///
    /// # Errors
    /// When it is missing or damaged.
    pub fn read(dir: &Path) -> io::Result<Self> {
        serde_json::from_slice(&std::fs::read(dir.join(FILE))?).map_err(io::Error::from)
    }

    /// Writes it into a local run directory.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, dir: &Path) -> io::Result<()> {
        let text = serde_json::to_string_pretty(self).expect("plain data") + "\n";
        atomic::replace(&dir.join(FILE), text.as_bytes())
    }

    /// The hosts.
    #[must_use]
    pub fn pool(&self) -> Vec<Host> {
        self.hosts.iter().map(|record| record.host.clone()).collect()
    }
}
