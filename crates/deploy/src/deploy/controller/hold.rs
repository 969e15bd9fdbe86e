//! One controller at a time writes into a run directory, which is locked as long as its process lives; `.controller` in
//! it says who that is.

use hcddl_core::domain::planted::Planted;
use hcddl_sim::record::utc;
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

const FILE: &str = ".controller";
/// How long a controller that was told to go may take.
const GOING: Duration = Duration::from_secs(10);

/// The right to write into a run directory. The system gives it back when the process ends, however it ends.
#[derive(Debug)]
pub struct Hold {
    _folder: File,
    said: PathBuf,
}

impl Drop for Hold {
    /// What it said goes while the folder is still locked.
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.said);
    }
}

/// Who holds a run directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Its process.
    pub pid: i32,
    /// What it was called with.
    pub command: String,
    /// Since when, UTC.
    pub since: String,
    /// On which machine: run directories may lie on a shared disk.
    pub machine: String,
}

/// Why a run directory is not held.
#[derive(Debug, thiserror::Error)]
pub enum HoldError {
    /// Another controller is at work in it.
    #[error(
        "another controller is at work in this run directory: process {} on `{}`, since {}: `{}`; wait for it, or end it \
         and go on here with --take-over", .0.pid, .0.machine, .0.since, .0.command
    )]
    Held(Holder),
    /// It cannot be told to go.
    #[error("process {} on `{}` cannot be ended from here: {why}", .holder.pid, .holder.machine)]
    Stays {
        /// Who it is.
        holder: Holder,
        /// Why not.
        why: String,
    },
    /// The system says no.
    #[error("the run directory cannot be locked: {0}")]
    Io(#[from] io::Error),
}

impl Hold {
    /// Takes a run directory; with `take_over` its controller is ended first, as by a crash: nodes and supervisors go on.
    ///
    /// # Errors
    /// [`HoldError`].
    pub fn take(dir: &Path, take_over: bool) -> Result<Self, HoldError> {
        let (folder, said) = (File::open(dir)?, dir.join(FILE));
        if !lock(&folder)? && !Planted::TwoControllers.is_there() {
            let holder = holder(&said);
            if !take_over {
                return Err(HoldError::Held(holder));
            }
            end(&folder, &holder)?;
        }
        let me = Holder {
            pid: i32::try_from(std::process::id()).unwrap_or_default(),
            command: std::env::args().collect::<Vec<_>>().join(" "),
            since: utc::stamp(SystemTime::now()),
            machine: machine(),
        };
        let text = serde_json::to_string(&me).map_err(io::Error::from)? + "\n";
        hcddl_files::atomic::refresh(&said, text.as_bytes())?;
        Ok(Self { _folder: folder, said })
    }
}

fn lock(file: &File) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn holder(said: &Path) -> Holder {
    let known = fs::read_to_string(said).ok().and_then(|text| serde_json::from_str(&text).ok());
    // It may be about to write it.
    known.unwrap_or_else(|| Holder {
        pid: 0,
        command: "unknown".to_owned(),
        since: "just now".to_owned(),
        machine: machine(),
    })
}

/// Ends the process that holds the lock and waits for the lock.
fn end(file: &File, holder: &Holder) -> Result<(), HoldError> {
    let stays = |why: &str| HoldError::Stays { holder: holder.clone(), why: why.to_owned() };
    if holder.machine != machine() {
        return Err(stays("it runs on another machine"));
    }
    let pid = Pid::from_raw(holder.pid).ok_or_else(|| stays("its process is not known yet; try again"))?;
    // A polite signal would make it stop the nodes, which are to go on.
    kill_process(pid, Signal::KILL).map_err(|error| stays(&error.to_string()))?;
    let begun = Instant::now();
    while !lock(file)? {
        if begun.elapsed() > GOING {
            return Err(stays("it was killed, but still holds the lock"));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

fn machine() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_was_first() {
        let folder = tempfile::tempdir().unwrap();
        let first = Hold::take(folder.path(), false).unwrap();
        let error = Hold::take(folder.path(), false).unwrap_err().to_string();
        let pid = format!("process {} on", std::process::id());
        assert!(error.contains(&pid) && error.contains("--take-over"), "{error}");
        drop(first);
        let second = Hold::take(folder.path(), false).unwrap();
        drop(second);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing of it stays");
    }

    #[test]
    fn a_controller_elsewhere_cannot_be_ended() {
        let folder = tempfile::tempdir().unwrap();
        let _first = Hold::take(folder.path(), false).unwrap();
        let path = folder.path().join(FILE);
        let mut holder: Holder = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        holder.machine = "elsewhere".to_owned();
        std::fs::write(&path, serde_json::to_string(&holder).unwrap()).unwrap();
        assert!(matches!(Hold::take(folder.path(), true), Err(HoldError::Stays { .. })));
    }
}
