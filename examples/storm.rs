//! Deployed code in a modelled world that breaks: `cargo run --release --example storm -- --seeds 0..10000`; with
//! `--fleet` supervisors and controllers, with `--plain` simulations that must be the same in every way they can be run.
//! A run that fails is shrunk and told in one line that repeats it: `--seeds 17..18`.

use hcddl::learn::kernels::Isa;
use hcddl::storm::fleet::{self, Unrest};
use hcddl::storm::plain::{self, Digests, Plain};
use hcddl::storm::{Weather, run, shrink};
use std::io::{Read, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

const USAGE: &str = "usage: storm [--fleet | --plain | --planted] [--seeds FROM..TO]";

/// What is to be run.
#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Nodes,
    Fleet,
    Plain,
    Planted,
    /// The digests of the scenario on the standard input, for a process with other kernels.
    Digests,
}

/// What became of the run of a seed: events, and how it failed in the least case that still fails.
type Ran = Result<u64, String>;

fn arguments() -> Option<(Mode, Range<u64>)> {
    let (mut mode, mut seeds) = (Mode::Nodes, 0..200);
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--fleet" => mode = Mode::Fleet,
            "--plain" => mode = Mode::Plain,
            "--planted" => mode = Mode::Planted,
            "--digests" => mode = Mode::Digests,
            "--kernels" => Isa::select(&words.next()?).ok().map(drop)?,
            "--seeds" => {
                let range = words.next()?;
                let (from, to) = range.split_once("..")?;
                seeds = from.parse().ok()?..to.parse().ok()?;
            }
            _ => return None,
        }
    }
    Some((mode, seeds))
}

fn nodes(seed: u64, dir: &Path) -> Ran {
    let weather = Weather::of(seed);
    let ran = run(&weather, &dir.join("run"));
    let _ = std::fs::remove_dir_all(dir.join("run"));
    ran.map(|report| report.events).map_err(|why| {
        let (least, why) = shrink(&weather, &why, dir);
        format!("{why}\n{}{} faults: {:?}", least.scenario, least.faults.len(), least.faults)
    })
}

fn fleets(seed: u64, dir: &Path) -> Ran {
    let unrest = Unrest::of(seed);
    fleet::run(&unrest, dir).map_err(|why| {
        let (least, why) = fleet::shrink(&unrest, why, dir);
        format!("{why}\n{} faults: {least:?}", least.faults.len())
    })
}

/// What a scenario comes to in a process with other kernels.
fn with_kernels(scenario: &str, isa: Isa) -> Result<Digests, String> {
    let text = |error: std::io::Error| format!("the process with {} kernels: {error}", isa.name());
    let mut command = Command::new(std::env::current_exe().map_err(text)?);
    command.args(["--digests", "--kernels", isa.name()]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().map_err(text)?;
    child.stdin.take().expect("a new process has an input").write_all(scenario.as_bytes()).map_err(text)?;
    let output = child.wait_with_output().map_err(text)?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    match said.split_whitespace().collect::<Vec<_>>()[..] {
        [trace, weights] if output.status.success() => {
            Ok(Digests { trace: trace.to_owned(), weights: weights.to_owned() })
        }
        _ => Err(format!("with {} kernels: {said}", isa.name())),
    }
}

fn in_every_way(plain: &Plain, dir: &Path) -> Result<(), String> {
    let expected = plain.compare(&dir.join("plain"))?;
    let others = Isa::available().iter().filter(|isa| **isa != Isa::best());
    others.copied().try_for_each(|isa| {
        let found = with_kernels(&plain.scenario(), isa)?;
        plain::same(&expected, &found, &format!("{} kernels", isa.name()))
    })
}

fn plains(seed: u64, dir: &Path) -> Ran {
    let plain = Plain::of(seed);
    in_every_way(&plain, dir).map(|()| 1).map_err(|why| {
        let (least, why) = plain.shrink(why, &|less| in_every_way(less, dir).err());
        format!("{why}\n{}", least.scenario())
    })
}

/// Puts each planted bug in and looks for the first seed that finds it.
#[cfg(feature = "planted")]
fn find_planted(dir: &Path) -> bool {
    use hcddl::domain::planted::Planted;
    let mut all = true;
    for bug in Planted::ALL {
        let runs = if bug.is_of_controllers() { fleets } else { nodes };
        let found = (0..10_000).find_map(|seed| {
            Planted::set(Some(bug));
            Some((seed, runs(seed, dir).err()?))
        });
        match found {
            Some((seed, why)) => println!("{bug:?}: seed {seed}: {why}"),
            None => {
                all = false;
                println!("{bug:?}: not found within 10,000 seeds");
            }
        }
    }
    Planted::set(None);
    all
}

#[cfg(not(feature = "planted"))]
fn find_planted(_: &Path) -> bool {
    eprintln!("bugs are there only with `--features planted`");
    false
}

fn print_digests() -> bool {
    let mut scenario = String::new();
    let read = std::io::stdin().read_to_string(&mut scenario).map_err(|error| error.to_string());
    match read.and_then(|_| plain::digests_of(&scenario)) {
        Ok(Digests { trace, weights }) => {
            println!("{trace} {weights}");
            true
        }
        Err(why) => {
            println!("{why}");
            false
        }
    }
}

fn all_of(seeds: Range<u64>, (flag, runs): (&str, fn(u64, &Path) -> Ran), dir: &Path) -> bool {
    let count = seeds.end.saturating_sub(seeds.start);
    let (mut failed, mut events) = (0, 0);
    for seed in seeds {
        match runs(seed, dir) {
            Ok(more) => events += more,
            Err(why) => {
                failed += 1;
                println!("storm {flag}--seeds {seed}..{} fails: {why}", seed + 1);
            }
        }
    }
    println!("{count} runs, {events} events: {failed} failed");
    failed == 0
}

fn main() -> ExitCode {
    let Some((mode, seeds)) = arguments() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    // Memory is faster than a disk, and nothing here is to be kept.
    let memory = PathBuf::from("/dev/shm");
    let base = if memory.is_dir() { memory } else { std::env::temp_dir() };
    let dir = base.join(format!("hcddl-storm-{}", std::process::id()));
    let good = match mode {
        Mode::Nodes => all_of(seeds, ("", nodes), &dir),
        Mode::Fleet => all_of(seeds, ("--fleet ", fleets), &dir),
        Mode::Plain => all_of(seeds, ("--plain ", plains), &dir),
        Mode::Planted => find_planted(&dir),
        Mode::Digests => print_digests(),
    };
    let _ = std::fs::remove_dir_all(&dir);
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
