//! What the hosts wrote, into the local run directory.

use super::record::HostRecord;
use crate::deploy::agent::{LOG, sample, status};
use crate::deploy::remote::{Remote, RemoteError, unpack};
use std::io;
use std::path::Path;

/// Fetches `nodes/<node>/` and, into `hosts/<host>/`, what the supervisor wrote.
///
/// # Errors
/// [`RemoteError`]; also when a file cannot be written here.
pub async fn fetch(remote: &Remote, host: &HostRecord, run: &str, into: &Path) -> Result<(), RemoteError> {
    let there = host.run_dir(run);
    let name: String = host.host.name.chars().map(|c| if c == '/' { '-' } else { c }).collect();
    let own = into.join("hosts").join(&name);
    let mine = |error: io::Error| remote.failed("write what it sent", error.to_string());
    std::fs::create_dir_all(&own).map_err(mine)?;
    let packed = own.join(".fetched.tar");
    let parts = [(&["nodes"][..], into), (&[status::FILE, LOG, sample::FILE][..], own.as_path())];
    for (names, to) in parts {
        remote.pack(&there, names, &packed).await?;
        let unpacked = unpack(&packed, to);
        let _ = std::fs::remove_file(&packed);
        unpacked.map_err(mine)?;
    }
    Ok(())
}
