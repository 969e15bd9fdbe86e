//! The program as its user meets it: how soon it starts, what memory it takes.

use crate::measure::{least, median, peak_rss_mib, timed};
use crate::{Line, in_child};
use hcddl::registry::Registry;
use std::process::{Command, Stdio};

const PROGRAM: &str = env!("CARGO_BIN_EXE_hcddl");
const RUNS: usize = 21;

pub fn start_up() -> Vec<Line> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("tiny.yml");
    let tiny = "topology: flat(2)\nmodel: softmax\ntraining: {rounds: 1}\n";
    std::fs::write(&file, tiny).expect("a temporary file");
    let scenario = file.display().to_string();
    let time = |arguments: &[&str]| {
        let millis: Vec<f64> = (0..RUNS)
            .map(|i| {
                let out = folder.path().join(format!("{}{i}", arguments[0])).display().to_string();
                let mut command = Command::new(PROGRAM);
                command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
                if arguments[0] == "sim" {
                    command.args(["--out", &out]);
                }
                let (status, cost) = timed(|| command.status().expect("the program starts"));
                assert!(status.success());
                cost.wall_s * 1e3
            })
            .collect();
        format!("{:.1} ms, at best {:.1} ms", median(millis.clone()), least(&millis))
    };
    vec![
        Line::new("hcddl --version", time(&["--version"]), "goal 50 ms"),
        Line::new("hcddl check, two workers", time(&["check", &scenario]), ""),
        Line::new("hcddl sim, two workers, one round, digits", time(&["sim", &scenario]), ""),
    ]
}

pub fn memory() -> Vec<Line> {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/quickstart.yml");
    let numbers = in_child(&["sim", file]);
    let measured = format!("{:.0} MiB, {:.2} s", numbers[1], numbers[0]);
    vec![Line::new("hcddl sim scenarios/quickstart.yml", measured, "goal 100 MiB, 10 s")]
}

/// Seconds and peak MiB of `hcddl sim` on a file.
pub fn sim_child(file: &str) -> Vec<f64> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path().join("run").display().to_string();
    let line = ["hcddl", "sim", file, "--out", &out, "--quiet"];
    let (code, cost) = timed(|| hcddl::cli::run(line.map(Into::into), &Registry::default()));
    assert_eq!(format!("{code:?}"), format!("{:?}", std::process::ExitCode::SUCCESS));
    println!();
    vec![cost.wall_s, peak_rss_mib()]
}
