//! `hcddl profile SCENARIO -i INVENTORY`, `hcddl profile RUN_DIR` and `hcddl profile --device`

use super::deploy::{TargetArgs, run_quietly};
use super::device;
use super::{Ending, ScenarioArgs, Usage, output, session};
use clap::Args;
use hcddl_core::domain::{NodeId, Time};
use hcddl_core::yaml::block;
use hcddl_deploy::deploy::gather::results;
use hcddl_deploy::replay::{Logs, Replayed, replay};
use hcddl_plan::measure::outcome::{CommitRow, EvaluationRow, Observer, Progress, SimOptions, TimelineSpan};
use hcddl_plan::plan::{Plan, Role};
use hcddl_plan::registry::Registry;
use hcddl_sim::record::order::What;
use hcddl_sim::record::rundir::{file, file_name};
use hcddl_sim::record::utc;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::SystemTime;

#[derive(Debug, Args)]
pub struct ProfileArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// This machine alone, in about two minutes: how fast its kernels are, as a device for scenarios
    #[arg(long, conflicts_with_all = ["file", "inventory", "inventory_json", "local", "join", "group", "limit"])]
    device: bool,
    /// Where the two short runs are kept, must be empty or new [default: runs/<UTC>-profile-<name>]; with --device the
    /// file of the table, must be new [default: device.json]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Prints the sections `devices` and `network` of a scenario that behaves like some devices: those of a run, or those
/// of an inventory, where a scenario is trained for a moment.
pub fn execute(args: &ProfileArgs, registry: &Registry) -> anyhow::Result<Ending> {
    if args.device {
        return device::measure(args.out.as_deref());
    }
    let path = args.target.file()?;
    if !path.is_dir() {
        return measure(args, registry);
    }
    if !super::replay::is_deployed(path) {
        let dir = path.display();
        let text =
            format!("`{dir}` is not a deployed run: it has no deployment.json; see `hcddl deploy run`");
        return Err(Usage(text).into());
    }
    let scenario =
        ScenarioArgs { data_dir: args.target.scenario.data_dir.clone(), ..ScenarioArgs::default() };
    let (session, _, replayed) = look_at(path, &scenario, registry)?;
    output::result(&block::block(&replayed.timing.sections(&session.plan)))?;
    Ok(if replayed.divergence.is_none() { Ending::Done } else { Ending::Failed })
}

/// Rounds of the run with one worker at a time, for each child of the server that has most.
const ROUNDS_ALONE: usize = 8;
/// Rounds of the run of all at once.
const ROUNDS_TOGETHER: u64 = 10;

/// Two short runs: one worker at a time, for steps, latencies and rates that nobody disturbs; then all at once, which
/// tells how transfers share the network.
fn measure(args: &ProfileArgs, registry: &Registry) -> anyhow::Result<Ending> {
    let scenario = &args.target.scenario;
    let session = session::load(args.target.file()?, scenario, registry)?;
    let plan = &session.plan;
    let name = format!("{}-profile-{}", utc::stamp(SystemTime::now()), file_name(&plan.name));
    let out = args.out.clone().unwrap_or(Path::new("runs").join(name));
    let most = plan.nodes.iter().map(|node| node.children.len()).max().unwrap_or(0).max(1);
    let alone = out.join("alone");
    let rounds = (ROUNDS_ALONE * most) as u64;
    deploy(args, plan, registry, &alone, "{name: sync, clients: 1}", rounds)?;
    let (_, _, replayed) = look_at(&alone, &ScenarioArgs::default(), registry)?;
    let mut sections = replayed.timing.sections(plan);
    if most > 1 && plan.peers.is_none() {
        let together = out.join("together");
        deploy(args, plan, registry, &together, "sync", ROUNDS_TOGETHER)?;
        sections["network"]["contention"] = json!(contention(&together, &sections, registry)?);
    }
    output::note("measured", &format!("by the runs below {}", out.display()));
    output::result(&block::block(&sections))?;
    Ok(Ending::Done)
}

/// Deploys the scenario with this policy on all tiers for so many rounds.
fn deploy(
    args: &ProfileArgs,
    plan: &Plan,
    registry: &Registry,
    out: &Path,
    policy: &str,
    rounds: u64,
) -> anyhow::Result<()> {
    let mut target = args.target.clone();
    let servers = plan.nodes.iter().filter_map(|node| match node.role {
        Role::Server(tier) => Some(plan.tiers[usize::from(tier)].name.as_str()),
        Role::Worker | Role::Peer => None,
    });
    let tiers: BTreeSet<&str> = servers.collect();
    let sets = &mut target.scenario.sets;
    sets.extend(tiers.iter().map(|tier| format!("tiers.{tier}={{policy: {policy}}}")));
    sets.push(format!("training.rounds={rounds}"));
    sets.push("training.target_accuracy=null".to_owned());
    sets.push("evaluation.every=0".to_owned());
    output::note("measuring", &format!("{rounds} rounds with the policy `{policy}`"));
    match run_quietly(target, out, registry)? {
        Ending::Done => Ok(()),
        _ => anyhow::bail!("the run below `{}` did not come to its end; its logs say why", out.display()),
    }
}

/// Executes a run again and looks at its clocks.
fn look_at<'a>(
    dir: &Path,
    scenario: &ScenarioArgs,
    registry: &'a Registry,
) -> anyhow::Result<(session::Session<'a>, Logs, Replayed)> {
    let session = session::load(&dir.join(file::PLAN), scenario, registry)?;
    let logs = Logs::read(dir, &session.plan)?;
    let mut replayed = replay(&session.plan, registry, session.learner()?, &logs, 0, None)?;
    for node in &results(dir, &session.plan)? {
        let find = |name: &str| session.plan.nodes.iter().position(|node| node.name == name);
        for (other, took) in &node.round_trips {
            if let (Some(a), Some(b)) = (find(&node.name), find(other)) {
                replayed.timing.round_trip(NodeId(a as u32), NodeId(b as u32), *took);
            }
        }
    }
    Ok((session, logs, replayed))
}

/// How transfers share the network: the model under which a simulation of the run of all at once, with the devices and
/// links that were measured, takes the time that comes closest to the real one.
fn contention(dir: &Path, sections: &Value, registry: &Registry) -> anyhow::Result<&'static str> {
    let written = dir.join(file::PLAN);
    let session = session::load(&written, &ScenarioArgs::default(), registry)?;
    let root: Vec<Time> = Logs::read(dir, &session.plan)?.0[0]
        .iter()
        .filter(|entry| matches!(entry.what, What::Commit { .. }))
        .map(|entry| entry.now)
        .collect();
    let real = Rounds(root).mean().unwrap_or(0.0);
    let mut best = ("fair_share", f64::INFINITY);
    for model in ["fair_share", "fair_share(0.35)", "fifo", "none"] {
        let mut network = sections["network"].clone();
        network["contention"] = json!(model);
        let sets = vec![format!("devices={}", sections["devices"]), format!("network={network}")];
        let session = session::load(&written, &ScenarioArgs { sets, ..ScenarioArgs::default() }, registry)?;
        let mut rounds = Rounds(Vec::new());
        let interrupt = Arc::new(AtomicBool::new(false));
        session.run(session.learner()?, &SimOptions::default(), &mut rounds, interrupt, None)?;
        let predicted = rounds.mean().unwrap_or(0.0);
        let off = (predicted / real - 1.0).abs();
        output::note(
            "all at once",
            &format!("{:.1} ms a round, {:.1} ms with {model}", real * 1e3, predicted * 1e3),
        );
        if off < best.1 {
            best = (model, off);
        }
    }
    Ok(best.0)
}

/// Moments of the root's commits.
struct Rounds(Vec<Time>);

impl Rounds {
    /// Seconds from commit to commit.
    fn mean(&self) -> Option<f64> {
        let (first, last) = (self.0.first()?, self.0.last()?);
        (self.0.len() > 1).then(|| last.since(*first).0 as f64 / 1e9 / (self.0.len() - 1) as f64)
    }
}

impl Observer for Rounds {
    fn commit(&mut self, row: &CommitRow) {
        if row.node == NodeId(0) {
            self.0.push(row.at);
        }
    }
    fn evaluation(&mut self, _: &EvaluationRow) {}
    fn span(&mut self, _: &TimelineSpan) {}
    fn progress(&mut self, _: &Progress) {}
    fn wants_spans(&self) -> bool {
        false
    }
}
