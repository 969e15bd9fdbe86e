//! Runs that were started before: `hcddl deploy status`, `stop`, `clean`, `fetch`.

use super::args::{KnownArgs, ReachArgs};
use super::progress;
use crate::cli::{Ending, Usage, output};
use clap::Args;
use hcddl_deploy::deploy::agent::{AgentStatus, Order, status::FILE as STATUS};
use hcddl_deploy::deploy::controller::{self, Closing, Fleet, Hold, HostRecord, HostState, RECORD, Record};
use hcddl_plan::registry::Registry;
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
pub struct StatusArgs {
    #[command(flatten)]
    known: KnownArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub struct CleanArgs {
    #[command(flatten)]
    known: KnownArgs,
    /// Also remove the programs and data that hosts keep for the next run
    #[arg(long)]
    cache: bool,
}

/// The local directory of a run: itself, or its name below `runs/`.
pub fn find(run: &Path) -> anyhow::Result<PathBuf> {
    let below = Path::new("runs").join(run);
    match [run.to_owned(), below].into_iter().find(|dir| dir.join(RECORD).is_file()) {
        Some(dir) => Ok(dir),
        None => {
            let run = run.display();
            let text =
                format!("found no deployed run at `{run}` or `runs/{run}`; `hcddl list` shows the runs");
            Err(Usage(text).into())
        }
    }
}

/// The record of a run.
pub fn read(dir: &Path) -> anyhow::Result<Record> {
    let path = dir.join(RECORD);
    Ok(Record::read(dir).map_err(|error| Usage(format!("`{}` is damaged: {error}", path.display())))?)
}

async fn connect(record: &Record, reach: &ReachArgs) -> anyhow::Result<Fleet> {
    Ok(Fleet::connect(record.pool(), reach.timeout(), reach.forks.into()).await?)
}

/// A run with connections to its hosts.
pub async fn open(args: &KnownArgs) -> anyhow::Result<(PathBuf, Record, Fleet)> {
    let dir = find(&args.run)?;
    let record = read(&dir)?;
    let fleet = connect(&record, &args.reach).await?;
    Ok((dir, record, fleet))
}

/// What supervisors had said when their files were fetched.
fn fetched(dir: &Path, record: &Record) -> Vec<HostState> {
    let state = |host: &HostRecord| {
        let text = std::fs::read(dir.join("hosts").join(&host.host.name).join(STATUS)).ok();
        let mut status = text.and_then(|text| serde_json::from_slice::<AgentStatus>(&text).ok());
        status.iter_mut().for_each(|status| status.nodes.retain(|node| host.nodes.contains(&node.name)));
        let problem = status.is_none().then(|| "nothing was fetched from it".to_owned());
        HostState { status, problem, over: true }
    };
    record.hosts.iter().map(state).collect()
}

pub async fn status(args: &StatusArgs) -> anyhow::Result<Ending> {
    let dir = find(&args.known.run)?;
    let record = read(&dir)?;
    // Nothing is left on the hosts of a run that was fetched and cleaned.
    let states =
        if record.cleaned { fetched(&dir, &record) } else { asked(&record, &args.known.reach).await? };
    show_status(args, &record, &states)
}

/// Asks every supervisor.
async fn asked(record: &Record, reach: &ReachArgs) -> anyhow::Result<Vec<HostState>> {
    let fleet = connect(record, reach).await?;
    let asked = fleet.each(|index, remote| {
        let (host, run) = (record.hosts[index].clone(), record.run.clone());
        async move { controller::status(&remote, &host, &run).await }
    });
    let mut states = Vec::new();
    for asked in asked.await {
        states.push(match asked {
            Ok(Some(mut status)) => {
                let own = &record.hosts[states.len()].nodes;
                status.nodes.retain(|node| own.contains(&node.name));
                HostState { over: status.ended.is_some(), status: Some(status), problem: None }
            }
            Ok(None) => {
                HostState { problem: Some("no files of this run".to_owned()), over: true, status: None }
            }
            Err(error) => HostState { problem: Some(error.to_string()), ..HostState::default() },
        });
    }
    fleet.close().await;
    Ok(states)
}

fn show_status(args: &StatusArgs, record: &Record, states: &[HostState]) -> anyhow::Result<Ending> {
    if args.json {
        let hosts = states.iter().zip(&record.hosts);
        let hosts = hosts.map(|(state, host)| {
            serde_json::json!({"host": host.host.name, "state": state.status, "problem": state.problem})
        });
        let hosts: Vec<_> = hosts.collect();
        output::result(&format!("{:#}\n", serde_json::json!({"run": record.run, "hosts": hosts})))?;
    } else {
        let line = progress::line(record, states);
        output::result(&format!("{}: {line}\n{}", record.run, progress::table(record, states)))?;
    }
    let heard = states.iter().all(|state| state.problem.is_none());
    Ok(if heard { Ending::Done } else { Ending::Failed })
}

pub async fn stop(args: &KnownArgs) -> anyhow::Result<Ending> {
    let (_, record, fleet) = open(args).await?;
    let stopped = stop_all(&fleet, &record).await;
    fleet.close().await;
    Ok(ending(
        stopped.iter().all(Option::is_some),
        &format!("stopped `{}`; its files are on the hosts until `hcddl deploy clean`", record.run),
    ))
}

pub async fn clean(args: &CleanArgs) -> anyhow::Result<Ending> {
    let _hold = Hold::take(&find(&args.known.run)?, args.known.take_over)?;
    let (dir, mut record, fleet) = open(&args.known).await?;
    let stopped: Vec<bool> = stop_all(&fleet, &record).await.iter().map(Option::is_some).collect();
    let cleaned = clean_all(&fleet, &record, args.cache, &stopped).await;
    fleet.close().await;
    let cleaned = cleaned && !stopped.contains(&false);
    if cleaned {
        record.cleaned = true;
        record.write(&dir)?;
    }
    Ok(ending(cleaned, &format!("removed `{}` from {} hosts", record.run, record.hosts.len())))
}

pub async fn fetch(args: &KnownArgs, registry: &Registry) -> anyhow::Result<Ending> {
    let _hold = Hold::take(&find(&args.run)?, args.take_over)?;
    let (dir, record, fleet) = open(args).await?;
    // Nothing is left on the hosts of a run that was cleaned.
    let fetched = record.cleaned || fetch_all(&fleet, &record, &dir).await.into_iter().all(|fetched| fetched);
    fleet.close().await;
    super::results::show(&super::results::gather(&dir, registry)?)?;
    Ok(ending(fetched, &format!("fetched what there is into `{}`", dir.display())))
}

fn ending(good: bool, text: &str) -> Ending {
    if good {
        output::note("done", text);
        Ending::Done
    } else {
        Ending::Failed
    }
}

/// Stops, fetches and cleans, as far as hosts can be reached; what supervisors said last, and whether everything was
/// fetched.
pub async fn end(fleet: &Fleet, record: &Record, dir: &Path) -> (Vec<Option<AgentStatus>>, bool) {
    let stopped = stop_all(fleet, record).await;
    let fetched = fetch_all(fleet, record, dir).await;
    // What could not be fetched stays where it is; what one host keeps does not keep others from being cleaned.
    let ends = stopped.iter().zip(&fetched);
    let may_clean: Vec<bool> = ends
        .map(|(stopped, fetched)| Closing { is_stopped: stopped.is_some(), is_fetched: *fetched }.may_clean())
        .collect();
    let cleaned = clean_all(fleet, record, false, &may_clean).await && !may_clean.contains(&false);
    let fetched = fetched.into_iter().all(|fetched| fetched);
    let last = stopped.into_iter().map(Option::flatten).collect();
    let mut record = record.clone();
    record.cleaned = cleaned;
    let written = record.write(dir);
    if !cleaned || written.is_err() {
        let dir = dir.display();
        let text = format!(
            "not every host could be cleaned; later: hcddl deploy fetch {dir}; hcddl deploy clean {dir}"
        );
        output::note("warning", &text);
    } else {
        // What `--local` used as the base directory of this machine.
        let _ = std::fs::remove_dir_all(dir.join("local"));
    }
    (last, fetched)
}

/// Gives an order to every supervisor that can be reached.
pub async fn order_all(fleet: &Fleet, record: &Record, order: Order) {
    let ordered = fleet.each(|index, remote| {
        let (host, run) = (record.hosts[index].clone(), record.run.clone());
        async move { controller::order(&remote, &host, &run, order).await }
    });
    for problem in ordered.await.into_iter().filter_map(Result::err) {
        output::note("warning", &problem.to_string());
    }
}

/// Stops every host; what its supervisor said last, if it has one, for those that could be stopped.
async fn stop_all(fleet: &Fleet, record: &Record) -> Vec<Option<Option<AgentStatus>>> {
    let stopped = fleet.each(|index, remote| {
        let (host, run) = (record.hosts[index].clone(), record.run.clone());
        async move { controller::stop(&remote, &host, &run).await }
    });
    let said = |stopped: Result<Option<AgentStatus>, _>| match stopped {
        Ok(last) => Some(last),
        Err(problem) => {
            let problem: std::sync::Arc<hcddl_deploy::deploy::remote::RemoteError> = problem;
            output::note("warning", &problem.to_string());
            None
        }
    };
    stopped.await.into_iter().map(said).collect()
}

/// Fetches from every host; from which ones it went well.
async fn fetch_all(fleet: &Fleet, record: &Record, dir: &Path) -> Vec<bool> {
    let fetched = fleet.each(|index, remote| {
        let (host, run, dir) = (record.hosts[index].clone(), record.run.clone(), dir.to_owned());
        async move { controller::fetch(&remote, &host, &run, &dir).await }
    });
    let said = |fetched: Result<(), _>| said_good(vec![fetched]);
    fetched.await.into_iter().map(said).collect()
}

/// Cleans those hosts that `which` says.
async fn clean_all(fleet: &Fleet, record: &Record, cache: bool, which: &[bool]) -> bool {
    let cleaned = fleet.each(|index, remote| {
        let (host, run, wanted) = (record.hosts[index].clone(), record.run.clone(), which[index]);
        async move { if wanted { controller::clean(&remote, &host, &run, cache).await } else { Ok(()) } }
    });
    said_good(cleaned.await)
}

/// Whether nothing failed; what did is said.
fn said_good<T, E: ToString>(results: Vec<Result<T, E>>) -> bool {
    let problems: Vec<E> = results.into_iter().filter_map(Result::err).collect();
    problems.iter().for_each(|problem| output::note("warning", &problem.to_string()));
    problems.is_empty()
}
