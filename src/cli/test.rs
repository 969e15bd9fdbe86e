//! `hcddl test PATH...`

use super::{Ending, ScenarioArgs, Usage, interrupt, output, session};
use clap::Args;
use hcddl_core::domain::Seeds;
use hcddl_plan::measure::outcome::{RunnerKind, Silent, SimOptions};
use hcddl_plan::registry::Registry;
use hcddl_report::junit::{self, CaseResult};
use hcddl_report::verdict;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

#[derive(Debug, Args)]
pub struct TestArgs {
    /// Scenario files, or folders to search for them (*.yml, *.yaml)
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    scenario: ScenarioArgs,
    /// Run only files whose path contains this
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Run each scenario with so many seeds: --seed (or 1) and those after it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    seeds: Option<u64>,
    /// Scenarios that run at the same time; 0 for one on each core
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=1024))]
    threads: u16,
    /// Write a JUnit XML report
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

/// One run to do.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Case {
    file: PathBuf,
    /// A seed of its own; `None` for those of the scenario.
    seed: Option<u64>,
}

pub fn execute(args: &TestArgs, registry: &Registry) -> anyhow::Result<Ending> {
    let cases = cases(args)?;
    // The report is opened before the work: a wrong path must not cost an hour of runs.
    if let Some(report) = &args.junit {
        std::fs::write(report, "").map_err(|error| {
            Usage(format!(
                "cannot write `{}`: {error}; name a file in a folder that exists",
                report.display()
            ))
        })?;
    }
    let started = Instant::now();
    let interrupt = interrupt::flag();
    let mut results = Vec::new();
    run_all(args, registry, &cases, &interrupt, |result| {
        let line = line(&result);
        results.push(result);
        output::result(&line)
    })?;
    if let Some(report) = &args.junit {
        std::fs::write(report, junit::xml(&results).map_err(anyhow::Error::msg)?)?;
    }
    let failed = results.iter().filter(|result| !result.failures.is_empty()).count();
    let passed = results.len() - failed;
    let took = hcddl_report::terminal::seconds(started.elapsed().as_secs_f64());
    output::result(&format!("{passed} passed, {failed} failed in {took}\n"))?;
    Ok(match (interrupt.load(Ordering::SeqCst), failed) {
        (true, _) => Ending::Interrupted,
        (false, 0) => Ending::Done,
        (false, _) => Ending::Failed,
    })
}

/// Runs the cases on several threads and reports each in order.
fn run_all(
    args: &TestArgs,
    registry: &Registry,
    cases: &[Case],
    interrupt: &Arc<AtomicBool>,
    mut report: impl FnMut(CaseResult) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let threads = match usize::from(args.threads) {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    };
    let next = AtomicUsize::new(0);
    let (send, receive) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..threads.min(cases.len()) {
            let (send, next) = (send.clone(), &next);
            scope.spawn(move || {
                while !interrupt.load(Ordering::SeqCst) {
                    let index = next.fetch_add(1, Ordering::SeqCst);
                    let Some(case) = cases.get(index) else { break };
                    let _ = send.send((index, run_one(args, registry, case, interrupt)));
                }
            });
        }
        drop(send);
        // Reported in the order of the cases, so that two outputs can be compared.
        let mut waiting = std::collections::BTreeMap::new();
        let mut reported = 0;
        for (index, result) in receive {
            waiting.insert(index, result);
            while let Some(result) = waiting.remove(&reported) {
                reported += 1;
                report(result)?;
            }
        }
        Ok(())
    })
}

fn run_one(args: &TestArgs, registry: &Registry, case: &Case, interrupt: &Arc<AtomicBool>) -> CaseResult {
    let started = Instant::now();
    let scenario = ScenarioArgs { seed: case.seed.or(args.scenario.seed), ..args.scenario.clone() };
    let attempt = std::panic::AssertUnwindSafe(|| attempt(&case.file, &scenario, registry, interrupt));
    let (seeds, failures) = std::panic::catch_unwind(attempt).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
        (None, vec![format!("a bug in hcddl: {text}")])
    });
    result(case, &scenario, seeds, failures, started.elapsed())
}

/// The seeds of the run, once they are known, and what it failed to do.
fn attempt(
    file: &Path,
    scenario: &ScenarioArgs,
    registry: &Registry,
    interrupt: &Arc<AtomicBool>,
) -> (Option<Seeds>, Vec<String>) {
    let session = match session::load(file, scenario, registry) {
        Ok(session) => session,
        Err(error) => return (None, vec![error.to_string()]),
    };
    let seeds = Some(session.plan.seeds);
    let options = SimOptions { threads: 1, runner: RunnerKind::Direct, ..SimOptions::default() };
    let learner = match session.learner() {
        Ok(learner) => learner,
        Err(error) => return (seeds, vec![error.to_string()]),
    };
    let ran = session.run(learner, &options, &mut Silent, Arc::clone(interrupt), None);
    (
        seeds,
        ran.map_or_else(
            |error| vec![error.to_string()],
            |ran| verdict::failures(&session.plan.expect, &ran.summary),
        ),
    )
}

fn result(
    case: &Case,
    scenario: &ScenarioArgs,
    seeds: Option<Seeds>,
    failures: Vec<String>,
    took: Duration,
) -> CaseResult {
    let file = case.file.display();
    let name = case.seed.map_or(file.to_string(), |seed| format!("{file} --seed {seed}"));
    // Three equal seeds are one --seed; different ones come from the file itself.
    let seed = scenario.seed.or(seeds.filter(|s| *s == Seeds::all(s.data)).map(|s| s.data));
    let mut replay = format!("hcddl sim {}", quoted(&file.to_string()));
    if let Some(seed) = seed {
        replay.push_str(&format!(" --seed {seed}"));
    }
    for set in &scenario.sets {
        replay.push_str(&format!(" --set {}", quoted(set)));
    }
    if let Some(dir) = &scenario.data_dir {
        replay.push_str(&format!(" --data-dir {}", quoted(&dir.display().to_string())));
    }
    if let Some(schedule) = &scenario.schedule {
        replay.push_str(&format!(" --schedule {}", quoted(&schedule.display().to_string())));
    }
    if scenario.timing_only {
        replay.push_str(" --timing-only");
    }
    CaseResult { name, took, failures, replay }
}

fn line(result: &CaseResult) -> String {
    let took = hcddl_report::terminal::seconds(result.took.as_secs_f64());
    if result.failures.is_empty() {
        return format!("ok    {} ({took})\n", result.name);
    }
    let mut text = format!("FAIL  {} ({took})\n", result.name);
    for failure in &result.failures {
        text.push_str(&format!("      {failure}\n"));
    }
    text + &format!("      replay: {}\n", result.replay)
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = word.chars().all(|c| c.is_ascii_alphanumeric() || "_-./=:,".contains(c));
    if plain && !word.is_empty() { word.to_owned() } else { format!("'{}'", word.replace('\'', "'\\''")) }
}

/// Every run that was asked for, in order of path and seed.
fn cases(args: &TestArgs) -> anyhow::Result<Vec<Case>> {
    let mut files = Vec::new();
    for path in &args.paths {
        collect(path, &mut files)?;
    }
    files.sort();
    files.dedup();
    let filter = args.filter.as_deref().unwrap_or("");
    files.retain(|file| file.to_string_lossy().contains(filter));
    if files.is_empty() {
        let below: Vec<String> = args.paths.iter().map(|path| format!("`{}`", path.display())).collect();
        let matching =
            args.filter.as_ref().map_or(String::new(), |text| format!(" with `{text}` in its path"));
        return Err(Usage(format!(
            "no scenario file (*.yml, *.yaml){matching} in {}; name a file or another folder",
            below.join(", ")
        ))
        .into());
    }
    let first = args.scenario.seed.unwrap_or(1);
    let seeds: Vec<Option<u64>> = match args.seeds {
        None => vec![None],
        Some(count) => (0..count).map(|i| first.checked_add(i)).collect(),
    };
    let with_seeds = |file: PathBuf| {
        seeds.iter().map(move |seed| Case { file: file.clone(), seed: *seed }).collect::<Vec<_>>()
    };
    Ok(files.into_iter().flat_map(with_seeds).collect())
}

/// Adds a file, or all scenario files below a folder.
fn collect(path: &Path, files: &mut Vec<PathBuf>) -> Result<(), Usage> {
    let cannot = |error: std::io::Error| Usage(format!("cannot read `{}`: {error}", path.display()));
    if !std::fs::metadata(path).map_err(cannot)?.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    for entry in std::fs::read_dir(path).map_err(cannot)? {
        let entry = entry.map_err(cannot)?;
        let kind = entry.file_type().map_err(cannot)?;
        let path = entry.path();
        let is_scenario = path.extension().is_some_and(|ending| ending == "yml" || ending == "yaml");
        // Links to folders are not followed: they may lead in circles.
        if kind.is_dir() {
            collect(&path, files)?;
        } else if is_scenario && !is_study(&path) {
            files.push(path);
        }
    }
    Ok(())
}

/// Whether a file among scenarios is a study, which `hcddl study` runs.
fn is_study(path: &Path) -> bool {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().any(|line| line.starts_with("scenario:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(paths: &[&Path]) -> TestArgs {
        TestArgs {
            paths: paths.iter().map(|path| (*path).to_owned()).collect(),
            scenario: ScenarioArgs::default(),
            filter: None,
            seeds: None,
            threads: 0,
            junit: None,
        }
    }

    #[test]
    fn finds_every_scenario_once_and_in_order() {
        let base = tempfile::tempdir().unwrap();
        std::fs::create_dir(base.path().join("sub")).unwrap();
        for name in ["b.yml", "a.yaml", "sub/c.yml", "data.csv"] {
            std::fs::write(base.path().join(name), "").unwrap();
        }
        let names = |args: &TestArgs| -> Vec<(String, Option<u64>)> {
            let name = |file: &Path| file.strip_prefix(base.path()).unwrap().display().to_string();
            cases(args).unwrap().iter().map(|case| (name(&case.file), case.seed)).collect()
        };
        let all = args(&[base.path(), &base.path().join("sub/c.yml")]);
        assert_eq!(names(&all), ["a.yaml", "b.yml", "sub/c.yml"].map(|name| (name.to_owned(), None)));
        let some = TestArgs { filter: Some("c.y".to_owned()), seeds: Some(2), ..args(&[base.path()]) };
        assert_eq!(names(&some), [1, 2].map(|seed| ("sub/c.yml".to_owned(), Some(seed))));
        let none = TestArgs { filter: Some("zzz".to_owned()), ..args(&[base.path()]) };
        let error = cases(&none).unwrap_err().to_string();
        assert!(error.starts_with("no scenario file (*.yml, *.yaml) with `zzz` in its path in `"), "{error}");
        let missing = cases(&args(&[Path::new("no/such")])).unwrap_err().to_string();
        assert!(missing.starts_with("cannot read `no/such`: "), "{missing}");
    }

    #[test]
    fn a_failure_says_how_to_see_it_again() {
        let case = Case { file: "my scenarios/x.yml".into(), seed: Some(7) };
        let scenario = ScenarioArgs {
            seed: Some(7),
            sets: vec!["training.rounds=5".to_owned()],
            data_dir: None,
            timing_only: true,
            schedule: None,
        };
        let failed = vec!["accuracy is 0.5, expected at least 0.9".to_owned()];
        let result = result(&case, &scenario, Some(Seeds::all(7)), failed, Duration::from_millis(250));
        assert_eq!(
            line(&result),
            "FAIL  my scenarios/x.yml --seed 7 (250 ms)\n      \
             accuracy is 0.5, expected at least 0.9\n      \
             replay: hcddl sim 'my scenarios/x.yml' --seed 7 --set training.rounds=5 --timing-only\n"
        );
    }

    #[test]
    fn the_seeds_of_the_file_are_named_when_they_are_one() {
        let case = Case { file: "x.yml".into(), seed: None };
        let replay = |seeds| result(&case, &ScenarioArgs::default(), seeds, vec![], Duration::ZERO).replay;
        assert_eq!(replay(Some(Seeds::all(3))), "hcddl sim x.yml --seed 3");
        assert_eq!(replay(Some(Seeds { data: 1, init: 2, interleaving: 3 })), "hcddl sim x.yml");
        assert_eq!(replay(None), "hcddl sim x.yml");
    }
}
