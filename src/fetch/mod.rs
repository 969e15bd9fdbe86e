//! Downloads the files of a data set: a transfer that breaks off is continued, what arrived is checked by length
//! and SHA-256, archives are unpacked, and only then does a file get its name.

mod http;
mod unpack;
#[cfg(feature = "fuzzing")]
pub(crate) use unpack::bytes as unpack_bytes;

use hcddl_learn::data::File;
use sha2::{Digest, Sha256};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where files come from and go to.
#[derive(Clone, Debug)]
pub struct Fetch {
    /// The data directory.
    pub to: PathBuf,
    /// A mirror with the layout of a data directory, instead of the addresses of the files.
    pub base: Option<String>,
    /// Waiting time before the first new attempt; the second waits twice as long, and so on.
    pub patience: Duration,
}

/// How a file came to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// It was there, whole as far as can be told.
    Before,
    /// It was downloaded.
    Now {
        /// Bytes of the download.
        bytes: u64,
        /// Files that came out of the archive, when it is one.
        unpacked: usize,
        /// Whether its content was compared with a known hash.
        checked: bool,
    },
}

/// Why a file could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The server does not have it, or does not give it.
    #[error("{url} answers {status}; the address may have changed: --url-base names a mirror")]
    Refused {
        /// Where.
        url: String,
        /// HTTP status.
        status: u16,
    },
    /// Attempts broke off, one after another.
    #[error("{url}: {problem}; {attempts} attempts in a row brought nothing; the same command continues")]
    Broken {
        /// Where.
        url: String,
        /// What happened last.
        problem: String,
        /// Attempts without progress.
        attempts: u32,
    },
    /// Another length or hash than it should have.
    #[error("`{}` {problem}", path.display())]
    Wrong {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A file cannot be written or read.
    #[error("cannot {doing} `{}`: {error}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why not.
        error: std::io::Error,
    },
}

impl FetchError {
    fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::Io { doing, path, error }
    }

    fn wrong(path: &Path, problem: impl Into<String>) -> Self {
        Self::Wrong { path: path.to_owned(), problem: problem.into() }
    }
}

impl Fetch {
    /// Makes sure that a file is there. `progress` hears of bytes that arrived and, if known, of how many.
    ///
    /// # Errors
    /// [`FetchError`]; what was downloaded remains for the next attempt, unless it is wrong.
    pub fn file(
        &self,
        file: &File,
        progress: &mut dyn FnMut(u64, Option<u64>),
    ) -> Result<Fetched, FetchError> {
        let target = self.to.join(file.path);
        if target.exists() && verify(&target, file).is_ok() {
            return Ok(Fetched::Before);
        }
        let folder = target.parent().unwrap_or(&self.to);
        std::fs::create_dir_all(folder).map_err(FetchError::io("create", folder))?;
        let part = PathBuf::from(format!("{}.part", target.display()));
        let url = match &self.base {
            Some(base) => format!("{}/{}", base.trim_end_matches('/'), file.path),
            None => file.url.to_owned(),
        };
        let most = file.bytes.filter(|_| !file.is_gzip());
        // Whole, but not yet unpacked: an earlier command ended there.
        let whole = file.sha256.is_some() && part.exists() && verify(&part, file).is_ok();
        let bytes = if whole { 0 } else { http::download(&url, &part, most, self.patience, progress)? };
        if let Err(error) = verify(&part, file) {
            let _ = std::fs::remove_file(&part);
            let FetchError::Wrong { problem, .. } = error else { return Err(error) };
            let problem = format!("{problem}; it is removed: try again, or another mirror with --url-base");
            return Err(FetchError::wrong(&target, format!("from {url} {problem}")));
        }
        // Unpacked before the archive gets its name: where that is, its content is whole.
        let unpacked = if file.is_archive() { unpack::archive(&part, file, folder)? } else { 0 };
        std::fs::rename(&part, &target).map_err(FetchError::io("rename", &part))?;
        Ok(Fetched::Now { bytes, unpacked, checked: file.sha256.is_some() })
    }
}

/// Compares a file with its known length and hash; of a plain `.gz`, of what it unpacks to. One of which nothing
/// is known passes.
///
/// # Errors
/// [`FetchError::Wrong`] with what differs; [`FetchError::Io`] when it cannot be read.
pub fn verify(path: &Path, file: &File) -> Result<(), FetchError> {
    let (Some(expected), Some(bytes)) = (file.sha256, file.bytes) else { return Ok(()) };
    let open = std::fs::File::open(path).map_err(FetchError::io("open", path))?;
    let (hash, length) = if file.is_gzip() {
        // One byte more than expected is enough to know: it may unpack to any number.
        hash(flate2::read::MultiGzDecoder::new(std::io::BufReader::new(open)).take(bytes.saturating_add(1)))
            .map_err(|error| FetchError::wrong(path, format!("cannot be unpacked: {error}")))?
    } else {
        hash(open).map_err(FetchError::io("read", path))?
    };
    if length != bytes {
        let length = if length > bytes { format!("more than {bytes}") } else { length.to_string() };
        return Err(FetchError::wrong(path, format!("holds {length} bytes; expected {bytes}")));
    }
    if hash != expected {
        return Err(FetchError::wrong(path, format!("has the SHA-256 {hash}; expected {expected}")));
    }
    Ok(())
}

/// SHA-256 in hexadecimal, and the length.
fn hash(mut from: impl Read) -> std::io::Result<(String, u64)> {
    let (mut sha, mut length, mut buffer) = (Sha256::new(), 0, vec![0; 1 << 16]);
    loop {
        let read = from.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        sha.update(&buffer[..read]);
        length += read as u64;
    }
    Ok((hcddl_core::domain::text::hex(&sha.finalize()), length))
}

#[cfg(test)]
#[path = "fetch_tests.rs"]
mod tests;
