//! What the hosts wrote, into the local run directory: archive after archive, each unpacked when it is whole. The order of
//! things is in [`Fetching`], which asks nobody; the storm (`crate::storm`) goes through it as well.

use super::record::HostRecord;
use super::unpack::{BYTES_MAX, Expected, unpack};
use crate::deploy::agent::{LOG, sample, status};
use crate::deploy::remote::{Remote, RemoteError};
use std::io;
use std::path::{Path, PathBuf};

/// Fetches `nodes/<node>/` and, into `hosts/<host>/`, what the supervisor wrote.
///
/// # Errors
/// [`RemoteError`]; also when a file cannot be written here, and when the host sends what is not its own.
pub async fn fetch(remote: &Remote, host: &HostRecord, run: &str, into: &Path) -> Result<(), RemoteError> {
    let there = host.run_dir(run);
    let mine = |error: io::Error| remote.failed("take what it sent", error.to_string());
    let mut fetching = Fetching::begin(host, into).map_err(mine)?;
    while let Some(names) = fetching.wanted() {
        let sent = remote.pack(&there, names, fetching.archive(), BYTES_MAX).await;
        fetching.sent(sent.is_ok()).map_err(mine)?;
        sent?;
    }
    Ok(())
}

/// Files in `hosts/<host>/`.
const OF_HOST: [&str; 3] = [status::FILE, LOG, sample::FILE];

/// What of a host is being fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Nodes,
    Host,
}

/// The files of one host, on their way. Whoever does this holds the run directory (`super::Hold`): two of them would
/// write into one archive.
#[derive(Debug)]
pub(crate) struct Fetching {
    nodes: Vec<String>,
    into: PathBuf,
    own: PathBuf,
    archive: PathBuf,
    part: Option<Part>,
}

impl Fetching {
    /// Makes the directory of the host in a local run directory.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn begin(host: &HostRecord, into: &Path) -> io::Result<Self> {
        let own = into.join("hosts").join(&host.host.name);
        std::fs::create_dir_all(&own)?;
        let archive = own.join(".fetched.tar");
        Ok(Self { nodes: host.nodes.clone(), into: into.to_owned(), own, archive, part: Some(Part::Nodes) })
    }

    /// What of the run's directory on the host is to be packed next; nothing when all of it is here.
    pub fn wanted(&self) -> Option<&'static [&'static str]> {
        self.part.map(|part| match part {
            Part::Nodes => &["nodes"][..],
            Part::Host => &OF_HOST,
        })
    }

    /// The file that the host's archive is to be written to.
    pub fn archive(&self) -> &Path {
        &self.archive
    }

    /// The archive is there, or what there is of it `is_whole` not: it is unpacked once, and removed in any case.
    ///
    /// # Errors
    /// What is wrong with it, or that a file cannot be written.
    pub fn sent(&mut self, is_whole: bool) -> io::Result<()> {
        let staging = self.own.join(".incoming");
        let part = self.part.take();
        let unpacked = match part {
            Some(Part::Nodes) if is_whole => {
                unpack(&self.archive, &Expected::Nodes(&self.nodes), &staging, &self.into)
            }
            Some(Part::Host) if is_whole => {
                unpack(&self.archive, &Expected::Files(&OF_HOST), &staging, &self.own)
            }
            _ => Ok(()),
        };
        let _ = std::fs::remove_file(&self.archive);
        unpacked?;
        self.part = part.filter(|part| *part == Part::Nodes && is_whole).map(|_| Part::Host);
        Ok(())
    }
}
