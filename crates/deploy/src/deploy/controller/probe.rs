//! What a host is: one script, whose lines are `key=value`.

use crate::deploy::remote::{Remote, RemoteError};
use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

const SCRIPT: &str = r#"
echo "home=$HOME"; echo "system=$(uname -s)"; echo "machine=$(uname -m)"; echo "clock=$(date +%s)"
echo "connection=$SSH_CONNECTION"; echo "free=$(df -Pk "$HOME" 2>/dev/null | awk 'NR == 2 { print $4 }')"
echo "cores=$(nproc 2>/dev/null)"
for tool in tar cut mktemp; do command -v "$tool" >/dev/null || echo "missing_$tool=1"; done
command -v sha256sum >/dev/null || command -v shasum >/dev/null || echo "missing_sha256sum=1"
touch "$HOME/.hcddl-test" 2>/dev/null && rm -f "$HOME/.hcddl-test" || echo "readonly=1"
echo "lock=$(cat "$HOME/.hcddl/lock" 2>/dev/null)"
"#;

/// What is known about a host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Probe {
    /// Home directory of the user.
    pub home: String,
    /// `uname -s`.
    pub system: String,
    /// `uname -m`.
    pub machine: String,
    /// Seconds by which its clock is ahead of ours; reported only.
    pub clock_ahead_s: i64,
    /// The address of its own at which SSH reached it.
    pub own_address: Option<String>,
    /// Free space for its home directory, in bytes.
    pub free_bytes: Option<u64>,
    /// Number of cores.
    pub cores: Option<u32>,
    /// Programs that it lacks.
    pub missing: Vec<String>,
    /// Whether the home directory cannot be written.
    pub read_only: bool,
    /// The run that is, or was last, on it.
    pub holder: Option<String>,
}

impl Probe {
    /// Looks at a host.
    ///
    /// # Errors
    /// [`RemoteError`].
    pub async fn of(remote: &Remote) -> Result<Self, RemoteError> {
        let text = remote.must("look at it", SCRIPT, b"").await?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Ok(Self::read(&String::from_utf8_lossy(&text), now))
    }

    fn read(text: &str, now: u64) -> Self {
        let lines: BTreeMap<&str, &str> = text.lines().filter_map(|line| line.split_once('=')).collect();
        let get = |key: &str| lines.get(key).map(|value| value.trim()).filter(|value| !value.is_empty());
        let clock = get("clock").and_then(|text| text.parse::<i64>().ok());
        Self {
            home: get("home").unwrap_or("/").to_owned(),
            system: get("system").unwrap_or_default().to_owned(),
            machine: get("machine").unwrap_or_default().to_owned(),
            clock_ahead_s: clock.map_or(0, |clock| clock - i64::try_from(now).unwrap_or(i64::MAX)),
            // Client address and port, then ours.
            own_address: get("connection").and_then(|text| text.split(' ').nth(2)).map(str::to_owned),
            free_bytes: get("free")
                .and_then(|text| text.parse::<u64>().ok())
                .map(|kilobytes| kilobytes * 1024),
            cores: get("cores").and_then(|text| text.parse().ok()),
            missing: lines.keys().filter_map(|key| key.strip_prefix("missing_")).map(str::to_owned).collect(),
            read_only: lines.contains_key("readonly"),
            holder: get("lock").map(str::to_owned),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_is_read() {
        let text = "home=/home/pi\nsystem=Linux\nmachine=armv7l\nclock=1003\n\
                    connection=10.0.0.254 40000 10.0.0.7 22\nfree=2048\ncores=4\nmissing_tar=1\nlock=\n";
        let probe = Probe::read(text, 1000);
        let expected = Probe {
            home: "/home/pi".to_owned(),
            system: "Linux".to_owned(),
            machine: "armv7l".to_owned(),
            clock_ahead_s: 3,
            own_address: Some("10.0.0.7".to_owned()),
            free_bytes: Some(2 << 20),
            cores: Some(4),
            missing: vec!["tar".to_owned()],
            ..Probe::default()
        };
        assert_eq!(probe, expected);
        let bare = Probe::read("home=/\nconnection=\nfree=\nreadonly=1\nlock=some run\n", 0);
        assert_eq!((bare.own_address, bare.free_bytes, bare.read_only), (None, None, true));
        assert_eq!(bare.holder.as_deref(), Some("some run"));
    }
}
