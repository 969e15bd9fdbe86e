//! What things cost: wall time, processor time, memory.

use crate::common::Ready;
use hcddl::scenario::parse;
use std::time::{Duration, Instant};

/// A scenario of a bench itself.
pub fn ready(text: &str) -> Ready {
    let written = parse("bench", text, &[]).map_err(|error| error.to_string());
    written.and_then(|written| Ready::written(&written)).expect("the scenarios of a bench are right")
}

/// What a call took.
#[derive(Clone, Copy, Default)]
pub struct Cost {
    pub wall_s: f64,
    /// Processor time of all threads of this process.
    pub cpu_s: f64,
}

/// Runs a call and says what it took.
pub fn timed<T>(call: impl FnOnce() -> T) -> (T, Cost) {
    let (wall, cpu) = (Instant::now(), cpu_time());
    let result = call();
    (result, Cost { wall_s: wall.elapsed().as_secs_f64(), cpu_s: (cpu_time() - cpu).as_secs_f64() })
}

/// Processor time of this process so far.
fn cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes one timespec to the address of one.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    assert_eq!(result, 0, "every Unix counts the time of a process");
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The largest resident memory of this process so far, in MiB.
pub fn peak_rss_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
    kib.map_or(f64::NAN, |kib| kib / 1024.0)
}

/// The middle value.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The smallest value.
pub fn least(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}
