//! `hcddl agent` and `hcddl remote`: what the controller calls on a host. Hidden, since nobody else needs them.

use crate::cli::{Ending, output};
use clap::Args;
use hcddl_core::domain::text::in_line;
use hcddl_deploy::deploy::agent::status::FILE as STATUS;
use hcddl_deploy::deploy::agent::{Agent, AgentError, AgentStatus, LOG, kill_left, sample, socket};
use hcddl_deploy::deploy::controller::GONE;
use std::fs::OpenOptions;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

#[derive(Debug, Args)]
pub struct AgentArgs {
    /// Directory of the run
    #[arg(value_name = "RUN_DIR")]
    dir: PathBuf,
    /// Be the supervisor itself, not who starts it
    #[arg(long)]
    daemon: bool,
}

#[derive(Debug, Args)]
pub struct RemoteArgs {
    /// Directory of the run
    #[arg(value_name = "RUN_DIR")]
    dir: PathBuf,
    /// Give one order and print the state after it
    #[arg(long, value_name = "ORDER")]
    say: Option<String>,
    /// Print the state
    #[arg(long, conflicts_with = "say")]
    status: bool,
    /// Stop the nodes and the supervisor, whatever state they are in, and print the last state
    #[arg(long, conflicts_with_all = ["say", "status"])]
    stop: bool,
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// Prints `started`, or `held <run>` when a run is on this host.
pub fn agent(args: &AgentArgs) -> anyhow::Result<Ending> {
    let dir = std::fs::canonicalize(&args.dir)?;
    if args.daemon {
        return supervise(&dir);
    }
    let log = OpenOptions::new().create(true).append(true).open(dir.join(LOG))?;
    let mut child = Command::new(std::env::current_exe()?)
        .args(["agent", "--daemon"])
        .arg(&dir)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log.try_clone()?)
        .spawn()?;
    let mut said = String::new();
    // It keeps its end of the pipe, so there is a line to wait for, and no end of the file.
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut said)?;
    if said.is_empty() {
        let log = std::fs::read_to_string(dir.join(LOG)).unwrap_or_default();
        anyhow::bail!("the supervisor did not start: {}", log.lines().last().unwrap_or("it said nothing"));
    }
    output::result(&said)?;
    Ok(Ending::Done)
}

/// The supervisor: a session of its own, so that the end of the SSH session does not end it.
fn supervise(dir: &Path) -> anyhow::Result<Ending> {
    let _ = rustix::process::setsid();
    runtime()?.block_on(async {
        let agent = match Agent::open(dir) {
            Err(AgentError::Held(run)) => {
                output::result(&format!("held {run}\n"))?;
                return Ok(Ending::Done);
            }
            opened => opened?,
        };
        output::result("started\n")?;
        agent.run().await?;
        Ok(Ending::Done)
    })
}

/// Connects a controller with the supervisor of this host.
pub fn remote(args: &RemoteArgs) -> anyhow::Result<Ending> {
    let dir = std::fs::canonicalize(&args.dir)?;
    std::env::set_current_dir(&dir)?;
    let runtime = runtime()?;
    let ended = runtime.block_on(talk(args, &dir));
    // A read of standard input may still be waiting; nobody else waits for it.
    runtime.shutdown_background();
    ended
}

/// Why a supervisor is not there that has not ended as it should, as far as that can be seen.
fn why_gone(dir: &Path) -> String {
    if sample::disk_is_full(dir) {
        return format!("its supervisor is gone, and the disk of `{}` is full", dir.display());
    }
    let written = std::fs::metadata(dir.join(STATUS)).and_then(|file| file.modified());
    let age = written.ok().and_then(|written| written.elapsed().ok());
    if let (Some(age), Some(up)) = (age, sample::uptime())
        && up < age
    {
        return "its supervisor is gone: the host was restarted".to_owned();
    }
    let log = std::fs::read_to_string(dir.join(LOG)).unwrap_or_default();
    let last = log.lines().last().map_or(String::new(), |line| format!("; it said last: {}", in_line(line)));
    format!("its supervisor is gone: its process was killed{last}")
}

async fn talk(args: &RemoteArgs, dir: &Path) -> anyhow::Result<Ending> {
    if args.stop {
        socket::stop().await?;
        let status = AgentStatus::read(dir)?;
        for node in kill_left(dir, &status) {
            output::note("killed", &format!("`{node}`, which its supervisor had left"));
        }
        output::result(&status.line())?;
        return Ok(Ending::Done);
    }
    let talked = match &args.say {
        Some(order) => socket::say(order).await,
        None if args.status => socket::say("").await,
        None => socket::pipe(tokio::io::stdin(), tokio::io::stdout()).await.map(|()| String::new()),
    };
    let error = match talked {
        Ok(said) => {
            output::result(&said)?;
            return Ok(Ending::Done);
        }
        Err(error) => error,
    };
    let status = AgentStatus::read(dir)?;
    if status.ended.is_none() && status.is_supervised(dir) {
        // The controller asks again.
        anyhow::bail!("the supervisor does not answer: {error}");
    }
    output::result(&status.line())?;
    if status.ended.is_none() {
        output::note("error", &why_gone(dir));
        std::process::exit(GONE);
    }
    Ok(Ending::Done)
}
