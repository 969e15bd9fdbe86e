//! The whole determinism matrix: `cargo bench --bench matrix [-- FILTER]`.
//!
//! Every scenario of scenarios/ at full length, with 1 and 2 threads, by actors and by plain calls, in two
//! processes: all digests must be equal, else the exit code is 1. HCDDL_DATA names the folder of the IDX files;
//! a scenario whose data is missing is skipped by name.

#[path = "../common/mod.rs"]
mod common;

use common::Ready;
use hcddl::measure::outcome::RunnerKind;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

const CHILD: &str = "--child";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(at) = arguments.iter().position(|a| a == CHILD) {
        return child(Path::new(&arguments[at + 1]));
    }
    let filter = arguments.iter().find(|a| !a.starts_with('-')).map_or("", String::as_str);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut files = Vec::new();
    collect(&folder, &mut files);
    files.sort();
    let mut equal = true;
    for file in files.iter().filter(|file| file.to_string_lossy().contains(filter)) {
        let name = file.strip_prefix(&folder).unwrap_or(file).display().to_string();
        equal &= check(&name, file);
    }
    if equal { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("the folder is there").flatten() {
        let path = entry.path();
        match path.extension().is_some_and(|e| e == "yml") {
            true => files.push(path),
            false if path.is_dir() => collect(&path, files),
            false => {}
        }
    }
}

/// Runs one scenario in all ways, in two processes; prints a line.
fn check(name: &str, file: &Path) -> bool {
    let program = std::env::current_exe().expect("a running program has a path");
    let mut runs: Vec<(String, String)> = Vec::new();
    for process in 1..=2 {
        let output = Command::new(&program).arg(CHILD).arg(file).output().expect("it starts again");
        let text = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            println!("{name:<36} FAILED: {}", String::from_utf8_lossy(&output.stderr).trim());
            return false;
        }
        for line in text.lines() {
            let Some((how, digests)) = line.split_once(": ") else { continue };
            if how == "skipped" {
                println!("{name:<36} skipped: {digests}");
                return true;
            }
            runs.push((format!("process {process}, {how}"), digests.to_owned()));
        }
    }
    let first = &runs[0].1;
    let different: Vec<_> = runs.iter().filter(|(_, digests)| digests != first).collect();
    println!("{name:<36} {first}  {} of {} runs equal", runs.len() - different.len(), runs.len());
    for (how, digests) in &different {
        println!("{:<36} {digests}  {how}", "  DIFFERENT");
    }
    different.is_empty()
}

/// Runs one scenario in all ways and prints the digests of each.
fn child(file: &Path) -> ExitCode {
    let ready = match Ready::file(file, &[]) {
        Ok(ready) => ready,
        Err(error) if error.contains("HCDDL_DATA") || error.contains("data_dir") => {
            println!("skipped: {}", error.lines().next().unwrap_or_default());
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    for (name, runner) in [("direct", RunnerKind::Direct), ("actors", RunnerKind::Actors)] {
        for threads in [1, 2] {
            let summary = ready.run(runner, threads).summary;
            println!(
                "{name}, threads {threads}: trace {} weights {}",
                summary.trace_digest, summary.weight_digest
            );
        }
    }
    ExitCode::SUCCESS
}
