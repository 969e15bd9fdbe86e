//! What both benches need: scenarios in, runs out.

use hcddl::learn::Learner;
use hcddl::measure::outcome::{RunnerKind, Silent, SimOptions};
use hcddl::plan::Plan;
use hcddl::registry::Registry;
use hcddl::scenario::{Written, load, resolve};
use hcddl::sim::{RunResult, run};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// A scenario that is ready to run.
pub struct Ready {
    pub plan: Plan,
    pub learner: Arc<dyn Learner>,
    registry: Registry,
}

impl Ready {
    /// From a file.
    pub fn file(path: &Path, sets: &[String]) -> Result<Self, String> {
        Self::written(&load::load(path, sets).map_err(|error| error.to_string())?)
    }

    /// From what was read.
    pub fn written(written: &Written) -> Result<Self, String> {
        let registry = Registry::default();
        let plan = resolve(written, &registry).map_err(|error| error.to_string())?;
        let learner = written.learner(&plan, &registry).map_err(|error| error.to_string())?;
        Ok(Self { plan, learner, registry })
    }

    /// Runs it; nothing is written anywhere.
    pub fn run(&self, runner: RunnerKind, threads: usize) -> RunResult {
        let options = SimOptions { runner, threads, ..SimOptions::default() };
        let interrupt = Arc::new(AtomicBool::new(false));
        let learner = Arc::clone(&self.learner);
        run(&self.plan, &self.registry, learner, &options, &mut Silent, interrupt, None)
            .expect("the scenarios of a bench run")
    }
}
