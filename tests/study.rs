//! Studies: the tables are a function of the study alone, whatever the threads, shards, kills and resumptions; and
//! every mistake names its place.

use hcddl::domain::{Choice, OptionError, Row, Tables, options};
use hcddl::learn::data::ImageOptions;
use hcddl::learn::data::{DataContext, DataSet};
use hcddl::registry::Registry;
use hcddl::study::design::{RUNS_MAX, StudyOptions};
use hcddl::study::dir::StudyJson;
use hcddl::study::outcome::Status;
use hcddl::study::{Study, StudyDir, StudyError, queue};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

/// The acceptance study in small: 8 asynchronous workers, three levels of latency, all seeds crossed.
const STUDY: &str = "\
study: small
question: does latency hurt?
scenario:
  topology: flat(8)
  model: {name: mlp, hidden: [8]}
  data: {name: digits, limit_train: 400, limit_test: 100}
  training: {rounds: 60}
  tiers: {global: {policy: async}}
  evaluation: {every: 20}
  network: {lan: {latency: 'lognormal(1ms, 0.5)'}}
axes:
  network.lan.latency: [0ms, 'lognormal(5ms, 1)', 'uniform(1ms, 200ms)']
seeds: {data: 2, init: 2, interleaving: 3}
target_accuracy: 0.3
keep: [predictions]
";

const TABLES: [&str; 7] = [
    "runs.csv",
    "curves.csv",
    "staleness.csv",
    "traffic.csv",
    "participation.csv",
    "predictions.csv",
    "study.json",
];

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hcddl"));
    command.args(arguments).current_dir(folder).env_remove("HCDDL_DATA").env_remove("HCDDL_LOG");
    command
}

fn hcddl(folder: &Path, arguments: &[&str]) -> Output {
    command(folder, arguments).output().expect("the program starts")
}

fn done(folder: &Path, arguments: &[&str]) -> String {
    let output = hcddl(folder, arguments);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {told}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// A mistake: exit code 2, nothing on stdout, all the parts on stderr.
fn refused(folder: &Path, arguments: &[&str], parts: &[&str]) {
    let output = hcddl(folder, arguments);
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{arguments:?}: {told}");
    for part in parts {
        assert!(told.contains(part), "{arguments:?} lacks `{part}`: {told}");
    }
}

/// The tables of a directory, real times apart.
fn tables(dir: &Path) -> BTreeMap<&'static str, String> {
    let read = |name: &&'static str| {
        let path = dir.join(name);
        (*name, fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
    };
    TABLES.iter().map(read).collect()
}

fn lines(path: &Path) -> usize {
    fs::read_to_string(path).map_or(0, |text| text.matches('\n').count())
}

#[test]
fn threads_shards_and_kills_change_no_byte() {
    let dir = folder();
    let dir = dir.path();
    fs::write(dir.join("s.yml"), STUDY).unwrap();
    let shown = done(dir, &["study", "s.yml", "--threads", "1", "--out", "one"]);
    assert!(shown.starts_with("small: 36 runs") && shown.contains("uniform(1ms, 200ms)"), "{shown}");
    let one = tables(&dir.join("one"));
    assert_eq!(one["runs.csv"].lines().count(), 37);
    assert!(one["study.json"].contains("\"complete\": true"));

    assert_eq!(done(dir, &["study", "s.yml", "--threads", "2", "--out", "two", "-q"]), shown);
    assert_eq!(tables(&dir.join("two")), one, "two threads");

    for part in ["1/3", "2/3", "3/3"] {
        done(dir, &["study", "s.yml", "--shard", part, "-q"]);
    }
    let shards = ["runs/small-1of3", "runs/small-2of3", "runs/small-3of3"];
    assert!(tables(&dir.join(shards[0]))["study.json"].contains("\"complete\": false"));
    let merge = ["study", "merge", shards[2], shards[0], shards[1], "--out", "merged"];
    assert_eq!(done(dir, &merge), shown);
    assert_eq!(tables(&dir.join("merged")), one, "shards");

    killed_and_resumed(dir);
    assert_eq!(tables(&dir.join("killed")), one, "killed and resumed");
    assert_eq!(lines(&dir.join("killed/finished.jsonl")), 36, "no run was repeated");

    // Again: nothing is left to do, and nothing changes.
    let before = fs::read(dir.join("one/finished.jsonl")).unwrap();
    assert_eq!(done(dir, &["study", "s.yml", "--out", "one", "-q"]), shown);
    assert_eq!(fs::read(dir.join("one/finished.jsonl")).unwrap(), before);
    assert_eq!(tables(&dir.join("one")), one);
}

/// Kills a study some runs into it, tears its last line, and lets another process go on.
fn killed_and_resumed(dir: &Path) {
    let arguments = ["study", "s.yml", "--threads", "1", "--out", "killed", "-q"];
    let mut child = command(dir, &arguments).stdout(Stdio::null()).spawn().unwrap();
    let log = dir.join("killed/finished.jsonl");
    let started = Instant::now();
    while lines(&log) < 4 {
        assert!(started.elapsed() < Duration::from_secs(120), "no run ends");
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let finished = lines(&log);
    assert!((4..36).contains(&finished), "{finished} runs before the kill");
    let mut torn = fs::read_to_string(&log).unwrap();
    torn.truncate(torn.rfind('\n').unwrap() + 1);
    torn.push_str("{\"run\":35,\"status\":\"fin");
    fs::write(&log, torn).unwrap();
    assert!(!dir.join("killed/runs.csv").exists());
    // What is finished can be looked at already.
    assert_eq!(done(dir, &["report", "killed", "--out", "early"]), "early/report.html\n");
    let page = fs::read_to_string(dir.join("early/report.html")).unwrap();
    assert!(page.contains(&format!("{finished} of 36")), "{finished}");
    done(dir, &["study", "s.yml", "--threads", "2", "--out", "killed", "-q"]);
}

/// A run of a study is the run that `hcddl sim` makes of the same scenario, levels and seeds.
#[test]
fn a_run_is_that_of_sim() {
    let dir = folder();
    let dir = dir.path();
    fs::write(dir.join("s.yml"), STUDY).unwrap();
    done(dir, &["study", "s.yml", "--set", "seeds.init=1", "--out", "study", "-q"]);
    let runs = tables(&dir.join("study"))["runs.csv"].clone();
    let mut reader = csv::Reader::from_reader(runs.as_bytes());
    let header = reader.headers().unwrap().clone();
    let row = reader.records().map(Result::unwrap).nth(10).expect("18 runs");
    let cell = |name: &str| row[header.iter().position(|column| column == name).expect(name)].to_owned();
    assert_eq!(
        ["run", "network.lan.latency", "data_seed", "init_seed", "interleaving_seed"].map(cell),
        ["10", "lognormal(5ms, 1)", "2", "1", "2"]
    );
    fs::write(dir.join("base.yml"), fs::read_to_string(dir.join("study/scenario.yml")).unwrap()).unwrap();
    let latency = "network.lan.latency=lognormal(5ms, 1)";
    let sets = [latency, "seeds.data=2", "seeds.init=1", "seeds.interleaving=2"];
    let mut arguments = vec!["sim", "base.yml", "--json", "--no-timeline", "--out", "sim"];
    sets.iter().for_each(|set| arguments.extend(["--set", *set]));
    let summary: serde_json::Value = serde_json::from_str(&done(dir, &arguments)).unwrap();
    assert_eq!(summary["trace_digest"], cell("trace_digest"));
    assert_eq!(summary["weight_digest"], cell("weight_digest"));
    assert_eq!(summary["accuracy"].to_string(), cell("accuracy"));
    // The last evaluation of the curve is the run's end, with all that was spent.
    let metrics = fs::read_to_string(dir.join("sim/metrics.csv")).unwrap();
    let last: Vec<&str> = metrics.lines().last().unwrap().split(',').collect();
    let curves = tables(&dir.join("study"))["curves.csv"].clone();
    let curve = curves.lines().rfind(|line| line.starts_with("10,")).unwrap();
    assert_eq!(curve, format!("10,{}", last[..7].join(",")));
    assert_eq!((last[0], last[2]), ("60", cell("client_fits").as_str()));
    assert_eq!(last[3].parse::<u64>().unwrap(), {
        cell("bytes_up").parse::<u64>().unwrap() + cell("bytes_down").parse::<u64>().unwrap()
    });
    assert_eq!(last[4], cell("energy_j"));
    let predictions = tables(&dir.join("study"))["predictions.csv"].clone();
    let predicted = predictions.lines().find_map(|line| line.strip_prefix("10,")).unwrap();
    assert!(predicted.len() == 100 && predicted.chars().all(|c| c.is_ascii_digit()), "{predicted}");
}

/// Digits, but those of the data seed 2 cannot be read.
fn moody(choice: &Choice, tables: &dyn Tables, context: &DataContext) -> Result<DataSet, OptionError> {
    if context.seed == 2 {
        return Err(OptionError::new("", "the disk is broken", "a disk"));
    }
    (hcddl::learn::data::table().get("digits")?.build)(choice, tables, context)
}

#[test]
fn a_failed_run_is_recorded_and_the_others_go_on() {
    let dir = folder();
    let file = dir.path().join("s.yml");
    let text = STUDY.replace("{name: digits, limit_train: 400, limit_test: 100}", "moody");
    let text = text.replace("rounds: 60", "rounds: 30");
    let rates = "axes:\n  tiers.global.optimizer: [sgd(0.1), sgd(1e36)]\n";
    let axes = text.find("axes:").unwrap()..text.find("seeds:").unwrap();
    fs::write(&file, format!("{}{rates}{}", &text[..axes.start], &text[axes.end..])).unwrap();
    let mut registry = Registry::default();
    registry.learn.data.add(Row {
        name: "moody",
        summary: "",
        example: "moody",
        positional: &[],
        options: options::<ImageOptions>,
        build: moody,
    });
    let written = hcddl::study::file::read(&file, &["seeds.data=3".to_owned()]).unwrap();
    let options = StudyOptions { timing_only: false, runs_max: RUNS_MAX };
    let study = Study::new(written, options, &registry).unwrap();
    let json = StudyJson::of(&study, None);
    let run = |dir: &mut StudyDir| {
        let pending = dir.pending();
        let interrupt = Arc::new(AtomicBool::new(false));
        queue::run(&study, pending, 2, &interrupt, |finished| dir.push(&finished)).unwrap();
        dir.write_tables().unwrap();
        let mut statuses = BTreeMap::new();
        dir.each(|finished| {
            if finished.status == Status::Failed {
                assert!(finished.reason.contains("the disk is broken"), "{}", finished.reason);
            }
            *statuses.entry(finished.status.name()).or_insert(0) += 1;
            Ok(())
        })
        .unwrap();
        statuses
    };
    let out = dir.path().join("out");
    let copies = [("study.yml", ""), ("scenario.yml", "")];
    let mut first = StudyDir::open(&out, json.clone(), &copies).unwrap();
    let expected = BTreeMap::from([("failed", 12), ("finished", 12), ("stalled", 12)]);
    assert_eq!(run(&mut first), expected);
    let error = StudyDir::open(&out, json.clone(), &[]).unwrap_err().to_string();
    assert!(error.contains("by another process"), "{error}");
    drop(first);
    let table = tables_of_runs(&out);
    assert_eq!(table.lines().filter(|line| line.contains(",failed,")).count(), 12);
    assert!(table.contains("stalled,\"worker") || table.contains("stalled,worker"), "{table}");
    // Failed runs alone are tried again.
    let mut again = StudyDir::open(&out, json, &[]).unwrap();
    assert_eq!(again.pending().len(), 12);
    assert_eq!(run(&mut again), expected);
    assert_eq!(tables_of_runs(&out), table);
    drop(again);
    let merged = dir.path().join("merged");
    assert_eq!(hcddl::study::merge::merge(&[out], &merged).unwrap().pending().len(), 12);
    assert_eq!(tables_of_runs(&merged), table, "failed runs are not forgotten");
}

/// The studies of the repository: no warnings, a question, several data seeds, and few enough runs for everyone.
#[test]
fn every_ready_study_resolves() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/studies");
    let mut found: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    assert!(found.len() >= 6, "{found:?}");
    let page = fs::read_to_string(folder.join("../../docs/studies.md")).unwrap();
    for path in found {
        let registry = Registry::default();
        let written = hcddl::study::file::read(&path, &[]).unwrap_or_else(|error| panic!("{error}"));
        let options = StudyOptions { timing_only: false, runs_max: 1000 };
        let study = Study::new(written, options, &registry).unwrap_or_else(|error| panic!("{error}"));
        assert!(study.warnings.is_empty(), "{}: {:?}", path.display(), study.warnings);
        assert!(study.question.is_some() && study.seeds.data.0.len() >= 3, "{}", path.display());
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        assert_eq!(format!("{}.yml", study.name), name);
        assert!(page.contains(&format!("`{name}`")), "docs/studies.md answers {name}");
    }
}

fn tables_of_runs(dir: &Path) -> String {
    fs::read_to_string(dir.join("runs.csv")).unwrap()
}

/// Stands for the whole base of [`STUDY`].
const SCENARIO: &str = "the scenario";

/// A name, what is replaced in the study, by what.
#[rustfmt::skip]
const MISTAKES: &[(&str, &str, &str)] = &[
    ("unknown key", "question:", "qestion:"),
    ("no scenario", SCENARIO, ""),
    ("a scenario that is missing", SCENARIO, "scenario: nowhere.yml\n"),
    ("a scenario that is not one", SCENARIO, "scenario: 5\n"),
    ("a mistake in the base", "training: {rounds: 60}", "training: {rouns: 60}"),
    ("an axis that names an unknown key", "  network.lan.latency: [0ms", "  netwrk.lan.latency: [0ms"),
    ("an axis that names an unknown key further down", "  network.lan.latency: [0ms", "  network.lan.latncy: [0ms"),
    ("an axis of its own without keys", "  network.lan.latency: [0ms, 'lognormal(5ms, 1)', 'uniform(1ms, 200ms)']", "  problem: {near: 1ms}"),
    ("named levels that name no key", "  network.lan.latency: [0ms, 'lognormal(5ms, 1)', 'uniform(1ms, 200ms)']", "  problem:\n    near: {network.lan.latency: 1ms}\n    far: {netwrk.lan.latency: 1ms}"),
    ("empty axes", "  network.lan.latency: [0ms, 'lognormal(5ms, 1)', 'uniform(1ms, 200ms)']", ""),
    ("an empty axis", "[0ms, 'lognormal(5ms, 1)', 'uniform(1ms, 200ms)']", "[]"),
    ("an axis that is one value", "[0ms, 'lognormal(5ms, 1)', 'uniform(1ms, 200ms)']", "1ms"),
    ("a level twice", "[0ms,", "[0ms, 0ms,"),
    ("two levels that set the same", "[0ms, 'lognormal(5ms, 1)', 'uniform(1ms, 200ms)']", "{near: 1ms, far: 1ms}"),
    ("a level that the scenario refuses", "'lognormal(5ms, 1)'", "'normal(5ms)'"),
    ("a level that leads nowhere", "network.lan.latency: [0ms, ", "topology.x: [0ms, "),
    ("a combination that the scenario refuses", "seeds: {", "  topology: [ring(8), star(8)]\n  peers.algorithm: [ring_all_reduce]\nseeds: {"),
    ("a level whose data is too little", "seeds: {", "  topology: [flat(8), flat(500)]\nseeds: {"),
    ("two axes of one key", "seeds: {", "  network.lan: [{latency: 1ms}, {latency: 2ms}]\nseeds: {"),
    ("seeds as an axis", "  network.lan.latency: [0ms", "  seed: [1, 2"),
    ("an axis without effect", "  network.lan.latency: [0ms", "  description: [0ms"),
    ("no seeds", "data: 2", "data: 0"),
    ("a seed twice", "data: 2", "data: [3, 3]"),
    ("target in per cent", "target_accuracy: 0.3", "target_accuracy: 30"),
    ("keeps what there is not", "keep: [predictions]", "keep: [models]"),
];

fn mistake(path: &Path) -> StudyError {
    let registry = Registry::default();
    let options = StudyOptions { timing_only: false, runs_max: RUNS_MAX };
    let study = hcddl::study::file::read(path, &[]).map_err(StudyError::from);
    match study.and_then(|written| Study::new(written, options, &registry).map(|study| study.runs)) {
        Ok(runs) => panic!("accepted, {runs} runs: {}", fs::read_to_string(path).unwrap()),
        Err(error) => error,
    }
}

#[test]
fn each_mistake_has_its_message() {
    let dir = folder();
    let file = dir.path().join("s.yml");
    let mut page = String::new();
    for (name, from, to) in MISTAKES {
        let scenario = STUDY.find("scenario:").unwrap()..STUDY.find("axes:").unwrap();
        let from = if *from == SCENARIO { &STUDY[scenario] } else { from };
        assert!(STUDY.contains(from), "{name}");
        fs::write(&file, STUDY.replacen(from, to, 1)).unwrap();
        let error = mistake(&file);
        let StudyError::User(user) = &error else { panic!("{name}: {error}") };
        let way_out = !user.allowed.is_empty() || !user.next_step.is_empty();
        assert!(way_out && !user.message.ends_with('.'), "{name}: {error}");
        let shown = error.to_string().replace(&format!("{}/", dir.path().display()), "");
        page += &format!("# {name}\n{shown}\n\n");
    }
    insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!("study_mistakes", page);
    });
}

#[test]
fn mistakes_on_the_command_line_and_in_directories() {
    let dir = folder();
    let dir = dir.path();
    fs::write(dir.join("s.yml"), STUDY.replace("rounds: 60", "rounds: 2")).unwrap();
    let few = ["--set", "seeds={data: 1, init: 1, interleaving: 1}"];
    let with = |arguments: &[&'static str]| [&["study", "s.yml", "-q"], arguments, &few].concat();
    refused(dir, &["study"], &["<STUDY>"]);
    refused(dir, &["study", "s.yml", "--shard", "3/2"], &["3/2", "1/8"]);
    let million = "seeds={data: 100, init: 100, interleaving: 100}";
    refused(
        dir,
        &["study", "s.yml", "--set", million],
        &["3000000 runs (3 x 100 x 100 x 100)", "10000", "--max-runs"],
    );
    refused(dir, &["study", "s.yml", "--max-runs", "35"], &["36 runs", "more than 35"]);
    refused(dir, &with(&["--set", "network.lan.latency=1ms"]), &["--set network.lan.latency", "the axis"]);
    refused(dir, &with(&["--set", "training.rouns=1"]), &["--set training.rouns=1", "did you mean `rounds`"]);
    done(dir, &["init", "scenario.yml"]);
    refused(dir, &["study", "scenario.yml"], &["is a scenario, not a study"]);
    refused(dir, &["sim", "s.yml"], &["is a study, not a scenario", "hcddl study s.yml"]);
    let plan = done(dir, &["study", "s.yml", "--dry-run"]);
    assert!(plan.contains("small: 36 runs\nquestion: does latency hurt?\n"), "{plan}");
    assert!(!dir.join("runs").exists(), "a dry run writes nothing");

    done(dir, &with(&["--out", "a"]));
    refused(dir, &with(&["--out", "."]), &["holds no study", "--out"]);
    refused(dir, &with(&["--out", "a", "--shard", "1/2"]), &["the whole study", "shard 1/2"]);
    refused(dir, &with(&["--out", "a", "--set", "training.rounds=3"]), &["before it was changed"]);
    refused(dir, &with(&["--out", "a", "--timing-only"]), &["before it was changed"]);
    refused(dir, &["study", "merge", "a", "--out", "a"], &["is where the parts are to go"]);
    refused(dir, &["study", "merge", "a", "b", "--out", "c"], &["`b`", "no study.json"]);
    done(dir, &with(&["--out", "b", "--timing-only"]));
    refused(dir, &["study", "merge", "a", "b", "--out", "c"], &["different studies"]);
    let timing = tables_of_runs(&dir.join("b"));
    assert!(timing.lines().nth(1).unwrap().contains(",finished,rounds,"), "{timing}");

    // Half-written: a comment or a moved file does not make another study, a missing table is written again.
    let tables = tables_of_runs(&dir.join("a"));
    fs::remove_file(dir.join("a/runs.csv")).unwrap();
    fs::write(dir.join("s.yml"), fs::read_to_string(dir.join("s.yml")).unwrap() + "# a comment\n").unwrap();
    done(dir, &with(&["--out", "a"]));
    assert_eq!(tables_of_runs(&dir.join("a")), tables);
    let log = fs::read_to_string(dir.join("a/finished.jsonl")).unwrap();
    fs::write(dir.join("a/finished.jsonl"), format!("{{\n{log}")).unwrap();
    refused(dir, &with(&["--out", "a"]), &["line 1 of finished.jsonl", "delete that line"]);
    fs::write(dir.join("a/study.json"), "{\"format\": 1").unwrap();
    refused(dir, &with(&["--out", "a"]), &["study.json", "delete the directory"]);
}
