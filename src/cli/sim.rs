//! `hcddl sim SCENARIO`

use super::{Ending, ScenarioArgs, Usage, interrupt, output, session};
use clap::{Args, ValueEnum};
use hcddl_core::domain::Params;
use hcddl_core::domain::units::Duration;
use hcddl_core::node::Reason;
use hcddl_learn::Learner;
use hcddl_plan::measure::outcome::{Clock, Observer, RunnerKind, SimOptions};
use hcddl_plan::registry::Registry;
use hcddl_report::progress::{Bar, Both};
use hcddl_sim::record::checkpoint;
use hcddl_sim::record::repeat::Repeat;
use hcddl_sim::record::rundir::file;
use hcddl_sim::record::{Recorder, RecorderOptions, RunDir};
use hcddl_sim::sim::RunResult;
use hcddl_sim::sim::checkpoint::Checkpoint;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;

#[derive(Debug, Args)]
pub struct SimArgs {
    /// The scenario file
    #[arg(value_name = "SCENARIO", required_unless_present = "resume")]
    file: Option<PathBuf>,
    #[command(flatten)]
    scenario: ScenarioArgs,
    /// Where to write; must be empty or new [default: runs/<UTC>-<name>]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Continue the interrupted run of this directory
    #[arg(long, value_name = "DIR",
          conflicts_with_all = ["file", "out", "seed", "sets", "timing_only", "schedule", "no_timeline"])]
    resume: Option<PathBuf>,
    #[command(flatten)]
    how: HowArgs,
    /// Print summary.json to stdout instead of the table
    #[arg(long)]
    json: bool,
    /// No progress bar and no notes
    #[arg(short, long)]
    quiet: bool,
    /// Do not write timeline.json
    #[arg(long)]
    no_timeline: bool,
    /// Real time between two checkpoints
    #[arg(long, value_name = "DURATION", default_value = "30s")]
    checkpoint_every: Duration,
}

/// How the simulator runs; nothing here changes a result in virtual time.
#[derive(Debug, Args)]
pub struct HowArgs {
    /// Threads that compute gradients; 0 for all cores
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=1024))]
    threads: u16,
    /// Who carries the nodes
    #[arg(long, value_enum, default_value_t = Runner::Actors)]
    runner: Runner,
    /// Modelled time, or real time with its real nondeterminism
    #[arg(long, value_enum, default_value_t = ClockArg::Virtual)]
    clock: ClockArg,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Runner {
    /// One actor for each node
    Actors,
    /// Plain calls: for sweeps and very many nodes
    Direct,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ClockArg {
    /// As fast as this machine can
    Virtual,
    /// Latencies are really slept
    Real,
}

impl HowArgs {
    fn options(&self) -> SimOptions {
        SimOptions {
            threads: usize::from(self.threads),
            runner: match self.runner {
                Runner::Actors => RunnerKind::Actors,
                Runner::Direct => RunnerKind::Direct,
            },
            clock: match self.clock {
                ClockArg::Virtual => Clock::Virtual,
                ClockArg::Real => Clock::Real,
            },
            ..SimOptions::default()
        }
    }
}

pub fn execute(args: &SimArgs, registry: &Registry) -> anyhow::Result<Ending> {
    let scenario = match (&args.file, &args.resume) {
        (_, Some(dir)) => RunDir::open(dir)?.join(file::PLAN),
        (Some(file), None) => file.clone(),
        (None, None) => return Err(Usage("name a scenario file".to_owned()).into()),
    };
    let session = session::load(&scenario, &args.scenario, registry)?;
    for warning in &session.plan.warnings {
        output::note("warning", warning);
    }
    // Everything that can be wrong is found before anything is written.
    let learner = session.learner()?;
    if session.has("evaluation.best") && !learner.has_validation() {
        output::note("warning", "`evaluation.best` has no effect: the data has no validation split");
    }
    let dir = match &args.resume {
        Some(dir) => RunDir::open(dir)?,
        None => RunDir::create(args.out.as_deref(), &session.plan.name)?,
    };
    let resume: Option<Checkpoint> =
        args.resume.is_some().then(|| checkpoint::read(dir.path())).transpose()?;
    let (mut recorder, mut repeat) = open(args, &session, &dir, resume.as_ref())?;
    let options = SimOptions {
        checkpoint_dir: Some(dir.path().to_owned()),
        checkpoint_every: args.checkpoint_every.0,
        ..args.how.options()
    };
    let quiet = args.quiet || args.json;
    let mut bar = (!quiet && std::io::stderr().is_terminal()).then(|| Bar::new(&session.plan));
    let interrupt = interrupt::flag();
    let ran = {
        let mut both;
        let observer: &mut dyn Observer = match &mut bar {
            Some(bar) => {
                both = Both(&mut recorder, bar);
                &mut both
            }
            None => &mut recorder,
        };
        session.run(Arc::clone(&learner), &options, observer, interrupt, resume)
    };
    if let Some(bar) = bar {
        bar.clear();
    }
    let result = ran?;
    for warning in finish(&dir, recorder, &mut repeat, learner.as_ref(), &result)? {
        output::note("warning", &warning);
    }
    if !quiet {
        output::note("run directory", &dir.path().display().to_string());
    }
    let summary = &result.summary;
    output::result(&if args.json {
        hcddl_files::json(summary)
    } else {
        hcddl_report::terminal::table(summary)
    })?;
    Ok(match summary.reason {
        Reason::Interrupted => Ending::Interrupted,
        Reason::Stalled(_) | Reason::Failed(_) => Ending::Failed,
        Reason::Rounds | Reason::Target | Reason::TimeLimit => Ending::Done,
    })
}

/// Opens every output, so that a full disk or a missing permission shows before the first event.
fn open(
    args: &SimArgs,
    session: &session::Session<'_>,
    dir: &RunDir,
    resume: Option<&Checkpoint>,
) -> anyhow::Result<(Recorder, Repeat)> {
    let recording = RecorderOptions { timeline: !args.no_timeline, ..RecorderOptions::default() };
    let plan = &session.plan;
    let recorder = if let Some(checkpoint) = resume {
        Recorder::resume_at(dir, plan, recording, &checkpoint.observer)?
    } else {
        dir.write(file::PLAN, &session.effective()?)?;
        Recorder::create(dir, plan, recording)?
    };
    let command = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    let seeds = [plan.seeds.data, plan.seeds.init, plan.seeds.interleaving];
    let repeat = Repeat::new(command, dir.path(), seeds);
    dir.write(file::REPEAT, &repeat.to_json())?;
    Ok((recorder, repeat))
}

/// Writes what only the end knows.
pub(super) fn finish(
    dir: &RunDir,
    recorder: Recorder,
    repeat: &mut Repeat,
    learner: &dyn Learner,
    result: &RunResult,
) -> anyhow::Result<Vec<String>> {
    let warnings = recorder.finish(&result.summary)?;
    repeat.finish(&result.summary);
    dir.write(file::REPEAT, &repeat.to_json())?;
    if let Some(values) = result.model.values() {
        session::save_model(&dir.join(file::MODEL), learner, values)?;
    }
    if let Some(values) = result.best.as_ref().and_then(Params::values) {
        session::save_model(&dir.join(file::BEST), learner, values)?;
    }
    Ok(warnings)
}
