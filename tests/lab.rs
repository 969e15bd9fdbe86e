//! A deployment on several hosts: network namespaces of this machine, each with an sshd (`lab/lab.sh`). The nodes are
//! stand-ins (`lab/node.sh`): what is tested is everything around them. Skipped with a message where there is no root,
//! sshd, `ip netns` or `nft`.

#[path = "lab/hosts.rs"]
mod hosts;

use hosts::Lab;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

#[test]
fn from_check_to_results_and_nothing_left() {
    let Some(lab) = Lab::up(3) else { return };
    let (code, said, problems) = lab.deploy(&["check", "scenario.yml", "-i", &lab.inventory()]);
    assert_eq!((code, said.matches("ok ").count()), (0, 3), "{said}{problems}");
    assert!(said.contains("h2  local1") && said.contains("reaches 1 other node"), "{said}");
    let (code, said, problems) = lab.deploy(&["plan", "scenario.yml", "-i", &lab.inventory()]);
    assert_eq!(code, 0, "{problems}");
    assert!(said.contains("h3    worker1  worker         local1  10.78.0.13:7700"), "{said}");
    // Twice in a row: the second time the program is there.
    for (out, pushed) in [("first", "pushed to 3"), ("second", "pushed to 0")] {
        let (code, said, notes) = lab.deploy_run(&["--out", out]);
        assert_eq!(code, 0, "{said}{notes}");
        assert!(notes.contains(pushed), "{notes}");
        assert_eq!(said.matches("finished").count(), 3, "{said}");
        for (node, host) in [("global", "h1"), ("local1", "h2"), ("worker1", "h3")] {
            let log = fs::read_to_string(lab.work.path().join(out).join("nodes").join(node).join("log.txt"))
                .unwrap();
            assert_eq!(log, format!("{node} begins\n{node} ends\n"));
            let samples =
                fs::read_to_string(lab.work.path().join(out).join("hosts").join(host).join("host.csv"))
                    .unwrap();
            assert!(samples.contains(",host,"), "{samples}");
            assert_eq!(lab.left_on(host), "", "{host}");
        }
    }
    // Secrets are files of the hosts alone.
    assert!(!lab.work.path().join("first/tls").exists());
}

#[test]
fn one_run_at_a_time_and_a_detached_one_is_found_again() {
    let Some(lab) = Lab::up(3) else { return };
    lab.rounds(10_000);
    let (code, said, notes) = lab.deploy_run(&["--detach"]);
    assert_eq!(code, 0, "{said}{notes}");
    let dir = said.trim().to_owned();
    let run = Path::new(&dir).file_name().unwrap().to_str().unwrap().to_owned();
    let (code, _, notes) = lab.deploy_run(&["--out", "other"]);
    assert_eq!(code, 1, "{notes}");
    assert!(notes.contains(&format!("is taken by the run `{run}`")), "{notes}");
    std::thread::sleep(Duration::from_secs(3));
    let (code, said, notes) = lab.deploy(&["status", &run]);
    assert_eq!(code, 0, "a detached run has no lease: {said}{notes}");
    assert!(said.contains("3 nodes: 3 running"), "{said}");
    let (code, said, _) = lab.deploy(&["logs", &dir, "worker"]);
    assert_eq!((code, said.as_str()), (0, "worker1 begins\n"));
    let (code, said, notes) = lab.deploy(&["check", "scenario.yml", "-i", &lab.inventory()]);
    assert_eq!(code, 1, "{notes}");
    assert_eq!(said.matches(&format!("the run `{run}` is on it")).count(), 3, "{said}");
    assert_eq!(lab.deploy(&["stop", &dir]).0, 0);
    assert_eq!(lab.deploy(&["fetch", &dir]).0, 0);
    let log = fs::read_to_string(Path::new(&dir).join("nodes/global/log.txt")).unwrap();
    assert!(log.starts_with("global begins\n") && log.ends_with("global was told to stop\n"), "{log}");
    assert_eq!(lab.deploy(&["clean", &dir, "--cache"]).0, 0);
    for host in ["h1", "h2", "h3"] {
        assert_eq!(lab.left_on(host), "", "{host}");
        assert_eq!(lab.lab(&["exec", host, "ls", "-A", "/home/pi/.hcddl"]), "lock\n");
    }
}

#[test]
fn a_run_ends_with_its_controller_when_the_lease_is_over() {
    let Some(lab) = Lab::up(3) else { return };
    lab.rounds(10_000);
    let arguments = lab.run(&["--out", "lost"]);
    let mut controller =
        lab.command(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while !lab.left_on("h3").contains("node.sh") {
        assert!(Instant::now() < deadline, "the run does not start");
        std::thread::sleep(Duration::from_millis(200));
    }
    controller.kill().unwrap();
    controller.wait().unwrap();
    // A lease of 2 s; then the files alone are left.
    let deadline = Instant::now() + Duration::from_secs(15);
    while lab.left_on("h3").contains("node.sh") {
        assert!(Instant::now() < deadline, "the nodes go on without a controller: {}", lab.left_on("h3"));
        std::thread::sleep(Duration::from_millis(200));
    }
    let (_, said, _) = lab.deploy(&["status", "lost", "--json"]);
    assert!(said.contains("lease_expired"), "{said}");
    assert_eq!(lab.deploy(&["clean", "lost"]).0, 0);
    lab.clean_within("h3", Duration::from_secs(1));
}

#[test]
fn hosts_that_cannot_take_part_are_named_before_anything_starts() {
    let Some(lab) = Lab::up(3) else { return };
    let fake = lab.work.path().join("uname");
    fs::write(&fake, "#!/bin/sh\n[ \"$1\" = -m ] && echo armv7l || echo Linux\n").unwrap();
    lab.shell("chmod", &["755", fake.to_str().unwrap()]);
    lab.lab(&["exec", "h2", "mount", "--bind", fake.to_str().unwrap(), "/usr/bin/uname"]);
    let (code, _, notes) = lab.deploy_run(&["--out", "mismatch"]);
    assert_eq!(code, 2, "{notes}");
    assert!(
        notes.contains("`h2` is armv7l") && notes.contains("cargo zigbuild --release --target armv7-"),
        "{notes}"
    );
    lab.lab(&["crash", "h3"]);
    let (code, said, _) = lab.deploy(&["check", "scenario.yml", "-i", &lab.inventory(), "--timeout", "2s"]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("FAIL h3") && said.contains("`h3` cannot be reached"), "{said}");
    let (code, _, notes) = lab.deploy_run(&["--out", "unreachable", "--timeout", "2s"]);
    assert_eq!(code, 1, "{notes}");
    assert!(notes.contains("1 of 3 hosts cannot take part; nothing was started"), "{notes}");
    assert_eq!(lab.left_on("h1"), "");
}
