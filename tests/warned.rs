//! What is cut or has no effect is said, and what a person writes nearly right gets the right hint.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn hcddl(folder: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hcddl"));
    command.args(arguments).current_dir(folder).env_remove("HCDDL_DATA").env_remove("HCDDL_LOG");
    texts(command.output().unwrap())
}

fn texts(output: Output) -> (Option<i32>, String, String) {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

const FLAT: &str = "topology: flat(4)\nmodel: softmax\ntraining: {rounds: 3}\n";

/// Four workers; all options that count children, and more of them than there are.
#[test]
fn options_that_speak_of_more_children_than_there_are() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("s.yml"), FLAT).unwrap();
    for (policy, option, count) in [
        ("{name: sync, clients: 10}", "clients", 10),
        ("{name: sync, wait_for: 5}", "wait_for", 5),
        ("{name: sync, backup: 4}", "backup", 5),
        ("{name: fedavg, clients: 10}", "clients", 10),
        ("k_async(10)", "k", 10),
        ("{name: deadline, after: 1s, minimum: 9}", "minimum", 9),
        ("{name: fedbuff, k: 2, concurrency: 100}", "concurrency", 100),
    ] {
        let set = format!("tiers.global.policy={policy}");
        let (code, _, said) = hcddl(folder.path(), &["check", "s.yml", "--set", &set]);
        let expected = format!("`{option}` of");
        let counted = format!("speaks of {count} children, and global has 4");
        assert!(code == Some(0) && said.contains(&expected) && said.contains(&counted), "{policy}: {said}");
    }
    for policy in ["{name: sync, clients: 4}", "{name: sync, backup: 3}", "k_async(4)", "fedbuff(9)"] {
        let set = format!("tiers.global.policy={policy}");
        let (code, _, said) = hcddl(folder.path(), &["check", "s.yml", "--set", &set]);
        assert!(code == Some(0) && !said.contains("children"), "{policy}: {said}");
    }
}

#[test]
fn settings_without_effect() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("s.yml"), FLAT).unwrap();
    fs::write(at.join("p.yml"), "topology: ring(3)\nmodel: softmax\ntraining: {rounds: 3}\n").unwrap();
    for (file, set, expected) in [
        ("p.yml", "training.optimizer=adam", "`training.optimizer` has no effect: peers"),
        ("p.yml", "training.proximal=0.1", "`training.proximal` has no effect: peers"),
        (
            "s.yml",
            "training={drop_last: true, batch: 2000, rounds: 3}",
            "`training.drop_last` has no effect on 4 of 4",
        ),
    ] {
        let (code, _, said) = hcddl(at, &["check", file, "--set", set]);
        assert!(code == Some(0) && said.contains(expected), "{set}: {said}");
    }
}

/// A timing-only run charges each worker for its own shard, as the real one does.
#[test]
fn timing_only_counts_the_steps_of_real_shards() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let text = "topology: flat(8)\nmodel: softmax\npartition: dirichlet(0.3)\n\
                training: {rounds: 2, local: {epochs: 2}}\ntiers: {global: {policy: fedavg}}\n";
    fs::write(at.join("s.yml"), text).unwrap();
    let read = |arguments: &[&str]| {
        let (code, said, notes) = hcddl(at, arguments);
        assert_eq!(code, Some(0), "{notes}");
        serde_json::from_str::<serde_json::Value>(&said).unwrap()
    };
    let real = read(&["sim", "s.yml", "--json", "-q", "--out", "real"]);
    let timing = read(&["sim", "s.yml", "--json", "-q", "--timing-only", "--out", "timing"]);
    for key in ["gradient_steps", "client_fits", "messages"] {
        assert!(!real[key].is_null(), "{key}");
        assert_eq!(real[key], timing[key], "{key}");
    }
}

#[test]
fn a_scenario_comes_from_standard_input_too() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_hcddl"));
    command.args(["sim", "-", "--out", "o", "-q", "--json"]).current_dir(folder.path());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(FLAT.as_bytes()).unwrap();
    let (code, said, notes) = texts(child.wait_with_output().unwrap());
    assert!(code == Some(0) && said.contains("\"commits\": 3"), "{said}{notes}");
}

/// As shells and CI files leave it when there is nothing to say.
#[test]
fn a_variable_that_is_empty_is_not_set() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("s.yml"), FLAT).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_hcddl"));
    command.args(["sim", "s.yml", "-q", "--out", "o"]).current_dir(folder.path());
    let (code, _, notes) = texts(command.env("HCDDL_DATA", "").env("HCDDL_KERNELS", "").output().unwrap());
    assert_eq!((code, notes.contains("error")), (Some(0), false), "{notes}");
}

#[test]
fn nearly_right_gets_the_right_hint() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("s.yml"), FLAT).unwrap();
    let hosts =
        "[all]\na ansible_host=127.0.0.1\nb ansible_host=127.0.0.1\nc ansible_host=[2001:db8::2]\nd\ne\n";
    fs::write(at.join("hosts.ini"), hosts).unwrap();
    fs::write(
        at.join("evil.yml"),
        "topology: {name: links, peers: [a, ../x], links: [[a, ../x]]}\nmodel: softmax\n",
    )
    .unwrap();
    for (arguments, code, parts) in [
        (
            &["sim", "s.yml", "--set", "rounds=5"][..],
            2,
            &["--set rounds=5", "did you mean `training.rounds`?"][..],
        ),
        (
            &["sim", "s.yml", "--rounds", "5"],
            2,
            &["`training.rounds` is a key", "--set training.rounds=VALUE"],
        ),
        (&["check", "s.yml", "--set", "training.batch=0"], 2, &["--set training.batch=0", "1 or more"]),
        (&["check", "evil.yml"], 2, &["evil.yml:1", "`../x`"]),
        (&["deploy", "evil.yml", "--local", "--out", "r"], 2, &["evil.yml:1", "`../x`"]),
        (&["deploy", "plan", "s.yml", "-i", "hosts.ini"], 0, &["a, b have the same address `127.0.0.1`"]),
    ] {
        let (found, said, notes) = hcddl(at, arguments);
        let all = said + &notes;
        assert_eq!(found, Some(code), "{arguments:?}: {all}");
        for part in parts {
            assert!(all.contains(part), "{arguments:?} lacks `{part}`: {all}");
        }
        assert!(!all.contains("[["), "{arguments:?}: {all}");
    }
}
