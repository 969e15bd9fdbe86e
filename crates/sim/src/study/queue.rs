//! Runs side by side: threads take run after run, each of which computes on its thread alone.

use super::design::{Cell, Study, predictions};
use super::file::Keep;
use super::learners::Learners;
use super::outcome::{Finished, ended, slim};
use super::watch::Watch;
use crate::sim;
use hcddl_plan::measure::outcome::{RunnerKind, SimOptions};
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Instant;

/// Runs these numbers of a study and tells of each as it ends, in the caller's thread. When `interrupt` is raised, or
/// telling fails, what is under way is given up.
///
/// # Errors
/// What `tell` returns.
pub fn run<E>(
    study: &Study<'_>,
    mut numbers: Vec<u64>,
    threads: usize,
    interrupt: &Arc<AtomicBool>,
    mut tell: impl FnMut(Finished) -> Result<(), E>,
) -> Result<(), E> {
    let threads = match threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    };
    // Runs that share a learner follow each other, so that few learners are in memory.
    let key = |number: &u64| study.learner_key(&study.cell(*number));
    numbers.sort_by_cached_key(|number| (key(number), *number));
    let learners = Learners::new(numbers.iter().map(key), threads);
    let next = AtomicUsize::new(0);
    let (send, receive) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..threads.min(numbers.len()) {
            let (send, next, numbers, learners) = (send.clone(), &next, &numbers, &learners);
            scope.spawn(move || {
                while !interrupt.load(Ordering::SeqCst) {
                    let Some(number) = numbers.get(next.fetch_add(1, Ordering::SeqCst)) else { break };
                    let cell = study.cell(*number);
                    let finished = guarded(study, *number, &cell, learners, interrupt);
                    learners.release(study.learner_key(&cell));
                    if let Some(finished) = finished {
                        let _ = send.send(finished);
                    }
                }
            });
        }
        drop(send);
        for finished in receive {
            if let Err(error) = tell(finished) {
                interrupt.store(true, Ordering::SeqCst);
                return Err(error);
            }
        }
        Ok(())
    })
}

/// One run, whatever happens in it; `None` when it was interrupted.
fn guarded(
    study: &Study<'_>,
    number: u64,
    cell: &Cell<'_>,
    learners: &Learners,
    interrupt: &Arc<AtomicBool>,
) -> Option<Finished> {
    let attempt = AssertUnwindSafe(|| attempt(study, number, cell, learners, interrupt));
    match std::panic::catch_unwind(attempt) {
        Ok(Ok(finished)) => finished,
        Ok(Err(why)) => Some(Finished::failed(number, why)),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
            Some(Finished::failed(number, format!("a bug in hcddl: {text}")))
        }
    }
}

fn attempt(
    study: &Study<'_>,
    number: u64,
    cell: &Cell<'_>,
    learners: &Learners,
    interrupt: &Arc<AtomicBool>,
) -> Result<Option<Finished>, String> {
    let started = Instant::now();
    let written = study.scenario(cell).map_err(|error| error.to_string())?;
    let plan = study.plan_of(cell, &written).map_err(|error| error.to_string())?;
    let learner = learners.get(study, cell, &written, &plan).map_err(|error| error.to_string())?;
    let mut watch = Watch::default();
    // With one thread the event loop computes each job itself when its result is due.
    let options = SimOptions { threads: 1, runner: RunnerKind::Direct, ..SimOptions::default() };
    let ran = sim::run(
        &plan,
        study.registry(),
        Arc::clone(&learner),
        &options,
        &mut watch,
        Arc::clone(interrupt),
        None,
    );
    let ran = ran.map_err(|error| error.to_string())?;
    let Some((status, reason)) = ended(&ran.summary.reason) else { return Ok(None) };
    let model = ran.model.values().filter(|_| study.keep.contains(&Keep::Predictions));
    Ok(Some(Finished {
        run: number,
        status,
        reason,
        predictions: model.map(|model| predictions(&learner, model)),
        staleness: watch.staleness(&plan),
        participation: watch.participation(&plan),
        curve: watch.curve,
        summary: Some(slim(ran.summary)),
        wall_time_s: started.elapsed().as_secs_f64(),
    }))
}
