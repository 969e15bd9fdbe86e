//! Plain simulations, drawn from a seed: with one thread and two, with plain calls and actors, interrupted and continued,
//! a run must be the same to the bit. What differs between processes (the instruction set) is compared by who has
//! several: see `examples/storm.rs`.

use super::weather::{pick, shape};
use hcddl_core::domain::Stream;
use hcddl_core::node::Reason;
use hcddl_plan::measure::outcome::{
    CommitRow, EvaluationRow, Observer, Progress, RunnerKind, SimOptions, TimelineSpan,
};
use hcddl_plan::registry::Registry;
use hcddl_sim::record::checkpoint;
use hcddl_sim::sim::RunResult;
use hcddl_sim::sim::checkpoint::Checkpoint;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Events after which a small run is taken for one that never ends.
const ENDLESS: u64 = 300_000;

/// A plain simulation.
#[derive(Clone, Debug, PartialEq)]
pub struct Plain {
    /// Where it comes from.
    pub seed: u64,
    /// What it cannot be without, in YAML.
    pub core: String,
    /// Rounds until it ends.
    pub rounds: u64,
    /// What it can be without: sections of the scenario.
    pub more: Vec<String>,
    /// Decides after which of its commits it is interrupted.
    pub interrupt: u64,
}

/// What a run comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digests {
    /// Of all that happened, in order.
    pub trace: String,
    /// Of the weights in the end.
    pub weights: String,
}

impl Plain {
    /// The simulation of a seed.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        let mut stream = Stream::new(seed, "storm", 3, 0);
        let stream = &mut stream;
        let (topology, _, how) = shape(stream);
        let (model, data) = match stream.below(4) {
            0 => ("softmax".to_owned(), "{name: blobs, features: 7, samples: 300, test_samples: 40}"),
            1 => (
                "{name: mlp, hidden: [9]}".to_owned(),
                "{name: blobs, features: 33, samples: 300, test_samples: 40}",
            ),
            2 => (
                "{name: mlp, hidden: [16, 5]}".to_owned(),
                "{name: digits, limit_train: 240, limit_test: 50}",
            ),
            _ => ("{name: cnn, filters: 2}".to_owned(), "{name: digits, limit_train: 120, limit_test: 20}"),
        };
        let core = format!("name: plain\ntopology: {topology}\nmodel: {model}\ndata: {data}\n{how}\n");
        let more = more(stream);
        Self { seed, core, rounds: 3 + stream.below(30), more, interrupt: stream.word() }
    }

    /// The whole scenario.
    #[must_use]
    pub fn scenario(&self) -> String {
        let Self { core, rounds, more, .. } = self;
        let training: String = more.iter().filter_map(|line| line.strip_prefix("training: ")).collect();
        let rest = more.iter().filter(|line| !line.starts_with("training: "));
        let rest: String = rest.map(|section| format!("{section}\n")).collect();
        format!("{core}training: {{rounds: {rounds}, batch: 8{training}}}\n{rest}")
    }

    /// Runs it in every way; what it comes to. Checkpoints go into `dir`, which is made and removed.
    ///
    /// # Errors
    /// Which way makes another run of it, or that it cannot be run.
    pub fn compare(&self, dir: &Path) -> Result<Digests, String> {
        let mut log = Log::default();
        let text = self.scenario();
        let expected = digests(&run_with(&text, 1, RunnerKind::Direct, &mut log, None, None)?);
        for (threads, runner) in [(2, RunnerKind::Direct), (1, RunnerKind::Actors), (2, RunnerKind::Actors)] {
            let again = run_with(&text, threads, runner, &mut Log::default(), None, None)?;
            same(&expected, &digests(&again), &format!("{threads} threads and {runner:?}"))?;
        }
        if log.commits < 2 {
            return Ok(expected);
        }
        let at = 1 + self.interrupt % (log.commits - 1);
        let made = std::fs::create_dir_all(dir).map_err(|error| error.to_string());
        let continued = made.and_then(|()| self.continued(at, dir));
        // What could not be made need not be removed.
        let _ = std::fs::remove_dir_all(dir);
        let (result, commits) = continued?;
        same(&expected, &digests(&result), &format!("an interruption after commit {at}"))?;
        if commits != log.commits {
            return Err(format!(
                "expected {} commits, found {commits} with an interruption after commit {at}",
                log.commits
            ));
        }
        Ok(expected)
    }

    /// The run in two parts, each carried in another way, and its commits.
    fn continued(&self, at: u64, dir: &Path) -> Result<(RunResult, u64), String> {
        let mut before = Log { interrupt_at: Some(at), ..Log::default() };
        let first = run_with(&self.scenario(), 2, RunnerKind::Actors, &mut before, Some(dir), None)?;
        if first.summary.reason != Reason::Interrupted {
            // It was in its last commit already.
            return Ok((first, before.commits));
        }
        let saved = checkpoint::read(dir).map_err(|error| error.to_string())?;
        let mut after = Log::default();
        let result = run_with(&self.scenario(), 1, RunnerKind::Direct, &mut after, Some(dir), Some(saved))?;
        Ok((result, before.commits + after.commits))
    }

    /// The simulation with as little in it as needed to fail, in whatever way `fails` tells.
    #[must_use]
    pub fn shrink(&self, why: String, fails: &dyn Fn(&Self) -> Option<String>) -> (Self, String) {
        let (mut best, mut why) = (self.clone(), why);
        loop {
            let without = |i: usize| {
                let mut less = best.clone();
                less.more.remove(i);
                less
            };
            let fewer =
                [best.rounds / 2, best.rounds.saturating_sub(1)].into_iter().filter(|rounds| *rounds > 0);
            let fewer = fewer.map(|rounds| Self { rounds, ..best.clone() });
            let smaller =
                (0..best.more.len()).map(without).chain(fewer).find_map(|less| Some((fails(&less)?, less)));
            match smaller {
                Some((still, less)) => (best, why) = (less, still),
                None => return (best, why),
            }
        }
    }
}

/// What a scenario comes to, with plain calls on one thread.
///
/// # Errors
/// Why it cannot be run, or does not end.
pub fn digests_of(scenario: &str) -> Result<Digests, String> {
    let ran = run_with(scenario, 1, RunnerKind::Direct, &mut Log::default(), None, None);
    ran.map(|result| digests(&result))
}

fn run_with(
    scenario: &str,
    threads: usize,
    runner: RunnerKind,
    log: &mut Log,
    dir: Option<&Path>,
    resume: Option<Checkpoint>,
) -> Result<RunResult, String> {
    let registry = Registry::default();
    let written = hcddl_plan::scenario::parse("plain.yml", scenario, &[]);
    let written = written.map_err(|error| error.to_string())?;
    let plan = hcddl_plan::scenario::resolve(&written, &registry).map_err(|error| error.to_string())?;
    let learner = written.learner(&plan, &registry).map_err(|error| error.to_string())?;
    let checkpoint_dir = dir.map(Path::to_owned);
    let options = SimOptions { threads, runner, checkpoint_dir, ..SimOptions::default() };
    let interrupt = Arc::clone(&log.interrupt);
    let ran = hcddl_sim::sim::run(&plan, &registry, learner, &options, log, interrupt, resume);
    let result = ran.map_err(|error| error.to_string())?;
    if log.is_endless {
        return Err(format!("it goes on after {ENDLESS} events"));
    }
    Ok(result)
}

fn digests(result: &RunResult) -> Digests {
    Digests { trace: result.summary.trace_digest.clone(), weights: result.summary.weight_digest.clone() }
}

/// Whether two runs are one, of which the second was made `with` something else.
///
/// # Errors
/// That they differ, and in what.
pub fn same(expected: &Digests, found: &Digests, with: &str) -> Result<(), String> {
    for (what, expected, found) in
        [("trace", &expected.trace, &found.trace), ("weights", &expected.weights, &found.weights)]
    {
        if expected != found {
            return Err(format!("expected the {what} {expected}, found {found} with {with}"));
        }
    }
    Ok(())
}

/// Sections that a scenario may have.
fn more(stream: &mut Stream) -> Vec<String> {
    let training = [
        ", local: {steps: 3}",
        ", optimizer: {name: adam, weight_decay: 0.01}",
        ", optimizer: {name: sgd, lr: 0.05, momentum: 0.9}",
        ", clip_norm: 2",
        ", schedule: cosine(20)",
    ];
    let network = [
        "{lan: {profile: wifi5}}",
        "{lan: {profile: lan-gige}, contention: fifo}",
        "{lan: {latency: 'uniform(1ms, 30ms)', rate: 5mbit}, contention: none}",
        "{lan: {latency: 3ms, loss: 0.02}}",
    ];
    let mut sections = Vec::new();
    let mut maybe = |stream: &mut Stream, text: String| {
        if stream.below(2) == 0 {
            sections.push(text);
        }
    };
    let setting = pick(stream, &training);
    maybe(stream, format!("training: {setting}"));
    let links = pick(stream, &network);
    maybe(stream, format!("network: {links}"));
    let devices = pick(
        stream,
        &["{default: pi-4b}", "{heterogeneity: lognormal(0.5)}", "{heterogeneity: 'some(0.5, 5)'}"],
    );
    maybe(stream, format!("devices: {devices}"));
    let seed = stream.below(1000);
    maybe(stream, format!("seeds: {{interleaving: {seed}, data: {}}}", seed / 3));
    let every = 1 + stream.below(9);
    maybe(stream, format!("evaluation: {{every: {every}}}"));
    let (from, loss) = (stream.below(20), pick(stream, &["0.05", "0.2"]));
    maybe(
        stream,
        format!(
            "faults: {{messages: [{{from: {from}ms, until: {}ms, loss: {loss}, duplicate: 0.1}}]}}",
            from + 400
        ),
    );
    sections
}

/// Counts commits, and interrupts.
#[derive(Default)]
struct Log {
    commits: u64,
    interrupt: Arc<AtomicBool>,
    interrupt_at: Option<u64>,
    is_endless: bool,
}

impl Observer for Log {
    fn commit(&mut self, _: &CommitRow) {
        self.commits += 1;
        if self.interrupt_at == Some(self.commits) {
            self.interrupt.store(true, Ordering::Relaxed);
        }
    }
    fn evaluation(&mut self, _: &EvaluationRow) {}
    fn span(&mut self, _: &TimelineSpan) {}
    fn progress(&mut self, progress: &Progress) {
        if progress.events > ENDLESS {
            self.is_endless = true;
            self.interrupt.store(true, Ordering::Relaxed);
        }
    }
    fn wants_spans(&self) -> bool {
        false
    }
}
