//! `hcddl study STUDY` and `hcddl study merge DIR...`

use super::{Ending, Usage, interrupt, output};
use clap::{Args, Subcommand};
use hcddl_plan::registry::Registry;
use hcddl_report::progress::Runs;
use hcddl_sim::study::design::{RUNS_MAX, StudyOptions};
use hcddl_sim::study::dir::{StudyJson, default_dir, file};
use hcddl_sim::study::outcome::Status;
use hcddl_sim::study::{Study, StudyDir, merge, queue, summary};
use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct StudyArgs {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    run: RunArgs,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Join the directories of a study's shards
    Merge(MergeArgs),
}

#[derive(Debug, Args)]
struct MergeArgs {
    /// The directories
    #[arg(required = true, value_name = "DIR")]
    parts: Vec<PathBuf>,
    /// Where to write
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

#[derive(Debug, Args)]
struct RunArgs {
    /// The study's file
    #[arg(value_name = "STUDY", required = true)]
    file: Option<PathBuf>,
    /// Where to write; a directory of the same study is continued [default: runs/<name>]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Runs at the same time; 0 for one on each core
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=1024))]
    threads: u16,
    /// Do the runs of part I of N, to be joined with `hcddl study merge`
    #[arg(long, value_name = "I/N", value_parser = shard)]
    shard: Option<[u64; 2]>,
    /// Compute no gradients: only times, bytes, versions and staleness
    #[arg(long)]
    timing_only: bool,
    /// Check the study and show what it would run
    #[arg(long)]
    dry_run: bool,
    /// Refuse to make more runs than this
    #[arg(long, value_name = "N", default_value_t = RUNS_MAX)]
    max_runs: u64,
    /// Make as many runs as the study asks for
    #[arg(long)]
    yes: bool,
    /// Set a key of the scenario, or seeds, target_accuracy or keep of the study; repeatable
    #[arg(long = "set", value_name = "PATH=VALUE")]
    sets: Vec<String>,
    /// No progress bar and no notes
    #[arg(short, long)]
    quiet: bool,
}

/// `2/8`.
fn shard(text: &str) -> Result<[u64; 2], String> {
    let numbers = text.split_once('/').and_then(|(i, n)| Some([i.parse().ok()?, n.parse().ok()?]));
    match numbers {
        Some([i, n]) if i >= 1 && i <= n => Ok([i, n]),
        _ => Err("write part and number of parts, from `1/8` to `8/8`".to_owned()),
    }
}

pub fn execute(args: &StudyArgs, registry: &Registry) -> anyhow::Result<Ending> {
    if let Some(Action::Merge(args)) = &args.action {
        let dir = merge::merge(&args.parts, &args.out)?;
        output::result(&summary::table(&dir)?)?;
        return Ok(Ending::Done);
    }
    let args = &args.run;
    let Some(path) = &args.file else { return Err(Usage("name a study's file".to_owned()).into()) };
    let runs_max = if args.yes { u64::MAX } else { args.max_runs };
    let options = StudyOptions { timing_only: args.timing_only, runs_max };
    let study = Study::new(hcddl_sim::study::file::read(path, &args.sets)?, options, registry)?;
    if !args.quiet {
        study.warnings.iter().for_each(|warning| output::note("warning", warning));
    }
    if args.dry_run {
        output::result(&plan(&study))?;
        return Ok(Ending::Done);
    }
    let out = args.out.clone().unwrap_or_else(|| default_dir(&study.name, args.shard));
    let copies =
        [(file::COPY, study.written.text.as_str()), (file::SCENARIO, study.written.base_text.as_str())];
    let mut dir = StudyDir::open(&out, StudyJson::of(&study, args.shard), &copies)?;
    let pending = dir.pending();
    let (all, left) = (dir.json.numbers().len() as u64, pending.len() as u64);
    if !args.quiet {
        output::note("study directory", &out.display().to_string());
        if left < all {
            output::note("continued", &format!("{} of {all} runs are done", all - left));
        }
    }
    let bar = (!args.quiet && std::io::stderr().is_terminal()).then(|| Runs::new(all, all - left));
    let interrupt = interrupt::flag();
    let mut failed = Vec::new();
    let ran = queue::run(&study, pending, usize::from(args.threads), &interrupt, |finished| {
        dir.push(&finished)?;
        if finished.status == Status::Failed {
            failed.push((finished.run, finished.reason.clone()));
        }
        if let Some(bar) = &bar {
            bar.done(failed.len());
        }
        Ok::<(), hcddl_sim::study::StudyError>(())
    });
    if let Some(bar) = bar {
        bar.clear();
    }
    ran?;
    dir.write_tables()?;
    tell_failed(&study, &failed);
    output::result(&summary::table(&dir)?)?;
    Ok(match (interrupt.load(Ordering::SeqCst), failed.is_empty()) {
        (true, _) => Ending::Interrupted,
        (false, true) => Ending::Done,
        (false, false) => Ending::Failed,
    })
}

/// Failed runs, those with the same reason once.
fn tell_failed(study: &Study<'_>, failed: &[(u64, String)]) {
    let mut told: Vec<&str> = Vec::new();
    for (run, why) in failed {
        if !told.contains(&why.as_str()) {
            told.push(why);
            let levels = study.levels(&study.cell(*run));
            let count = failed.iter().filter(|(_, other)| other == why).count();
            let others = if count > 1 { format!(" and {} more", count - 1) } else { String::new() };
            output::note("failed", &format!("run {run}{others} ({levels}): {why}"));
        }
    }
}

/// What a study would run.
fn plan(study: &Study<'_>) -> String {
    let mut text = format!("{}: {} runs\n", study.name, study.runs);
    if let Some(question) = &study.question {
        text.push_str(&format!("question: {}\n", question.trim()));
    }
    for axis in &study.axes {
        let labels: Vec<&str> = axis.levels.iter().map(|level| level.label.as_str()).collect();
        text.push_str(&format!("{}: {}\n", axis.name, labels.join(" | ")));
    }
    let seeds = &study.seeds;
    for (name, list) in [("data", &seeds.data), ("init", &seeds.init), ("interleaving", &seeds.interleaving)]
    {
        let list: Vec<String> = list.0.iter().map(u64::to_string).collect();
        text.push_str(&format!("{name} seeds: {}\n", list.join(", ")));
    }
    if let Some(target) = study.target_accuracy {
        text.push_str(&format!("target accuracy: {target}\n"));
    }
    text
}
