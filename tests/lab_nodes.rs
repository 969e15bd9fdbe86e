//! Real nodes on several hosts of a lab: network namespaces of this machine, each with an sshd. Deployed runs have the
//! weights of their simulation or are executed again to the bit, whatever happens to hosts and cables. Skipped with a
//! message where there can be no lab.

#[path = "lab/hosts.rs"]
mod hosts;
#[path = "lab/runs.rs"]
mod runs;

use hosts::Lab;
use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

impl Lab {
    /// Starts a deployed run, strikes once the root has committed so often, and waits for its end: whether the controller
    /// was content, and what was said.
    fn strike(&self, scenario: &str, commits: u64, blow: impl FnOnce(&Lab)) -> (bool, String) {
        let inventory = self.inventory();
        let log = fs::File::create(self.work.path().join("controller.txt")).unwrap();
        let mut controller = self
            .program(&["deploy", scenario, "-i", &inventory, "--out", "run"])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let said = || fs::read_to_string(self.work.path().join("controller.txt")).unwrap_or_default();
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.progress("h1", "global", "commits") < commits {
            assert!(Instant::now() < deadline, "the root does not reach {commits} commits: {}", said());
            std::thread::sleep(Duration::from_millis(100));
        }
        blow(self);
        let deadline = Instant::now() + Duration::from_secs(120);
        while controller.try_wait().unwrap().is_none() {
            if Instant::now() > deadline {
                controller.kill().unwrap();
                panic!("the run does not end: {}{}", said(), self.node_logs());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        (controller.wait().unwrap().success(), said() + &self.node_logs())
    }

    /// Executes the run again.
    fn replay(&self) {
        let said = self.hcddl(&["replay", "run"]);
        assert!(said.contains("have the digests of the run"), "{said}");
        assert!(!said.contains("not executed") && !said.contains("divergence"), "{said}");
    }
}

const SLOW: &str = "model: softmax\n\
    devices: {workers: {name: fixed, step_time: 10ms}, servers: instant}\n\
    deploy: {detection: 2s, heartbeat: 200ms, paced: true, checkpoint_every: 5}\n";

#[test]
fn synchronous_runs_have_the_weights_of_their_simulation() {
    let Some(lab) = Lab::up(5) else { return };
    let flat = "name: flat\ntopology: flat(4)\nmodel: {name: mlp, hidden: [16]}\n\
                training: {rounds: 20, batch: 16}\ntiers: {global: {policy: sync}}\n";
    let tree = "name: tree\ntopology: {name: tree, servers: [{workers: 2}, {workers: 1}]}\nmodel: softmax\n\
                training: {rounds: 20, batch: 16}\ntiers: {global: {policy: sync}, local: {policy: sync}}\n\
                deploy: {placement: {local1: h2, local2: h2}}\n";
    for (name, text) in [("flat", flat), ("tree", tree)] {
        lab.write(&format!("{name}.yml"), text);
        let scenario = format!("{name}.yml");
        lab.hcddl(&["deploy", &scenario, "-i", &lab.inventory(), "--out", name]);
        lab.hcddl(&["sim", &scenario, "--out", &format!("{name}-sim"), "-q"]);
        let digest = |dir: &str| lab.summary(dir, "weight_digest");
        assert_eq!(digest(name), digest(&format!("{name}-sim")), "{name}");
        for host in ["h1", "h2", "h5"] {
            assert_eq!(lab.left_on(host), "", "{host}");
        }
    }
}

#[test]
fn asynchronous_runs_survive_what_happens_to_hosts_and_cables() {
    let Some(lab) = Lab::up(4) else { return };
    lab.write(
        "async.yml",
        &format!(
            "name: async\ntopology: flat(3)\ntraining: {{rounds: 1500, batch: 8}}\n\
             tiers: {{global: {{policy: async}}}}\n{SLOW}"
        ),
    );
    let (good, said) = lab.strike("async.yml", 100, |lab| {
        // A stalled worker: silent for longer than the detection, then there again.
        lab.signal("h2", "worker1", "-STOP");
        // A cable that is out for a moment, and is noticed by nobody.
        lab.lab(&["partition", "h1", "h3"]);
        std::thread::sleep(Duration::from_millis(700));
        lab.lab(&["heal"]);
        // A host without power, for good.
        lab.lab(&["crash", "h4"]);
        std::thread::sleep(Duration::from_millis(2500));
        lab.signal("h2", "worker1", "-CONT");
    });
    assert_eq!(lab.summary("run", "commits"), 1500);
    // It has all its commits, but the results of a host are missing, which is said and is not success.
    assert!(!good && said.contains("worker3 left no result"), "{said}");
}

#[test]
fn a_partition_in_mid_round_heals() {
    let Some(lab) = Lab::up(3) else { return };
    lab.write(
        "sync.yml",
        &format!(
            "name: sync\ntopology: flat(2)\ntraining: {{rounds: 300, batch: 8}}\n\
             tiers: {{global: {{policy: sync}}}}\n{SLOW}"
        ),
    );
    let (good, said) = lab.strike("sync.yml", 40, |lab| {
        lab.lab(&["partition", "h1", "h3"]);
        std::thread::sleep(Duration::from_secs(4));
        lab.lab(&["heal"]);
    });
    assert!(good, "{said}");
    assert_eq!(lab.summary("run", "commits"), 300);
    lab.replay();
}
