//! Deployed code in a modelled world that breaks: `cargo run --release --example storm -- --seeds 0..10000`.
//! A run that fails is shrunk and told in one line that repeats it: `--seeds 17..18`.

use hcddl::storm::{Weather, run, shrink};
use std::ops::Range;
use std::path::PathBuf;
use std::process::ExitCode;

fn seeds(text: &str) -> Option<Range<u64>> {
    let (from, to) = text.split_once("..")?;
    Some(from.parse().ok()?..to.parse().ok()?)
}

/// Puts each planted bug in and looks for the first seed that finds it.
#[cfg(feature = "planted")]
fn find_planted(dir: &std::path::Path) -> bool {
    use hcddl::domain::planted::Planted;
    let mut all = true;
    for bug in Planted::ALL {
        Planted::set(Some(bug));
        let found = (0..10_000).find_map(|seed| {
            let weather = Weather::of(seed);
            let why = run(&weather, &dir.join("run")).err();
            let _ = std::fs::remove_dir_all(dir.join("run"));
            Some((seed, shrink(&weather, &why?, dir)))
        });
        match found {
            Some((seed, (least, why))) => {
                println!("{bug:?}: seed {seed}, {} faults: {why}\n  {:?}", least.faults.len(), least.faults);
            }
            None => {
                all = false;
                println!("{bug:?}: not found within 10,000 seeds");
            }
        }
    }
    Planted::set(None);
    all
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    #[cfg(feature = "planted")]
    if arguments == ["--planted"] {
        let dir = std::env::temp_dir().join(format!("hcddl-storm-{}", std::process::id()));
        return if find_planted(&dir) { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let seeds = match &arguments[..] {
        [flag, range] if flag == "--seeds" => seeds(range),
        [] => Some(0..200),
        _ => None,
    };
    let Some(seeds) = seeds else {
        eprintln!("usage: storm [--seeds FROM..TO]");
        return ExitCode::from(2);
    };
    // Memory is faster than a disk, and nothing here is to be kept.
    let memory = PathBuf::from("/dev/shm");
    let base = if memory.is_dir() { memory } else { std::env::temp_dir() };
    let dir = base.join(format!("hcddl-storm-{}", std::process::id()));
    let (mut failed, mut events, mut lives) = (0, 0, 0);
    let count = seeds.end.saturating_sub(seeds.start);
    for seed in seeds {
        let weather = Weather::of(seed);
        let ran = run(&weather, &dir.join("run"));
        let _ = std::fs::remove_dir_all(dir.join("run"));
        match ran {
            Ok(report) => (events, lives) = (events + report.events, lives + report.lives),
            Err(why) => {
                failed += 1;
                let (least, why) = shrink(&weather, &why, &dir);
                println!("seed {seed} fails: {why}\n{}{:?}", least.scenario, least.faults);
            }
        }
    }
    let _ = std::fs::remove_dir_all(&dir);
    println!("{count} runs, {events} events, {lives} lives of processes: {failed} failed");
    if failed > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
