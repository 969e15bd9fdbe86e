//! `host.csv`: load and power of the host and load of each node's process over time, from procfs and sysfs. What a system does not tell
//! stays empty.

use super::power::Power;
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

/// Name of the file in the directory of a run.
pub const FILE: &str = "host.csv";

/// Columns; those of power are of the host alone.
pub const HEADER: &str =
    "seconds,what,cpu_percent,memory_bytes,temperature_c,throttled,watts,energy_j,power_source\n";
/// Clock ticks per second in `/proc/<pid>/stat`: 100 on every Linux of today (USER_HZ).
const TICKS_PER_SECOND: f64 = 100.0;
/// Free bytes below which a disk counts as full.
const ROOM_MIN: u64 = 64 << 10;
/// What the firmware of a Raspberry Pi says about throttling, a set of bits.
const THROTTLED: &str = "/sys/devices/platform/soc/soc:firmware/get_throttled";
const TEMPERATURE: &str = "/sys/class/thermal/thermal_zone0/temp";

/// Writes a row for the host and one for each node at every call.
#[derive(Debug)]
pub struct Sampler {
    file: File,
    started: Instant,
    /// Busy and total ticks of the host.
    host: Option<(u64, u64)>,
    /// Ticks of each process and when they were read.
    processes: BTreeMap<u32, (u64, Instant)>,
    power: Power,
}

impl Sampler {
    /// Opens the file of a run; a second supervisor continues it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn open(dir: &Path) -> io::Result<Self> {
        let mut file = OpenOptions::new().create(true).append(true).open(dir.join(FILE))?;
        if file.metadata()?.len() == 0 {
            file.write_all(HEADER.as_bytes())?;
        }
        let power = Power::find(Path::new("/sys"));
        Ok(Self { file, started: Instant::now(), host: None, processes: BTreeMap::new(), power })
    }

    /// Appends what is true now.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn sample(&mut self, nodes: &[(&str, u32)]) -> io::Result<()> {
        let seconds = self.started.elapsed().as_secs_f64();
        let read = |path: &str| fs::read_to_string(path).ok();
        let temperature = read(TEMPERATURE).and_then(|text| text.trim().parse::<f64>().ok());
        let temperature = temperature.map_or(String::new(), |milli| format!("{:.1}", milli / 1e3));
        let throttled = read(THROTTLED).map_or(String::new(), |text| text.trim().to_owned());
        let now = read("/proc/stat").and_then(|text| cpu_ticks(&text));
        let cpu = now.zip(self.host).map(|(now, before)| {
            let total = now.1.saturating_sub(before.1).max(1);
            100.0 * now.0.saturating_sub(before.0) as f64 / total as f64
        });
        self.host = now;
        let memory = read("/proc/meminfo").and_then(|text| memory_used(&text));
        let power = self.power.read(Instant::now()).map_or(",,".to_owned(), |power| {
            let watts = power.watts.map_or(String::new(), |watts| format!("{watts:.3}"));
            format!("{watts},{:.4},{}", power.joules, power.source)
        });
        let mut rows = format!(
            "{seconds:.1},host,{},{},{temperature},{throttled},{power}\n",
            cpu.map_or(String::new(), |percent| format!("{percent:.1}")),
            memory.map_or(String::new(), |bytes| bytes.to_string()),
        );
        self.processes.retain(|pid, _| nodes.iter().any(|(_, known)| known == pid));
        for (name, pid) in nodes {
            let Some(ticks) = read(&format!("/proc/{pid}/stat")).and_then(|text| process_ticks(&text)) else {
                continue;
            };
            let now = Instant::now();
            let before = self.processes.insert(*pid, (ticks, now));
            let cpu = before.map_or(String::new(), |(before, then)| {
                let seconds = ticks.saturating_sub(before) as f64 / TICKS_PER_SECOND;
                format!("{:.1}", 100.0 * seconds / (now - then).as_secs_f64().max(1e-3))
            });
            rows += &format!("{seconds:.1},{name},{cpu},{},,,,,\n", memory_of(*pid));
        }
        self.file.write_all(rows.as_bytes())
    }
}

/// Resident memory of a process in bytes; 0 when it is gone.
#[must_use]
pub fn memory_of(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    kilobytes(&status, "VmRSS:").unwrap_or(0)
}

/// The most resident memory that a process has had, in bytes; 0 when it is gone.
#[must_use]
pub fn peak_of(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    kilobytes(&status, "VmHWM:").unwrap_or(0)
}

/// Seconds for which a process has had a core; `None` when it is gone.
#[must_use]
pub fn cpu_seconds_of(pid: u32) -> Option<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(process_ticks(&stat)? as f64 / TICKS_PER_SECOND)
}

/// Whether a signal holds a process: state `T` in `/proc/<pid>/stat`.
#[must_use]
pub fn is_paused(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    state(&stat) == Some('T')
}

/// Whether a process was started for a run directory: its command line names it.
#[must_use]
pub fn works_for(pid: u32, dir: &Path) -> bool {
    let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    command.split(|byte| *byte == 0).any(|word| word == dir.as_os_str().as_encoded_bytes())
}

/// Whether next to nothing can be written below a directory any more.
#[must_use]
pub fn disk_is_full(dir: &Path) -> bool {
    rustix::fs::statvfs(dir).is_ok_and(|fs| fs.f_bavail.saturating_mul(fs.f_frsize) < ROOM_MIN)
}

/// Time since the system was started.
#[must_use]
pub fn uptime() -> Option<Duration> {
    let text = fs::read_to_string("/proc/uptime").ok()?;
    Duration::try_from_secs_f64(text.split_whitespace().next()?.parse().ok()?).ok()
}

/// Bytes of a line such as `VmRSS:  1234 kB`.
fn kilobytes(text: &str, key: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(key))?;
    rest.split_whitespace().next()?.parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

fn memory_used(meminfo: &str) -> Option<u64> {
    Some(kilobytes(meminfo, "MemTotal:")?.saturating_sub(kilobytes(meminfo, "MemAvailable:")?))
}

/// Busy and total ticks of all cores: all but `idle` and `iowait`, the fourth and fifth number.
fn cpu_ticks(stat: &str) -> Option<(u64, u64)> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    // Guests are counted in `user` already, so only the first eight count.
    let ticks: Vec<u64> = line.split_whitespace().take(8).map_while(|word| word.parse().ok()).collect();
    let idle = ticks.get(3)? + ticks.get(4)?;
    let total: u64 = ticks.iter().sum();
    Some((total - idle, total))
}

/// State of a process: field 3, behind the name.
fn state(stat: &str) -> Option<char> {
    stat.rsplit_once(')')?.1.trim_start().chars().next()
}

/// User and system ticks: fields 14 and 15, counted behind the name, which may hold spaces and parentheses.
fn process_ticks(stat: &str) -> Option<u64> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    Some(fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn procfs_is_understood() {
        assert_eq!(cpu_ticks("cpu  10 2 3 80 5 1 1 0 7 0\ncpu0 1 1 1 1\n"), Some((17, 102)));
        assert_eq!(process_ticks("7 (a) b) S 1 7 7 0 -1 0 0 0 0 0 30 12 0 0 20 0"), Some(42));
        assert_eq!(memory_used("MemTotal: 100 kB\nMemFree: 1 kB\nMemAvailable:  40 kB\n"), Some(60 * 1024));
        assert_eq!(cpu_ticks("nothing"), None);
        assert_eq!(state("7 (a) T) S 1 7"), Some('S'));
        assert_eq!(state("7 (a) T 1 7"), Some('T'));
    }

    #[test]
    fn a_row_for_the_host_and_one_for_each_process_that_lives() {
        let folder = tempfile::tempdir().unwrap();
        let mut sampler = Sampler::open(folder.path()).unwrap();
        let mine = std::process::id();
        sampler.sample(&[("me", mine), ("gone", u32::MAX)]).unwrap();
        sampler.sample(&[("me", mine)]).unwrap();
        let text = fs::read_to_string(folder.path().join(FILE)).unwrap();
        assert!(text.starts_with(HEADER));
        assert!(text.lines().all(|line| line.matches(',').count() == HEADER.matches(',').count()), "{text}");
        let of = |what: &str| text.lines().filter(|line| line.split(',').nth(1) == Some(what)).count();
        assert_eq!((of("host"), of("me"), of("gone")), (2, 2, 0), "{text}");
        assert!(memory_of(mine) > 1 << 20);
    }
}
