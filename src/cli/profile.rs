//! `hcddl profile SCENARIO -i INVENTORY`, `hcddl profile RUN_DIR` and `hcddl profile --device`

use super::deploy::{TargetArgs, run_quietly};
use super::device;
use super::session::Session;
use super::{Ending, ScenarioArgs, Usage, output, session};
use anyhow::Context;
use clap::Args;
use hcddl_core::yaml::block;
use hcddl_deploy::deploy::trace::observed::Observed;
use hcddl_deploy::profile::certificate::{Certificate, Course, Figures, Watch, can_hold_out, count};
use hcddl_deploy::profile::{LatencyFrom, Profile, Rounds};
use hcddl_files::atomic;
use hcddl_plan::measure::outcome::{RunnerKind, SimOptions};
use hcddl_plan::plan::{Plan, Role};
use hcddl_plan::registry::Registry;
use hcddl_sim::record::rundir::{file, file_name};
use hcddl_sim::record::utc;
use serde_json::Value;
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
    /// Where the two short runs, the profile and its certificate are kept; must be empty or new [default:
    /// runs/<UTC>-profile-<name>; of a run, its directory]; with --device the file of the table, must be new [default:
    /// device.json]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// A deployed run that is looked at.
struct Seen<'a> {
    dir: PathBuf,
    session: Session<'a>,
    /// Where data files are, if not where the run had them: sizes of shards decide the steps of an epoch.
    data_dir: Option<PathBuf>,
    observed: Observed,
    course: Course,
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
    let (seen, out) = (Seen::read(path, args, registry)?, args.out.as_deref().unwrap_or(path));
    finish(&seen.profiled(out, registry)?, out)
}

/// In this order: of two that predict equally well the first is taken.
const LATENCIES: [LatencyFrom; 2] = [LatencyFrom::Small, LatencyFrom::Large];

/// Rounds of the run with one worker at a time, for each child of the server that has most.
const ROUNDS_ALONE: usize = 8;
/// Rounds of the run of all at once.
const ROUNDS_TOGETHER: u64 = 24;
/// Name of the profile beside its certificate.
const PROFILE: &str = "profile.yml";

/// Two short runs: one worker at a time, for steps, latencies and rates that nobody disturbs; then all at once, which
/// tells how transfers share the network, and how well all of it predicts.
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
    let alone = Seen::read(&alone, args, registry)?;
    let sections = if most > 1 && plan.peers.is_none() {
        let together = out.join("together");
        deploy(args, plan, registry, &together, "sync", ROUNDS_TOGETHER)?;
        let together = Seen::read(&together, args, registry)?;
        let fit = |seen: &Seen<'_>, rounds, latency| {
            Profile::fit(plan, &seen.observed, &seen.course.ends(), rounds, latency)
        };
        let mut profiles = LATENCIES.map(|latency| fit(&alone, Rounds::All, latency));
        // Only here do transfers meet.
        let met = fit(&together, Rounds::Fitted, LatencyFrom::Small);
        profiles.iter_mut().for_each(|profile| profile.unfairness = met.unfairness);
        let fitted_to = "the run of one worker at a time and every other round of the run of all at once";
        let (which, contention) = together.check(&profiles, fitted_to, &out, registry)?;
        profiles[which].sections(&contention)
    } else {
        alone.profiled(&out, registry)?
    };
    output::note("measured", &format!("by the runs below {}", out.display()));
    finish(&sections, &out)
}

/// Prints a profile and keeps it.
fn finish(sections: &Value, out: &Path) -> anyhow::Result<Ending> {
    let text = block::block(sections);
    put(&out.join(PROFILE), &text)?;
    output::result(&text)?;
    Ok(Ending::Done)
}

fn put(path: &Path, text: &str) -> anyhow::Result<()> {
    let parent = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(parent)
        .and_then(|()| atomic::replace(path, text.as_bytes()))
        .with_context(|| format!("cannot write `{}`", path.display()))
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

impl<'a> Seen<'a> {
    /// A run that was gathered.
    fn read(dir: &Path, args: &ProfileArgs, registry: &'a Registry) -> anyhow::Result<Self> {
        let session = session::load(&dir.join(file::PLAN), &ScenarioArgs::default(), registry)?;
        let observed = Observed::read(dir, &session.plan);
        if observed.is_empty() {
            let text = format!(
                "`{}` has no traces of its nodes (nodes/<node>/life0/trace.csv); deploy it again with this version of \
                 hcddl, or fetch it again: hcddl deploy fetch",
                dir.display()
            );
            return Err(Usage(text).into());
        }
        let course = Course::deployed(dir, &session.plan, &observed)
            .with_context(|| format!("cannot read `{}`", dir.join(file::COMMITS).display()))?;
        let data_dir = args.target.scenario.data_dir.clone();
        Ok(Self { dir: dir.to_owned(), session, data_dir, observed, course })
    }

    /// The profile of the run, with the certificate of one that was fitted to every other round.
    fn profiled(&self, out: &Path, registry: &Registry) -> anyhow::Result<Value> {
        let ends = self.course.ends();
        let fitted = |rounds| {
            LATENCIES.map(|latency| Profile::fit(&self.session.plan, &self.observed, &ends, rounds, latency))
        };
        let to_check = if can_hold_out(ends.len()) { Rounds::Fitted } else { Rounds::All };
        let (which, contention) = self.check(&fitted(to_check), "every other round", out, registry)?;
        Ok(fitted(Rounds::All)[which].sections(&contention))
    }

    /// Simulates the run with each profile under each way of sharing; prints and keeps the certificate of that under which
    /// the rounds that it was fitted to come closest, and says which ones these are.
    fn check(
        &self,
        profiles: &[Profile],
        fitted_to: &str,
        out: &Path,
        registry: &Registry,
    ) -> anyhow::Result<(usize, String)> {
        let plan = &self.session.plan;
        let commits = self.course.ends().len();
        let held_out = can_hold_out(commits);
        let (fitted, checked) =
            if held_out { (Rounds::Fitted, Rounds::HeldOut) } else { (Rounds::All, Rounds::All) };
        let (Some(to_fit), Some(measured)) = (self.course.figures(fitted), self.course.figures(checked))
        else {
            output::note(
                "certificate",
                "none: the run has fewer than two commits, so no round to check with",
            );
            return Ok((0, "tcp".to_owned()));
        };
        if !plan.injections.is_empty() {
            output::note(
                "warning",
                "what the run's injections add is in the fitted times: leave them out beside this profile",
            );
        }
        let mut best: Option<(f64, (usize, String), Figures)> = None;
        let ways = profiles.iter().enumerate();
        let ways =
            ways.flat_map(|(which, profile)| profile.contentions().into_iter().map(move |way| (which, way)));
        for (which, contention) in ways {
            let profile = &profiles[which];
            let Some(predicted) = self.simulated(&profile.sections(&contention), commits, registry)? else {
                continue;
            };
            let off = (predicted.round_s / to_fit.round_s - 1.0).abs();
            if best.as_ref().is_none_or(|best| off < best.0) {
                best = Some((off, (which, contention), predicted));
            }
        }
        let Some((_, (which, contention), predicted)) = best else {
            output::note("certificate", "none: the simulation of the run makes fewer than two commits");
            return Ok((0, "tcp".to_owned()));
        };
        let fitted_to = held_out.then_some(fitted_to);
        let rounds = count(commits, checked);
        let certificate = Certificate::new(plan, &contention, (fitted_to, rounds), &predicted, &measured);
        let text = certificate.text();
        put(&out.join("certificate.json"), &hcddl_files::json(&certificate))?;
        put(&out.join("certificate.txt"), &text)?;
        text.lines().for_each(|line| output::note("certificate", line));
        Ok((which, contention))
    }

    /// The run's scenario, simulated with other devices and another network; gradients take time and are not computed.
    fn simulated(
        &self,
        sections: &Value,
        commits: usize,
        registry: &Registry,
    ) -> anyhow::Result<Option<Figures>> {
        let sets = vec![
            format!("devices={}", sections["devices"]),
            format!("network={}", sections["network"]),
            format!("training.rounds={commits}"),
            "training.target_accuracy=null".to_owned(),
            "training.max_time=null".to_owned(),
            "expect={}".to_owned(),
        ];
        let args = ScenarioArgs {
            sets,
            timing_only: true,
            data_dir: self.data_dir.clone(),
            ..ScenarioArgs::default()
        };
        let session = session::load(&self.dir.join(file::PLAN), &args, registry)?;
        let options = SimOptions { runner: RunnerKind::Direct, ..SimOptions::default() };
        let mut watch = Watch::default();
        let interrupt = Arc::new(AtomicBool::new(false));
        session.run(session.learner()?, &options, &mut watch, interrupt, None)?;
        Ok(watch.0.figures(Rounds::All))
    }
}
