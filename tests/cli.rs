//! The program as users meet it: what goes to which stream, exit codes, files.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// Runs the program in a folder, without the user's environment.
fn hcddl(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hcddl"))
        .args(arguments)
        .current_dir(folder)
        .env_remove("HCDDL_DATA")
        // Not what the user has fetched.
        .env("XDG_CACHE_HOME", folder.join("cache"))
        .env_remove("HCDDL_LOG")
        .output()
        .expect("the program starts")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

/// A mistake: exit code 2, nothing on stdout, one line on stderr that holds all the parts.
fn refused(folder: &Path, arguments: &[&str], parts: &[&str]) {
    let output = hcddl(folder, arguments);
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
    assert_eq!(stdout(&output), "", "{arguments:?}");
    assert!(text.starts_with("error: "), "{arguments:?}: {text}");
    for part in parts {
        assert!(text.contains(part), "{arguments:?} lacks `{part}`: {text}");
    }
}

fn done(folder: &Path, arguments: &[&str]) -> String {
    let output = hcddl(folder, arguments);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", stderr(&output));
    stdout(&output)
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// What `init` writes is what `check`, `topo`, `sim` and `test` take.
#[test]
fn from_init_to_a_passed_test() {
    let dir = folder();
    let dir = dir.path();
    assert!(done(dir, &["init"]).starts_with("wrote scenario.yml; next: hcddl check"));
    refused(dir, &["init"], &["`scenario.yml` exists", "--force"]);
    done(dir, &["init", "--force"]);
    assert_eq!(done(dir, &["init", "-"]), fs::read_to_string(dir.join("scenario.yml")).unwrap());
    assert!(done(dir, &["check", "scenario.yml"]).contains("1 global server, 2 local servers, 4 workers"));
    let plan: serde_json::Value =
        serde_json::from_str(&done(dir, &["check", "--json", "scenario.yml"])).unwrap();
    assert!(plan["plan"]["model"].as_str().unwrap().contains("9610 parameters"), "{plan}");
    assert!(done(dir, &["topo", "scenario.yml"]).contains("│   ├── worker1"));
    assert!(done(dir, &["topo", "scenario.yml", "--format", "mermaid"]).starts_with("flowchart TD\n"));
    assert!(done(dir, &["topo", "scenario.yml", "--format", "dot"]).starts_with("graph \"first-run\" {"));
    let tested = done(dir, &["test", "scenario.yml", "--junit", "report.xml"]);
    assert!(tested.starts_with("ok    scenario.yml (") && tested.contains("1 passed, 0 failed"), "{tested}");
    assert!(fs::read_to_string(dir.join("report.xml")).unwrap().contains("failures=\"0\""));
}

#[test]
fn a_run_leaves_its_files_and_its_plan_repeats_it() {
    let dir = folder();
    let dir = dir.path();
    done(dir, &["init", "s.yml"]);
    let run = ["sim", "s.yml", "--set", "training.rounds=12", "--seed", "5", "--out", "first"];
    assert!(done(dir, &run).contains("│ weight digest"));
    let mut names: Vec<String> = fs::read_dir(dir.join("first"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "checkpoint.bin")
        .collect();
    names.sort();
    let expected = [
        "commits.csv",
        "metrics.csv",
        "model.safetensors",
        "plan.yml",
        "repeat.json",
        "summary.json",
        "timeline.json",
    ];
    assert_eq!(names, expected);
    refused(dir, &run, &["`first` is not empty", "--resume"]);
    // The plan alone, from another folder, other threads and runner: the same digests.
    let elsewhere = folder();
    fs::copy(dir.join("first/plan.yml"), elsewhere.path().join("plan.yml")).unwrap();
    let again = ["sim", "plan.yml", "--json", "--no-timeline", "--threads", "2", "--runner", "direct"];
    let again = hcddl(elsewhere.path(), &again);
    assert_eq!(stderr(&again), "", "a plan written by a run gives no new warnings");
    let again: serde_json::Value = serde_json::from_str(&stdout(&again)).unwrap();
    let first: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(dir.join("first/summary.json")).unwrap()).unwrap();
    for digest in ["trace_digest", "weight_digest"] {
        assert!(first[digest].is_string());
        assert_eq!(again[digest], first[digest], "{digest}");
    }
    let runs: Vec<_> = fs::read_dir(elsewhere.path().join("runs")).unwrap().collect();
    assert_eq!(runs.len(), 1);
    assert!(!runs[0].as_ref().unwrap().path().join("timeline.json").exists());
    let rows = fs::read_to_string(dir.join("first/metrics.csv")).unwrap();
    assert!(
        rows.starts_with("version,virtual_time_s,updates,bytes,energy_j,accuracy,loss\n0,0,0,0,0,"),
        "{rows}"
    );
    assert!(rows.lines().last().unwrap().starts_with("12,"), "{rows}");
}

#[test]
fn a_test_that_fails_says_why_and_how_to_see_it() {
    let dir = folder();
    let dir = dir.path();
    done(dir, &["init", "s.yml"]);
    let arguments = ["test", ".", "--set", "training.rounds=2", "--seeds", "2", "--junit", "r.xml"];
    let output = hcddl(dir, &arguments);
    assert_eq!(output.status.code(), Some(1));
    let text = stdout(&output);
    assert!(text.contains("expected at least 0.8\n"), "{text}");
    assert!(text.contains("replay: hcddl sim ./s.yml --seed 2 --set training.rounds=2\n"), "{text}");
    assert!(text.contains("0 passed, 2 failed"), "{text}");
    assert!(fs::read_to_string(dir.join("r.xml")).unwrap().contains("failures=\"2\""));
}

#[test]
fn mistakes_are_refused_before_anything_is_written() {
    let dir = folder();
    let dir = dir.path();
    done(dir, &["init", "s.yml"]);
    refused(dir, &["sim", "no.yml"], &["no.yml", "cannot be read"]);
    refused(dir, &["sim", "s.yml", "--set", "training.rouns=3"], &["unknown key `rouns`", "did you mean"]);
    refused(
        dir,
        &["check", "s.yml", "--set", "data=mnist", "--data-dir", "nowhere"],
        &["--set data=mnist: data: no file `nowhere/", "--data-dir"],
    );
    refused(dir, &["sim", "--resume", "nowhere"], &["cannot continue `nowhere`", "not a directory"]);
    refused(dir, &["list", "polices"], &["unknown table `polices`", "did you mean `policies`?"]);
    refused(dir, &["init", "no/such/folder.yml"], &["cannot write `no/such/folder.yml`"]);
    refused(dir, &["sim", "s.yml", "--threads", "4000"], &["4000", "0..=1024"]);
    refused(dir, &["sim", "s.yml", "--checkpoint-every", "30"], &["no unit"]);
    refused(dir, &["sim"], &["SCENARIO"]);
    refused(dir, &["test", "s.yml", "--junit", "no/such/r.xml"], &["no/such/r.xml"]);
    let names: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["s.yml"], "nothing is half-written");
}

#[test]
fn tables_schema_and_completions_are_printed() {
    let dir = folder();
    let dir = dir.path();
    let all = done(dir, &["list"]);
    for table in
        ["topologies", "models", "policies", "optimizers", "local-optimizers", "schedules", "devices"]
    {
        assert!(all.contains(&format!("{table}\n  ")), "{table}");
    }
    assert!(done(dir, &["list", "policy"]).starts_with("policies\n  sync "));
    let json: serde_json::Value = serde_json::from_str(&done(dir, &["list", "folds", "--json"])).unwrap();
    assert_eq!(json["folds"][0]["name"], "mean");
    let schema: serde_json::Value = serde_json::from_str(&done(dir, &["schema"])).unwrap();
    assert!(schema["properties"]["topology"].is_object());
    assert!(done(dir, &["schema", "--keys"]).contains("| `training.rounds` |"));
    for shell in ["bash", "zsh", "fish"] {
        assert!(done(dir, &["completions", shell]).contains("hcddl"), "{shell}");
    }
    assert!(done(dir, &["--version"]).starts_with("hcddl "));
    assert!(done(dir, &["sim", "--help"]).contains("--timing-only"));
}

#[test]
fn data_sets_are_listed_checked_and_shown() {
    let dir = folder();
    let dir = dir.path();
    let list = done(dir, &["data", "list"]);
    assert!(
        list.starts_with("no data directory") && list.contains("missing: `hcddl data fetch mnist`"),
        "{list}"
    );
    assert!(
        list.contains("built in") && list.contains("licence: MIT") && list.contains("never tried"),
        "{list}"
    );
    let json: serde_json::Value = serde_json::from_str(&done(dir, &["data", "list", "--json"])).unwrap();
    assert_eq!((&json[0]["name"], &json[0]["state"]), (&"digits".into(), &"built in".into()));
    let check = done(dir, &["data", "check", "{name: digits, validation: 0.1}"]);
    let expected = "digits: 1294 samples to train on, 143 to validate on, 360 to test on; 1 x 8 x 8 pixels; 10 classes\n";
    assert_eq!(check, expected);
    assert!(done(dir, &["data", "check"]).contains("blobs: 10000 samples to train on"));
    refused(dir, &["data", "check", "digts"], &["unknown data set `digts`", "did you mean `digits`?"]);
    refused(dir, &["data", "fetch", "blobs"], &["nothing to fetch"]);
    refused(dir, &["data", "fetch", "femnist"], &["no files to download", "LEAF"]);
    // Damaged files are found, and the command fails.
    fs::create_dir_all(dir.join("d/mnist")).unwrap();
    fs::write(dir.join("d/mnist/train-labels-idx1-ubyte"), [0, 0, 8, 1]).unwrap();
    let output = hcddl(dir, &["data", "check", "mnist", "--data-dir", "d"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stdout(&output).contains("WRONG") && stdout(&output).contains("holds 4 bytes"),
        "{}",
        stdout(&output)
    );

    done(dir, &["init", "s.yml"]);
    let show = ["data", "show", "s.yml", "--set", "partition=shards(2)", "--svg", "plot.svg"];
    let text = done(dir, &show);
    assert!(text.contains("1437 of 1437 training samples on 4 nodes, 360 to test on"), "{text}");
    assert!(text.contains("worker1 |") && text.contains("classes on a node: "), "{text}");
    assert!(fs::read_to_string(dir.join("plot.svg")).unwrap().ends_with("</svg>\n"));
    let json: serde_json::Value =
        serde_json::from_str(&done(dir, &["data", "show", "s.yml", "--json"])).unwrap();
    assert_eq!((&json["nodes"][0]["name"], &json["nodes"][0]["samples"]), (&"worker1".into(), &360.into()));
}

/// The whole way of a data set: from a server into the cache, which the other commands then read.
#[test]
fn a_data_set_is_fetched_into_the_cache() {
    use std::io::{BufRead, BufReader, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            let asked = lines.take_while(|line| !line.is_empty()).next().unwrap_or_default();
            let found = asked.contains("/occupancy/");
            let head = if found { "200 OK" } else { "404 Not Found" };
            let answer = format!("HTTP/1.1 {head}\r\nContent-Length: 4\r\nConnection: close\r\n\r\nshort");
            let _ = stream.write_all(&answer.as_bytes()[..answer.len() - 1]);
        }
    });
    let dir = folder();
    let dir = dir.path();
    let failed = |name: &str, part: &str| {
        let output = hcddl(dir, &["data", "fetch", name, "--url-base", &base]);
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        assert!(stderr(&output).contains(part) && stdout(&output).is_empty(), "{}", stderr(&output));
    };
    failed("mnist", "answers 404");
    failed("occupancy", "holds 4 bytes");
    // A file without a known hash is taken as it comes; that it is not a CSV is the reader's business.
    let output = hcddl(dir, &["data", "fetch", "susy", "--url-base", &format!("{base}/occupancy")]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).contains("no hash to compare with"), "{}", stdout(&output));
    assert_eq!(fs::read(dir.join("cache/hcddl/susy/SUSY.csv.gz")).unwrap(), b"shor");
}

/// Steps that are far too long: the run stops and says where, or goes on with a warning for each worker.
#[test]
fn losses_that_are_not_finite() {
    let dir = folder();
    let dir = dir.path();
    let text = "topology: flat(2)\nmodel: {name: mlp, hidden: [8]}\ndata: {name: digits, limit_train: 200}\n\
                training: {rounds: 3, optimizer: sgd(1e36)}\ntiers: {global: {policy: fedavg}}\n";
    fs::write(dir.join("s.yml"), text).unwrap();
    let output = hcddl(dir, &["sim", "s.yml", "--quiet", "--out", "stop"]);
    assert_eq!(output.status.code(), Some(1));
    let told = stdout(&output);
    assert!(told.contains("ended early: worker") && told.contains("training.not_finite: skip"), "{told}");
    let skip = ["sim", "s.yml", "--quiet", "--out", "skip", "--set", "training.not_finite=skip"];
    let output = hcddl(dir, &skip);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    for worker in ["worker1", "worker2"] {
        let warned = stderr(&output).matches(&format!("{worker} skips job ")).count();
        assert_eq!(warned, 1, "{}", stderr(&output));
    }
    assert!(stdout(&output).contains("skipped_jobs"), "{}", stdout(&output));
    let best = ["sim", "s.yml", "--quiet", "--out", "best", "--set", "evaluation.best=val_loss"];
    assert!(stderr(&hcddl(dir, &best)).contains("`evaluation.best` has no effect"));
    refused(
        dir,
        &["sim", "s.yml", "--set", "training.not_finite=ignore"],
        &["training.not_finite", "ignore", "stop", "skip"],
    );
}

/// `hcddl list | head -1` must not end in a panic.
#[test]
fn a_reader_that_goes_away_is_no_error() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_hcddl"))
        .arg("schema")
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("the program starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""));
}
