//! What deployed runs tell: one timeline over all nodes, where a simulation differs, a profile that predicts, energy.

use super::{Run, slow};
use hcddl::report::read::timeline::{Kind, Timeline};
use hcddl::report::read::{Run as Read, Source};
use hcddl::report::run::path::{Cause, of_run};
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn hcddl(dir: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hcddl")).args(arguments).current_dir(dir).output().unwrap()
}

fn done(dir: &Path, arguments: &[&str]) -> String {
    let output = hcddl(dir, arguments);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap() + &stderr
}

/// A run as `hcddl deploy` leaves it: with its scenario.
fn ran(run: &Run) {
    fs::copy(run.dir.path().join("scenario.yml"), run.dir.path().join("plan.yml")).unwrap();
    run.wait(run.start_all());
    let summary = run.gather().summary;
    let sent: u64 = summary.bytes_by_tier.values().sum();
    assert_eq!(sent, summary.bytes_up + summary.bytes_down, "the traces have every message");
}

fn read(dir: &Path) -> Read {
    match Source::read(dir).unwrap() {
        Source::Run(run) => *run,
        Source::Study(_) => panic!("a run"),
    }
}

fn column(dir: &Path, file: &str, name: &str) -> Vec<String> {
    let text = fs::read_to_string(dir.join(file)).unwrap();
    let mut lines = text.lines();
    let place = lines.next().unwrap().split(',').position(|column| column == name).unwrap();
    lines.map(|line| line.split(',').nth(place).unwrap().to_owned()).collect()
}

#[test]
fn all_nodes_are_on_one_timeline() {
    let run =
        slow("tiers: {global: {policy: sync}, local: {policy: sync}}", "{name: tree, fanout: [2, 2]}", 40);
    ran(&run);
    let dir = run.dir.path();
    let timeline = Timeline::read(&dir.join("timeline.json")).unwrap();
    assert_eq!(timeline.nodes.len(), run.plan.nodes.len());
    let of = |kind, label: &str| {
        timeline.spans.iter().filter(|span| span.kind == kind && span.label == label).collect::<Vec<_>>()
    };
    // The last round may be cut off by the end of the run.
    let trained = of(Kind::Compute, "train");
    assert!(trained.len() >= 4 * 40, "{}", trained.len());
    assert!(trained.iter().all(|span| span.end - span.start > 0.0099), "steps are held back to 10 ms");
    // Clocks that were aligned wrongly would have models arrive before they are sent, or after they are used.
    let worst = column(dir, "clocks.csv", "uncertainty_s");
    let worst = worst.iter().map(|value| value.parse::<f64>().unwrap()).fold(0.0, f64::max);
    assert!(worst < 0.1, "loopback: {worst} s");
    for span in &trained {
        let model = of(Kind::Send, "assign").into_iter().filter(|sent| sent.to == Some(span.node));
        let arrived = model.map(|sent| sent.end).filter(|end| *end <= span.start + 1e-6).fold(0.0, f64::max);
        assert!(span.start - arrived < 0.1 + worst, "{span:?} begins when its model is there, at {arrived}");
    }
    let read = read(dir);
    let (path, end) = of_run(&read).unwrap();
    let total: f64 = path.iter().map(|piece| piece.end - piece.start).sum();
    assert!((total - end).abs() < 1e-6, "{total} of {end}");
    let unexplained = path.iter().filter(|piece| matches!(piece.cause, Cause::Unexplained(_)));
    let unexplained: f64 =
        unexplained.filter(|piece| piece.start > 0.0).map(|piece| piece.end - piece.start).sum();
    assert!(unexplained < 0.3 * end, "{unexplained} of {end} s hang on nothing that was recorded");
    let messages: u64 = column(dir, "links.csv", "messages").iter().map(|n| n.parse::<u64>().unwrap()).sum();
    assert_eq!(messages, read.summary.messages);
    assert!(fs::read_to_string(dir.join("nodes.csv")).unwrap().lines().count() == run.plan.nodes.len() + 1);
    assert_eq!(column(dir, "hosts.csv", "source"), ["estimate"]);
    assert!(read.summary.energy_j >= 0.0 && read.summary.time_split["worker"].send > 0.0);
}

#[test]
fn a_life_that_was_killed_and_the_next_one_are_on_it() {
    let run = slow("tiers: {global: {policy: async}}", "flat(2)", 300);
    run.strike("worker2", ("global", 60), std::time::Duration::from_millis(1500));
    run.gather();
    let timeline = Timeline::read(&run.dir.path().join("timeline.json")).unwrap();
    let worker = timeline.nodes.iter().position(|node| node.name == "worker2").unwrap();
    let down: Vec<f64> = timeline
        .spans
        .iter()
        .filter(|span| span.node == worker && span.kind == Kind::Down)
        .map(|span| span.end - span.start)
        .collect();
    assert!(down.len() == 1 && down[0] > 1.0 && down[0] < 30.0, "{down:?}");
    let after = timeline.spans.iter().filter(|span| span.node == worker && span.kind == Kind::Compute);
    assert!(after.count() > 20);
    assert_eq!(
        column(run.dir.path(), "clocks.csv", "node").iter().filter(|name| *name == "worker2").count(),
        2
    );
}

/// A run against two simulations of it, one of which takes steps to be twice as short; its profile; its report.
#[test]
fn a_deployed_run_is_explained_profiled_and_reported() {
    let run = slow("tiers: {global: {policy: sync}}", "flat(2)", 60);
    ran(&run);
    let dir = run.dir.path();
    let sim = |out: &str, more: &[&str]| {
        let common = ["sim", "plan.yml", "--quiet", "--timing-only", "--out", out];
        done(dir, &[&common[..], more].concat())
    };
    let five = "devices.workers={name: fixed, step_time: 5ms}";
    sim("half", &["--set", five]);
    sim("blind", &["--no-timeline"]);

    let text = done(dir, &["compare", ".", "half"]);
    for part in ["root's commit 60", "computing", "deployed - simulated", "devices.workers", "hcddl profile"]
    {
        assert!(text.contains(part), "`{part}` is missing:\n{text}");
    }
    let hint = text.lines().find(|line| line.contains("times slower than modelled")).expect(&text);
    assert!(hint.contains("2.") && hint.contains("modelled 5"), "{hint}");
    let turned = done(dir, &["compare", "half", "."]);
    assert!(
        turned.contains("simulated - deployed") && turned.contains("times slower than modelled"),
        "{turned}"
    );
    let blind = done(dir, &["compare", ".", "blind"]);
    assert!(blind.contains("no timeline.json") && blind.contains("without --no-timeline"), "{blind}");

    let text = done(dir, &["profile", "."]);
    assert!(text.contains("held out") && text.contains("utilisation, worker1 to global"), "{text}");
    let certificate = fs::read_to_string(dir.join("certificate.json")).unwrap();
    let certificate: serde_json::Value = serde_json::from_str(&certificate).unwrap();
    let round = &certificate["figures"][0];
    let error = round["error_percent"].as_f64().unwrap();
    assert!(error.abs() < 25.0, "a busy machine is no good to measure on, but this is far off: {round}");
    let sections = fs::read_to_string(dir.join("profile.yml")).unwrap();
    assert!(sections.starts_with("devices:") && sections.contains("network:"), "{sections}");
    let scenario = fs::read_to_string(dir.join("plan.yml")).unwrap();
    let without: Vec<&str> = scenario.lines().filter(|line| !line.starts_with("devices:")).collect();
    fs::write(dir.join("fitted.yml"), without.join("\n") + "\n" + &sections).unwrap();
    done(dir, &["check", "fitted.yml"]);

    fs::write(dir.join("meter.csv"), "time_s,power_w\n-10,5\n1000,5\n").unwrap();
    let page = |arguments: &[&str]| {
        done(dir, &[&["report", ".", "--out", "r"], arguments].concat());
        fs::read_to_string(dir.join("r/report.html")).unwrap()
    };
    let text = page(&[]);
    for part in [
        "Where the time goes",
        "Critical path",
        "Staleness and participation",
        "Devices and links",
        "Traffic",
        "with a job",
    ] {
        assert!(text.contains(part), "{part}");
    }
    let text = page(&["--meter", "meter.csv"]);
    assert!(text.contains("Measured by a meter"), "energy of a meter");
    let wrong = hcddl(dir, &["report", "half", "--meter", "meter.csv"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("belongs to one deployed run"));
}
