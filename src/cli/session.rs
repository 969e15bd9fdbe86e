//! From a file to a finished run: the one place where the commands meet scenario, learning and simulation.

use super::ScenarioArgs;
use hcddl_core::domain::OptionError;
use hcddl_core::error::UserError;
use hcddl_learn::split::Holdings;
use hcddl_learn::{self, Learner};
use hcddl_plan::measure::outcome::{Observer, SimOptions};
use hcddl_plan::plan::Plan;
use hcddl_plan::registry::Registry;
use hcddl_plan::scenario::file::{Pick, ScenarioFile, SeedsFile};
use hcddl_plan::scenario::{self, Written};
use hcddl_sim::run::RunError;
use hcddl_sim::sim::checkpoint::Checkpoint;
use hcddl_sim::sim::{self, RunResult};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// A checked scenario and what it was made from.
pub struct Session<'a> {
    /// What it means.
    pub plan: Plan,
    written: Written,
    registry: &'a Registry,
}

/// Reads and checks a scenario.
///
/// # Errors
/// The first mistake, with its place.
pub fn load<'a>(file: &Path, args: &ScenarioArgs, registry: &'a Registry) -> Result<Session<'a>, UserError> {
    let mut written = scenario::load::load(file, &args.sets)?;
    if let Some(seed) = args.seed {
        written.file.seed = Some(seed);
        written.file.seeds = SeedsFile::default();
    }
    if let Some(dir) = &args.data_dir {
        written.file.data_dir = Some(dir.clone());
    }
    written.file.timing_only |= args.timing_only;
    if let Some(schedule) = &args.schedule {
        scenario::load::load_schedule(&mut written, schedule)?;
    }
    let plan = scenario::resolve(&written, registry)?;
    Ok(Session { plan, written, registry })
}

impl Session<'_> {
    /// The scenario that repeats this run from any folder: options applied, a topology file written into it,
    /// paths absolute.
    ///
    /// # Errors
    /// When the working directory is gone.
    pub fn effective(&self) -> anyhow::Result<String> {
        let mut file = self.written.file.clone();
        if let Some((topology, _)) = &self.written.topology {
            file.topology = Pick(topology.clone());
        }
        let absolute = |path: Option<PathBuf>| path.map(std::path::absolute).transpose();
        file.data_dir = absolute(file.data_dir)?;
        file.training.init_from = absolute(file.training.init_from)?;
        file.schedule = absolute(file.schedule)?;
        file.name = Some(self.plan.name.clone());
        let bare = json!({ "topology": file.topology, "model": file.model });
        let defaults: ScenarioFile = serde_json::from_value(bare)?;
        let mut value = serde_json::to_value(&file)?;
        leave_out_defaults(&mut value, &serde_json::to_value(&defaults)?);
        Ok(hcddl_core::yaml::block::block(&value))
    }

    /// Whether the scenario or the command line sets a key.
    pub fn has(&self, path: &str) -> bool {
        self.written.source.has(path)
    }

    /// Names the scenario with its options ([`Written::digest`]).
    pub fn digest(&self) -> String {
        self.written.digest()
    }

    /// The error of an option below a key path, with the place where that is written.
    pub fn option_error(&self, path: &str, error: OptionError) -> UserError {
        self.written.source.option_error(path, error)
    }

    /// Reads the data and builds the model; what is unlikely about them is said.
    ///
    /// # Errors
    /// A missing or damaged file, too few samples, with the key concerned.
    pub fn learner(&self) -> Result<Arc<dyn Learner>, UserError> {
        let learner = self.written.learner(&self.plan, self.registry)?;
        learner.notes().iter().for_each(|note| super::output::note("warning", note));
        Ok(learner)
    }

    /// Reads the data and deals them out.
    ///
    /// # Errors
    /// As [`Session::learner`].
    pub fn holdings(&self) -> Result<Holdings, UserError> {
        let holdings = self.written.holdings(&self.plan, self.registry)?;
        holdings.data.notes.iter().for_each(|note| super::output::note("warning", note));
        Ok(holdings)
    }

    /// Runs the plan to its end, or until `interrupt` is raised; from a checkpoint if there is one.
    ///
    /// # Errors
    /// [`RunError`].
    pub fn run(
        &self,
        learner: Arc<dyn Learner>,
        options: &SimOptions,
        observer: &mut dyn Observer,
        interrupt: Arc<AtomicBool>,
        resume: Option<Checkpoint>,
    ) -> Result<RunResult, RunError> {
        sim::run(&self.plan, self.registry, learner, options, observer, interrupt, resume)
    }
}

/// Removes the sections, and the keys of sections, that say what is said without them: a default written out
/// would be warned about where it has no effect.
fn leave_out_defaults(value: &mut Value, defaults: &Value) {
    let (Some(value), Some(defaults)) = (value.as_object_mut(), defaults.as_object()) else { return };
    value.retain(|key, value| {
        if matches!(key.as_str(), "topology" | "model") {
            return true;
        }
        if let (Some(section), Some(Value::Object(defaults))) = (value.as_object_mut(), defaults.get(key)) {
            section.retain(|key, value| defaults.get(key) != Some(value));
        }
        defaults.get(key) != Some(value)
    });
}

/// Writes a model as named tensors.
///
/// # Errors
/// When the file cannot be written.
pub fn save_model(path: &Path, learner: &dyn Learner, values: &[f32]) -> anyhow::Result<()> {
    hcddl_learn::safetensors::save(path, &learner.tensors(), values).map_err(anyhow::Error::msg)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_from_the_defaults_is_kept() {
        let mut value = json!({
            "name": "x", "topology": "flat(2)", "timing_only": false, "data": "mnist",
            "training": {"rounds": 5, "batch": 32, "optimizer": {"lr": 0.5, "momentum": 0.0}},
            "evaluation": {"every": 10},
        });
        let defaults = json!({
            "name": null, "topology": "flat(2)", "timing_only": false, "data": "digits",
            "training": {"rounds": null, "batch": 32, "optimizer": {"lr": 0.1, "momentum": 0.0}},
            "evaluation": {"every": 10},
        });
        leave_out_defaults(&mut value, &defaults);
        let kept = json!({
            "name": "x", "topology": "flat(2)", "data": "mnist",
            "training": {"rounds": 5, "optimizer": {"lr": 0.5, "momentum": 0.0}},
            "evaluation": {},
        });
        assert_eq!(value, kept);
    }
}
