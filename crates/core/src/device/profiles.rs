//! Devices by name.
//!
//! `gflops` is what the fastest f32 matrix products reach with all cores, and `memory` the rate of memcpy on one thread
//! (bytes copied, so that twice as many move). What our kernels make of these is the table of efficiencies that was
//! measured on an x86-64 machine (`hcddl profile --device` measures one's own); its sets of data are compared with
//! `cache`. Where the figures are from, with what a step on such a board may be off by ("error"), since owners of the same
//! board differ by up to 2.6 times (top500-benchmark, issue 90) and no table was measured on one:
//!
//! | device | Gflop/s | memory | error of a step |
//! |---|---|---|---|
//! | Pi Zero 2 W | ncnn r18 10.3 with Winograd, less a third; HPL (.37) starves for memory | sbc-bench 1.3 | 2 times |
//! | Pi 3B+ | ncnn r18 13.4, less a quarter | sbc-bench 1.1-1.2 | 2 times |
//! | Pi 4B | twice HPL fp64 11.9 (top500-benchmark be7b678), less a tenth | sbc-bench 2.3-2.6 | 1.6 times |
//! | Pi 5 | twice HPL fp64 30.2-35.2, less a tenth | sbc-bench 5.3-6.0 | 1.6 times |
//! | Jetson Nano | ncnn r18 on its CPU 44 with Winograd, less two fifths | sbc-bench 3.7-4.1 | 1.8 times |
//! | mini PC (N100) | twice HPL fp64 37-63 (by its power limit) | (assumed) | 2 times |
//! | PC (i5-7400T) | twice HPL fp64 72.5 | (assumed) | 1.5 times |
//!
//! Energy has three components. Board idle (`idle_watts`) and CPU load above it (`load_watts` less `idle_watts`): Pi 4B
//! 3.1 and 6.1 W by its documentation, wall readings 3.0 and 6.3; Pi 5 12 W under HPL (top500-benchmark: 11-12.7); Jetson
//! Nano on its CPU 3.5 W above 1.9 W (an owner's readings; its 10 W mode is the module with its GPU); PC 41 W under HPL.
//! Network card (`joules_per_byte`): 3 nJ a byte on Ethernet, some 3 W of a pair of ports at 1 Gb/s; 100 nJ on WiFi, some
//! 0.5 W at 40 Mb/s; both (assumed).
//!
//! (assumed), without any source: jitters, overheads (some tens of microseconds to wake a thread and start a job on a PC,
//! scaled by clock), joules per byte; idle power of the Pi 5 and the PC, both powers of the mini PC; memory of the mini PC
//! and the PC.

use super::{Efficiency, Profile, SlowPhase, Thermal};
use crate::domain::units::{Duration, Rate};
use crate::domain::{Build, Choice, Name, OptionError, Pick, Pluggable, Row, Table, Tables, options};
use crate::net::Distribution;
use crate::net::profile::LinkProfile;
use serde::Deserialize;
use serde_json::Value;
use std::sync::{Arc, OnceLock};

/// Makes a device from its options.
pub type BuildDevice = Build<Profile>;

impl Pluggable for Profile {
    type Build = BuildDevice;
    const KIND: &'static str = "device";
    const LIST: &'static str = "devices";
}

/// The numbers of a device, as a scenario would write them.
struct Numbers {
    name: &'static str,
    summary: &'static str,
    example: &'static str,
    positional: &'static [&'static str],
    gflops: f64,
    threads: u32,
    /// Empty for infinite.
    memory: &'static str,
    /// Bytes of the last cache.
    cache: f64,
    overhead: &'static str,
    jitter: f64,
    idle_watts: f64,
    load_watts: f64,
    joules_per_byte: f64,
    nic: &'static str,
}

macro_rules! numbers {
    ($name:literal, $summary:literal, $gflops:literal, $threads:literal, $memory:literal, $cache:literal, $overhead:literal, $jitter:literal,
     $idle:literal, $load:literal, $joules:literal, $nic:literal) => {
        Numbers {
            name: $name,
            summary: $summary,
            example: concat!(
                "{name: ",
                $name,
                ", gflops: ",
                $gflops,
                ", threads: ",
                $threads,
                ", memory: ",
                $memory,
                ", cache: ",
                $cache,
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
            threads: $threads,
            memory: $memory,
            cache: $cache,
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
    threads: 1,
    memory: "",
    cache: 1e6,
    overhead: "0ms",
    jitter: 0.0,
    idle_watts: 0.0,
    load_watts: 0.0,
    joules_per_byte: 0.0,
    nic: "ideal",
};

/// name, summary, Gflop/s, threads, memory, cache, overhead of a job, jitter, idle and load watts, joules per byte, network
#[rustfmt::skip]
const ROWS: &[Numbers] = &[
    numbers!("pi-zero-2w", "Raspberry Pi Zero 2 W, 4 x A53 at 1.0 GHz; Gflop/s from ncnn, memory and power from owners; a \
                            step may be off by 2 times",
             7.0, 4, "1.3GB/s", 0.5e6, "300us", 0.1, 0.6, 2.1, 1e-7, "wifi4"),
    numbers!("pi-3b-plus", "Raspberry Pi 3B+, 4 x A53 at 1.4 GHz; Gflop/s from ncnn, memory from sbc-bench, power from \
                            PiDramble; a step may be off by 2 times",
             10.0, 4, "1.15GB/s", 0.5e6, "200us", 0.1, 1.9, 5.1, 3e-9, "lan-3b-plus"),
    numbers!("pi-4b", "Raspberry Pi 4B, 4 x A72 at 1.8 GHz (18 Gflop/s at 1.5 GHz); Gflop/s from HPL (top500-benchmark), \
                       memory from sbc-bench, power from its documentation; a step may be off by 1.6 times",
             22.0, 4, "2.45GB/s", 1e6, "100us", 0.1, 3.1, 6.1, 3e-9, "lan-gige"),
    numbers!("pi-5", "Raspberry Pi 5 with a fan, 4 x A76 at 2.4 GHz; Gflop/s and power from HPL (top500-benchmark), \
                      memory from sbc-bench; a step may be off by 1.6 times",
             62.0, 4, "5.6GB/s", 2e6, "50us", 0.03, 3.1, 12.0, 3e-9, "lan-gige"),
    numbers!("jetson-nano", "Jetson Nano on its CPU, 4 x A57 (its GPU: 80 Gflop/s, 10 W with it); Gflop/s from ncnn, \
                             memory from sbc-bench, power of the CPU alone from an owner; a step may be off by 1.8 times",
             25.0, 4, "3.9GB/s", 2e6, "100us", 0.03, 1.9, 5.4, 3e-9, "lan-gige"),
    numbers!("mini-pc", "mini PC with an Intel N100; Gflop/s from HPL (top500-benchmark); a step may be off by 2 times",
             95.0, 4, "10GB/s", 6e6, "30us", 0.03, 6.0, 25.0, 3e-9, "lan-gige"),
    numbers!("pc", "desktop PC with an Intel i5-7400T; Gflop/s and power from HPL (top500-benchmark); a step may be off \
                    by 1.5 times",
             140.0, 4, "15GB/s", 6e6, "20us", 0.03, 12.0, 41.0, 3e-9, "lan-gige"),
    IDEAL,
    Numbers {
        name: "fixed", summary: "every gradient step takes `step_time`, all else no time, for theory",
        example: "{name: fixed, step_time: 20ms, overhead: 0ms, cores: 1, idle_watts: 0, load_watts: 0, nic: ideal}",
        positional: &["step_time"],
        ..IDEAL
    },
];

#[derive(Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Options {
    /// f32 operations per second of the fastest matrix products with all threads, in billions. Default: the device's, as
    /// in the example.
    gflops: Option<f64>,
    /// Threads that share out a large step. Default: the device's, as in the example.
    threads: Option<u32>,
    /// What part of `gflops` each kind of kernel reaches: a file that `hcddl profile --device` wrote, its content, or 1
    /// for all of it (the larger of operations and bytes over their rates, as if kernels were perfect). Default: the table
    /// of the program; 1 where `gflops` is infinite.
    #[schemars(with = "Option<EfficiencyWritten>")]
    efficiency: Option<Value>,
    /// Rate of memory: bytes that one thread copies. Default: the device's, as in the example.
    memory: Option<Rate>,
    /// Bytes of the last cache. Default: the device's, as in the example.
    cache: Option<f64>,
    /// Time that each job takes besides. Default: the device's, as in the example.
    overhead: Option<Duration>,
    /// Standard deviation of the logarithm of a job's time, from 0 to 2. Default: the device's, as in the example.
    jitter: Option<f64>,
    /// Phases in which it is slow. Default: none.
    slow: Option<Slow>,
    /// How it slows down when it gets hot. Default: never.
    thermal: Option<Warm>,
    /// Time of each gradient step, instead of one computed from operations and memory.
    step_time: Option<Pick<dyn Distribution>>,
    /// Jobs that it computes side by side. Default: 1.
    cores: Option<u32>,
    /// Power when it computes nothing. Default: the device's, as in the example.
    idle_watts: Option<f64>,
    /// Power when it computes. Default: the device's, as in the example.
    load_watts: Option<f64>,
    /// Energy of a byte that it sends or receives. Default: the device's, as in the example.
    joules_per_byte: Option<f64>,
    /// Its network card: the name of a kind of link. Default: the device's, as in the example.
    #[schemars(with = "Option<Name<LinkProfile>>")]
    nic: Option<String>,
}

#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Slow {
    /// How many times as long jobs take in a slow phase.
    factor: f64,
    /// Mean time between two slow phases.
    normal_mean: Duration,
    /// Mean length of a slow phase.
    slow_mean: Duration,
}

/// The forms of `efficiency`, for the schema.
#[derive(schemars::JsonSchema)]
#[serde(untagged)]
#[allow(dead_code)]
enum EfficiencyWritten {
    Perfect(f64),
    File(String),
    Table(serde_json::Map<String, Value>),
}

#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Warm {
    /// Kelvin per watt from the chip to the air: a bare Pi 4B about 10, with a heat sink 6 (assumed).
    resistance: f64,
    /// In which it comes nearer to its last temperature by 63 %: some minutes.
    time_constant: Duration,
    /// Degrees Celsius of the air. Default: 25.
    ambient: Option<f64>,
    /// Degrees from which on the clock is `soft_clock`. Default: 80.
    soft: Option<f64>,
    /// Degrees from which on the clock is `hard_clock`. Default: 85.
    hard: Option<f64>,
    /// Share of the full clock. Default: 0.8.
    soft_clock: Option<f64>,
    /// Share of the full clock. Default: 0.5.
    hard_clock: Option<f64>,
}

/// The table of the program, measured on a PC.
fn shipped() -> Arc<Efficiency> {
    static TABLE: OnceLock<Arc<Efficiency>> = OnceLock::new();
    let read = || {
        let table: Efficiency =
            serde_json::from_str(include_str!("efficiency.json")).expect("the table of the program is one");
        Arc::new(table)
    };
    Arc::clone(TABLE.get_or_init(read))
}

/// Every device.
#[must_use]
pub fn table() -> Table<BuildDevice> {
    let row = |n: &Numbers| Row {
        name: n.name,
        summary: n.summary,
        example: n.example,
        positional: n.positional,
        options: options::<Options>,
        build: build as BuildDevice,
    };
    Table::new::<Profile>(ROWS.iter().map(row).collect())
}

fn build(choice: &Choice, tables: &dyn Tables) -> Result<Profile, OptionError> {
    let numbers = ROWS.iter().find(|row| row.name == choice.name).expect("the table is made of these rows");
    let options: Options = choice.options()?;
    let Rate(memory) = match options.memory {
        Some(rate) => rate,
        None if numbers.memory.is_empty() => Rate(f64::INFINITY),
        None => numbers.memory.parse()?,
    };
    let Duration(overhead) = options.overhead.map_or_else(|| numbers.overhead.parse(), Ok)?;
    let step_time = match options.step_time {
        Some(pick) => Some(pick.build(tables).map_err(|error| error.below("step_time"))?),
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
    tables.of::<LinkProfile>().get(&nic).map_err(|error| error.below("nic"))?;
    let gflops = options.gflops.unwrap_or(numbers.gflops);
    let profile = Profile {
        name: numbers.name.to_owned(),
        flops_per_second: gflops * 1e9,
        threads: options.threads.unwrap_or(numbers.threads),
        efficiency: efficiency(options.efficiency, gflops)?,
        cache_bytes: options.cache.unwrap_or(numbers.cache),
        memory_bytes_per_second: memory,
        overhead,
        jitter_sigma: options.jitter.unwrap_or(numbers.jitter),
        slow_phase: options.slow.map(slow_phase).transpose()?,
        thermal: options.thermal.map(thermal).transpose()?,
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
    OptionError::check(profile.threads > 0, "threads", profile.threads, "one or more")?;
    let cache = profile.cache_bytes;
    OptionError::check(cache > 0.0 && cache.is_finite(), "cache", cache, "bytes, more than zero")?;
    OptionError::check((0.0..=2.0).contains(jitter_sigma), "jitter", jitter_sigma, "0 to 2")?;
    OptionError::check(*cores > 0, "cores", cores, "one or more")?;
    let finite = |value: f64| value >= 0.0 && value.is_finite();
    OptionError::check(finite(*idle_watts), "idle_watts", idle_watts, "zero or more")?;
    let load_is_more = finite(*load_watts) && load_watts >= idle_watts;
    OptionError::check(load_is_more, "load_watts", load_watts, "at least `idle_watts`")?;
    OptionError::check(finite(*joules_per_byte), "joules_per_byte", joules_per_byte, "zero or more")
}

/// The table that is written, or that of the program.
fn efficiency(written: Option<Value>, gflops: f64) -> Result<Option<Arc<Efficiency>>, OptionError> {
    let allowed = "1, a file that `hcddl profile --device` wrote, or what is in it";
    let refuse = |what: String| Err(OptionError::new("efficiency", what, allowed));
    let table = match written {
        None => return Ok(gflops.is_finite().then(shipped)),
        Some(Value::Number(one)) if one.as_f64() == Some(1.0) => return Ok(None),
        Some(Value::Object(map)) => serde_json::from_value::<Efficiency>(Value::Object(map)),
        Some(other) => return refuse(format!("expected 1 or a table, found `{other}`")),
    };
    match table.map_err(|error| error.to_string()).and_then(|table| table.check().map(|()| table)) {
        Ok(table) => Ok(Some(Arc::new(table))),
        Err(problem) => refuse(problem),
    }
}

fn thermal(warm: Warm) -> Result<Thermal, OptionError> {
    let Warm { resistance, time_constant, .. } = warm;
    let thermal = Thermal {
        resistance,
        time_constant: time_constant.0,
        ambient: warm.ambient.unwrap_or(25.0),
        soft: warm.soft.unwrap_or(80.0),
        hard: warm.hard.unwrap_or(85.0),
        soft_clock: warm.soft_clock.unwrap_or(0.8),
        hard_clock: warm.hard_clock.unwrap_or(0.5),
    };
    let Thermal { ambient, soft, hard, soft_clock, hard_clock, .. } = thermal;
    let check = |ok, key: &str, value: f64, allowed| {
        OptionError::check(ok && value.is_finite(), &format!("thermal.{key}"), value, allowed)
    };
    check(resistance > 0.0, "resistance", resistance, "above 0, in kelvin per watt")?;
    let constant_is_long = time_constant.0.0 >= 1_000_000_000;
    OptionError::check(constant_is_long, "thermal.time_constant", time_constant, "1s or more")?;
    check((-60.0..=100.0).contains(&ambient), "ambient", ambient, "-60 to 100 degrees Celsius")?;
    check(soft > ambient, "soft", soft, "above `ambient`")?;
    check(hard >= soft, "hard", hard, "at least `soft`")?;
    check(soft_clock > 0.0 && soft_clock <= 1.0, "soft_clock", soft_clock, "above 0, at most 1")?;
    check(
        hard_clock > 0.0 && hard_clock <= soft_clock,
        "hard_clock",
        hard_clock,
        "above 0, at most `soft_clock`",
    )?;
    Ok(thermal)
}

fn slow_phase(slow: Slow) -> Result<SlowPhase, OptionError> {
    let Slow { factor, normal_mean, slow_mean } = slow;
    OptionError::check(factor >= 1.0 && factor.is_finite(), "slow.factor", factor, "1 or more")?;
    for (key, mean) in [("slow.normal_mean", normal_mean), ("slow.slow_mean", slow_mean)] {
        OptionError::check(mean.0.0 >= 1_000_000, key, mean, "1ms or more")?;
    }
    Ok(SlowPhase { factor, normal_mean: normal_mean.0, slow_mean: slow_mean.0 })
}
