//! `hcddl deploy run`

use super::args::TargetArgs;
use super::progress::{self, Progress};
use super::target::{self, Target, address};
use super::{known, plan, results, supplies};
use crate::cli::{Ending, Usage, interrupt, output};
use clap::Args;
use hcddl_deploy::deploy::controller::{
    self, End, Fleet, Hold, HostRecord, HostState, Parcel, Probe, Program, RECORD, Record, follow, random_hex,
};
use hcddl_deploy::deploy::placement;
use hcddl_deploy::deploy::remote::sha256;
use hcddl_plan::measure::outcome::Summary;
use hcddl_plan::registry::Registry;
use hcddl_sim::record::rundir::{RunDir, file, file_name};
use hcddl_sim::record::utc;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Where to write; must be empty or new [default: runs/<run>]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Start the nodes of this run that are not running, and follow it
    #[arg(long, value_name = "RUN", conflicts_with_all = ["file", "out", "detach", "dry_run", "inventory", "local"])]
    resume: Option<PathBuf>,
    /// With --resume: end the controller that is at work in the run directory, and go on here
    #[arg(long, requires = "resume")]
    take_over: bool,
    /// Return after the start; the run goes on without this controller
    #[arg(long)]
    detach: bool,
    /// As `hcddl deploy plan`
    #[arg(long)]
    dry_run: bool,
    /// No progress and no notes
    #[arg(short, long)]
    quiet: bool,
    /// No table at the end either.
    #[arg(skip)]
    silent: bool,
    /// A program to start for each node instead of hcddl, by its path on the hosts
    #[arg(long, value_name = "PATH", hide = true)]
    node_program: Option<PathBuf>,
}

impl RunArgs {
    /// As `hcddl deploy run --quiet --out OUT`, and without the table at the end.
    pub fn quiet(target: TargetArgs, out: &Path) -> Self {
        Self {
            target,
            out: Some(out.to_owned()),
            resume: None,
            take_over: false,
            detach: false,
            dry_run: false,
            quiet: true,
            silent: true,
            node_program: None,
        }
    }
}

/// A run that is on its way.
struct Run<'a> {
    args: &'a RunArgs,
    dir: PathBuf,
    record: Record,
    fleet: Fleet,
    interrupt: Arc<AtomicBool>,
    /// Nobody else writes into `dir`.
    _hold: Hold,
}

pub async fn execute(args: &RunArgs, registry: &Registry) -> anyhow::Result<Ending> {
    if args.dry_run {
        return plan::execute(&args.target, registry);
    }
    if let Some(dir) = &args.resume {
        return resume(args, dir, registry).await;
    }
    let mut args = args.clone();
    let nodes = |args: &TargetArgs| -> anyhow::Result<usize> {
        Ok(crate::cli::session::load(args.file()?, &args.scenario, registry)?.plan.nodes.len())
    };
    // Devices that came by themselves can be reached as long as this is open.
    let desk = match args.target.join {
        Some(_) if args.detach => {
            let text = "--detach needs hosts that can be reached again; devices of --join come to a controller that waits";
            return Err(Usage(text.to_owned()).into());
        }
        Some(_) => {
            let nodes = nodes(&args.target)?;
            args.target.wait_for_devices(nodes).await?
        }
        None => None,
    };
    let ended = deploy(&args, registry).await;
    drop(desk);
    ended
}

async fn deploy(args: &RunArgs, registry: &Registry) -> anyhow::Result<Ending> {
    let target = Target::load(&args.target, registry)?;
    if target.session.plan.deploy.settings.data_on_device.is_none() {
        // What is wrong with data or model is found before anything is pushed.
        target.session.learner()?;
    }
    let interrupt = interrupt::flag();
    let reach = &args.target.reach;
    let (hosts, forks) = (target.hosts.clone(), usize::from(reach.forks));
    let fleet = match args.target.join {
        Some(_) => Fleet::joined(hosts, &args.target.joined, reach.timeout(), forks)?,
        None => Fleet::connect(hosts, reach.timeout(), forks).await?,
    };
    let probes = target::probe_all(&fleet).await?;
    let programs = programs(args, &target, &probes)?;
    let (dir, record, parcel) = prepare(args, &target, &probes, &programs)?;
    let hold = Hold::take(&dir, false)?;
    let run = Run { args, dir, record, fleet, interrupt, _hold: hold };
    let started = run.start(&probes, &programs, &parcel).await;
    if let Err(error) = started {
        run.end().await;
        run.fleet.close().await;
        return if run.interrupt.load(Ordering::SeqCst) { Ok(Ending::Interrupted) } else { Err(error) };
    }
    if args.detach {
        let name = run.dir.display();
        output::note("started", &format!("`{0}`; next: hcddl deploy status {name}", run.record.run));
        output::result(&format!("{name}\n"))?;
        run.fleet.close().await;
        return Ok(Ending::Done);
    }
    run.follow(registry).await
}

/// The program for each host; `None` where this very file can be used.
fn programs(args: &RunArgs, target: &Target<'_>, probes: &[Probe]) -> anyhow::Result<Vec<Option<Program>>> {
    let binaries = args.target.binaries()?;
    let mut read: BTreeMap<PathBuf, Program> = BTreeMap::new();
    let mut programs = Vec::new();
    for (host, probe) in target.hosts.iter().zip(probes) {
        if args.target.local {
            programs.push(None);
            continue;
        }
        let path = binaries.choose(&host.name, probe).map_err(Usage)?;
        if !read.contains_key(&path) {
            let bytes =
                std::fs::read(&path).map_err(|error| Usage(format!("{}: {error}", path.display())))?;
            let hash = sha256(&bytes);
            read.insert(path.clone(), Program { bytes: Arc::new(bytes), hash });
        }
        programs.push(read.get(&path).cloned());
    }
    Ok(programs)
}

/// Names the run and makes its local directory, complete but for the results.
fn prepare(
    args: &RunArgs,
    target: &Target<'_>,
    probes: &[Probe],
    programs: &[Option<Program>],
) -> anyhow::Result<(PathBuf, Record, Parcel)> {
    let plan = &target.session.plan;
    let stamp = utc::stamp(SystemTime::now());
    let run = format!("{stamp}-{}-{}", file_name(&plan.name), random_hex(3)?);
    let addresses: Vec<_> =
        target.hosts.iter().zip(probes).map(|(host, probe)| address(host, probe)).collect();
    let deployment = placement::deployment(&run, plan, &target.seats, &target.hosts, &addresses);
    // Absolute, since hosts of this machine are told of paths below it.
    let out = std::path::absolute(args.out.clone().unwrap_or(Path::new("runs").join(&run)))?;
    let dir = RunDir::create(Some(&out), &plan.name)?;
    let own = std::env::current_exe()?.display().to_string();
    let hosts =
        target.hosts.iter().zip(probes).zip(programs).enumerate().map(|(index, ((host, probe), program))| {
            let base = match args.target.local {
                true => dir.join("local").display().to_string(),
                false => format!("{}/.hcddl", probe.home.trim_end_matches('/')),
            };
            let program =
                program.as_ref().map_or(own.clone(), |program| format!("{base}/bin/{}/hcddl", program.hash));
            HostRecord { host: host.clone(), base, program, nodes: target.nodes_of(index) }
        });
    let record = Record {
        run,
        root: plan.nodes.first().filter(|node| node.neighbours.is_empty()).map(|node| node.name.to_string()),
        rounds: plan.stop.rounds,
        lease: plan.deploy.settings.lease.0,
        detached: args.detach,
        cleaned: false,
        hosts: hosts.collect(),
    };
    dir.write(file::PLAN, &target.session.effective()?)?;
    let scenario = std::path::absolute(args.target.file()?)?;
    controller::checkout::record(scenario.parent().unwrap_or(Path::new("/")), dir.path())?;
    dir.write("deployment.json", &serde_json::to_string_pretty(&deployment)?)?;
    record
        .write(dir.path())
        .map_err(|error| anyhow::anyhow!("cannot write `{}`: {error}", dir.join(RECORD).display()))?;
    let parcel = supplies::parcel(target, deployment, !args.detach, args.node_program.clone())?;
    Ok((dir.path().to_owned(), record, parcel))
}

impl Run<'_> {
    fn note(&self, kind: &str, text: &str) {
        if !self.args.quiet {
            output::note(kind, text);
        }
    }

    /// Brings everything to all hosts, and only then starts anything.
    async fn start(
        &self,
        probes: &[Probe],
        programs: &[Option<Program>],
        parcel: &Parcel,
    ) -> anyhow::Result<()> {
        let parcel = Arc::new(parcel.clone());
        let launched = self.fleet.each(|index, remote| {
            let (host, machine) = (self.record.hosts[index].clone(), probes[index].machine.clone());
            let (program, parcel, stop) =
                (programs[index].clone(), Arc::clone(&parcel), Arc::clone(&self.interrupt));
            async move {
                if stop.load(Ordering::SeqCst) {
                    return Err(remote.failed("begin", "interrupted".to_owned()));
                }
                controller::launch(&remote, &host, &machine, program.as_ref(), &parcel).await
            }
        });
        let launched = all(launched.await)?;
        let pushed = launched.iter().filter(|launched| launched.program).count();
        let data: usize = launched.iter().map(|launched| launched.data).sum();
        let text =
            format!("{} hosts ready; program pushed to {pushed}, {data} data files pushed", launched.len());
        self.note("pushed", &text);
        let started = self.fleet.each(|index, remote| {
            let (host, run) = (self.record.hosts[index].clone(), self.record.run.clone());
            async move { controller::start(&remote, &host, &run).await }
        });
        let started = all(started.await)?;
        for (host, started) in self.record.hosts.iter().zip(started) {
            if let Err(other) = started {
                let (host, run) = (&host.host.name, &self.record.run);
                anyhow::bail!(
                    "`{host}` is taken by the run `{other}`, so `{run}` was not started; wait for it, or end it: hcddl \
                     deploy stop {other}"
                );
            }
        }
        Ok(())
    }

    async fn follow(mut self, registry: &Registry) -> anyhow::Result<Ending> {
        let ended = self.follow_and_end(registry).await;
        self.fleet.close().await;
        ended
    }

    async fn follow_and_end(&mut self, registry: &Registry) -> anyhow::Result<Ending> {
        let (end, states) = {
            let mut progress = Progress::new(&self.record, self.args.quiet || self.args.target.json);
            let followed = follow(&self.fleet, &self.record, &self.interrupt, &mut progress).await;
            progress.clear();
            followed
        };
        if let End::RootLost(how) = &end {
            // The others wait for it; they need no controller for that.
            known::order_all(&self.fleet, &self.record, hcddl_deploy::deploy::agent::Order::Detach).await;
            self.record.detached = true;
            self.record.write(&self.dir)?;
            let root = self.record.root.clone().unwrap_or_default();
            let dir = self.dir.display();
            output::note(
                "error",
                &format!(
                    "`{root}` is lost ({how}); the other nodes wait for it: `hcddl deploy run --resume {dir}` starts it \
                     again from its last checkpoint, `hcddl deploy clean {dir}` ends the run"
                ),
            );
            return Ok(Ending::Failed);
        }
        if end == End::Interrupted {
            self.note("interrupted", "stopping the nodes and fetching what there is");
        }
        let (stopped, fetched) = self.end().await;
        // What a supervisor said when it ended is newer than what was followed.
        let states: Vec<HostState> = states
            .into_iter()
            .zip(stopped)
            .map(|(state, last)| HostState { status: last.or(state.status), ..state })
            .collect();
        // Stand-ins leave no results.
        let real = self.args.node_program.is_none();
        let gathered = real.then(|| results::gather(&self.dir, registry)).transpose()?;
        self.report(&states, gathered.as_ref().map(|gathered| &gathered.summary))?;
        // A node without a result may never have trained: that must not look like a good run.
        let complete = gathered.as_ref().is_none_or(|gathered| gathered.nodes.iter().all(Option::is_some));
        let stalled = gathered.as_ref().is_some_and(|gathered| gathered.summary.reason.problem().is_some());
        if let Some(gathered) = gathered.filter(|_| !self.args.target.json && !self.args.silent) {
            results::show(&gathered)?;
        }
        Ok(match end {
            End::Interrupted => Ending::Interrupted,
            _ if stalled => Ending::Failed,
            _ if succeeded(&self.record, &states) && complete && fetched => Ending::Done,
            _ => Ending::Failed,
        })
    }

    fn report(&self, states: &[HostState], summary: Option<&Summary>) -> anyhow::Result<()> {
        self.note("run directory", &self.dir.display().to_string());
        if self.args.silent {
            return Ok(());
        }
        if self.args.target.json {
            let hosts = states.iter().zip(&self.record.hosts);
            let hosts = hosts.map(|(state, host)| {
                serde_json::json!({"host": host.host.name, "state": state.status, "problem": state.problem})
            });
            let all = serde_json::json!({
                "run": self.record.run, "directory": self.dir, "hosts": hosts.collect::<Vec<_>>(),
                "summary": summary,
            });
            return output::result(&format!("{all:#}\n"));
        }
        output::result(&progress::table(&self.record, states))
    }

    /// Stops everything, fetches what there is, and leaves nothing on the hosts but programs and data. What cannot be
    /// done is said; it stops nothing else. The last words of supervisors, and whether everything was fetched.
    async fn end(&self) -> (Vec<Option<hcddl_deploy::deploy::agent::AgentStatus>>, bool) {
        known::end(&self.fleet, &self.record, &self.dir).await
    }
}

/// All results, or the errors of all hosts as one.
fn all<T>(results: Vec<Result<T, Arc<hcddl_deploy::deploy::remote::RemoteError>>>) -> anyhow::Result<Vec<T>> {
    let problems: Vec<String> =
        results.iter().filter_map(|r| r.as_ref().err()).map(ToString::to_string).collect();
    if !problems.is_empty() {
        anyhow::bail!("{}", problems.join("\nerror: "));
    }
    Ok(results.into_iter().flatten().collect())
}

/// A tree has done well when its root has, peers when all have.
fn succeeded(record: &Record, states: &[HostState]) -> bool {
    let mut nodes = states.iter().filter_map(|state| state.status.as_ref()).flat_map(|status| &status.nodes);
    let expected: usize = record.hosts.iter().map(|host| host.nodes.len()).sum();
    match &record.root {
        Some(root) => nodes.any(|node| node.name == *root && node.succeeded()),
        None => nodes.filter(|node| node.succeeded()).count() == expected,
    }
}

/// Starts what is not running of a run that was started before.
async fn resume(args: &RunArgs, dir: &Path, registry: &Registry) -> anyhow::Result<Ending> {
    let dir = known::find(dir)?;
    let hold = Hold::take(&dir, args.take_over)?;
    let record = known::read(&dir)?;
    let reach = &args.target.reach;
    let fleet = Fleet::connect(record.pool(), reach.timeout(), reach.forks.into()).await?;
    let run = Run { args, dir, record, fleet, interrupt: interrupt::flag(), _hold: hold };
    let started = run.fleet.each(|index, remote| {
        let (host, name) = (run.record.hosts[index].clone(), run.record.run.clone());
        async move { controller::start(&remote, &host, &name).await }
    });
    for (host, started) in run.record.hosts.iter().zip(all(started.await)?) {
        if let Err(other) = started {
            anyhow::bail!("`{}` is taken by the run `{other}`", host.host.name);
        }
    }
    run.follow(registry).await
}
