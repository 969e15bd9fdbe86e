//! repeat.json: which program, machine, seeds and command made a run, and the digests to compare with.

use hcddl_plan::measure::outcome::Summary;
use serde::Serialize;

/// What is needed to repeat a run and to know that it was repeated.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Repeat {
    /// Version of this crate.
    pub hcddl_version: &'static str,
    /// The command line as it was given.
    pub command: Vec<String>,
    /// The command that repeats the run from its own directory.
    pub repeat: String,
    /// The seeds of data, initialisation and interleaving.
    pub seeds: [u64; 3],
    /// Instruction set of the program.
    pub architecture: &'static str,
    /// Operating system.
    pub operating_system: &'static str,
    /// Whether the program was built with optimisation checks off: `release` or `debug`.
    pub build: &'static str,
    /// Vector extensions that this processor has; results do not depend on them, but speed does.
    pub cpu_features: Vec<&'static str>,
    /// Instruction set that computed.
    pub kernels: &'static str,
    /// Digest of the ordered events; `null` until the run has ended.
    pub trace_digest: Option<String>,
    /// Digest of the final model; `null` until the run has ended.
    pub weight_digest: Option<String>,
}

impl Repeat {
    /// Before the run.
    #[must_use]
    pub fn new(command: Vec<String>, dir: &std::path::Path, seeds: [u64; 3]) -> Self {
        Self {
            hcddl_version: env!("CARGO_PKG_VERSION"),
            command,
            repeat: format!("hcddl sim {}", dir.join(super::rundir::file::PLAN).display()),
            seeds,
            architecture: std::env::consts::ARCH,
            operating_system: std::env::consts::OS,
            build: if cfg!(debug_assertions) { "debug" } else { "release" },
            cpu_features: cpu_features(),
            kernels: hcddl_learn::kernels::Isa::best().name(),
            trace_digest: None,
            weight_digest: None,
        }
    }

    /// After it.
    pub fn finish(&mut self, summary: &Summary) {
        self.trace_digest = Some(summary.trace_digest.clone());
        self.weight_digest = Some(summary.weight_digest.clone());
    }

    /// The file's text.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("plain data") + "\n"
    }
}

macro_rules! detected {
    ($detect:ident: $($name:tt),*) => {
        [$(($name, std::arch::$detect!($name))),*]
            .into_iter().filter(|(_, has)| *has).map(|(name, _)| name).collect()
    };
}

/// The vector extensions that a matrix product may use.
#[cfg(target_arch = "x86_64")]
fn cpu_features() -> Vec<&'static str> {
    detected!(is_x86_feature_detected:
        "sse4.2", "avx", "avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512vnni")
}

/// The vector extensions that a matrix product may use.
#[cfg(target_arch = "aarch64")]
fn cpu_features() -> Vec<&'static str> {
    detected!(is_aarch64_feature_detected: "neon", "fp16", "dotprod", "sve")
}

/// Unknown on this architecture.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn cpu_features() -> Vec<&'static str> {
    Vec::new()
}
