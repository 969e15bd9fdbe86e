//! Files that are never half-written.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// Writes a file under another name and gives it its own when it is whole.
///
/// # Errors
/// When it cannot be written; the old file, if any, is then as it was.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let name = path.file_name().ok_or_else(|| io::Error::other("a path without a name"))?;
    let partial = path.with_file_name(format!(".{}.part", name.to_string_lossy()));
    let written = File::create(&partial).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_data()
    });
    let replaced = written.and_then(|()| fs::rename(&partial, path));
    if replaced.is_err() {
        let _ = fs::remove_file(&partial);
    }
    replaced
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
        assert!(replace(&path, b"2").is_err());
        assert_eq!(fs::read(&path).unwrap(), b"1");
    }
}
