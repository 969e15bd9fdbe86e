//! Devices by name.
//!
//! Operations per second are suggested defaults for sustained f32 matrix products with all cores, not
//! measurements of them: about twice the fp64 figure of HPL or somewhat less where there is one (Pi 4B and 5,
//! mini PC, PC; top500-benchmark), else derived from times of ncnn. Own kernels on small batches reach perhaps
//! 30 to 60 % of it, and owners of the same board differ by up to 2.6 times, so calibrate and set `gflops`.
//! Memory is memcpy of one thread (sbc-bench). Power is from the boards' documentation, reports of owners and
//! HPL runs. (assumed), without any source: jitters, overheads (some tens of microseconds to wake a thread and
//! start a job on a PC, scaled by clock) and joules per byte; idle power of the Pi 5, the
//! Jetson and the PC, both powers of the mini PC; memory of the mini PC and the PC. The Jetson's load is its
//! 10 W mode.

use super::{Profile, SlowPhase};
use crate::domain::units::{Duration, Rate};
use crate::domain::{Choice, OptionError, Row, Table};
use crate::net::latency::Latencies;
use crate::net::profile::BuildLinkProfile;
use serde::Deserialize;
use serde_json::Value;

/// Makes a device from its options.
pub type BuildDevice = fn(&Choice, &Named<'_>) -> Result<Profile, OptionError>;

/// What the options of a device can name.
#[derive(Clone, Copy, Debug)]
pub struct Named<'a> {
    /// Distributions of the time of a step.
    pub latencies: &'a Latencies,
    /// Network cards.
    pub links: &'a Table<BuildLinkProfile>,
}

/// The numbers of a device, as a scenario would write them.
struct Numbers {
    name: &'static str,
    summary: &'static str,
    example: &'static str,
    positional: &'static [&'static str],
    gflops: f64,
    /// Empty for infinite.
    memory: &'static str,
    overhead: &'static str,
    jitter: f64,
    idle_watts: f64,
    load_watts: f64,
    joules_per_byte: f64,
    nic: &'static str,
}

macro_rules! numbers {
    ($name:literal, $summary:literal, $gflops:literal, $memory:literal, $overhead:literal, $jitter:literal,
     $idle:literal, $load:literal, $joules:literal, $nic:literal) => {
        Numbers {
            name: $name,
            summary: $summary,
            example: concat!(
                "{name: ",
                $name,
                ", gflops: ",
                $gflops,
                ", memory: ",
                $memory,
                ", overhead: ",
                $overhead,
                ", jitter: ",
                $jitter,
                ", cores: 1, idle_watts: ",
                $idle,
                ", load_watts: ",
                $load,
                ", joules_per_byte: ",
                $joules,
                ", nic: ",
                $nic,
                "}"
            ),
            positional: &[],
            gflops: $gflops,
            memory: $memory,
            overhead: $overhead,
            jitter: $jitter,
            idle_watts: $idle,
            load_watts: $load,
            joules_per_byte: $joules,
            nic: $nic,
        }
    };
}

/// For theory: no time but what is asked for, no energy, no network.
const IDEAL: Numbers = Numbers {
    name: "instant",
    summary: "computes in no time and without energy, for theory",
    example: "{name: instant, overhead: 0ms, cores: 1, idle_watts: 0, load_watts: 0, nic: ideal}",
    positional: &[],
    gflops: f64::INFINITY,
    memory: "",
    overhead: "0ms",
    jitter: 0.0,
    idle_watts: 0.0,
    load_watts: 0.0,
    joules_per_byte: 0.0,
    nic: "ideal",
};

/// name, summary, Gflop/s, memory, overhead of a job, jitter, idle and load watts, joules per byte, network
#[rustfmt::skip]
const ROWS: &[Numbers] = &[
    numbers!("pi-zero-2w", "Raspberry Pi Zero 2 W, 4 x A53 at 1.0 GHz",
             7.0, "1.3GB/s", "300us", 0.1, 0.6, 2.1, 1e-7, "wifi4"),
    numbers!("pi-3b-plus", "Raspberry Pi 3B+, 4 x A53 at 1.4 GHz",
             10.0, "1.15GB/s", "200us", 0.1, 1.9, 5.1, 3e-9, "lan-3b-plus"),
    numbers!("pi-4b", "Raspberry Pi 4B, 4 x A72 at 1.8 GHz (18 Gflop/s at 1.5 GHz)",
             22.0, "2.45GB/s", "100us", 0.1, 3.1, 6.1, 3e-9, "lan-gige"),
    numbers!("pi-5", "Raspberry Pi 5 with a fan, 4 x A76 at 2.4 GHz",
             62.0, "5.6GB/s", "50us", 0.03, 3.1, 12.0, 3e-9, "lan-gige"),
    numbers!("jetson-nano", "Jetson Nano on its CPU, 4 x A57 (its GPU: 80 Gflop/s)",
             25.0, "3.9GB/s", "100us", 0.03, 2.0, 10.0, 3e-9, "lan-gige"),
    numbers!("mini-pc", "mini PC with an Intel N100",
             95.0, "10GB/s", "30us", 0.03, 6.0, 25.0, 3e-9, "lan-gige"),
    numbers!("pc", "desktop PC with an Intel i5-7400T",
             140.0, "15GB/s", "20us", 0.03, 12.0, 41.0, 3e-9, "lan-gige"),
    IDEAL,
    Numbers {
        name: "fixed", summary: "every gradient step takes `step_time`, all else no time, for theory",
        example: "{name: fixed, step_time: 20ms, overhead: 0ms, cores: 1, idle_watts: 0, load_watts: 0, nic: ideal}",
        positional: &["step_time"],
        ..IDEAL
    },
];

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Options {
    gflops: Option<f64>,
    memory: Option<Rate>,
    overhead: Option<Duration>,
    jitter: Option<f64>,
    slow: Option<Slow>,
    step_time: Option<Value>,
    cores: Option<u32>,
    idle_watts: Option<f64>,
    load_watts: Option<f64>,
    joules_per_byte: Option<f64>,
    nic: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Slow {
    factor: f64,
    normal_mean: Duration,
    slow_mean: Duration,
}

/// Every device.
#[must_use]
pub fn table() -> Table<BuildDevice> {
    let row = |n: &Numbers| Row {
        name: n.name,
        summary: n.summary,
        example: n.example,
        positional: n.positional,
        build: build as BuildDevice,
    };
    Table::new("device", ROWS.iter().map(row).collect())
}

fn build(choice: &Choice, named: &Named<'_>) -> Result<Profile, OptionError> {
    let numbers = ROWS.iter().find(|row| row.name == choice.name).expect("the table is made of these rows");
    let options: Options = choice.options()?;
    let Rate(memory) = match options.memory {
        Some(rate) => rate,
        None if numbers.memory.is_empty() => Rate(f64::INFINITY),
        None => numbers.memory.parse()?,
    };
    let Duration(overhead) = options.overhead.map_or_else(|| numbers.overhead.parse(), Ok)?;
    let step_time = match options.step_time {
        Some(value) => Some(named.latencies.read(&value).map_err(|error| error.below("step_time"))?),
        None if numbers.positional.contains(&"step_time") => {
            return Err(OptionError::new(
                "step_time",
                "it is missing",
                "a duration or a distribution of them",
            ));
        }
        None => None,
    };
    let nic = options.nic.unwrap_or_else(|| numbers.nic.to_owned());
    named.links.get(&nic).map_err(|error| error.below("nic"))?;
    let profile = Profile {
        name: numbers.name.to_owned(),
        flops_per_second: options.gflops.unwrap_or(numbers.gflops) * 1e9,
        memory_bytes_per_second: memory,
        overhead,
        jitter_sigma: options.jitter.unwrap_or(numbers.jitter),
        slow_phase: options.slow.map(slow_phase).transpose()?,
        step_time,
        cores: options.cores.unwrap_or(1),
        idle_watts: options.idle_watts.unwrap_or(numbers.idle_watts),
        load_watts: options.load_watts.unwrap_or(numbers.load_watts),
        joules_per_byte: options.joules_per_byte.unwrap_or(numbers.joules_per_byte),
        nic,
    };
    check(&profile)?;
    Ok(profile)
}

fn check(profile: &Profile) -> Result<(), OptionError> {
    let Profile { jitter_sigma, cores, idle_watts, load_watts, joules_per_byte, .. } = profile;
    let gflops = profile.flops_per_second / 1e9;
    OptionError::check(gflops > 0.0, "gflops", gflops, "more than zero")?;
    let memory = profile.memory_bytes_per_second;
    OptionError::check(memory > 0.0, "memory", Rate(memory), "more than zero")?;
    OptionError::check((0.0..=2.0).contains(jitter_sigma), "jitter", jitter_sigma, "0 to 2")?;
    OptionError::check(*cores > 0, "cores", cores, "one or more")?;
    let finite = |value: f64| value >= 0.0 && value.is_finite();
    OptionError::check(finite(*idle_watts), "idle_watts", idle_watts, "zero or more")?;
    let load_is_more = finite(*load_watts) && load_watts >= idle_watts;
    OptionError::check(load_is_more, "load_watts", load_watts, "at least `idle_watts`")?;
    OptionError::check(finite(*joules_per_byte), "joules_per_byte", joules_per_byte, "zero or more")
}

fn slow_phase(slow: Slow) -> Result<SlowPhase, OptionError> {
    let Slow { factor, normal_mean, slow_mean } = slow;
    OptionError::check(factor >= 1.0 && factor.is_finite(), "slow.factor", factor, "1 or more")?;
    for (key, mean) in [("slow.normal_mean", normal_mean), ("slow.slow_mean", slow_mean)] {
        OptionError::check(mean.0.0 >= 1_000_000, key, mean, "1ms or more")?;
    }
    Ok(SlowPhase { factor, normal_mean: normal_mean.0, slow_mean: slow_mean.0 })
}
