//! Real nodes on the hosts of a lab: starting runs, striking them, executing them again.
#![allow(dead_code)]

use super::hosts::Lab;
use std::fs;
use std::process::{Command, Output};

impl Lab {
    /// Runs hcddl where the controller is; returns what it printed.
    pub fn hcddl(&self, arguments: &[&str]) -> String {
        let Output { status, stdout, stderr } = self.program(arguments).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let (said, notes) = (text(stdout), text(stderr));
        assert!(status.success(), "hcddl {arguments:?}: {status}\n{said}{notes}{}", self.node_logs());
        said + &notes
    }

    pub fn program(&self, arguments: &[&str]) -> Command {
        let mut command = self.script();
        command.arg("ctl").arg(env!("CARGO_BIN_EXE_hcddl")).args(arguments);
        command.current_dir(self.work.path()).env("HOME", self.work.path());
        command
    }

    pub fn write(&self, file: &str, text: &str) {
        fs::write(self.work.path().join(file), text).unwrap();
    }

    /// The end of every node's log that was fetched.
    pub fn node_logs(&self) -> String {
        let output = Command::new("sh")
            .args(["-c", "for f in */nodes/*/log.txt; do echo \"== $f\"; tail -n 8 $f; done"])
            .current_dir(self.work.path())
            .output();
        output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
    }

    /// A value of `dir/summary.json`.
    pub fn summary(&self, dir: &str, key: &str) -> serde_json::Value {
        let text = fs::read_to_string(self.work.path().join(dir).join("summary.json")).unwrap_or_default();
        serde_json::from_str::<serde_json::Value>(&text)
            .map_or(serde_json::Value::Null, |all| all[key].clone())
    }

    /// What a node on a host says of itself, by key.
    pub fn progress(&self, host: &str, node: &str, key: &str) -> u64 {
        let script = format!("cat /home/pi/.hcddl/runs/*/nodes/{node}/progress.json 2>/dev/null; true");
        // A host without power says nothing.
        let output = self.script().args(["exec", host, "sh", "-c", &script]).output().unwrap();
        serde_json::from_slice::<serde_json::Value>(&output.stdout)
            .map_or(0, |p| p[key].as_u64().unwrap_or(0))
    }

    /// Kills, stops or continues the process of a node.
    pub fn signal(&self, host: &str, node: &str, signal: &str) {
        self.lab(&["exec", host, "pkill", signal, "-f", &format!("node .* {node}$")]);
    }
}
