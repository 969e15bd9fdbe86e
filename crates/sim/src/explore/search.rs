//! The search: many schedules side by side, judged in their order, whatever the threads.

use super::attempt::{Attempt, Recording, Setup};
use super::bounds::{Bounds, Reach};
use super::laws::Breach;
use super::shrink::shrink;
use super::strategy::Strategy;
use crate::run::RunError;
use crate::run::rules::director::Player;
use hcddl_core::domain::{Span, Stream, Time};
use hcddl_plan::plan::schedule::Schedule;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;

/// What is searched.
#[derive(Clone, Debug)]
pub struct ExploreOptions {
    /// Schedules to try.
    pub schedules: usize,
    /// Strategies, taken in turn.
    pub strategies: Vec<Strategy>,
    /// Names the schedules.
    pub seed: u64,
    /// Where possible delays end.
    pub reach: Reach,
    /// Runs at the same time; 0 for one on each core.
    pub threads: usize,
    /// Whether the search goes on after a broken law.
    pub keep_going: bool,
    /// Runs that shrinking one schedule may take.
    pub shrink_max: u64,
}

impl Default for ExploreOptions {
    fn default() -> Self {
        Self {
            schedules: 300,
            strategies: Strategy::ALL.to_vec(),
            seed: 1,
            reach: Reach::default(),
            threads: 0,
            keep_going: false,
            shrink_max: 2_000,
        }
    }
}

/// A schedule that was tried.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Tried {
    /// Its number, from 1; 0 is the scenario as it is.
    pub number: usize,
    /// Where it comes from; `None` for the scenario as it is.
    pub strategy: Option<Strategy>,
    /// The seed that names its decisions.
    pub seed: u64,
    /// Why the run ended.
    pub ended: String,
    /// Virtual seconds until the target accuracy; `None` if it was not reached.
    pub time_to_target_s: Option<f64>,
    /// Virtual seconds of the run.
    pub virtual_time_s: f64,
    /// Final accuracy; `None` if there is none, as in timing-only runs and after a failed job.
    pub accuracy: Option<f64>,
    /// Final loss.
    pub loss: Option<f64>,
    /// Commits of the root.
    pub commits: u64,
    /// Mean staleness.
    pub staleness_mean: f64,
    /// Largest staleness.
    pub staleness_max: u64,
    /// Decisions that were made.
    pub decisions: usize,
    /// Digest of the ordered events.
    pub trace_digest: String,
    /// The law that it broke first.
    pub broken: Option<Breach>,
}

/// A broken law with the smallest schedule that shows it.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The schedule that was tried.
    pub number: usize,
    /// Where it comes from.
    pub strategy: Option<Strategy>,
    /// The law and how the small schedule breaks it.
    pub breach: Breach,
    /// The small schedule.
    pub schedule: Schedule,
    /// Decisions before it was shrunk.
    pub decisions_before: usize,
    /// Runs that shrinking took.
    pub runs: u64,
    /// Digest of the ordered events of the small schedule, run to its end; `None` if it has none.
    pub trace_digest: Option<String>,
    /// Digest of its weights.
    pub weight_digest: Option<String>,
}

/// What a search found.
#[derive(Clone, Debug)]
pub struct Exploration {
    /// The scenario as it is.
    pub base: Tried,
    /// Every schedule that was tried, in order.
    pub tried: Vec<Tried>,
    /// The one with the latest target, or the latest end where there is no target.
    pub worst_time: Option<(usize, Schedule)>,
    /// The one with the least final accuracy.
    pub worst_accuracy: Option<(usize, Schedule)>,
    /// One for each law that was broken, in order.
    pub findings: Vec<Finding>,
    /// What was possible.
    pub bounds: Bounds,
}

/// Searches. `told` hears of every schedule in order.
///
/// # Errors
/// [`RunError`] when a run cannot be made at all.
pub fn explore(
    setup: &Setup<'_>,
    options: &ExploreOptions,
    mut told: impl FnMut(&Tried),
) -> Result<Exploration, RunError> {
    let bounds = Bounds::new(setup.plan, options.reach);
    let mut setup = setup.clone();
    let mut own = setup.plan.schedule.as_ref().map(Player::new).unwrap_or_default();
    let attempt = setup.attempt(&mut own, true)?;
    let base = tried(0, None, 0, &attempt, setup.plan.schedule.as_ref().map_or(0, |s| s.decisions.len()));
    let has_target = setup.plan.stop.target_accuracy.is_some();
    let first = setup.plan.schedule.clone().unwrap_or_default();
    let length = Span::from_seconds(base.virtual_time_s);
    let events = attempt.summary.as_ref().map_or(0, |summary| summary.events);
    setup.events_max = setup.events_max.min(EVENTS_LEAST.max(events.saturating_mul(EVENTS_FACTOR)));
    let mut collected = Collected::new(&setup, options, has_target);
    let go_on = collected.judge(&base, first)?;
    let mut all = Vec::new();
    if go_on && options.schedules > 0 && !options.strategies.is_empty() {
        side_by_side(&setup, options, &bounds, length, |result| {
            let (tried, schedule) = result?;
            told(&tried);
            let go_on = collected.judge(&tried, schedule)?;
            all.push(tried);
            Ok(go_on)
        })?;
    }
    let Collected { worst_time, worst_accuracy, findings, .. } = collected;
    let worst = |worst: Option<(f64, usize, Schedule)>| worst.map(|(_, number, schedule)| (number, schedule));
    let (worst_time, worst_accuracy) = (worst(worst_time), worst(worst_accuracy));
    Ok(Exploration { base, tried: all, worst_time, worst_accuracy, findings, bounds })
}

/// A run with so many times the events of the scenario's own never ends; short ones may have more.
const EVENTS_FACTOR: u64 = 50;
const EVENTS_LEAST: u64 = 200_000;

/// A schedule that was tried and its decisions.
type Outcome = Result<(Tried, Schedule), RunError>;

/// Tries the schedules on several threads and hands each on in order, until told to stop.
fn side_by_side(
    setup: &Setup<'_>,
    options: &ExploreOptions,
    bounds: &Bounds,
    length: Span,
    mut take: impl FnMut(Outcome) -> Result<bool, RunError>,
) -> Result<(), RunError> {
    let threads = match options.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    };
    let (next, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let (send, receive) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..threads.min(options.schedules) {
            let (send, next, over) = (send.clone(), &next, &over);
            scope.spawn(move || {
                while !over.load(Ordering::Relaxed) && !setup.interrupt.load(Ordering::Relaxed) {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= options.schedules {
                        break;
                    }
                    let _ = send.send((index, one(setup, options, bounds.clone(), length, index)));
                }
            });
        }
        drop(send);
        let mut waiting = BTreeMap::new();
        let mut done = 0;
        for (index, result) in receive {
            waiting.insert(index, result);
            while let Some(result) = waiting.remove(&done) {
                done += 1;
                // What was cut off by the user shows nothing.
                if over.load(Ordering::Relaxed) || setup.interrupt.load(Ordering::Relaxed) {
                    continue;
                }
                match take(result) {
                    Ok(true) => {}
                    Ok(false) => over.store(true, Ordering::Relaxed),
                    Err(error) => {
                        over.store(true, Ordering::Relaxed);
                        return Err(error);
                    }
                }
            }
        }
        Ok(())
    })
}

fn one(setup: &Setup<'_>, options: &ExploreOptions, bounds: Bounds, length: Span, index: usize) -> Outcome {
    let strategy = options.strategies[index % options.strategies.len()];
    let seed = Stream::new(options.seed, "explore", index as u64, 0).word();
    let mut director = Recording::new(strategy.director(setup.plan, bounds, seed, length));
    let attempt = setup.attempt(&mut director, true)?;
    let end = attempt.breach.as_ref().map_or(Time::MAX, |breach| breach.at);
    let schedule = director.schedule(end);
    Ok((tried(index + 1, Some(strategy), seed, &attempt, schedule.decisions.len()), schedule))
}

fn tried(number: usize, strategy: Option<Strategy>, seed: u64, attempt: &Attempt, decisions: usize) -> Tried {
    let broken = attempt.breach.clone();
    let mut tried = Tried {
        number,
        strategy,
        seed,
        ended: "in a panic".to_owned(),
        time_to_target_s: None,
        virtual_time_s: broken.as_ref().map_or(0.0, |breach| breach.at.seconds()),
        accuracy: None,
        loss: None,
        commits: broken.as_ref().map_or(0, |breach| breach.commits),
        staleness_mean: 0.0,
        staleness_max: 0,
        decisions,
        trace_digest: String::new(),
        broken,
    };
    if let Some(summary) = &attempt.summary {
        let failed = attempt.failure().is_some();
        tried.ended = match &tried.broken {
            Some(breach) => format!("early: the law `{}` is broken", breach.law),
            None => summary.reason.to_string(),
        };
        tried.time_to_target_s = summary.time_to_target_s;
        tried.virtual_time_s = summary.virtual_time_s;
        tried.accuracy = summary.accuracy.filter(|_| !failed);
        tried.loss = summary.loss.filter(|_| !failed);
        tried.commits = summary.commits;
        (tried.staleness_mean, tried.staleness_max) = (summary.staleness.mean, summary.staleness.max);
        tried.trace_digest = summary.trace_digest.clone();
    }
    tried
}

/// The worst so far and the broken laws so far.
struct Collected<'a> {
    setup: Setup<'a>,
    options: &'a ExploreOptions,
    has_target: bool,
    worst_time: Option<(f64, usize, Schedule)>,
    worst_accuracy: Option<(f64, usize, Schedule)>,
    findings: Vec<Finding>,
}

impl<'a> Collected<'a> {
    fn new(setup: &Setup<'a>, options: &'a ExploreOptions, has_target: bool) -> Self {
        Self {
            setup: setup.clone(),
            options,
            has_target,
            worst_time: None,
            worst_accuracy: None,
            findings: Vec::new(),
        }
    }

    /// Looks at one more run; says whether the search goes on.
    fn judge(&mut self, tried: &Tried, schedule: Schedule) -> Result<bool, RunError> {
        let Some(breach) = &tried.broken else {
            if tried.number > 0 {
                self.compare(tried, schedule);
            }
            return Ok(true);
        };
        if self.findings.iter().all(|finding| finding.breach.law != breach.law) {
            let decisions_before = schedule.decisions.len();
            let small = shrink(&self.setup, schedule, breach.clone(), self.options.shrink_max)?;
            // To its end, as `sim` plays it; what never ends has no digest.
            let whole = match small.breach.law {
                "ends" => None,
                _ => self.setup.play(&small.schedule, false)?.summary,
            };
            let digest = |of: fn(&hcddl_plan::measure::outcome::Summary) -> &String| {
                whole.as_ref().map(|s| of(s).clone())
            };
            self.findings.push(Finding {
                number: tried.number,
                strategy: tried.strategy,
                breach: small.breach,
                schedule: small.schedule,
                decisions_before,
                runs: small.runs,
                trace_digest: digest(|summary| &summary.trace_digest),
                weight_digest: digest(|summary| &summary.weight_digest),
            });
        }
        Ok(self.options.keep_going)
    }

    fn compare(&mut self, tried: &Tried, schedule: Schedule) {
        let time = if self.has_target {
            tried.time_to_target_s.unwrap_or(f64::INFINITY)
        } else {
            tried.virtual_time_s
        };
        // A run whose training failed has the least accuracy of all.
        let error = if self.setup.plan.timing_only { None } else { Some(-tried.accuracy.unwrap_or(-1.0)) };
        let worse = |worst: &Option<(f64, usize, Schedule)>, value: f64| {
            worst.as_ref().is_none_or(|(before, ..)| value > *before)
        };
        if let Some(error) = error.filter(|error| worse(&self.worst_accuracy, *error)) {
            self.worst_accuracy = Some((error, tried.number, schedule.clone()));
        }
        if worse(&self.worst_time, time) {
            self.worst_time = Some((time, tried.number, schedule));
        }
    }
}
