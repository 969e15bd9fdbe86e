//! `hcddl deploy check`: whether a host can take part, and whether nodes will reach each other.

use super::binary::Binaries;
use super::probe::Probe;
use crate::deploy::remote::{Remote, RemoteError, quote};

/// Less free space than this is an error.
const FREE_BYTES_MIN: u64 = 256 << 20;
/// A clock this far away is remarked on.
const CLOCK_REMARK_S: i64 = 5;

/// What is good and what is not about a host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// What it is, in a few words.
    pub facts: Vec<String>,
    /// What must be mended.
    pub problems: Vec<String>,
}

/// Judges what a probe found.
#[must_use]
pub fn judge(host: &str, probe: &Probe, binaries: &Binaries) -> Findings {
    let mut findings = Findings::default();
    let cores = probe.cores.map_or(String::new(), |cores| format!(", {cores} cores"));
    findings.facts.push(format!("{} {}{cores}", probe.system, probe.machine));
    if let Err(problem) = binaries.choose(host, probe) {
        findings.problems.push(problem);
    }
    if let Some(free) = probe.free_bytes {
        findings.facts.push(format!("{:.1} GB free", free as f64 / 1e9));
        if free < FREE_BYTES_MIN {
            findings.problems.push(format!("only {} MB are free; at least 256 MB are needed", free >> 20));
        }
    }
    if probe.read_only {
        findings.problems.push(format!("`{}` cannot be written", probe.home));
    }
    for tool in &probe.missing {
        findings.problems.push(format!("`{tool}` is not installed there"));
    }
    if probe.clock_ahead_s.abs() >= CLOCK_REMARK_S {
        let way = if probe.clock_ahead_s > 0 { "ahead" } else { "behind" };
        findings
            .facts
            .push(format!("clock {} s {way} (does not matter for the run)", probe.clock_ahead_s.abs()));
    }
    if let Some(run) = &probe.holder {
        findings.problems.push(format!("the run `{run}` is on it; `hcddl deploy stop {run}` ends it"));
    }
    findings
}

/// A way that nodes will take.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Way {
    /// Name of the host that is dialled.
    pub to: String,
    /// Its address.
    pub address: String,
    /// Its port.
    pub port: u16,
}

/// Tries ways from a host; the problem of each that is closed. Nothing of ours is there yet, so nobody listens: a refused
/// connection shows that the way is open, silence that something on it drops packets, an answer that the port is taken.
///
/// # Errors
/// [`RemoteError`].
pub async fn ways(remote: &Remote, ways: &[Way], taken_is_wrong: bool) -> Result<Vec<String>, RemoteError> {
    let mut script = String::from(
        "command -v bash >/dev/null && command -v timeout >/dev/null || { echo unknown; exit; }\n\
         try() { said=$(LC_ALL=C timeout 3 bash -c 'exec 3<>\"/dev/tcp/$0/$1\"' \"$1\" \"$2\" 2>&1); code=$?; \
         case $code:$said in 0:*) echo taken;; 124:*) echo silent;; *refused*) echo open;; *) echo \"${said##*: }\";; esac; }\n",
    );
    for way in ways {
        script += &format!("try {} {}\n", quote(&way.address), way.port);
    }
    let said = remote.must("try the ports", &script, b"").await?;
    let said = String::from_utf8_lossy(&said);
    if said.trim() == "unknown" {
        return Ok(Vec::new());
    }
    let problem = |(way, said): (&Way, &str)| {
        let to = format!("{} ({}:{})", way.to, way.address, way.port);
        match said {
            "open" => None,
            "taken" if !taken_is_wrong => None,
            "taken" => Some(format!("another program listens at {to}; `deploy.port` sets another port")),
            "silent" => {
                Some(format!("no answer from {to} within 3 s; a firewall or the routing is in the way"))
            }
            other => Some(format!("{to}: {other}")),
        }
    };
    Ok(ways.iter().zip(said.lines()).filter_map(problem).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deploy::inventory::Host;
    use std::path::Path;
    use std::time::Duration;

    #[test]
    fn what_must_be_mended_is_found() {
        let binaries = Binaries { own: "/own".into(), ..Binaries::default() };
        let good = Probe {
            system: "Linux".to_owned(),
            machine: std::env::consts::ARCH.to_owned(),
            free_bytes: Some(8_000_000_000),
            cores: Some(4),
            clock_ahead_s: -9,
            ..Probe::default()
        };
        let findings = judge("pi1", &good, &binaries);
        assert_eq!(findings.problems, [""; 0]);
        assert_eq!(findings.facts[1..], ["8.0 GB free", "clock 9 s behind (does not matter for the run)"]);
        let bad = Probe {
            machine: "vax".to_owned(),
            free_bytes: Some(1 << 20),
            missing: vec!["tar".to_owned()],
            read_only: true,
            holder: Some("other".to_owned()),
            ..good
        };
        assert_eq!(judge("pi1", &bad, &binaries).problems.len(), 5);
    }

    #[tokio::test]
    async fn a_closed_port_of_a_host_that_answers_is_an_open_way() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let taken = listener.local_addr().unwrap().port();
        let free = {
            let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            other.local_addr().unwrap().port()
        };
        let way = |port| Way { to: "here".to_owned(), address: "127.0.0.1".to_owned(), port };
        let here = Remote::connect(&Host::here(), Duration::from_secs(1), Path::new("")).await.unwrap();
        let problems = ways(&here, &[way(free), way(taken)], true).await.unwrap();
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].contains(&format!("listens at here (127.0.0.1:{taken})")), "{problems:?}");
        assert_eq!(ways(&here, &[way(taken)], false).await.unwrap(), [""; 0]);
    }
}
