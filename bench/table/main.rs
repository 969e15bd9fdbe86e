//! The speed of the simulator as one table: `cargo bench --bench table [-- FILTER]`.
//!
//! Nothing is written anywhere. Rows whose title contains FILTER are measured. Wall time on a busy machine says
//! little, so rates are given by processor time too; a repeated measurement shows the median of its runs unless
//! it says otherwise, and things that are compared are measured in turn.

#[path = "../common/mod.rs"]
mod common;
mod events;
mod fedavg;
mod measure;
mod program;
mod training;

use std::process::Command;

/// A measured line of the table.
pub struct Line {
    what: String,
    measured: String,
    goal: String,
}

impl Line {
    fn new(what: impl Into<String>, measured: impl Into<String>, goal: impl Into<String>) -> Self {
        Self { what: what.into(), measured: measured.into(), goal: goal.into() }
    }
}

/// What can be asked for, and who measures it.
type Section = (&'static str, fn() -> Vec<Line>);

const SECTIONS: &[Section] = &[
    ("events, 10,000 workers under one asynchronous server", events::asynchronous),
    ("events, 10,000 workers under one synchronous server", events::synchronous),
    ("tree of 131,072 workers, 10 rounds, timing only", events::large_tree),
    ("simulation against a plain loop, one thread", training::overhead),
    ("two threads against one", training::threads),
    ("start-up", program::start_up),
    ("memory", program::memory),
    ("FedAvg on the digits", fedavg::fits),
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(name) = arguments.iter().position(|a| a == CHILD) {
        return child(&arguments[name + 1..]);
    }
    let filter = arguments.iter().find(|a| !a.starts_with('-')).map_or("", String::as_str);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split_whitespace().next().unwrap_or("unknown");
    println!("hcddl {}, {cores} cores, load before the start {load}", env!("CARGO_PKG_VERSION"));
    for (title, measure) in SECTIONS.iter().filter(|(title, _)| title.contains(filter)) {
        println!("\n{title}");
        for Line { what, measured, goal } in measure() {
            println!("  {what:<46} {measured:<52} {goal}");
        }
    }
}

/// The argument that makes this program measure one thing in a process of its own.
const CHILD: &str = "--child";

/// Measures something in a process of its own, for its peak of memory; numbers come back.
fn in_child(arguments: &[&str]) -> Vec<f64> {
    let program = std::env::current_exe().expect("a running program has a path");
    let output = Command::new(program).arg(CHILD).args(arguments).output().expect("it starts again");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    let last = text.lines().last().unwrap_or_default();
    last.split_whitespace().map(|n| n.parse().expect("a child prints numbers last")).collect()
}

fn child(arguments: &[String]) {
    let numbers = match arguments[0].as_str() {
        "tree" => events::tree_child(&arguments[1], &arguments[2]),
        "sim" => program::sim_child(&arguments[1]),
        other => panic!("no child measures {other}"),
    };
    println!("{}", numbers.iter().map(f64::to_string).collect::<Vec<_>>().join(" "));
}
