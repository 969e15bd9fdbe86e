//! Files to and from a host. Nothing is half-written there: a file gets its name when it is whole.

use super::{Remote, RemoteError, quote};
use hcddl_core::domain::text::hex;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use tokio::io::AsyncReadExt;

/// SHA-256 in hexadecimal digits.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Prints the hash of the file `$1`.
const HASH: &str =
    "hash() { { sha256sum \"$1\" 2>/dev/null || shasum -a 256 \"$1\" 2>/dev/null; } | cut -d' ' -f1; }";

impl Remote {
    /// Whether a file with this SHA-256 is there.
    ///
    /// # Errors
    /// [`RemoteError`].
    pub async fn has(&self, path: &str, hash: &str) -> Result<bool, RemoteError> {
        let path = quote(path);
        let script = format!("{HASH}; [ -f {path} ] && [ \"$(hash {path})\" = {hash} ] && echo same; true");
        Ok(self.must("look for a file", &script, b"").await?.starts_with(b"same"))
    }

    /// Writes a file, readable by its owner alone (and executable, for a program), unless one of this SHA-256 is there;
    /// whether it was written.
    ///
    /// # Errors
    /// [`RemoteError`], also when what arrived has another hash.
    pub async fn push(
        &self,
        path: &str,
        bytes: &[u8],
        hash: &str,
        program: bool,
    ) -> Result<bool, RemoteError> {
        if self.has(path, hash).await? {
            return Ok(false);
        }
        let folder = Path::new(path).parent().unwrap_or(Path::new("/")).display().to_string();
        let (path, folder) = (quote(path), quote(&folder));
        let mode = if program { "700" } else { "600" };
        let script = format!(
            "{HASH}; umask 077; mkdir -p {folder} && part={path}.part$$ && trap 'rm -f \"$part\"' EXIT && cat > \"$part\" \
             && {{ [ \"$(hash \"$part\")\" = {hash} ] || {{ echo 'not all of it arrived' >&2; exit 1; }}; }} \
             && chmod {mode} \"$part\" && mv \"$part\" {path}"
        );
        self.must("write a file", &script, bytes).await?;
        Ok(true)
    }

    /// Makes a directory with the content of an archive, whose last file is `last`; one that was there is replaced.
    ///
    /// # Errors
    /// [`RemoteError`], also when not all of it arrived.
    pub async fn unpack(&self, dir: &str, archive: &[u8], last: &str) -> Result<(), RemoteError> {
        let (dir, last) = (quote(dir), quote(last));
        let script = format!(
            "umask 077; new={dir}.new && rm -rf \"$new\" && trap 'rm -rf \"$new\"' EXIT && mkdir -p \"$new\" \
             && tar -xpf - -C \"$new\" && {{ [ -f \"$new/\"{last} ] || {{ echo 'not all of it arrived' >&2; exit 1; }}; }} \
             && rm -rf {dir} && mv \"$new\" {dir}"
        );
        self.must("write the files of the run", &script, archive).await.map(drop)
    }

    /// Those of `names` that are in a directory, packed into a file here of so many bytes at most.
    ///
    /// # Errors
    /// [`RemoteError`]; when the file here cannot be written or grows beyond that, too.
    pub async fn pack(
        &self,
        dir: &str,
        names: &[&str],
        into: &Path,
        bytes_max: u64,
    ) -> Result<(), RemoteError> {
        let doing = "read the files of the run";
        let names: String = names.iter().map(|name| format!(" {}", quote(name))).collect();
        let script = format!(
            "cd {} 2>/dev/null || exit 0; set --{names}; for name; do shift; [ -e \"$name\" ] && set -- \"$@\" \"$name\"; done; \
             [ $# -eq 0 ] || tar -cf - \"$@\"",
            quote(dir)
        );
        let mut process = self.start(doing, &script).await?;
        drop(process.stdin.take());
        let copy = async {
            let mut file = File::create(into)?;
            let (mut chunk, mut left) = (vec![0; 1 << 16], bytes_max);
            loop {
                let read = process.stdout.read(&mut chunk).await?;
                if read == 0 {
                    return file.sync_data();
                }
                left = left.checked_sub(read as u64).ok_or_else(|| {
                    io::Error::other(format!("it sent more than {bytes_max} bytes, which are refused"))
                })?;
                file.write_all(&chunk[..read])?;
            }
        };
        let mut said = String::new();
        let read = async { process.stderr.read_to_string(&mut said).await.map(drop) };
        tokio::try_join!(copy, read).map_err(|error| self.failed(doing, error.to_string()))?;
        match process.wait().await.map_err(|problem| self.failed(doing, problem))? {
            // 1: a file grew while it was read; what was there is there.
            Some(0 | 1) => Ok(()),
            _ => Err(self.failed(doing, said.trim().to_owned())),
        }
    }
}

/// An archive to be unpacked elsewhere. Everything in it is for its owner alone.
pub struct Archive {
    tar: tar::Builder<Vec<u8>>,
}

impl Default for Archive {
    fn default() -> Self {
        Self { tar: tar::Builder::new(Vec::new()) }
    }
}

impl Archive {
    /// Adds a file of mode 0600.
    pub fn file(&mut self, path: &str, bytes: &[u8]) {
        let mut header = header(tar::EntryType::Regular, 0o600);
        header.set_size(bytes.len() as u64);
        self.tar.append_data(&mut header, path, bytes).expect("memory can be written");
    }

    /// Adds a symbolic link.
    pub fn link(&mut self, path: &str, to: &str) {
        let mut header = header(tar::EntryType::Symlink, 0o600);
        header.set_size(0);
        self.tar.append_link(&mut header, path, to).expect("memory can be written");
    }

    /// Its bytes.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        self.tar.into_inner().expect("memory can be written")
    }
}

/// Files are as old as the epoch, so that the same content is the same archive.
fn header(kind: tar::EntryType, mode: u32) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deploy::inventory::Host;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::time::Duration;

    async fn here() -> Remote {
        Remote::connect(&Host::here(), Duration::from_secs(1), Path::new("")).await.unwrap()
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[tokio::test]
    async fn a_file_is_pushed_once_and_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("it's here/hcddl");
        let (name, hash) = (path.to_str().unwrap(), sha256(b"abc"));
        assert_eq!(hash, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        let here = here().await;
        assert!(here.push(name, b"abc", &hash, true).await.unwrap());
        assert!(!here.push(name, b"abc", &hash, true).await.unwrap(), "it is there already");
        assert_eq!((fs::read(&path).unwrap(), mode(&path)), (b"abc".to_vec(), 0o700));
        assert!(
            here.push(name, b"ab", &sha256(b"abd"), false).await.unwrap_err().to_string().contains("not all")
        );
        assert_eq!(fs::read(&path).unwrap(), b"abc");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing half-written stays");
    }

    #[tokio::test]
    async fn a_directory_goes_there_and_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("runs/x");
        let mut archive = Archive::default();
        archive.file("tls/a.key", b"secret");
        archive.link("data/a.bin", "../../../data/1");
        archive.file("last.json", b"{}");
        let bytes = archive.finish();
        let here = here().await;
        here.unpack(dir.to_str().unwrap(), &bytes, "last.json").await.unwrap();
        assert_eq!((mode(&dir), mode(&dir.join("tls")), mode(&dir.join("tls/a.key"))), (0o700, 0o700, 0o600));
        assert_eq!(fs::read_link(dir.join("data/a.bin")).unwrap(), Path::new("../../../data/1"));
        let cut = here.unpack(dir.to_str().unwrap(), &bytes[..1024], "last.json").await;
        assert!(cut.is_err() && dir.join("last.json").exists(), "the old one stays");
        let (packed, back) = (folder.path().join("a.tar"), folder.path().join("back"));
        here.pack(dir.to_str().unwrap(), &["tls", "not there"], &packed, 1 << 20).await.unwrap();
        unpack(&packed, &back);
        assert_eq!(fs::read(back.join("tls/a.key")).unwrap(), b"secret");
        assert!(!back.join("last.json").exists());
        here.pack(dir.to_str().unwrap(), &["nothing"], &packed, 1 << 20).await.unwrap();
        unpack(&packed, &back);
        let flood = here.pack(dir.to_str().unwrap(), &["tls"], &packed, 100).await.unwrap_err().to_string();
        assert!(flood.contains("more than 100 bytes"), "{flood}");
    }

    fn unpack(archive: &Path, into: &Path) {
        tar::Archive::new(File::open(archive).unwrap()).unpack(into).unwrap();
    }
}
