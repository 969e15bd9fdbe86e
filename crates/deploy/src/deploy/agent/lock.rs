//! One run at a time on a host, for each user: `<base>/lock`, locked as long as the supervisor or one of its nodes lives.

use rustix::io::{FdFlags, fcntl_setfd};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// The lock of a host. The processes started while it is held inherit it, so that nodes whose supervisor was killed
/// still keep a second run away.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Lock {
    /// The lock file of the base directory that a run directory (`<base>/runs/<run>`) is in.
    #[must_use]
    pub fn path(run_dir: &Path) -> PathBuf {
        run_dir.ancestors().nth(2).unwrap_or(Path::new(".")).join("lock")
    }

    /// Takes the lock for a run; `Err(Ok(run))` when another run (or this one) holds it.
    ///
    /// # Errors
    /// The name of the run that holds it, or what the system said.
    pub fn take(path: &Path, run: &str) -> Result<Self, Result<String, io::Error>> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let mut file = file.map_err(Err)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                file.read_to_string(&mut holder).map_err(Err)?;
                return Err(Ok(holder.trim().to_owned()));
            }
            Err(TryLockError::Error(error)) => return Err(Err(error)),
        }
        let write = |file: &mut File| {
            fcntl_setfd(&*file, FdFlags::empty())?;
            file.set_len(0)?;
            writeln!(file, "{run}")
        };
        write(&mut file).map_err(Err)?;
        Ok(Self { file })
    }

    /// Gives it back.
    pub fn release(self) {
        // The name goes first: who sees the lock free sees no name of a run that is over.
        let _ = self.file.set_len(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_was_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = Lock::path(&folder.path().join("runs/first"));
        assert_eq!(path, folder.path().join("lock"));
        let first = Lock::take(&path, "first").unwrap();
        assert_eq!(Lock::take(&path, "second").unwrap_err().unwrap(), "first");
        first.release();
        assert_eq!(std::fs::read(&path).unwrap(), b"");
        Lock::take(&path, "second").unwrap();
    }
}
