//! The design of a study: how many runs there are, and the plan of each.

use super::StudyError;
use super::axis::{Axis, Level, axes};
use super::file::{Keep, SeedsFile, StudyWritten};
use hcddl_core::domain::digest::of_bytes;
use hcddl_core::domain::{NodeId, Seeds};
use hcddl_core::error::UserError;
use hcddl_learn::{Learner, Split};
use hcddl_plan::plan::Plan;
use hcddl_plan::registry::Registry;
use hcddl_plan::scenario::{self, Written};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A checked study: runs are numbered from 0, the first axis changes slowest, then data, init and interleaving seeds.
pub struct Study<'a> {
    /// Its name.
    pub name: String,
    /// What it answers.
    pub question: Option<String>,
    /// What is varied.
    pub axes: Vec<Axis>,
    /// The seeds of every level combination.
    pub seeds: SeedsFile,
    /// Test accuracy whose time is measured.
    pub target_accuracy: Option<f64>,
    /// What is kept of every run.
    pub keep: Vec<Keep>,
    /// Whether no run computes gradients.
    pub timing_only: bool,
    /// Runs in all.
    pub runs: u64,
    /// What the runs are a function of, as 32 hexadecimal digits; that of another study differs.
    pub digest: String,
    /// What the reader should know, each a sentence.
    pub warnings: Vec<String>,
    /// What was read.
    pub written: StudyWritten,
    /// For each level combination, which learner it needs for a data seed.
    classes: Vec<u32>,
    registry: &'a Registry,
}

/// What is different between runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell<'a> {
    /// Number of the level combination.
    pub combination: u64,
    /// The level of each axis.
    pub levels: Vec<&'a Level>,
    /// The seeds.
    pub seeds: Seeds,
}

/// How a study is meant to be run.
#[derive(Clone, Copy, Debug)]
pub struct StudyOptions {
    /// Compute no gradients.
    pub timing_only: bool,
    /// More runs than this are refused.
    pub runs_max: u64,
}

/// More runs than this are refused unless asked for.
pub const RUNS_MAX: u64 = 10_000;

/// More classes than this have no character of their own.
pub const CLASSES_MAX: usize = 64;

impl<'a> Study<'a> {
    /// Checks a study: every level combination is resolved, and its data and model are made for the first seeds.
    ///
    /// # Errors
    /// The first mistake, with its place; too many runs.
    pub fn new(
        written: StudyWritten,
        options: StudyOptions,
        registry: &'a Registry,
    ) -> Result<Self, StudyError> {
        let axes = axes(&written.source, &written.file, &written.sets)?;
        let file = &written.file;
        if let Some(target) = file.target_accuracy
            && !(target > 0.0 && target <= 1.0)
        {
            let message = format!("`{target}` is out of bounds");
            let next = if target <= 100.0 { "write 90 % as 0.9" } else { "" };
            return Err(written.source.error("target_accuracy", message, "above 0, up to 1", next).into());
        }
        let levels: Vec<u64> = axes.iter().map(|axis| axis.levels.len() as u64).collect();
        let seeds = &file.seeds;
        let seed_counts = [&seeds.data, &seeds.init, &seeds.interleaving].map(|list| list.0.len() as u64);
        let runs = levels.iter().chain(&seed_counts).try_fold(1u64, |runs, count| runs.checked_mul(*count));
        let runs = runs.filter(|runs| *runs <= options.runs_max);
        let runs = runs.ok_or_else(|| too_many(&levels, &seed_counts, options.runs_max))?;
        let name = file.study.clone().unwrap_or_else(|| {
            let stem = std::path::Path::new(&written.source.file).file_stem();
            stem.map_or("study".to_owned(), |stem| stem.to_string_lossy().into_owned())
        });
        let mut study = Self {
            name,
            question: file.question.clone(),
            axes,
            seeds: seeds.clone(),
            target_accuracy: file.target_accuracy,
            keep: file.keep.clone(),
            timing_only: options.timing_only,
            runs,
            digest: String::new(),
            warnings: Vec::new(),
            classes: Vec::new(),
            written,
            registry,
        };
        study.check_combinations(options)?;
        Ok(study)
    }

    /// Resolves each level combination with the first seeds.
    fn check_combinations(&mut self, options: StudyOptions) -> Result<(), UserError> {
        self.timing_only |= options.timing_only;
        let (mut warnings, mut texts, mut targets) = (BTreeSet::new(), Vec::new(), BTreeSet::new());
        let mut known: BTreeMap<String, u32> = BTreeMap::new();
        let (mut classes, mut timing_only) = (Vec::new(), true);
        let each = self.runs_of_combination();
        for combination in 0..self.runs / each {
            let cell = self.cell(combination * each);
            let written = self.scenario(&cell)?;
            let plan = self.plan_of(&cell, &written)?;
            warnings.extend(plan.warnings.iter().cloned());
            targets.insert(plan.stop.target_accuracy.map(f64::to_bits));
            timing_only &= plan.timing_only;
            texts.push(identity(&written));
            let next = known.len() as u32;
            let class = *known.entry(learner_class(&plan)).or_insert(next);
            if class == next {
                let learner = written.learner(&plan, self.registry).map_err(|e| self.at(&cell, e))?;
                self.check_keep(learner.as_ref())?;
            }
            classes.push(class);
        }
        if self.target_accuracy.is_none() && targets.len() == 1 {
            self.target_accuracy = targets.pop_first().flatten().map(f64::from_bits);
        }
        self.timing_only = timing_only;
        self.classes = classes;
        self.warnings = warnings.into_iter().collect();
        let seeds = [&self.seeds.data.0, &self.seeds.init.0, &self.seeds.interleaving.0];
        let meaning = json!({
            "hcddl": env!("CARGO_PKG_VERSION"), "axes": self.axes_json(), "seeds": seeds, "scenarios": texts,
            "target_accuracy": self.target_accuracy, "keep": self.keep, "timing_only": self.timing_only,
        });
        self.digest = of_bytes(meaning.to_string().as_bytes()).to_string();
        Ok(())
    }

    fn check_keep(&self, learner: &dyn Learner) -> Result<(), UserError> {
        if !self.keep.contains(&Keep::Predictions) || self.timing_only {
            return Ok(());
        }
        let fail = |message: String| {
            Err(self.written.source.error("keep", message, "models of classes", "leave `keep` out"))
        };
        match learner.classes() {
            None => fail("this model predicts no classes".to_owned()),
            Some(classes) if classes > CLASSES_MAX => {
                fail(format!("predictions of {classes} classes; {CLASSES_MAX} is the most"))
            }
            Some(_) => Ok(()),
        }
    }

    /// Runs of each level combination.
    #[must_use]
    pub fn runs_of_combination(&self) -> u64 {
        let SeedsFile { data, init, interleaving } = &self.seeds;
        [data, init, interleaving].iter().map(|list| list.0.len() as u64).product()
    }

    /// What run `number` is.
    #[must_use]
    pub fn cell(&self, number: u64) -> Cell<'_> {
        let mut rest = number;
        let mut take = |count: usize| {
            let index = (rest % count as u64) as usize;
            rest /= count as u64;
            index
        };
        let interleaving = self.seeds.interleaving.0[take(self.seeds.interleaving.0.len())];
        let init = self.seeds.init.0[take(self.seeds.init.0.len())];
        let data = self.seeds.data.0[take(self.seeds.data.0.len())];
        let mut levels: Vec<&Level> =
            self.axes.iter().rev().map(|axis| &axis.levels[take(axis.levels.len())]).collect();
        levels.reverse();
        let combination = number / self.runs_of_combination();
        Cell { combination, levels, seeds: Seeds { data, init, interleaving } }
    }

    /// Which learner a run needs: runs of the same one can share it.
    #[must_use]
    pub fn learner_key(&self, cell: &Cell<'_>) -> (u32, u64) {
        (self.classes[cell.combination as usize], cell.seeds.data)
    }

    /// The scenario of a cell.
    ///
    /// # Errors
    /// What the scenario's reader refuses, with the level that it comes from.
    pub fn scenario(&self, cell: &Cell<'_>) -> Result<Written, UserError> {
        let study = &self.written.source;
        let written = self.written.base.with(|source, value| {
            source.apply_sets(value, &self.written.sets)?;
            for level in &cell.levels {
                let line = study.line(&level.path);
                for (path, new) in &level.sets {
                    source.put(value, path, new.clone(), (&study.file, line))?;
                }
            }
            Ok(())
        });
        let mut written = written.map_err(|error| self.at(cell, error))?;
        let Seeds { data, init, interleaving } = cell.seeds;
        written.file.seed = None;
        written.file.seeds = scenario::file::SeedsFile {
            data: Some(data),
            init: Some(init),
            interleaving: Some(interleaving),
        };
        written.file.timing_only |= self.timing_only;
        Ok(written)
    }

    /// The plan of a cell.
    ///
    /// # Errors
    /// What the scenario refuses, with the level that it comes from.
    pub fn plan_of(&self, cell: &Cell<'_>, written: &Written) -> Result<Plan, UserError> {
        scenario::resolve(written, self.registry).map_err(|error| self.at(cell, error))
    }

    /// The tables that a scenario can name.
    #[must_use]
    pub fn registry(&self) -> &'a Registry {
        self.registry
    }

    /// Adds the levels to an error of a scenario.
    fn at(&self, cell: &Cell<'_>, error: UserError) -> UserError {
        let levels = self.levels(cell);
        let inline = self.written.file.scenario.is_object() && error.file == self.written.source.file;
        let from_level = inline && {
            let sets = cell.levels.iter().flat_map(|level| &level.sets);
            sets.clone().any(|(key, _)| error.path == *key || error.path.starts_with(&format!("{key}.")))
        };
        let path = if inline && !from_level && !error.path.is_empty() {
            format!("scenario.{}", error.path)
        } else {
            error.path
        };
        let message =
            if levels.is_empty() { error.message } else { format!("{} (at {levels})", error.message) };
        UserError { path, message, ..error }
    }

    /// The levels of a cell: `network.lan.latency=1ms, problem=sync`.
    #[must_use]
    pub fn levels(&self, cell: &Cell<'_>) -> String {
        let pairs = self.axes.iter().zip(&cell.levels);
        pairs.map(|(axis, level)| format!("{}={}", axis.name, level.label)).collect::<Vec<_>>().join(", ")
    }

    /// Names and labels, as study.json has them.
    #[must_use]
    pub fn axes_json(&self) -> Value {
        let labels = |axis: &Axis| axis.levels.iter().map(|level| level.label.clone()).collect::<Vec<_>>();
        self.axes.iter().map(|axis| json!({ "name": axis.name, "levels": labels(axis) })).collect()
    }
}

fn too_many(levels: &[u64], seeds: &[u64], limit: u64) -> StudyError {
    let factors: Vec<String> = levels.iter().chain(seeds).map(u64::to_string).collect();
    let runs: u128 = levels.iter().chain(seeds).map(|count| u128::from(*count)).fold(1, u128::saturating_mul);
    StudyError::TooMany(format!(
        "this study makes {runs} runs ({}), more than {limit}; leave out levels or seeds (`--set seeds.data=2`), or ask \
         for them with `--max-runs {runs}`",
        factors.join(" x ")
    ))
}

/// What decides which learner a plan needs, the data seed apart.
fn learner_class(plan: &Plan) -> String {
    let shards: Vec<Option<u32>> = plan.nodes.iter().map(|node| node.shard).collect();
    format!("{:?} {shards:?} {}", plan.learning, plan.timing_only)
}

/// A scenario without what differs between machines: where data files lie.
fn identity(written: &Written) -> Value {
    let mut file = written.file.clone();
    file.data_dir = None;
    file.seeds = scenario::file::SeedsFile::default();
    file.training.init_from = file.training.init_from.and_then(|path| path.file_name().map(Into::into));
    let topology = written.topology.as_ref().map(|(value, _)| value);
    json!([file, topology])
}

/// The classes that a model gives the test samples, one character each: `0` to `9`, `A` to `Z`, `a` to `z`, `-`, `_`.
#[must_use]
pub fn predictions(learner: &Arc<dyn Learner>, model: &[f32]) -> String {
    const DIGITS: &[u8; CLASSES_MAX] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_";
    let parts =
        (0..learner.eval_parts(Split::Test)).flat_map(|part| learner.predict(model, Split::Test, part));
    parts.map(|class| char::from(DIGITS[class as usize % CLASSES_MAX])).collect()
}

/// The names of nodes that train or send updates, in order.
#[must_use]
pub fn contributors(plan: &Plan) -> Vec<NodeId> {
    let ids = (0..plan.nodes.len() as u32).map(NodeId);
    ids.filter(|id| plan.nodes[id.index()].shard.is_some() || plan.nodes[id.index()].parent.is_some())
        .collect()
}
