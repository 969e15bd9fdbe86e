//! What the hosts wrote, into the local run directory.

use super::record::HostRecord;
use super::unpack::{BYTES_MAX, Expected, unpack};
use crate::deploy::agent::{LOG, sample, status};
use crate::deploy::remote::{Remote, RemoteError};
use std::io;
use std::path::Path;

/// Fetches `nodes/<node>/` and, into `hosts/<host>/`, what the supervisor wrote.
///
/// # Errors
/// [`RemoteError`]; also when a file cannot be written here, and when the host sends what is not its own.
pub async fn fetch(remote: &Remote, host: &HostRecord, run: &str, into: &Path) -> Result<(), RemoteError> {
    let there = host.run_dir(run);
    let own = into.join("hosts").join(&host.host.name);
    let mine = |error: io::Error| remote.failed("take what it sent", error.to_string());
    std::fs::create_dir_all(&own).map_err(mine)?;
    let (packed, staging) = (own.join(".fetched.tar"), own.join(".incoming"));
    let files = [status::FILE, LOG, sample::FILE];
    let parts =
        [(&["nodes"][..], Expected::Nodes(&host.nodes), into), (&files[..], Expected::Files(&files), &*own)];
    for (names, expected, to) in parts {
        let unpacked = match remote.pack(&there, names, &packed, BYTES_MAX).await {
            Ok(()) => unpack(&packed, &expected, &staging, to).map_err(mine),
            Err(error) => Err(error),
        };
        let _ = std::fs::remove_file(&packed);
        unpacked?;
    }
    Ok(())
}
