//! A scenario in, a result out: the simulator as one call, for programs that have tables or observers of their
//! own. The command line does the same and writes a run directory beside it.

use crate::run::RunError;
use crate::sim::{self, RunResult};
use hcddl_core::error::UserError;
use hcddl_plan::measure::outcome::{Observer, SimOptions};
use hcddl_plan::registry::Registry;
use hcddl_plan::scenario::{self, Written};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Why a scenario has no result.
#[derive(Debug, thiserror::Error)]
pub enum SimulateError {
    /// A mistake in the scenario, or data that cannot be read.
    #[error(transparent)]
    Scenario(#[from] UserError),
    /// The simulation could not run.
    #[error(transparent)]
    Sim(#[from] RunError),
}

/// Runs a scenario file to its end; `sets` are changes as `--set` takes them: `"training.rounds=5"`.
///
/// # Errors
/// [`SimulateError`]; a run whose training cannot go on is not an error, its reason is
/// [`Failed`](hcddl_core::node::Reason::Failed).
pub fn simulate(
    file: impl AsRef<Path>,
    sets: &[&str],
    registry: &Registry,
    options: &SimOptions,
    observer: &mut dyn Observer,
) -> Result<RunResult, SimulateError> {
    let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
    run(&scenario::load::load(file.as_ref(), &sets)?, registry, options, observer)
}

/// Runs a scenario that is a text, for tests and examples; paths in it start from the working directory.
///
/// # Errors
/// As [`simulate`].
pub fn simulate_text(
    text: &str,
    sets: &[&str],
    registry: &Registry,
    options: &SimOptions,
    observer: &mut dyn Observer,
) -> Result<RunResult, SimulateError> {
    let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
    run(&scenario::parse("scenario", text, &sets)?, registry, options, observer)
}

fn run(
    written: &Written,
    registry: &Registry,
    options: &SimOptions,
    observer: &mut dyn Observer,
) -> Result<RunResult, SimulateError> {
    let plan = scenario::resolve(written, registry)?;
    let learner = written.learner(&plan, registry)?;
    let interrupt = Arc::new(AtomicBool::new(false));
    Ok(sim::run(&plan, registry, learner, options, observer, interrupt, None)?)
}
