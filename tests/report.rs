//! Reports, comparisons and exports, from directories as runs and studies leave them.

use hcddl::report::carbon::Carbon;
use hcddl::report::compose::Subject;
use hcddl::report::figure::style;
use hcddl::report::page::{Block, Report, files, html};
use hcddl::report::read::Source;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn hcddl(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hcddl"));
    command.args(arguments).current_dir(folder).env_remove("HCDDL_DATA").output().expect("the program starts")
}

fn done(folder: &Path, arguments: &[&str]) -> String {
    let output = hcddl(folder, arguments);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn refused(folder: &Path, arguments: &[&str], parts: &[&str]) {
    let output = hcddl(folder, arguments);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
    assert!(output.stdout.is_empty() && text.starts_with("error: "), "{arguments:?}: {text}");
    for part in parts {
        assert!(text.contains(part), "{arguments:?} lacks `{part}`: {text}");
    }
}

/// A study of two latencies and two policies over 3 x 2 x 3 seeds, as a runner writes it. The policy `slow` never
/// reaches the target with the larger latency.
fn write_study(dir: &Path, faster_by: f64) {
    fs::create_dir_all(dir).unwrap();
    let head = r#"{"format":1,"name":"fixture","question":"Is <slow> slower?","scenario":"base","axes":[
        {"name":"network.lan.latency","levels":["1ms","10ms"]},{"name":"tiers.global.policy","levels":["fast","slow, x"]}],
        "seeds":{"data":[1,2,3],"init":[7,8],"interleaving":[1,2,3]},"target_accuracy":0.8,"runs":72,"complete":true,
        "timing_only":false}"#;
    fs::write(dir.join("study.json"), head).unwrap();
    let mut runs = "run,network.lan.latency,tiers.global.policy,data_seed,init_seed,interleaving_seed,status,reason,\
        virtual_time_s,accuracy,loss,time_to_target_s,staleness_mean,energy_j,energy_marginal_j,worker_compute,worker_send,\
        worker_wait,worker_idle,trace_digest,weight_digest\n".to_owned();
    let mut curves = "run,version,virtual_time_s,updates,bytes,energy_j,accuracy,loss\n".to_owned();
    let mut staleness = "run,node,staleness,count\n".to_owned();
    let mut traffic = "run,tier,bytes\n".to_owned();
    let mut participation = "run,node,contributions\n".to_owned();
    let mut predictions = "run,predictions\n".to_owned();
    let mut run = 0;
    for (latency, level) in ["1ms", "10ms"].iter().enumerate() {
        for (slow, policy) in ["fast", "\"slow, x\""].iter().enumerate() {
            for (d, i, x) in seeds() {
                // Effects of every seed and an interaction, so that no index is zero.
                let luck = 0.01 * (d as f64 + 0.5 * i as f64 + 0.3 * x as f64 + 0.2 * ((d * x) % 3) as f64);
                let step = (1.0 + latency as f64 + 2.0 * slow as f64 + luck) / faster_by;
                let reaches = !(latency == 1 && slow == 1);
                let mut target = String::new();
                for version in 0..=10 {
                    let part = f64::from(version) / 10.0;
                    let accuracy = if reaches { 0.1 + 0.8 * part } else { 0.1 + 0.5 * part } + luck * part;
                    let time = step * f64::from(version);
                    if target.is_empty() && accuracy >= 0.8 {
                        target = time.to_string();
                    }
                    let loss = 2.0 - accuracy;
                    writeln!(
                        curves,
                        "{run},{version},{time},{version},{},{time},{accuracy},{loss}",
                        version * 100
                    )
                    .unwrap();
                }
                let accuracy = (if reaches { 0.9 } else { 0.6 }) + luck;
                writeln!(
                    runs,
                    "{run},{level},{policy},{d},{i},{x},finished,rounds,{},{accuracy},{},{target},1.5,{},1.0,0.25,0.25,0.5,0,t{run},w{run}",
                    step * 10.0, 2.0 - accuracy, step * 10.0
                ).unwrap();
                for node in 1..=3 {
                    writeln!(staleness, "{run},worker{node},{},5", node - 1).unwrap();
                    writeln!(staleness, "{run},worker{node},{},1", node + 3).unwrap();
                    writeln!(participation, "{run},worker{node},6").unwrap();
                }
                writeln!(traffic, "{run},depth 1 down,500\n{run},depth 1 up,1000").unwrap();
                writeln!(predictions, "{run},{}", if x == 1 { "0123" } else { "0124" }).unwrap();
                run += 1;
            }
        }
    }
    for (file, text) in [
        ("runs.csv", runs),
        ("curves.csv", curves),
        ("staleness.csv", staleness),
        ("traffic.csv", traffic),
        ("participation.csv", participation),
        ("predictions.csv", predictions),
        ("scenario.yml", "topology: {name: flat, workers: 3}\nmodel: softmax\n".to_owned()),
    ] {
        fs::write(dir.join(file), text).unwrap();
    }
}

fn seeds() -> impl Iterator<Item = (u64, u64, u64)> {
    (1..=3).flat_map(|d| (7..=8).flat_map(move |i| (1..=3).map(move |x| (d, i, x))))
}

fn report(dirs: &[PathBuf]) -> Report {
    let subject = |dir: &PathBuf| Subject { source: Source::read(dir).unwrap(), validity: Vec::new() };
    Report::about(&dirs.iter().map(subject).collect::<Vec<_>>(), &Carbon::default()).unwrap()
}

/// What every report must be: complete, small, self-contained, every figure with its caption and axes.
fn check_page(report: &Report) {
    let page = html::page(report);
    assert!(page.len() < 5_000_000);
    for outside in ["http://", "https://", "src=", "@import", "url("] {
        assert!(!page.contains(outside), "the page asks for something outside: {outside}");
    }
    assert!(!page.contains("NaN") && !page.contains(">inf"), "a value that is not a number");
    let mut names = Vec::new();
    for block in report.parts.iter().flat_map(|part| &part.sections).flat_map(|section| &section.blocks) {
        if let Block::Figure(name, drawing, caption) = block {
            assert!(caption.len() > 20 && caption.ends_with('.'), "{name}: {caption}");
            assert!(drawing.body.contains("<text"), "{name}");
            let file = style::file(drawing);
            assert!(file.matches("<svg").count() == 1 && !file.contains("var("), "{name} stands alone");
            names.push(name.clone());
        }
    }
    let all = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), all, "no figure overwrites another one");
}

#[test]
fn a_study_in_figures_tables_and_words() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("study");
    write_study(&dir, 1.0);
    let report = report(std::slice::from_ref(&dir));
    check_page(&report);
    let titles: Vec<&str> = report.parts[0].sections.iter().map(|section| section.title.as_str()).collect();
    assert_eq!(
        titles,
        [
            "Results",
            "Learning curves",
            "Time to accuracy",
            "Where the variance comes from",
            "Divergence between interleavings",
            "Staleness and participation",
            "Where the time and the bytes go",
            "Energy and carbon",
            "Validity"
        ]
    );
    let page = html::page(&report);
    for part in [
        "Is &lt;slow&gt; slower?",
        "72 of 72 have ended",
        "latency 1ms, policy slow, x",
        "3 data x 2 init x 3 interleaving",
        "18 of 18",
        "0 of 18",
        "not reached",
        "481 g CO2 per kWh",
    ] {
        assert!(page.contains(part), "{part}");
    }
    // The same bytes again.
    assert_eq!(page, html::page(&self::report(&[dir])));
}

#[test]
fn numbers_lie_beside_the_page() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("study");
    write_study(&dir, 1.0);
    let out = folder.path().join("out");
    let written = files::write(&report(&[dir]), &out).unwrap();
    assert_eq!(written.page, out.join("report.html"));
    let csv = fs::read_to_string(out.join("data/a-beats-b.csv")).unwrap();
    // Every run of the smaller latency is faster; the one that never arrives loses against all.
    assert!(csv.contains("\"latency 1ms, policy fast\",\"latency 10ms, policy fast\",1,"), "{csv}");
    assert!(csv.contains("\"latency 10ms, policy slow, x\",\"latency 1ms, policy slow, x\",0,"), "{csv}");
    let times = fs::read_to_string(out.join("data/time-to-target.csv")).unwrap();
    let never = times.lines().find(|line| line.contains("10ms, policy slow")).unwrap();
    assert!(never.contains(",18,0,,,,,"), "no quantile of a target that nobody reaches: {never}");
    let split = fs::read_to_string(out.join("data/variance.csv")).unwrap();
    assert_eq!(split.lines().count(), 1 + 4 * 3, "three seeds of four settings");
    for sheet in fs::read_dir(out.join("data")).unwrap() {
        let path = sheet.unwrap().path();
        assert!(fs::metadata(&path).unwrap().len() > 20, "{}", path.display());
    }
    let svg = fs::read_dir(out.join("figures")).unwrap().count();
    assert!(svg == written.figures && svg >= 12, "{svg}");
}

#[test]
fn two_studies_are_compared_pair_by_pair() {
    let folder = tempfile::tempdir().unwrap();
    write_study(&folder.path().join("a"), 1.0);
    write_study(&folder.path().join("b"), 2.0);
    let text = done(folder.path(), &["compare", "a", "b"]);
    let line = text.lines().find(|line| line.contains("latency 1ms, policy fast")).unwrap();
    // The same accuracies, and B is always the first to reach the target.
    assert!(line.contains("18") && line.contains("0.00 [0.00, "), "{text}");
    assert!(text.contains("P(A reaches the target earlier)"), "{text}");
}

#[test]
fn what_is_no_study_is_refused_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let dir = at.join("s");
    let damaged = |file: &str, from: &str, to: &str| {
        write_study(&dir, 1.0);
        let text = fs::read_to_string(dir.join(file)).unwrap();
        assert!(text.contains(from), "{file} holds {from}");
        fs::write(dir.join(file), text.replacen(from, to, 1)).unwrap();
    };
    refused(at, &["report", "nowhere"], &["nowhere", "not a directory"]);
    fs::create_dir_all(at.join("empty")).unwrap();
    refused(at, &["report", "empty"], &["neither plan.yml", "nor study.json"]);
    damaged("runs.csv", "0,1ms,fast", "0,2ms,fast");
    refused(at, &["report", "s"], &["runs.csv:2", "network.lan.latency", "`2ms`", "1ms, 10ms"]);
    damaged("runs.csv", "status", "state");
    refused(at, &["report", "s"], &["runs.csv", "no column `status`", "network.lan.latency"]);
    damaged("curves.csv", ",0.1,1.9", ",good,1.9");
    refused(at, &["report", "s"], &["curves.csv:2", "accuracy", "`good`", "a number"]);
    damaged("study.json", "\"format\":1", "\"format\"");
    refused(at, &["report", "s"], &["study.json:1", "damaged"]);
    write_study(&dir, 1.0);
    fs::remove_file(dir.join("runs.csv")).unwrap();
    refused(at, &["report", "s"], &["runs.csv", "missing", "hcddl study"]);
    write_study(&dir, 1.0);
    refused(at, &["report", "s", "--carbon", "atlantis"], &["--carbon", "`atlantis`", "norway"]);
}

const EVIL: &str = "<img src=x onerror=alert(1)>\"'&\u{1b}[31m</text></svg><script>alert(2)</script>";

/// Nothing of `EVIL` is markup in these texts, and none of it reaches a terminal.
fn harmless(report: &Report, what: &str) {
    let page = html::page(report);
    let drawings = report.parts.iter().flat_map(|part| &part.sections).flat_map(|section| &section.blocks);
    let mut texts = vec![page.replacen("<script>", "", 1)];
    texts.extend(drawings.filter_map(|block| match block {
        Block::Figure(_, drawing, _) => Some(style::file(drawing)),
        _ => None,
    }));
    assert!(page.contains("&lt;img"), "{what}: it is shown");
    for text in texts {
        for markup in ["<img", "<script", "</text></svg><", "\u{1b}"] {
            assert!(!text.contains(markup), "{what}: `{markup}` in a page or a figure");
        }
    }
}

/// A run directory or a study may come from a stranger: names and reasons in it are text, whatever they are.
#[test]
fn hostile_names_stay_text() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let dir = at.join("study");
    write_study(&dir, 1.0);
    let json = serde_json::to_string(EVIL).unwrap();
    let replaced = |file: &str, pairs: &[(&str, &str)]| {
        let mut text = fs::read_to_string(dir.join(file)).unwrap();
        for (from, to) in pairs {
            assert!(text.contains(from), "{file} holds {from}");
            text = text.replace(from, to);
        }
        fs::write(dir.join(file), text).unwrap();
    };
    let level = format!("\"{}\"", EVIL.replace('"', "\"\""));
    replaced("study.json", &[("\"fast\"", &json), ("\"fixture\"", &json), ("\"Is <slow> slower?\"", &json)]);
    replaced("runs.csv", &[(",fast,", &format!(",{level},")), (",rounds,", &format!(",{level},"))]);
    harmless(&report(std::slice::from_ref(&dir)), "a study");

    fs::write(at.join("s.yml"), "topology: flat(2)\nmodel: softmax\ntraining: {rounds: 3}\n").unwrap();
    done(at, &["sim", "s.yml", "--out", "a"]);
    let summary = at.join("a/summary.json");
    let mut read: serde_json::Value = serde_json::from_slice(&fs::read(&summary).unwrap()).unwrap();
    read["reason"] = serde_json::json!({"stalled": EVIL});
    if read["reason"].is_null()
        || serde_json::from_value::<hcddl::measure::outcome::Summary>(read.clone()).is_err()
    {
        read["reason"] = serde_json::json!({"Stalled": EVIL});
    }
    read["dropped_updates"] = serde_json::json!({EVIL: 3});
    read["metrics"] = serde_json::json!({EVIL: 4.0});
    fs::write(&summary, read.to_string()).unwrap();
    harmless(&report(&[at.join("a")]), "a run");
    for command in [["report", "a", "--out", "r"].as_slice(), &["compare", "a", "a"]] {
        let output = hcddl(at, command);
        let said = [output.stdout, output.stderr].concat();
        assert!(!said.contains(&0x1b), "{command:?}: {}", String::from_utf8_lossy(&said));
    }
}

/// From a scenario to every output that a run has.
#[test]
fn a_run_from_scenario_to_report() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let scenario = "topology: {name: tree, fanout: [2, 2]}\nmodel: softmax\n\
                    training: {rounds: 6, local: {epochs: 1}}\n\
                    tiers: {global: {policy: fedavg}, local: {policy: fedasync}}\n";
    fs::write(at.join("s.yml"), scenario).unwrap();
    done(at, &["sim", "s.yml", "--out", "a"]);
    done(at, &["sim", "s.yml", "--out", "b", "--set", "seeds.interleaving=9"]);
    done(at, &["sim", "s.yml", "--out", "c"]);

    assert_eq!(done(at, &["report", "a", "b", "--out", "r"]), "r/report.html\n");
    check_page(&report(&[at.join("a"), at.join("b")]));
    let page = fs::read_to_string(at.join("r/report.html")).unwrap();
    for part in [
        "Critical path",
        "10 % faster saves",
        "who did what when",
        "fold weighted",
        "device speeds are defaults",
    ] {
        assert!(page.contains(part), "{part}");
    }
    critical_path_adds_up(&at.join("a"));

    let text = done(at, &["compare", "a", "b"]);
    assert!(text.contains("seeds.interleaving") && text.contains("first commit that differs"), "{text}");
    let same = done(at, &["compare", "a", "c"]);
    assert!(same.contains("the same settings") && same.contains("the weights are equal"), "{same}");
    refused(at, &["compare", "a", "nowhere"], &["nowhere"]);

    let events = done(at, &["export", "a", "--format", "tensorboard", "--out", "tb"]);
    let bytes = fs::read(at.join(events.trim())).unwrap();
    assert!(bytes.windows(19).any(|tag| tag == b"evaluation/accuracy"));
    done(at, &["export", "a", "--format", "jsonl", "--out", "j"]);
    let lines = fs::read_to_string(at.join("j/run.jsonl")).unwrap();
    let lines: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&lines[0]["type"], &lines[lines.len() - 1]["type"]), (&"run".into(), &"summary".into()));
    assert!(lines.iter().any(|line| line["type"] == "commit" && line["node"] == "global"));
    let tables = done(at, &["export", "a", "--format", "parquet", "--out", "p"]);
    assert_eq!(tables, "p/commits.parquet\np/metrics.parquet\n");
}

/// The pieces of the path touch each other and reach from the start to the last commit.
fn critical_path_adds_up(dir: &Path) {
    let Source::Run(run) = Source::read(dir).unwrap() else { panic!("{} is a run", dir.display()) };
    let (path, end) = hcddl::report::run::path::of_run(&run).unwrap();
    assert!(path[0].start < 1e-8 && (path[path.len() - 1].end - end).abs() < 1e-8, "{path:?}");
    for pair in path.windows(2) {
        assert!((pair[0].end - pair[1].start).abs() < 1e-8, "{pair:?}");
    }
    let total: f64 = path.iter().map(|piece| piece.end - piece.start).sum();
    assert!((total - end).abs() < 1e-6 * end.max(1.0), "{total} {end}");
}
