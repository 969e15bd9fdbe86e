//! Shrinking: of the decisions of a schedule that breaks a law, those that are needed. Delta debugging: Zeller and
//! Hildebrandt, Simplifying and Isolating Failure-Inducing Input, IEEE Transactions on Software Engineering 28(2),
//! 2002. As in ddmin, parts are left out while that keeps the failure and halved when it does not; the result is
//! 1-minimal: it fails no more without any one of its decisions.

use super::attempt::Setup;
use super::laws::Breach;
use crate::run::RunError;
use hcddl_plan::plan::schedule::{Decision, Schedule};
use std::sync::atomic::Ordering;

/// A schedule that breaks a law, and what it took to make it small.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The schedule.
    pub schedule: Schedule,
    /// The law that it breaks, and how.
    pub breach: Breach,
    /// Runs that were made.
    pub runs: u64,
}

/// Shrinks a schedule; what comes out breaks the same law. At most `runs_max` runs are made.
///
/// # Errors
/// [`RunError`].
pub fn shrink(
    setup: &Setup<'_>,
    schedule: Schedule,
    breach: Breach,
    runs_max: u64,
) -> Result<Shrunk, RunError> {
    let mut shrinking = Shrinking { setup, best: Shrunk { schedule, breach, runs: 0 }, runs_max };
    shrinking.rounds()?;
    shrinking.decisions()?;
    shrinking.rounds()?;
    Ok(shrinking.best)
}

struct Shrinking<'a> {
    setup: &'a Setup<'a>,
    best: Shrunk,
    runs_max: u64,
}

impl Shrinking<'_> {
    /// Whether a smaller schedule breaks the law too; then it is the best from now on.
    fn still_breaks(&mut self, schedule: Schedule) -> Result<bool, RunError> {
        if self.is_over() {
            return Ok(false);
        }
        self.best.runs += 1;
        let breach = self.setup.play(&schedule, true)?.breach;
        match breach.filter(|breach| breach.law == self.best.breach.law) {
            Some(breach) => {
                (self.best.schedule, self.best.breach) = (schedule, breach);
                Ok(true)
            }
            None => Ok(false),
        }
    }

    fn is_over(&self) -> bool {
        self.best.runs >= self.runs_max || self.setup.interrupt.load(Ordering::Relaxed)
    }

    /// Ends the run right after the breach.
    fn rounds(&mut self) -> Result<(), RunError> {
        if self.setup.plan.peers.is_some() {
            return Ok(());
        }
        let after = self.best.breach.commits;
        for rounds in [after.max(1), after + 1] {
            let before = self.best.schedule.rounds.or(self.setup.plan.stop.rounds);
            let shorter = Schedule { rounds: Some(rounds), ..self.best.schedule.clone() };
            if before.is_none_or(|before| rounds < before) && self.still_breaks(shorter)? {
                break;
            }
        }
        Ok(())
    }

    /// Leaves out one part of the decisions after the other, first halves, then smaller and smaller parts, until no
    /// single decision can be left out any more.
    fn decisions(&mut self) -> Result<(), RunError> {
        let rounds = |best: &Shrunk| best.schedule.rounds;
        if self.still_breaks(Schedule { decisions: Vec::new(), rounds: rounds(&self.best) })? {
            return Ok(());
        }
        let mut size = self.best.schedule.decisions.len().div_ceil(2);
        loop {
            let (mut from, mut smaller) = (0, false);
            while from < self.best.schedule.decisions.len() && !self.is_over() {
                let all = &self.best.schedule.decisions;
                let to = (from + size).min(all.len());
                let decisions: Vec<Decision> = all[..from].iter().chain(&all[to..]).copied().collect();
                if self.still_breaks(Schedule { decisions, rounds: rounds(&self.best) })? {
                    smaller = true;
                } else {
                    from = to;
                }
            }
            if self.is_over() || (size <= 1 && !smaller) {
                return Ok(());
            }
            size = size.div_ceil(2).min(self.best.schedule.decisions.len().max(1));
        }
    }
}
