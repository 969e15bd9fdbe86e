use super::*;
use hcddl_core::domain::{NodeId, Time, Version};
use hcddl_core::node::Contribution;
use hcddl_plan::fixture;
use hcddl_plan::measure::outcome::SpanKind;
use serde_json::Value;
use std::fs;

fn commit(version: u64, bases: &[u64]) -> CommitRow {
    let contributors = bases
        .iter()
        .zip(2..)
        .map(|(base, node)| Contribution {
            node: NodeId(node),
            base: Version(*base),
            weight: 0.5,
            samples: 32,
            loss: f32::NAN,
        })
        .collect();
    let at = Time(version * 1_250_000_000);
    CommitRow { node: NodeId(0), version: Version(version), at, contributors, bytes_in: 512 }
}

fn evaluation(version: u64, values: &[(&str, f64)]) -> EvaluationRow {
    let values = values.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
    let (version, at) = (Version(version), Time(version * 1_250_000_000));
    let (updates, bytes, energy_j) = (Some(4 * version.0), Some(1_000_000), None);
    EvaluationRow { version, at, updates, bytes, energy_j, values }
}

fn span(node: u32, kind: SpanKind, start: u64, end: u64) -> TimelineSpan {
    let other = (kind == SpanKind::Send).then_some(NodeId(1));
    let label = if kind == SpanKind::Send { "update" } else { "train" }.to_owned();
    TimelineSpan { node: NodeId(node), kind, start: Time(start), end: Time(end), label, other, bytes: 512 }
}

/// Part `n` of a run: a commit, an evaluation, compute and a transfer that overlaps the next compute.
fn play(recorder: &mut Recorder, n: u64) {
    recorder.commit(&commit(n, &[n - 1, n.saturating_sub(3)]));
    recorder
        .evaluation(&evaluation(n, &[("accuracy", 0.5 + n as f64 / 100.0), ("bytes", 1e6), ("rank", 3.0)]));
    let start = n * 10_000;
    recorder.span(&span(2, SpanKind::Compute, start, start + 5_500));
    recorder.span(&span(2, SpanKind::Send, start + 5_500, start + 11_001));
}

fn new_run() -> (tempfile::TempDir, RunDir, Plan) {
    let base = tempfile::tempdir().unwrap();
    let dir = RunDir::create(Some(&base.path().join("run")), "x").unwrap();
    (base, dir, fixture::tree(2, 2))
}

fn read(dir: &RunDir, name: &str) -> String {
    fs::read_to_string(dir.join(name)).unwrap()
}

#[test]
fn the_tables_are_written_while_the_run_goes_on() {
    let (_base, dir, plan) = new_run();
    let mut recorder = Recorder::create(&dir, &plan, RecorderOptions::default()).unwrap();
    assert_eq!(read(&dir, file::METRICS), "version,virtual_time_s,updates,bytes,energy_j,accuracy,loss\n");
    for n in 1..=3 {
        play(&mut recorder, n);
    }
    assert_eq!(
        read(&dir, file::METRICS),
        "version,virtual_time_s,updates,bytes,energy_j,accuracy,loss,rank\n\
         1,1.25,4,1000000,,0.51,,3\n\
         2,2.5,8,1000000,,0.52,,3\n\
         3,3.75,12,1000000,,0.53,,3\n"
    );
    recorder.position().unwrap();
    assert_eq!(
        read(&dir, file::COMMITS),
        "node,version,virtual_time_s,contributors,base_versions,staleness,bytes\n\
         global,1,1.25,worker2;worker3,0;0,0;0,512\n\
         global,2,2.5,worker2;worker3,1;0,0;1,512\n\
         global,3,3.75,worker2;worker3,2;0,0;2,512\n"
    );
}

#[test]
fn a_metric_that_nobody_announced_gets_its_column() {
    let (_base, dir, plan) = new_run();
    let mut recorder = Recorder::create(&dir, &plan, RecorderOptions::default()).unwrap();
    recorder.evaluation(&evaluation(1, &[("loss", 2.5)]));
    recorder.evaluation(&evaluation(2, &[("loss", f64::NAN), ("rank[a,b]", 1e-9)]));
    recorder.evaluation(&evaluation(3, &[("rank[a,b]", 3.0)]));
    assert_eq!(
        read(&dir, file::METRICS),
        "version,virtual_time_s,updates,bytes,energy_j,accuracy,loss,rank[a_b]\n\
         1,1.25,4,1000000,,,2.5,\n\
         2,2.5,8,1000000,,,NaN,0.000000001\n\
         3,3.75,12,1000000,,,,3\n"
    );
}

#[test]
fn a_resumed_run_leaves_the_files_of_an_uninterrupted_one() {
    let options = RecorderOptions::default();
    let names = [file::METRICS, file::COMMITS, file::TIMELINE];
    let (_a, whole, plan) = new_run();
    let mut recorder = Recorder::create(&whole, &plan, options).unwrap();
    (1..=6).for_each(|n| play(&mut recorder, n));
    recorder.finish(&hcddl_plan::fixture::summary()).unwrap();

    let (_b, broken, _) = new_run();
    let mut recorder = Recorder::create(&broken, &plan, options).unwrap();
    (1..=3).for_each(|n| play(&mut recorder, n));
    let position = recorder.position().unwrap();
    let stored = hcddl_files::bytes::to_bytes(&position).unwrap();
    // What comes after the checkpoint is lost with the crash, and was partly written. A new metric has even
    // changed the rows before it.
    (4..=5).for_each(|n| play(&mut recorder, n));
    recorder.evaluation(&evaluation(5, &[("late", 1.0)]));
    drop(recorder);
    let position = hcddl_files::bytes::from_bytes(&stored, 1 << 20).unwrap();
    let mut recorder = Recorder::resume(&broken, &plan, options, position).unwrap();
    (4..=6).for_each(|n| play(&mut recorder, n));
    recorder.finish(&hcddl_plan::fixture::summary()).unwrap();

    for name in names {
        assert_eq!(read(&broken, name), read(&whole, name), "{name}");
    }
}

#[test]
fn files_that_do_not_fit_the_checkpoint_are_refused() {
    let (_base, dir, plan) = new_run();
    let mut recorder = Recorder::create(&dir, &plan, RecorderOptions::default()).unwrap();
    play(&mut recorder, 1);
    let position = recorder.position().unwrap();
    drop(recorder);
    for name in [file::METRICS, file::COMMITS, file::TIMELINE] {
        let whole = read(&dir, name);
        fs::write(dir.join(name), &whole[..whole.len() / 2]).unwrap();
        let resumed = Recorder::resume(&dir, &plan, RecorderOptions::default(), position.clone());
        let error = resumed.unwrap_err().to_string();
        assert!(error.contains(&format!("{name} is shorter than its checkpoint says")), "{error}");
        fs::write(dir.join(name), whole).unwrap();
    }
}

#[test]
fn the_timeline_is_valid_and_its_spans_never_overlap_on_a_track() {
    let (_base, dir, plan) = new_run();
    let mut recorder = Recorder::create(&dir, &plan, RecorderOptions::default()).unwrap();
    for n in 1..=5 {
        play(&mut recorder, n);
        recorder.span(&span(0, SpanKind::Send, n * 100, n * 100 + 250));
    }
    recorder.finish(&hcddl_plan::fixture::summary()).unwrap();
    let events: Vec<Value> = serde_json::from_str(&read(&dir, file::TIMELINE)).unwrap();
    let mut ends = std::collections::BTreeMap::new();
    let mut by_category = std::collections::BTreeMap::new();
    for event in events.iter().filter(|e| e["ph"] == "X") {
        let nanos = |key: &str| (event[key].as_f64().unwrap() * 1000.0).round() as u64;
        *by_category.entry(event["cat"].as_str().unwrap()).or_insert(0) += 1;
        if event["cat"] != "wait" {
            let track = (event["pid"].as_u64().unwrap(), event["tid"].as_u64().unwrap());
            let end = ends.insert(track, nanos("ts") + nanos("dur"));
            assert!(end <= Some(nanos("ts")), "{event} starts before {end:?}");
        }
    }
    let counts: Vec<_> = by_category.into_iter().collect();
    // Each compute but the first starts while the transfer before it still runs: one wait, at the start.
    assert_eq!(counts, [("compute", 5), ("send", 10), ("wait", 1)]);
}

#[test]
fn the_timeline_word_by_word() {
    let (_base, dir, plan) = new_run();
    let options = RecorderOptions { timeline: true, spans_max: 3 };
    let mut recorder = Recorder::create(&dir, &plan, options).unwrap();
    recorder.span(&span(2, SpanKind::Compute, 1, 1_500));
    recorder.span(&span(2, SpanKind::Send, 1_500, 2_000));
    recorder.span(&span(2, SpanKind::Down, 3_000, 4_000));
    assert!(recorder.wants_spans());
    recorder.span(&span(2, SpanKind::Compute, 4_000, 5_000));
    assert!(!recorder.wants_spans());
    let warnings = recorder.finish(&hcddl_plan::fixture::summary()).unwrap();
    assert_eq!(warnings, ["timeline.json holds the first 3 spans, up to 4 us of virtual time"]);
    insta::assert_snapshot!(read(&dir, file::TIMELINE), @r#"
    [
    {"name":"process_name","ph":"M","pid":3,"args":{"name":"workers"}},
    {"name":"process_sort_index","ph":"M","pid":3,"args":{"sort_index":3}},
    {"name":"thread_name","ph":"M","pid":3,"tid":3,"args":{"name":"worker2"}},
    {"name":"thread_sort_index","ph":"M","pid":3,"tid":3,"args":{"sort_index":2000}},
    {"name":"wait","cat":"wait","ph":"X","ts":0.000,"dur":0.001,"pid":3,"tid":3},
    {"name":"train","cat":"compute","ph":"X","ts":0.001,"dur":1.499,"pid":3,"tid":3},
    {"name":"thread_name","ph":"M","pid":3,"tid":11,"args":{"name":"worker2 sends"}},
    {"name":"thread_sort_index","ph":"M","pid":3,"tid":11,"args":{"sort_index":2001}},
    {"name":"update to local1","cat":"send","ph":"X","ts":1.500,"dur":0.500,"pid":3,"tid":11,"args":{"bytes":512}},
    {"name":"wait","cat":"wait","ph":"X","ts":2.000,"dur":1.000,"pid":3,"tid":3},
    {"name":"down","cat":"down","ph":"X","ts":3.000,"dur":1.000,"pid":3,"tid":3},
    {"name":"timeline","ph":"M","pid":1,"args":{"spans":"3 spans; those after 4 us are left out"}}
    ]
    "#);
}

#[test]
fn the_first_error_of_the_disk_is_reported() {
    let (_base, dir, plan) = new_run();
    let mut recorder = Recorder::create(&dir, &plan, RecorderOptions::default()).unwrap();
    fs::remove_dir_all(dir.path()).unwrap();
    // Adding a column reads the file again, which is gone.
    recorder.evaluation(&evaluation(1, &[("new", 1.0)]));
    recorder.evaluation(&evaluation(2, &[]));
    let error = recorder.finish(&hcddl_plan::fixture::summary()).unwrap_err();
    assert!(error.to_string().starts_with("cannot read `"), "{error}");
}

#[test]
fn what_is_needed_to_repeat_a_run() {
    let mut repeat = crate::record::repeat::Repeat::new(
        vec!["hcddl".to_owned(), "sim".to_owned()],
        "out".as_ref(),
        [1, 2, 3],
    );
    let before: Value = serde_json::from_str(&repeat.to_json()).unwrap();
    assert_eq!(before["repeat"], "hcddl sim out/plan.yml");
    assert_eq!(before["trace_digest"], Value::Null);
    repeat.finish(&hcddl_plan::fixture::summary());
    let after: Value = serde_json::from_str(&repeat.to_json()).unwrap();
    assert_eq!(after["weight_digest"], "fedcba9876543210fedcba9876543210");
    assert_eq!(after["seeds"], serde_json::json!([1, 2, 3]));
}
