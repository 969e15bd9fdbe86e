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

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
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
