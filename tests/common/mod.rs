//! What the integration tests share: scenarios from text or file, runs that cannot hang, and a log of all that
//! happened. Every failure message starts with the line of its case: scenario, settings, seeds.
#![allow(dead_code)]

use hcddl::learn::Learner;
use hcddl::learn::quadratic::Quadratic;
use hcddl::measure::outcome::{
    CommitRow, EvaluationRow, Observer, Progress, RunnerKind, SimOptions, TimelineSpan,
};
use hcddl::node::Reason;
use hcddl::plan::Plan;
use hcddl::registry::Registry;
use hcddl::run::RunError;
use hcddl::scenario::{load::load, parse, resolve};
use hcddl::sim::RunResult;
use hcddl::sim::checkpoint::Checkpoint;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A scenario that is ready to run.
pub struct Case {
    pub line: String,
    pub plan: Plan,
    pub registry: Registry,
    pub learner: Arc<dyn Learner>,
}

/// A file below the crate's folder.
pub fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn owned(sets: &[&str]) -> Vec<String> {
    sets.iter().map(|set| (*set).to_owned()).collect()
}

fn case(written: &hcddl::scenario::Written, line: String, learner: Option<Arc<dyn Learner>>) -> Case {
    let registry = Registry::default();
    let plan = resolve(written, &registry).unwrap_or_else(|error| panic!("{line}: {error}"));
    let seeds = plan.seeds;
    let line = format!("{line} (seeds {}, {}, {})", seeds.data, seeds.init, seeds.interleaving);
    let learner = learner.unwrap_or_else(|| {
        written.learner(&plan, &registry).unwrap_or_else(|error| panic!("{line}: {error}"))
    });
    Case { line, plan, registry, learner }
}

/// A scenario file, with `--set` options.
pub fn scenario(path: &Path, sets: &[&str]) -> Case {
    let line = format!("{} {sets:?}", path.display());
    let written = load(path, &owned(sets)).unwrap_or_else(|error| panic!("{line}: {error}"));
    case(&written, line, None)
}

/// A scenario as text, training what it names.
pub fn inline(text: &str) -> Case {
    let written = parse("inline.yml", text, &[]).unwrap_or_else(|error| panic!("{text}: {error}"));
    case(&written, text.trim().replace('\n', "; "), None)
}

/// The policy that a scenario writes so.
pub fn composition(policy: &str) -> hcddl::policy::Composition {
    let pick =
        hcddl::domain::Pick::<dyn hcddl::policy::Policy>::from(hcddl::yaml::parse(policy).unwrap().value);
    pick.build(&hcddl::policy::table()).unwrap()
}

/// A scenario as text, training random quadratic functions of 5 parameters, one for each worker or peer.
pub fn quadratic(text: &str) -> Case {
    quadratic_with(text, |learner| learner)
}

/// As [`quadratic`], changed a little.
pub fn quadratic_with(text: &str, change: impl FnOnce(Quadratic) -> Quadratic) -> Case {
    custom(text, |plan| {
        let shards = plan.nodes.iter().map(|node| node.shard).collect();
        let learner = Quadratic::random(5, shards, 1.0, plan.seeds.data);
        Arc::new(change(Quadratic { rule: plan.learning.rule.clone(), ..learner }))
    })
}

/// A scenario as text with a learner of one's own; `model` and `data` need not be named.
pub fn custom(text: &str, learner: impl FnOnce(&Plan) -> Arc<dyn Learner>) -> Case {
    let text = format!("model: softmax\n{text}");
    let written = parse("inline.yml", &text, &[]).unwrap_or_else(|error| panic!("{text}: {error}"));
    let registry = Registry::default();
    let plan = resolve(&written, &registry).unwrap_or_else(|error| panic!("{text}: {error}"));
    case(&written, text.trim().replace('\n', "; "), Some(learner(&plan)))
}

/// Events after which a small run is taken for one that never ends.
pub const ENDLESS: u64 = 300_000;

/// Remembers everything, and interrupts runs that go on for ever or that shall be interrupted.
#[derive(Default)]
pub struct Log {
    pub commits: Vec<CommitRow>,
    pub evaluations: Vec<EvaluationRow>,
    pub spans: Vec<TimelineSpan>,
    pub interrupt: Arc<AtomicBool>,
    /// Interrupts after so many commits.
    pub interrupt_at: Option<usize>,
}

impl Observer for Log {
    fn commit(&mut self, row: &CommitRow) {
        self.commits.push(row.clone());
        if self.interrupt_at == Some(self.commits.len()) {
            self.interrupt.store(true, Ordering::Relaxed);
        }
    }
    fn evaluation(&mut self, row: &EvaluationRow) {
        self.evaluations.push(row.clone());
    }
    fn span(&mut self, span: &TimelineSpan) {
        self.spans.push(span.clone());
    }
    fn progress(&mut self, progress: &Progress) {
        if progress.events > ENDLESS {
            self.interrupt.store(true, Ordering::Relaxed);
        }
    }
}

/// One thread, plain calls.
pub fn direct() -> SimOptions {
    SimOptions { threads: 1, runner: RunnerKind::Direct, ..SimOptions::default() }
}

impl Case {
    pub fn try_run(
        &self,
        options: &SimOptions,
        log: &mut Log,
        resume: Option<Checkpoint>,
    ) -> Result<RunResult, RunError> {
        let interrupt = Arc::clone(&log.interrupt);
        hcddl::sim::run(
            &self.plan,
            &self.registry,
            Arc::clone(&self.learner),
            options,
            log,
            interrupt,
            resume,
        )
    }

    pub fn run_with(&self, options: &SimOptions) -> RunResult {
        let mut log = Log::default();
        self.try_run(options, &mut log, None).unwrap_or_else(|error| panic!("{}: {error}", self.line))
    }

    /// Runs on one thread.
    pub fn run(&self) -> RunResult {
        self.run_with(&direct())
    }

    pub fn logged(&self) -> (RunResult, Log) {
        let mut log = Log::default();
        let result =
            self.try_run(&direct(), &mut log, None).unwrap_or_else(|error| panic!("{}: {error}", self.line));
        (result, log)
    }

    /// Runs to its last round and returns the model.
    pub fn model(&self) -> Vec<f32> {
        let result = self.run();
        assert_eq!(result.summary.reason, Reason::Rounds, "{}", self.line);
        result.model.values().expect("a run with values").to_vec()
    }
}

/// Trace and weight digest.
pub fn digests(result: &RunResult) -> (String, String) {
    (result.summary.trace_digest.clone(), result.summary.weight_digest.clone())
}

/// Every scenario, ascending.
pub fn scenarios() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in ["scenarios", "scenarios/hcddl"] {
        let entries = std::fs::read_dir(file(folder)).expect("the folder of scenarios");
        let paths = entries.map(|entry| entry.expect("an entry").path());
        found.extend(paths.filter(|path| path.extension().is_some_and(|ending| ending == "yml")));
    }
    found.sort();
    assert!(found.len() >= 10, "{found:?}");
    found
}

/// The largest distance of two vectors in units of the last place of their larger element.
pub fn ulps(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    let scale = a.iter().chain(b).fold(0.0f32, |most, x| most.max(x.abs()));
    let largest = a.iter().zip(b).map(|(a, b)| f64::from((a - b).abs())).fold(0.0, f64::max);
    largest / (f64::from(scale) * f64::from(f32::EPSILON))
}
