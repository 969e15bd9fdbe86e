//! Several hosts on this machine, for tests. Not every test file uses all of it.
#![allow(dead_code)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// One lab at a time: its hosts hold one run each.
static LAB: Mutex<()> = Mutex::new(());

pub struct Lab {
    _alone: MutexGuard<'static, ()>,
    dir: PathBuf,
    pub work: tempfile::TempDir,
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/lab.sh")
}

/// Why there can be no lab here.
fn missing() -> Option<&'static str> {
    let works = |program: &str, arguments: &[&str]| {
        Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
    };
    if !rustix::process::geteuid().is_root() {
        return Some("it needs root");
    }
    if !Path::new("/usr/sbin/sshd").exists() {
        return Some("there is no /usr/sbin/sshd: apt-get install openssh-server");
    }
    if !works("nft", &["--version"]) {
        return Some("there is no nft: apt-get install nftables");
    }
    let name = format!("hl{}-probe", std::process::id());
    let namespaces = works("ip", &["netns", "add", &name]) && works("ip", &["netns", "del", &name]);
    if namespaces {
        None
    } else {
        Some("network namespaces cannot be made here: apt-get install iproute2, and root")
    }
}

impl Lab {
    pub fn up(hosts: u32) -> Option<Self> {
        let alone = LAB.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(why) = missing() {
            eprintln!("skipped: no lab of several hosts: {why}");
            return None;
        }
        let dir = std::env::temp_dir().join(format!("hcddl-lab-{}", std::process::id()));
        let lab = Self { _alone: alone, dir, work: tempfile::tempdir().unwrap() };
        let scenario = "name: lab\ntopology: {name: tree, fanout: [1, 1]}\nmodel: softmax\ntraining: {rounds: 6}\n\
                        tiers: {global: {policy: fedavg}, local: {policy: fedasync}}\ndeploy: {lease: 2s}\n";
        fs::write(lab.work.path().join("scenario.yml"), scenario).unwrap();
        fs::copy(script().with_file_name("node.sh"), lab.node()).unwrap();
        lab.rounds(6);
        // The hosts' user reads the stand-in.
        lab.shell("chmod", &["-R", "a+rX", lab.work.path().to_str().unwrap()]);
        lab.lab(&["up", &hosts.to_string()]);
        Some(lab)
    }

    pub fn node(&self) -> PathBuf {
        self.work.path().join("node.sh")
    }

    pub fn rounds(&self, rounds: u32) {
        fs::write(self.work.path().join("rounds"), rounds.to_string()).unwrap();
    }

    pub fn shell(&self, program: &str, arguments: &[&str]) -> String {
        let output = Command::new(program).args(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{program} {arguments:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }

    pub fn script(&self) -> Command {
        let mut command = Command::new(script());
        let prefix = format!("hl{}", std::process::id() % 10_000);
        command.env("LAB_DIR", &self.dir).env("LAB_PREFIX", prefix).env("LAB_NET", "10.78.0");
        command
    }

    pub fn lab(&self, arguments: &[&str]) -> String {
        let output = self.script().args(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "lab.sh {arguments:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// `hcddl deploy` where the controller is.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.script();
        command.arg("ctl").arg(env!("CARGO_BIN_EXE_hcddl")).arg("deploy").args(arguments);
        command.current_dir(self.work.path()).env("HOME", self.work.path());
        command
    }

    pub fn deploy(&self, arguments: &[&str]) -> (i32, String, String) {
        let Output { status, stdout, stderr } = self.command(arguments).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (status.code().unwrap_or(-1), text(stdout), text(stderr))
    }

    pub fn inventory(&self) -> String {
        self.dir.join("inventory.ini").display().to_string()
    }

    pub fn run<'a>(&self, more: &[&'a str]) -> Vec<String> {
        let fixed =
            ["run", "scenario.yml", "-i", &self.inventory(), "--node-program", self.node().to_str().unwrap()]
                .map(str::to_owned);
        fixed.into_iter().chain(more.iter().map(|word: &&'a str| (*word).to_owned())).collect()
    }

    pub fn deploy_run(&self, more: &[&str]) -> (i32, String, String) {
        let arguments = self.run(more);
        self.deploy(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Processes of the hosts' user, and what is left of runs, on a host.
    pub fn left_on(&self, host: &str) -> String {
        let script = "ls -A /home/pi/.hcddl/runs 2>/dev/null; cat /home/pi/.hcddl/lock 2>/dev/null; \
                      ps -u pi -o args= | grep -v '^sshd:'; true";
        self.lab(&["exec", host, "sh", "-c", script])
    }

    pub fn clean_within(&self, host: &str, time: Duration) {
        let deadline = Instant::now() + time;
        while !self.left_on(host).is_empty() {
            assert!(Instant::now() < deadline, "{host} still has: {}", self.left_on(host));
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = self.script().arg("down").output();
    }
}
