//! One run under one director: its result, its verdict, and the decisions that were made.

use super::judge::Judge;
use super::laws::{Breach, World};
use crate::run::RunError;
use crate::run::rules::director::{Decided, Director, Player};
use crate::run::rules::{Beginning, Sending};
use crate::sim::run_directed;
use hcddl_core::domain::{Span, Time};
use hcddl_core::node::Reason;
use hcddl_learn::Learner;
use hcddl_plan::measure::outcome::{RunnerKind, SimOptions, Summary};
use hcddl_plan::plan::Plan;
use hcddl_plan::plan::schedule::{Decision, Schedule};
use hcddl_plan::registry::Registry;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// What all runs of a search share.
#[derive(Clone)]
pub struct Setup<'a> {
    /// The scenario.
    pub plan: &'a Plan,
    /// What its names mean.
    pub registry: &'a Registry,
    /// What is trained.
    pub learner: Arc<dyn Learner>,
    /// Raised by the user to end everything.
    pub interrupt: Arc<AtomicBool>,
    /// Events after which a run counts as one that never ends.
    pub events_max: u64,
}

/// How a run went.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Its summary; there is none after a panic.
    pub summary: Option<Summary>,
    /// The first law that it broke.
    pub breach: Option<Breach>,
}

impl Attempt {
    /// Why a job failed (training that is not finite any more), if one did: a bad end, although no law is broken.
    #[must_use]
    pub fn failure(&self) -> Option<&str> {
        match &self.summary.as_ref()?.reason {
            Reason::Failed(why) => Some(why),
            _ => None,
        }
    }
}

impl Setup<'_> {
    /// Runs the plan under a director, on this thread. It ends at the first broken law if it `stops`.
    ///
    /// # Errors
    /// [`RunError`] when the run cannot be made at all.
    pub fn attempt(&self, director: &mut dyn Director, stops: bool) -> Result<Attempt, RunError> {
        let world = World { plan: self.plan, registry: self.registry };
        let stop = Arc::new(AtomicBool::new(false));
        let interrupt = Arc::clone(&self.interrupt);
        let mut judge = Judge::new(world, self.events_max, stops, Arc::clone(&stop), interrupt);
        let options = SimOptions { threads: 1, runner: RunnerKind::Direct, ..SimOptions::default() };
        let run = || {
            let learner = Arc::clone(&self.learner);
            run_directed(self.plan, self.registry, learner, &options, &mut judge, director, stop)
        };
        // A policy that panics has broken a law like any other.
        let summary = match catch_unwind(AssertUnwindSafe(run)) {
            Ok(result) => Some(result?.summary),
            Err(panic) => {
                let text = panic.downcast_ref::<String>().map(String::as_str);
                let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
                judge.note("no panic", text.to_owned());
                None
            }
        };
        let breach = judge.verdict(summary.as_ref());
        Ok(Attempt { summary, breach })
    }

    /// Plays a schedule.
    ///
    /// # Errors
    /// As [`Setup::attempt`].
    pub fn play(&self, schedule: &Schedule, stops: bool) -> Result<Attempt, RunError> {
        let mut plan;
        let setup = match schedule.rounds {
            Some(_) => {
                plan = self.plan.clone();
                schedule.shorten(&mut plan.stop);
                Setup { plan: &plan, ..self.clone() }
            }
            None => self.clone(),
        };
        setup.attempt(&mut Player::new(schedule), stops)
    }
}

/// Keeps what another director decides.
pub struct Recording<'a> {
    inner: Box<dyn Director + 'a>,
    made: Vec<(Time, Decision)>,
}

impl<'a> Recording<'a> {
    /// Records this one's decisions.
    #[must_use]
    pub fn new(inner: Box<dyn Director + 'a>) -> Self {
        Self { inner, made: Vec::new() }
    }

    /// Every decision until `end`.
    #[must_use]
    pub fn schedule(self, end: Time) -> Schedule {
        let made = self.made.into_iter().filter(|(at, _)| *at <= end).map(|(_, decision)| decision);
        Schedule { rounds: None, decisions: made.collect() }
    }
}

impl Director for Recording<'_> {
    fn message(&mut self, sending: &Sending<'_>) -> Decided {
        let fate = self.inner.message(sending);
        if fate != Decided::default() {
            let Decided { latency, lost, duplicate } = fate;
            let Sending { from, to, number, now, .. } = *sending;
            self.made.push((now, Decision::Message { from, to, number, latency, lost, duplicate }));
        }
        fate
    }

    fn job(&mut self, beginning: &Beginning<'_>) -> Option<Span> {
        let duration = self.inner.job(beginning)?;
        let Beginning { node, number, now, .. } = *beginning;
        self.made.push((now, Decision::Job { node, number, duration }));
        Some(duration)
    }

    fn fault(&mut self, index: u32, at: Time) -> Option<Time> {
        let at = self.inner.fault(index, at)?;
        // Decided before the run begins.
        self.made.push((Time::ZERO, Decision::Fault { index, at }));
        Some(at)
    }
}
