//! Files that are never half-written: whatever is killed, a file is as it was or as it is to be.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A file that takes the place of another one when it is whole.
#[derive(Debug)]
pub struct Replacement {
    path: PathBuf,
    partial: PathBuf,
    file: File,
}

impl Replacement {
    /// Begins one, under another name in the same folder.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create(path: &Path) -> io::Result<Self> {
        let name = path.file_name().ok_or_else(|| io::Error::other("a path without a name"))?;
        let partial = path.with_file_name(format!(".{}.part", name.to_string_lossy()));
        let file = File::create(&partial)?;
        Ok(Self { path: path.to_owned(), partial, file })
    }

    /// Gives it its name, durably: content and name are on the disk afterwards.
    ///
    /// # Errors
    /// When it cannot be written; the old file, if any, is then as it was.
    pub fn keep(self) -> io::Result<()> {
        self.file.sync_all()?;
        self.rename()?;
        // The name is durable once the folder is synced; systems that cannot open one do without.
        if let Some(Ok(folder)) = self.path.parent().map(File::open) {
            let _ = folder.sync_all();
        }
        Ok(())
    }

    fn rename(&self) -> io::Result<()> {
        fs::rename(&self.partial, &self.path)
    }
}

impl Drop for Replacement {
    /// One that was not kept goes; after its renaming there is nothing of that name.
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.partial);
    }
}

impl Write for Replacement {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Writes a whole file, durably.
///
/// # Errors
/// When it cannot be written; the old file, if any, is then as it was.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = Replacement::create(path)?;
    file.write_all(bytes)?;
    file.keep()
}

/// As [`replace`], for what is written again soon: after a power cut it may be the old file, but never half of one.
///
/// # Errors
/// As [`replace`].
pub fn refresh(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = Replacement::create(path)?;
    file.write_all(bytes)?;
    file.rename()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_written_leaves_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        replace(&path, b"1").unwrap();
        fs::create_dir(folder.path().join(".a.part")).unwrap();
        assert!(replace(&path, b"2").is_err() && refresh(&path, b"2").is_err());
        assert_eq!(fs::read(&path).unwrap(), b"1");
    }

    #[test]
    fn nothing_is_left_of_what_was_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let mut file = Replacement::create(&path).unwrap();
        file.write_all(b"half").unwrap();
        drop(file);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        refresh(&path, b"1").unwrap();
        replace(&path, b"2").unwrap();
        assert_eq!(
            (fs::read(&path).unwrap(), fs::read_dir(folder.path()).unwrap().count()),
            (b"2".to_vec(), 1)
        );
    }
}
