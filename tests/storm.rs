//! Deployed code in a modelled world that breaks: see [`hcddl::storm`]. Some hundreds of runs here; as many as wanted with
//! `cargo run --release --example storm -- --seeds 0..100000`.

use hcddl::storm::{Weather, run, shrink};
use std::path::Path;

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
