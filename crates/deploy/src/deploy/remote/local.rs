//! Commands on this machine.

use super::{Process, Running};
use std::process::Stdio;
use tokio::process::Command;

pub(super) fn start(script: &str) -> Result<Process, String> {
    let mut child = Command::new("sh")
        .arg("-c")
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // Ctrl-C is the controller's to handle.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("`sh`: {error}"))?;
    Ok(Process {
        stdin: Some(Box::new(child.stdin.take().expect("piped"))),
        stdout: Box::new(child.stdout.take().expect("piped")),
        stderr: Box::new(child.stderr.take().expect("piped")),
        child: Running::Local(child),
    })
}
