//! `hcddl deploy logs`

use super::args::KnownArgs;
use super::known;
use crate::cli::{Ending, Usage, interrupt, output};
use clap::Args;
use futures_util::StreamExt;
use hcddl_core::domain::text::in_cell;
use hcddl_deploy::deploy::controller::{Fleet, Record};
use hcddl_deploy::deploy::node_file;
use hcddl_deploy::deploy::remote::quote;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;
use tokio_util::codec::{FramedRead, LinesCodec, LinesCodecError};

/// Characters of a line that are shown; bytes of one that is read.
const LINE_MAX: usize = 16 << 10;

#[derive(Debug, Args)]
pub struct LogsArgs {
    #[command(flatten)]
    known: KnownArgs,
    /// Of which nodes: their names, their hosts, or what they are (global, local, worker, peer) [default: all]
    #[arg(value_name = "HOST|ROLE|NODE")]
    what: Option<String>,
    /// Go on as they write
    #[arg(short, long)]
    follow: bool,
    /// How many of the last lines of each
    #[arg(short = 'n', long, value_name = "N", default_value_t = 50)]
    lines: u32,
}

pub async fn execute(args: &LogsArgs) -> anyhow::Result<Ending> {
    let dir = args.known.dir()?;
    let record = known::read(&dir)?;
    let chosen = chosen(&record, args.what.as_deref())?;
    // What has been fetched is complete, and the hosts have nothing more.
    if record.cleaned {
        return local(args, &dir, &chosen);
    }
    let (_, record, fleet) = known::open(&args.known).await?;
    let ended = remote(args, &record, &fleet, &chosen).await;
    fleet.close().await;
    ended
}

/// Host and node of each log to show. A role is a name without the number behind it.
fn chosen(record: &Record, what: Option<&str>) -> anyhow::Result<Vec<(usize, String)>> {
    let mut chosen = Vec::new();
    for (index, host) in record.hosts.iter().enumerate() {
        for node in &host.nodes {
            let role = node.trim_end_matches(|c: char| c.is_ascii_digit());
            if what.is_none_or(|what| what == node || what == role || what == host.host.name) {
                chosen.push((index, node.clone()));
            }
        }
    }
    if chosen.is_empty() {
        let nodes: Vec<&str> = record.hosts.iter().flat_map(|host| &host.nodes).map(String::as_str).collect();
        let text =
            format!("no node, host or role `{}`; nodes: {}", what.unwrap_or_default(), nodes.join(", "));
        return Err(Usage(text).into());
    }
    Ok(chosen)
}

/// A log that has been fetched.
fn local(args: &LogsArgs, dir: &Path, chosen: &[(usize, String)]) -> anyhow::Result<Ending> {
    for (_, node) in chosen {
        let text =
            std::fs::read_to_string(dir.join("nodes").join(node).join(node_file::LOG)).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        for line in &lines[lines.len().saturating_sub(args.lines as usize)..] {
            output::result(&shown(node, line, chosen.len()))?;
        }
    }
    Ok(Ending::Done)
}

async fn remote(
    args: &LogsArgs,
    record: &Record,
    fleet: &Fleet,
    chosen: &[(usize, String)],
) -> anyhow::Result<Ending> {
    let (lines, mut read) = mpsc::channel::<Result<(String, String), String>>(256);
    for (host, node) in chosen {
        let path = format!("{}/nodes/{node}/{}", record.hosts[*host].run_dir(&record.run), node_file::LOG);
        let (node, lines, count, follow) = (node.clone(), lines.clone(), args.lines, args.follow);
        let remote = fleet.remotes[*host].clone();
        tokio::spawn(async move {
            let shown = async {
                let remote = remote.map_err(|error| error.to_string())?;
                let path = quote(&path);
                // `tail` ends when our end of its shell's input does.
                let script = match follow {
                    true => format!("tail -n {count} -F {path} 2>/dev/null & cat >/dev/null; kill $!"),
                    false => format!("tail -n {count} {path}"),
                };
                let started = remote.start("read a log", &script).await.map_err(|error| error.to_string())?;
                let mut process = started;
                let lines_of = LinesCodec::new_with_max_length(LINE_MAX);
                let mut text = FramedRead::new(&mut process.stdout, lines_of);
                while let Some(line) = text.next().await {
                    let line = match line {
                        Ok(line) => line,
                        Err(LinesCodecError::MaxLineLengthExceeded) => continue,
                        Err(LinesCodecError::Io(_)) => break,
                    };
                    if lines.send(Ok((node.clone(), line))).await.is_err() {
                        return Ok(());
                    }
                }
                let mut said = String::new();
                let _ = (&mut process.stderr).take(1 << 16).read_to_string(&mut said).await;
                if said.trim().is_empty() { Ok(()) } else { Err(format!("{}: {}", remote.name, said.trim())) }
            };
            if let Err(problem) = shown.await {
                let _ = lines.send(Err(problem)).await;
            }
        });
    }
    drop(lines);
    let interrupt = interrupt::flag();
    let mut good = true;
    loop {
        tokio::select! {
            next = read.recv() => match next {
                None => return Ok(if good { Ending::Done } else { Ending::Failed }),
                Some(Ok((node, line))) => output::result(&shown(&node, &line, chosen.len()))?,
                Some(Err(problem)) => {
                    good = false;
                    output::note("warning", &problem);
                }
            },
            () = tokio::time::sleep(Duration::from_millis(100)) => {
                if interrupt.load(Ordering::SeqCst) {
                    return Ok(Ending::Interrupted);
                }
            }
        }
    }
}

fn shown(node: &str, line: &str, nodes: usize) -> String {
    let line = in_cell(line, LINE_MAX);
    if nodes > 1 { format!("{node}: {line}\n") } else { format!("{line}\n") }
}
