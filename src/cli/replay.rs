//! `hcddl replay RUN_DIR`

use super::{Ending, ScenarioArgs, Usage, output, session};
use anyhow::Context;
use clap::{Args, ValueEnum};
use hcddl_deploy::replay::{Difference, Logs, Replayed, Until, replay, state_text};
use hcddl_plan::measure::outcome::{RunnerKind, Silent, SimOptions, Summary};
use hcddl_plan::plan::Plan;
use hcddl_plan::registry::Registry;
use hcddl_sim::record::RunDir;
use hcddl_sim::record::rundir::file;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// The directory of a deployed or simulated run
    #[arg(value_name = "RUN_DIR")]
    pub(super) dir: PathBuf,
    /// Stop after so many inputs of a node and show its state: `global:120`
    #[arg(long, value_name = "NODE:N")]
    until: Option<String>,
    /// The order of events: that of the run, or what follows from the times [default: kept]
    #[arg(long, value_enum, conflicts_with = "until")]
    pub(super) order: Option<OrderArg>,
    /// How long jobs and messages take: as in the run, or as the scenario models them [default: modelled, with
    /// `--order emergent` recorded]
    #[arg(long, value_enum, conflicts_with = "until")]
    pub(super) clock: Option<ClockArg>,
    /// What if: keep the order until so many inputs of a node, then go on with what `--set` changes
    #[arg(long, value_name = "NODE:N", conflicts_with_all = ["until", "order"])]
    pub(super) from: Option<String>,
    /// Another setting from `--from` on: tiers, network, faults, evaluation, when it stops
    #[arg(long = "set", value_name = "KEY=VALUE", requires = "from")]
    pub(super) sets: Vec<String>,
    /// Where to write what came out, as `hcddl sim` does; must be empty or new [default: nothing is written]
    #[arg(long, value_name = "DIR", conflicts_with = "until")]
    pub(super) out: Option<PathBuf>,
    /// Threads that compute gradients; 0 for all cores
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=1024))]
    pub(super) threads: u16,
    /// Where data files are [default: as the run had it]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OrderArg {
    /// As in the run
    Kept,
    /// As follows from the times
    Emergent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ClockArg {
    /// As long as in the run
    Recorded,
    /// As the scenario says
    Modelled,
}

pub fn execute(args: &ReplayArgs, registry: &Registry) -> anyhow::Result<Ending> {
    let scenario = ScenarioArgs { data_dir: args.data_dir.clone(), ..ScenarioArgs::default() };
    if !is_deployed(&args.dir) {
        return simulated(args, &scenario, registry);
    }
    if args.order.is_some() || args.clock.is_some() || args.from.is_some() || args.out.is_some() {
        return super::again::execute(args, &scenario, registry);
    }
    let session = session::load(&args.dir.join(file::PLAN), &scenario, registry)?;
    let plan = &session.plan;
    let until = args.until.as_deref().map(|text| parse_event("--until", text, plan)).transpose()?;
    let logs = Logs::read(&args.dir, plan)?;
    let learner = session.learner()?;
    let started = Instant::now();
    let replayed = replay(plan, registry, learner, &logs, usize::from(args.threads), until)?;
    if let Some(state) = &replayed.state {
        output::result(&(state_text(state) + "\n"))?;
    }
    report(plan, &replayed, logs.end().seconds(), started.elapsed().as_secs_f64());
    Ok(if replayed.divergence.is_none() { Ending::Done } else { Ending::Failed })
}

/// Whether a directory is that of a deployed run.
pub(super) fn is_deployed(dir: &Path) -> bool {
    dir.join("deployment.json").is_file()
}

/// Reads `NODE:N`.
pub(super) fn parse_event(option: &str, text: &str, plan: &Plan) -> Result<Until, Usage> {
    let parsed = text.rsplit_once(':').and_then(|(name, inputs)| {
        let node = plan.nodes.iter().position(|node| node.name == name)?;
        Some(Until { node: hcddl_core::domain::NodeId(node as u32), inputs: inputs.parse().ok()? })
    });
    parsed.ok_or_else(|| {
        Usage(format!(
            "{option}: expected a node of the run and a number of inputs, as in `global:120`, found `{text}`"
        ))
    })
}

fn report(plan: &Plan, replayed: &Replayed, real: f64, took: f64) {
    let name = |node: hcddl_core::domain::NodeId| &plan.nodes[node.index()].name;
    let Replayed { events, commits, .. } = replayed;
    output::note("replayed", &format!("{events} inputs; {commits} commits have the digests of the run"));
    if let Some(digest) = replayed.digest {
        output::note("model", &digest.to_string());
    }
    output::note(
        "time",
        &format!("{took:.2} s for a run of {real:.2} s: {:.1} times faster", real / took.max(1e-9)),
    );
    for cut in &replayed.cut {
        let text = format!("{} entries of {} are left: it waits for {}", cut.left, name(cut.node), cut.why);
        output::note("not executed", &text);
    }
    if let Some(divergence) = &replayed.divergence {
        let what = match &divergence.what {
            Difference::Model { version, logged, computed } => {
                format!("version {} has the digest {computed}, the run had {logged}", version.0)
            }
            Difference::Commit(text) => text.clone(),
            Difference::Job(job) => format!("job {job} ended in the run and was not begun now"),
        };
        let (node, position) = (name(divergence.node), divergence.position);
        output::note("first divergence", &format!("{node}, entry {position} at {}: {what}", divergence.now));
    }
}

/// A simulated run is repeated by its scenario and seeds alone.
fn simulated(args: &ReplayArgs, scenario: &ScenarioArgs, registry: &Registry) -> anyhow::Result<Ending> {
    let dir = RunDir::open(&args.dir)?;
    let led = args.order.is_some() || args.clock.is_some() || args.from.is_some() || args.out.is_some();
    if args.until.is_some() || led {
        let text = "--until, --order, --clock, --from and --out need the order logs of a deployed run; this one was \
                    simulated: `hcddl sim` with its plan.yml and --set tries something else";
        return Err(Usage(text.to_owned()).into());
    }
    let before = summary(&dir.join(file::SUMMARY))?;
    let session = session::load(&dir.join(file::PLAN), scenario, registry)?;
    let options = SimOptions {
        threads: usize::from(args.threads),
        runner: RunnerKind::Direct,
        ..SimOptions::default()
    };
    let interrupt = Arc::new(AtomicBool::new(false));
    let again = session.run(session.learner()?, &options, &mut Silent, interrupt, None)?.summary;
    let mut equal = true;
    for (what, was, is) in [
        ("trace", &before.trace_digest, &again.trace_digest),
        ("weights", &before.weight_digest, &again.weight_digest),
    ] {
        equal &= was == is;
        let verdict =
            if was == is { "the digest of the run".to_owned() } else { format!("the run had {was}") };
        output::note(what, &format!("{is}: {verdict}"));
    }
    Ok(if equal { Ending::Done } else { Ending::Failed })
}

fn summary(path: &Path) -> anyhow::Result<Summary> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read `{}`: the run has not ended", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("`{}` is damaged", path.display()))
}
