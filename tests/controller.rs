//! `hcddl deploy run --local` and the supervisor, with stand-ins for the nodes (`lab/node.sh`).

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

struct Site {
    folder: tempfile::TempDir,
}

impl Site {
    fn new(rounds: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let node = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/node.sh");
        fs::copy(node, folder.path().join("node.sh")).unwrap();
        let scenario =
            "name: here\ntopology: flat(2)\nmodel: softmax\ntraining: {rounds: 6}\ndeploy: {lease: 2s}\n";
        fs::write(folder.path().join("s.yml"), scenario).unwrap();
        let site = Self { folder };
        site.rounds(rounds);
        site
    }

    fn rounds(&self, rounds: u32) {
        fs::write(self.path("rounds"), rounds.to_string()).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hcddl"));
        command.arg("deploy").args(arguments).current_dir(self.folder.path()).env_remove("HCDDL_LOG");
        command
    }

    fn deploy(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let Output { status, stdout, stderr } = self.command(arguments).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (status.code(), text(stdout), text(stderr))
    }

    fn run(&self, more: &[&str]) -> Vec<String> {
        let node = self.path("node.sh").display().to_string();
        let fixed = ["run", "s.yml", "--local", "--out", "out", "--node-program", &node].map(str::to_owned);
        fixed.into_iter().chain(more.iter().map(|word| (*word).to_owned())).collect()
    }

    fn start(&self) -> Child {
        let arguments = self.run(&[]);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        self.command(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// The state of the supervisor, when this holds of it.
    fn wait_for(&self, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let runs = fs::read_dir(self.path("out/local/runs")).into_iter().flatten().flatten();
            let files = runs.map(|run| run.path().join("agent.json"));
            let status =
                files.filter_map(|file| serde_json::from_slice::<Value>(&fs::read(file).ok()?).ok()).next();
            match status {
                Some(status) if holds(&status) => return status,
                status => assert!(Instant::now() < deadline, "not {what}: {status:?}"),
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn wait_until_running(&self) -> Value {
        self.wait_for("running", |status| {
            let nodes = status["nodes"].as_array().unwrap();
            nodes.len() == 3 && nodes.iter().all(|node| node["progress"]["commits"].as_u64() > Some(0))
        })
    }
}

fn pid(value: &Value) -> Pid {
    Pid::from_raw(i32::try_from(value.as_u64().unwrap()).unwrap()).unwrap()
}

fn alive(pid: Pid) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero())).unwrap_or_default();
    !status.is_empty() && !status.contains("State:\tZ")
}

fn finish(child: Child) -> (Option<i32>, String) {
    let output = child.wait_with_output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_local_run_ends_with_its_results_and_nothing_else() {
    let site = Site::new(4);
    let arguments = site.run(&[]);
    let (code, said, notes) = site.deploy(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(code, Some(0), "{said}{notes}");
    assert_eq!(said.matches("finished").count(), 3, "{said}");
    assert!(notes.contains("progress: 3 nodes: "), "{notes}");
    let mut files: Vec<String> = fs::read_dir(site.path("out"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    assert_eq!(files, ["deploy.json", "deployment.json", "hosts", "nodes", "plan.yml"]);
    assert_eq!(
        fs::read_to_string(site.path("out/nodes/worker2/log.txt")).unwrap(),
        "worker2 begins\nworker2 ends\n"
    );
    // What was fetched can be read without any host.
    let (code, said, _) = site.deploy(&["logs", "out", "global"]);
    assert_eq!((code, said.as_str()), (Some(0), "global begins\nglobal ends\n"));
    let (code, _, notes) = site.deploy(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(code, Some(2), "{notes}");
    assert!(notes.contains("`") && notes.contains("is not empty"), "{notes}");
}

#[test]
fn ctrl_c_stops_fetches_and_cleans() {
    let site = Site::new(10_000);
    let child = site.start();
    let status = site.wait_until_running();
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let (code, notes) = finish(child);
    assert_eq!(code, Some(130), "{notes}");
    assert!(!site.path("out/local").exists(), "{notes}");
    let log = fs::read_to_string(site.path("out/nodes/global/log.txt")).unwrap();
    assert!(log.starts_with("global begins\n") && log.ends_with("global was told to stop\n"), "{log}");
    assert!(!alive(pid(&status["pid"])));
}

/// The others outlive the root; `--resume` starts it again beside them.
#[test]
fn a_root_that_was_killed_is_started_again() {
    let site = Site::new(10_000);
    let child = site.start();
    let status = site.wait_until_running();
    let nodes = status["nodes"].as_array().unwrap();
    assert_eq!(nodes[0]["name"], "global");
    kill_process(pid(&nodes[0]["pid"]), Signal::KILL).unwrap();
    let (code, notes) = finish(child);
    assert_eq!(code, Some(1), "{notes}");
    assert!(notes.contains("`global` is lost (signal 9)") && notes.contains("--resume"), "{notes}");
    assert!(alive(pid(&nodes[1]["pid"])), "workers wait for the root, without a lease");
    site.rounds(1);
    let out = site.path("out").display().to_string();
    let child = site
        .command(&["run", "--resume", &out, "--node-program", "as recorded"])
        .stderr(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // The root ends after a round; the workers, which count to 10,000, are stopped.
    site.wait_for("started again", |status| status["nodes"][0]["starts"] == 2);
    let (code, notes) = finish(child);
    assert_eq!(code, Some(0), "{notes}");
    assert!(!alive(pid(&nodes[1]["pid"])) && !site.path("out/local").exists());
}

/// A node that a signal holds says nothing itself. Who follows the run says so, and nobody waits for it when the others
/// have ended.
#[test]
fn a_node_that_a_signal_holds_is_shown_and_not_waited_for() {
    let site = Site::new(25);
    let child = site.start();
    let status = site.wait_until_running();
    let held = pid(&status["nodes"][2]["pid"]);
    kill_process(held, Signal::STOP).unwrap();
    site.wait_for("held", |status| status["nodes"][2]["paused"] == true);
    let (code, said, _) = site.deploy(&["status", "out"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("held by a signal (SIGSTOP): worker2"), "{said}");
    let (code, notes) = finish(child);
    assert_eq!(code, Some(0), "{notes}");
    assert!(notes.contains("held by a signal (SIGSTOP): worker2; waiting for worker2 to end"), "{notes}");
    assert!(!alive(held));
    let log = fs::read_to_string(site.path("out/nodes/worker2/log.txt")).unwrap();
    assert!(log.ends_with("worker2 was told to stop\n"), "{log}");
}

/// A supervisor that a signal holds is silent, not gone: who asks gets an answer once it goes on.
#[test]
fn a_silent_supervisor_is_not_taken_for_a_dead_one() {
    let site = Site::new(90);
    let child = site.start();
    let status = site.wait_until_running();
    let supervisor = pid(&status["pid"]);
    kill_process(supervisor, Signal::STOP).unwrap();
    std::thread::sleep(Duration::from_secs(11));
    kill_process(supervisor, Signal::CONT).unwrap();
    let (code, notes) = finish(child);
    assert!(notes.contains("its supervisor has said nothing for 10 s"), "{notes}");
    assert!(!notes.contains("gone") && !notes.contains("lost"), "{notes}");
    assert!(code.is_some() && !site.path("out/local").exists(), "{notes}");
}

/// Nodes that a killed supervisor left keep the lock, and `clean` ends them.
#[test]
fn what_a_killed_supervisor_left_is_found_and_ended() {
    let site = Site::new(10_000);
    let arguments = site.run(&["--detach"]);
    let (code, _, notes) = site.deploy(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(code, Some(0), "{notes}");
    let status = site.wait_until_running();
    let (code, said, _) = site.deploy(&["status", "out"]);
    assert!(code == Some(0) && said.contains("3 nodes: 3 running"), "{said}");
    kill_process(pid(&status["pid"]), Signal::KILL).unwrap();
    let node = pid(&status["nodes"][1]["pid"]);
    let (code, said, _) = site.deploy(&["status", "out"]);
    assert!(code == Some(1) && said.contains("its supervisor is gone: its process was killed"), "{said}");
    assert!(alive(node));
    let lock = fs::File::open(site.path("out/local/lock")).unwrap();
    assert!(lock.try_lock().is_err(), "the nodes hold the lock");
    drop(lock);
    let (code, _, notes) = site.deploy(&["clean", "out"]);
    assert_eq!(code, Some(0), "{notes}");
    assert!(!alive(node));
    assert_eq!(fs::read_dir(site.path("out/local/runs")).unwrap().count(), 0);
}

#[test]
fn a_supervisor_whose_controller_is_gone_ends_with_the_lease() {
    let site = Site::new(10_000);
    let mut child = site.start();
    let status = site.wait_until_running();
    child.kill().unwrap();
    child.wait().unwrap();
    let ended = site.wait_for("ended", |status| !status["ended"].is_null());
    assert_eq!(ended["ended"], "lease_expired");
    assert!(!alive(pid(&status["nodes"][0]["pid"])));
    let (code, _, notes) = site.deploy(&["clean", "out"]);
    assert_eq!(code, Some(0), "{notes}");
}

#[test]
fn a_node_that_cannot_start_fails_the_run() {
    let site = Site::new(1);
    fs::remove_file(site.path("node.sh")).unwrap();
    let arguments = site.run(&[]);
    let (code, said, notes) = site.deploy(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(code, Some(1), "{notes}");
    assert!(said.contains("cannot start `"), "{said}");
    assert!(notes.contains("failed: global (cannot start `"), "{notes}");
}

/// Devices that the controller cannot reach come to it.
#[test]
fn devices_that_register_themselves_take_part() {
    let dir = tempfile::tempdir().unwrap();
    let ports = hcddl::transport::free_ports(4).unwrap();
    let scenario = format!(
        "name: joined\ntopology: flat(2)\nmodel: softmax\ntraining: {{rounds: 20, batch: 8}}\n\
         tiers: {{global: {{policy: sync}}}}\ndeploy: {{port: {}}}\n",
        ports[1]
    );
    fs::write(dir.path().join("s.yml"), scenario).unwrap();
    let hcddl = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hcddl"));
        command.current_dir(dir.path());
        command
    };
    assert!(hcddl().args(["deploy", "token", "tokens"]).status().unwrap().success());
    let there = format!("127.0.0.1:{}", ports[0]);
    let device = |name: &str| {
        let home = dir.path().join(name);
        fs::create_dir(&home).unwrap();
        let args = ["node", "--join", &there, "--token", "tokens/device.token", "--name", name];
        hcddl().args(args).env("HOME", home).stderr(Stdio::null()).spawn().unwrap()
    };
    let mut devices = ["pi3", "pi1", "pi2"].map(device);
    // Twice in a row: devices wait for the next run.
    for out in ["one", "two"] {
        let args =
            ["deploy", "run", "s.yml", "--join", &there, "--token", "tokens/controller.token", "--out", out];
        let output = hcddl().args(args).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        assert!(said.contains("joined: pi1, pi2, pi3"), "{said}");
        let replay = hcddl().args(["replay", out]).output().unwrap();
        let said = String::from_utf8_lossy(&replay.stderr).into_owned();
        assert!(replay.status.success() && said.contains("20 commits have the digests"), "{said}");
        for home in ["pi1", "pi2", "pi3"] {
            let runs = dir.path().join(home).join(".hcddl/runs");
            assert_eq!(fs::read_dir(runs).map_or(0, Iterator::count), 0, "nothing is left on {home}");
        }
    }
    for device in &mut devices {
        device.kill().unwrap();
        device.wait().unwrap();
    }
    let wrong = hcddl()
        .args(["deploy", "run", "s.yml", "--join", &there, "--token", "tokens/device.token"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert!(said.contains("is the token of a device, not of a controller"), "{said}");
}
