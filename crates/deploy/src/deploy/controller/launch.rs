//! Brings a run to a host, starts it, stops it, removes it.

use super::binary::build_step;
use super::parcel::{LAST, Parcel};
use super::record::HostRecord;
use crate::deploy::agent::{AgentStatus, Order};
use crate::deploy::remote::{Remote, RemoteError, quote};
use std::sync::Arc;

/// What was brought to a host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Launched {
    /// Whether the program was pushed; else it was there.
    pub program: bool,
    /// Data files that were pushed; the others were there.
    pub data: usize,
}

/// A program with its hash.
#[derive(Clone, Debug)]
pub struct Program {
    /// Its bytes.
    pub bytes: Arc<Vec<u8>>,
    /// Their SHA-256.
    pub hash: String,
}

/// Brings program, data and the files of the run to a host. Nothing is started.
///
/// # Errors
/// [`RemoteError`]; also when the program does not run there.
pub async fn launch(
    remote: &Remote,
    host: &HostRecord,
    machine: &str,
    program: Option<&Program>,
    parcel: &Parcel,
) -> Result<Launched, RemoteError> {
    let mut launched = Launched::default();
    if let Some(program) = program {
        launched.program = remote.push(&host.program, &program.bytes, &program.hash, true).await?;
        runs_there(remote, host, machine).await?;
    }
    for (hash, bytes) in parcel.data_of(&host.host.name) {
        let path = format!("{}/data/{hash}", host.base);
        launched.data += usize::from(remote.push(&path, &bytes, &hash, false).await?);
    }
    let archive = parcel.archive(&host.host.name);
    remote.unpack(&host.run_dir(&parcel.deployment.run), &archive, LAST).await?;
    Ok(launched)
}

/// A program of the right architecture may still not run: it may need a newer libc.
async fn runs_there(remote: &Remote, host: &HostRecord, machine: &str) -> Result<(), RemoteError> {
    let doing = "run hcddl there";
    let output = remote.run(doing, &format!("{} --version", quote(&host.program)), b"").await;
    let problem = match output {
        Ok(output) if output.code == Some(0) => {
            let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
            let mine = concat!("hcddl ", env!("CARGO_PKG_VERSION"));
            if said == mine {
                return Ok(());
            }
            format!("it is `{said}`, and this is `{mine}`; name another one with --binary")
        }
        Ok(output) => format!("{}; {}", output.stderr, build_step(machine)),
        Err(error) => format!("{error}; {}", build_step(machine)),
    };
    Err(remote.failed(doing, problem))
}

/// Starts the supervisor of a run; `Err` with the name of the run that is there already, if any other is.
///
/// # Errors
/// [`RemoteError`].
pub async fn start(remote: &Remote, host: &HostRecord, run: &str) -> Result<Result<(), String>, RemoteError> {
    let doing = "start the supervisor";
    let script = format!("exec {} agent {}", quote(&host.program), quote(&host.run_dir(run)));
    let said = String::from_utf8_lossy(&remote.must(doing, &script, b"").await?).trim().to_owned();
    match said.split_once(' ') {
        Some(("held", other)) if other == run => {
            order(remote, host, run, Order::Restart).await?;
            Ok(Ok(()))
        }
        Some(("held", other)) => Ok(Err(other.to_owned())),
        _ if said == "started" => Ok(Ok(())),
        _ => Err(remote.failed(doing, format!("it said `{said}`"))),
    }
}

/// The script that connects with the supervisor of a run.
#[must_use]
pub fn talk(host: &HostRecord, run: &str) -> String {
    format!("exec {} remote {}", quote(&host.program), quote(&host.run_dir(run)))
}

/// Gives an order to the supervisor of a run; its state, when it has one.
///
/// # Errors
/// [`RemoteError`].
pub async fn order(
    remote: &Remote,
    host: &HostRecord,
    run: &str,
    order: Order,
) -> Result<Option<AgentStatus>, RemoteError> {
    let script = format!("{} --say {}", talk(host, run), order.word());
    last_status(&remote.must("give an order to the supervisor", &script, b"").await?)
}

/// The state of the supervisor of a run; `None` when the host has no files of this run.
///
/// # Errors
/// [`RemoteError`].
pub async fn status(
    remote: &Remote,
    host: &HostRecord,
    run: &str,
) -> Result<Option<AgentStatus>, RemoteError> {
    let dir = quote(&host.run_dir(run));
    let script = format!("[ -d {dir} ] || exit 0; {} --status", talk(host, run));
    let doing = "ask for the state of the run";
    let output = remote.run(doing, &script, b"").await?;
    match output.code {
        Some(0) => last_status(&output.stdout),
        Some(super::GONE) => Err(remote.failed(doing, why_gone(&output.stderr))),
        _ => Err(remote.failed(doing, output.stderr)),
    }
}

/// Why a supervisor is gone, from what the program on its host says.
pub(super) fn why_gone(stderr: &str) -> String {
    let why = stderr.trim().trim_start_matches("error: ");
    if why.is_empty() { "its supervisor is gone".to_owned() } else { why.to_owned() }
}

/// Stops the nodes of a run and its supervisor, whatever state they are in; the state at the end.
///
/// # Errors
/// [`RemoteError`].
pub async fn stop(remote: &Remote, host: &HostRecord, run: &str) -> Result<Option<AgentStatus>, RemoteError> {
    let dir = quote(&host.run_dir(run));
    let script = format!("[ -d {dir} ] || exit 0; {} --stop", talk(host, run));
    last_status(&remote.must("stop the run", &script, b"").await?)
}

fn last_status(said: &[u8]) -> Result<Option<AgentStatus>, RemoteError> {
    let said = String::from_utf8_lossy(said);
    Ok(said.lines().rev().find_map(|line| serde_json::from_str(line).ok()))
}

/// Removes the files of a run from a host; with `cache` also programs and data, kept there for the next run.
///
/// # Errors
/// [`RemoteError`].
pub async fn clean(remote: &Remote, host: &HostRecord, run: &str, cache: bool) -> Result<(), RemoteError> {
    let dir = host.run_dir(run);
    let mut script = format!("rm -rf {} {}", quote(&dir), quote(&format!("{dir}.new")));
    if cache {
        let base = &host.base;
        let all = ["bin", "data"].map(|name| quote(&format!("{base}/{name}")));
        script += &format!(" {}; rmdir {}/runs 2>/dev/null; true", all.join(" "), quote(base));
    }
    remote.must("remove the files of the run", &script, b"").await.map(drop)
}
