//! Deployed code in a modelled world that breaks: see [`hcddl::storm`]. Some hundreds of runs here; as many as wanted with
//! `cargo run --release --example storm -- --seeds 0..100000`.

use hcddl::learn::kernels::Isa;
use hcddl::storm::fleet::{self, Unrest};
use hcddl::storm::plain::{Digests, Plain, same};
use hcddl::storm::{Weather, run, shrink};
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// Held while files are locked, and while programs are started: between its fork and its exec a child has all files of
/// this process open, so a controller that has just been killed in one test would seem to hold its lock because of another
/// test.
static FORKS: Mutex<()> = Mutex::new(());

/// Where files are made and thrown away: in memory, if there is such a place.
fn place() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory).unwrap() } else { tempfile::tempdir().unwrap() }
}

#[test]
fn runs_end_and_nothing_of_them_is_wrong_whatever_breaks() {
    let dir = place();
    let (mut lives, mut commits) = (0, 0);
    for seed in 0..400 {
        let weather = Weather::of(seed);
        let ran = run(&weather, &dir.path().join("run"));
        let _ = std::fs::remove_dir_all(dir.path().join("run"));
        match ran {
            Ok(report) => (lives, commits) = (lives + report.lives, commits + report.commits),
            Err(why) => {
                let (least, why) = shrink(&weather, &why, dir.path());
                panic!("storm seed {seed}: {why}\n{}{:?}", least.scenario, least.faults);
            }
        }
    }
    // The weather is bad enough to matter.
    assert!(lives > 1500 && commits > 8000, "{lives} lives, {commits} commits");
}

#[test]
fn a_seed_says_everything_that_happens() {
    let dir = place();
    for seed in 0..40 {
        let [first, second] = [0, 1].map(|turn| {
            let ran = run(&Weather::of(seed), &dir.path().join(format!("{seed}-{turn}")));
            ran.unwrap_or_else(|why| panic!("storm seed {seed}: {why}"))
        });
        assert_eq!(first, second, "storm seed {seed}");
    }
}

#[test]
fn fleets_end_with_everything_fetched_whoever_is_killed() {
    let _alone = FORKS.lock().unwrap_or_else(PoisonError::into_inner);
    let dir = place();
    for seed in 0..400 {
        let unrest = Unrest::of(seed);
        if let Err(why) = fleet::run(&unrest, dir.path()) {
            let (least, why) = fleet::shrink(&unrest, why, dir.path());
            panic!("storm --fleet --seeds {seed}..{}: {why}\n{least:?}", seed + 1);
        }
    }
}

#[test]
fn plain_simulations_are_the_same_in_every_way_they_are_run() {
    let dir = place();
    for seed in 0..30 {
        let plain = Plain::of(seed);
        let fails = |plain: &Plain| plain.compare(&dir.path().join("plain")).err();
        if let Some(why) = fails(&plain) {
            let (least, why) = plain.shrink(why, &fails);
            panic!("storm --plain --seeds {seed}..{}: {why}\n{}", seed + 1, least.scenario());
        }
    }
}

/// What the program says a scenario comes to with these kernels.
fn with_kernels(scenario: &str, isa: Isa, folder: &Path) -> Digests {
    std::fs::write(folder.join("plain.yml"), scenario).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_hcddl"));
    command.args(["sim", "plain.yml", "--json", "--kernels", isa.name()]);
    let _alone = FORKS.lock().unwrap_or_else(PoisonError::into_inner);
    let output = command.current_dir(folder).output().expect("the program starts");
    let summary: serde_json::Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    let text = |key: &str| summary[key].as_str().expect("a digest").to_owned();
    Digests { trace: text("trace_digest"), weights: text("weight_digest") }
}

#[test]
fn plain_simulations_are_the_same_with_every_kernel() {
    for seed in 0..8 {
        let scenario = Plain::of(seed).scenario();
        let found = Isa::available().iter().map(|isa| {
            let folder = place();
            (with_kernels(&scenario, *isa, folder.path()), isa.name())
        });
        let found: Vec<_> = found.collect();
        for (digests, name) in &found {
            let compared = same(&found[0].0, digests, &format!("{name} kernels"));
            compared.unwrap_or_else(|why| panic!("storm --plain --seeds {seed}..{}: {why}", seed + 1));
        }
    }
}
