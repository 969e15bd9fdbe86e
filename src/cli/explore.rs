//! `hcddl explore SCENARIO`

use super::{Ending, ScenarioArgs, interrupt, output, session};
use clap::{Args, ValueEnum};
use hcddl_plan::registry::Registry;
use hcddl_sim::explore::attempt::Setup;
use hcddl_sim::explore::{Exploration, ExploreOptions, Reach, Strategy, explore, report};
use hcddl_sim::record::RunDir;
use hcddl_sim::record::rundir::file;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

#[derive(Debug, Args)]
pub struct ExploreArgs {
    /// The scenario file
    #[arg(value_name = "SCENARIO")]
    file: PathBuf,
    #[command(flatten)]
    scenario: ScenarioArgs,
    /// Schedules to try; 0 judges only the scenario as it is (or its --schedule)
    #[arg(long, value_name = "N", default_value_t = 300)]
    schedules: usize,
    /// How delays are chosen
    #[arg(long, value_enum, default_value_t = StrategyArg::All)]
    strategy: StrategyArg,
    /// Names the schedules that are tried [default: the scenario's interleaving seed]
    #[arg(long, value_name = "N")]
    search_seed: Option<u64>,
    /// Where possible delays end: a quantile of their distributions, or a factor of their mean as in `x3`
    #[arg(long, value_name = "LIMIT", default_value_t = Reach::default())]
    delays: Reach,
    /// Go on after a broken law
    #[arg(long)]
    keep_going: bool,
    /// Where to write; must be empty or new [default: runs/<UTC>-explore-<name>]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Runs at the same time; 0 for one on each core
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=1024))]
    threads: u16,
    /// Print explore.json to stdout instead of the table
    #[arg(long)]
    json: bool,
    /// No progress bar and no notes
    #[arg(short, long)]
    quiet: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum StrategyArg {
    /// Drawn anew from the modelled distributions
    Random,
    /// Random priorities with random drops: low ones wait as long as possible (PCT)
    Pct,
    /// What is old already is delayed further
    BoundedStaleness,
    /// Each in turn
    All,
}

impl StrategyArg {
    fn strategies(self) -> Vec<Strategy> {
        match self {
            StrategyArg::Random => vec![Strategy::Random],
            StrategyArg::Pct => vec![Strategy::Pct],
            StrategyArg::BoundedStaleness => vec![Strategy::BoundedStaleness],
            StrategyArg::All => Strategy::ALL.to_vec(),
        }
    }
}

pub fn execute(args: &ExploreArgs, registry: &Registry) -> anyhow::Result<Ending> {
    let session = session::load(&args.file, &args.scenario, registry)?;
    let plan = &session.plan;
    let quiet = args.quiet || args.json;
    for warning in plan.warnings.iter().filter(|_| !args.quiet) {
        output::note("warning", warning);
    }
    let learner = session.learner()?;
    let dir = RunDir::create(args.out.as_deref(), &format!("explore-{}", plan.name))?;
    dir.write(file::PLAN, &session.effective()?)?;
    let options = ExploreOptions {
        schedules: args.schedules,
        strategies: args.strategy.strategies(),
        seed: args.search_seed.unwrap_or(plan.seeds.interleaving),
        reach: args.delays,
        threads: usize::from(args.threads),
        keep_going: args.keep_going,
        ..ExploreOptions::default()
    };
    let interrupt = interrupt::flag();
    let setup = Setup { plan, registry, learner, interrupt: Arc::clone(&interrupt), events_max: u64::MAX };
    let bar = (!quiet && std::io::stderr().is_terminal()).then(|| bar(args.schedules));
    let found = without_panic_messages(|| {
        explore(&setup, &options, |_| {
            if let Some(bar) = &bar {
                bar.inc(1);
            }
        })
    });
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    let found = found?;
    let digest = session.digest();
    write(&dir, &session, &digest, &options, &found)?;
    if !quiet {
        output::note("directory", &dir.path().display().to_string());
    }
    show(args, &dir, &session, &digest, &options, &found)?;
    Ok(match (interrupt.load(Ordering::Relaxed), found.findings.is_empty()) {
        (true, _) => Ending::Interrupted,
        (false, true) => Ending::Done,
        (false, false) => Ending::Failed,
    })
}

fn show(
    args: &ExploreArgs,
    dir: &RunDir,
    session: &session::Session<'_>,
    digest: &str,
    options: &ExploreOptions,
    found: &Exploration,
) -> anyhow::Result<()> {
    let plan = &session.plan;
    if args.json {
        return output::result(&report::json(plan, digest, options, found));
    }
    let mut text = report::table(plan, options, found);
    for finding in &found.findings {
        let file = dir.join(&report::finding_file(finding));
        text += &report::finding(plan, found, finding, &replay(&dir.join(file::PLAN), &file));
    }
    if found.tried.len() > 1 && found.tried.iter().all(|tried| tried.decisions == 0) {
        let next = "no delay of this scenario varies, so every schedule is the same; give its links or devices a \
                    distribution, or search wider with --delays x3";
        output::note("warning", next);
    }
    output::result(&text)
}

/// The command that plays a schedule.
fn replay(plan: &Path, schedule: &Path) -> String {
    format!("hcddl sim {} --schedule {}", plan.display(), schedule.display())
}

fn write(
    dir: &RunDir,
    session: &session::Session<'_>,
    digest: &str,
    options: &ExploreOptions,
    found: &Exploration,
) -> anyhow::Result<()> {
    let plan = &session.plan;
    dir.write("explore.json", &report::json(plan, digest, options, found))?;
    dir.write("explore.csv", &report::csv(found)?)?;
    for (name, worst) in
        [("worst-time.yml", &found.worst_time), ("worst-accuracy.yml", &found.worst_accuracy)]
    {
        if let Some((number, schedule)) = worst {
            dir.write(name, &report::worst_text(plan, digest, found.number(*number), schedule))?;
        }
    }
    for finding in &found.findings {
        let text = report::finding_text(plan, digest, found, finding);
        dir.write(&report::finding_file(finding), &text)?;
    }
    Ok(())
}

fn bar(schedules: usize) -> ProgressBar {
    let bar = ProgressBar::new(schedules as u64);
    let template = "{elapsed} [{bar:24}] {pos}/{len} schedules, {eta} left";
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// A policy that panics is a finding and is reported as one, not a hundred times while it is shrunk.
fn without_panic_messages<T>(work: impl FnOnce() -> T) -> T {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let result = work();
    std::panic::set_hook(before);
    result
}
