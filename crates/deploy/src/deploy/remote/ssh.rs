//! The system's OpenSSH: the user's configuration, agent, jump hosts and known hosts count. What the inventory says
//! is laid over them in a configuration file of our own, which includes theirs.

use super::{Process, Running};
use crate::deploy::inventory::Host;
use openssh::{ControlPersist, KnownHosts, Session, SessionBuilder, Stdio};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// Options of `ssh` that `ansible_ssh_common_args` may hold, and what they are called in a configuration.
const OPTIONS: &[(&str, &str)] =
    &[("-J", "ProxyJump"), ("-i", "IdentityFile"), ("-l", "User"), ("-p", "Port")];
/// A connection that was left (the controller was killed) closes itself after so many seconds without use.
const PERSIST_SECONDS: usize = 60;

/// A connection to a host that is made again when it is gone: the one that SSH keeps closes itself when nobody has used
/// it for [`PERSIST_SECONDS`], and networks break.
#[derive(Debug)]
pub(super) struct Line {
    host: Host,
    timeout: Duration,
    control: PathBuf,
    session: Mutex<Arc<Session>>,
}

impl Line {
    /// Connects.
    ///
    /// # Errors
    /// What SSH says.
    pub async fn open(host: &Host, timeout: Duration, control: &Path) -> Result<Self, String> {
        let session = Mutex::new(Arc::new(connect(host, timeout, control).await?));
        Ok(Self { host: host.clone(), timeout, control: control.to_owned(), session })
    }

    /// Starts a script, over a new connection if the old one is gone.
    ///
    /// # Errors
    /// What SSH says.
    pub async fn start(&self, script: &str) -> Result<Process, String> {
        let session = {
            let mut session = self.session.lock().await;
            if session.check().await.is_err() {
                *session = Arc::new(connect(&self.host, self.timeout, &self.control).await?);
            }
            Arc::clone(&session)
        };
        start(&session, script).await
    }

    /// Ends it.
    pub async fn close(self) {
        if let Ok(session) = Arc::try_unwrap(self.session.into_inner()) {
            let _ = session.close().await;
        }
    }
}

async fn connect(host: &Host, timeout: Duration, control: &Path) -> Result<Session, String> {
    let mut settings = settings(host)?;
    let mut builder = SessionBuilder::default();
    builder.known_hosts_check(known_hosts(&mut settings));
    let safe: String = host.name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let file = control.join(format!("{safe}.conf"));
    std::fs::write(&file, config(&settings)).map_err(|error| format!("{}: {error}", file.display()))?;
    builder
        .config_file(&file)
        .control_directory(control)
        .control_persist(ControlPersist::IdleFor(NonZeroUsize::new(PERSIST_SECONDS).expect("not 0")))
        .connect_timeout(timeout)
        .server_alive_interval(Duration::from_secs(5));
    let connected =
        tokio::time::timeout(timeout + Duration::from_secs(5), builder.connect(host.destination()));
    match connected.await {
        Ok(session) => session.map_err(|error| explain(&error)),
        Err(_) => Err(format!("no answer within {} s; --timeout sets how long to wait", timeout.as_secs())),
    }
}

async fn start(session: &Arc<Session>, script: &str) -> Result<Process, String> {
    let mut command = Arc::clone(session).arc_command("sh");
    command.arg("-c").arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().await.map_err(|error| explain(&error))?;
    Ok(Process {
        stdin: Some(Box::new(child.stdin().take().expect("piped"))),
        stdout: Box::new(child.stdout().take().expect("piped")),
        stderr: Box::new(child.stderr().take().expect("piped")),
        child: Running::Ssh(child),
    })
}

/// The error with its causes and, where it is known, the next step.
pub(super) fn explain(error: &openssh::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    let has = |part: &str| text.to_lowercase().contains(part);
    let next = if has("host key") {
        "; connect once with `ssh` and check its fingerprint, so that it is in your known_hosts"
    } else if has("permission denied") || has("authentication") {
        "; `ssh-copy-id` puts your key there"
    } else {
        ""
    };
    text.trim().replace('\n', " ") + next
}

/// Key and value of each setting of the inventory, in the words of `ssh_config`.
fn settings(host: &Host) -> Result<Vec<(String, String)>, String> {
    let mut settings = Vec::new();
    let mut add = |key: &str, value: String| settings.push((key.to_owned(), value));
    if let Some(user) = &host.user {
        add("User", user.clone());
    }
    if let Some(port) = host.port {
        add("Port", port.to_string());
    }
    if let Some(key) = &host.key {
        add("IdentityFile", key.display().to_string());
    }
    let mut words = host.ssh_args.iter();
    while let Some(word) = words.next() {
        let (option, glued) = word.split_at(word.len().min(2));
        let mut value = || {
            let next = if glued.is_empty() { words.next().cloned() } else { Some(glued.to_owned()) };
            next.ok_or(format!("`{option}` of ansible_ssh_common_args has no value"))
        };
        if option == "-o" {
            let assignment = value()?;
            let (key, value) =
                assignment.split_once(['=', ' ']).ok_or(format!("`-o {assignment}` has no value"))?;
            add(key.trim(), value.trim().to_owned());
        } else if let Some((_, key)) = OPTIONS.iter().find(|(name, _)| *name == option) {
            add(key, value()?);
        } else if option == "-C" {
            add("Compression", "yes".to_owned());
        } else if option == "-F" {
            add("Include", value()?);
        } else if !matches!(option, "-q" | "-v" | "-4" | "-6") {
            return Err(format!(
                "`{word}` of ansible_ssh_common_args is not understood; write it as `-o Key=Value`"
            ));
        }
    }
    Ok(settings)
}

/// Takes out whether unknown host keys are accepted, which only an option of the command line can say.
fn known_hosts(settings: &mut Vec<(String, String)>) -> KnownHosts {
    let is = |key: &str| key.eq_ignore_ascii_case("StrictHostKeyChecking");
    let written = settings.iter().find(|(key, _)| is(key)).map(|(_, value)| value.to_lowercase());
    settings.retain(|(key, _)| !is(key));
    match written.as_deref() {
        Some("no" | "off") => KnownHosts::Accept,
        Some("accept-new") => KnownHosts::Add,
        _ => KnownHosts::Strict,
    }
}

/// `ssh` takes the first value of each key, so ours go first.
fn config(settings: &[(String, String)]) -> String {
    let quoted = |value: &str| {
        let words = value.contains(' ') && !value.contains('"');
        if words { format!("\"{value}\"") } else { value.to_owned() }
    };
    // A command is a line, not a word.
    let line = |(key, value): &(String, String)| match key.to_lowercase().as_str() {
        "proxycommand" | "localcommand" | "remotecommand" => format!("  {key} {value}\n"),
        _ => format!("  {key} {}\n", quoted(value)),
    };
    let lines: String = settings.iter().map(line).collect();
    format!("Host *\n{lines}Host *\n  Include ~/.ssh/config\nHost *\n  Include /etc/ssh/ssh_config\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(args: &str) -> Host {
        Host {
            name: "pi1".to_owned(),
            user: Some("lab user".to_owned()),
            port: Some(2222),
            ssh_args: args.split_whitespace().map(str::to_owned).collect(),
            ..Host::default()
        }
    }

    #[test]
    fn the_inventory_goes_before_the_users_configuration() {
        let host = host("-o ProxyJump=bastion -oServerAliveInterval=3 -i /key -Jother -C");
        assert_eq!(
            config(&settings(&host).unwrap()),
            "Host *\n  User \"lab user\"\n  Port 2222\n  ProxyJump bastion\n  ServerAliveInterval 3\n  \
             IdentityFile /key\n  ProxyJump other\n  Compression yes\nHost *\n  Include ~/.ssh/config\nHost *\n  \
             Include /etc/ssh/ssh_config\n"
        );
        assert!(settings(&super::tests::host("-X")).unwrap_err().contains("`-X`"));
        assert!(settings(&super::tests::host("-o")).unwrap_err().contains("no value"));
    }

    #[test]
    fn host_keys_are_strict_unless_the_inventory_says_otherwise() {
        let check = |args: &str| {
            let mut settings = settings(&host(args)).unwrap();
            (format!("{:?}", known_hosts(&mut settings)), settings.len())
        };
        assert_eq!(check(""), ("Strict".to_owned(), 2));
        assert_eq!(check("-o StrictHostKeyChecking=no"), ("Accept".to_owned(), 2));
        assert_eq!(check("-o stricthostkeychecking=accept-new"), ("Add".to_owned(), 2));
    }
}
