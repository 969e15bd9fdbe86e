//! The progress bar on stderr.

use hcddl_core::domain::{NodeId, Time};
use hcddl_core::node::{Effect, Event};
use hcddl_plan::measure::outcome::{CommitRow, EvaluationRow, Observer, Progress, TimelineSpan};
use hcddl_plan::plan::{Plan, StopPlan};
use hcddl_sim::record::pace::Pace;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::time::{Duration, Instant};

/// Shows where a run stands: version or round of how many, virtual time, accuracy, events per second.
pub struct Bar {
    bar: ProgressBar,
    stop: StopPlan,
    pace: Pace,
    /// When events were last counted, and how many there were.
    counted: (Instant, u64),
    accuracy: Option<f64>,
}

const DRAW_EVERY: Duration = Duration::from_millis(100);

impl Bar {
    /// A bar on stderr.
    #[must_use]
    pub fn new(plan: &Plan) -> Self {
        let stop = plan.stop;
        let total = stop.rounds.or(stop.time.map(|time| time.0));
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr_with_hz(10));
        let template = match (total.is_some(), is_wide()) {
            (true, true) => "{elapsed} [{bar:16}] {eta} left, {wide_msg}",
            (true, false) => "{elapsed}, {eta} left {wide_msg}",
            (false, true) => "{elapsed} {spinner} {wide_msg}",
            (false, false) => "{elapsed} {wide_msg}",
        };
        let style = ProgressStyle::with_template(template).expect("a fixed template").progress_chars("=> ");
        bar.set_style(style);
        Self { bar, stop, pace: Pace::new(DRAW_EVERY), counted: (Instant::now(), 0), accuracy: None }
    }

    /// Removes the bar, so that the results stand alone.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

impl Observer for Bar {
    fn commit(&mut self, _: &CommitRow) {}

    fn evaluation(&mut self, row: &EvaluationRow) {
        self.accuracy = row.values.get("accuracy").copied().or(self.accuracy);
    }

    fn span(&mut self, _: &TimelineSpan) {}

    fn progress(&mut self, progress: &Progress) {
        if !self.pace.due() {
            return;
        }
        let now = Instant::now();
        let events = progress.events.saturating_sub(self.counted.1);
        let per_second = events as f64 / (now - self.counted.0).as_secs_f64().max(1e-9);
        self.counted = (now, progress.events);
        self.bar.set_position(position(&self.stop, progress));
        let accuracy = progress.accuracy.or(self.accuracy);
        self.bar.set_message(message(&self.stop, progress, accuracy, per_second));
    }

    fn wants_spans(&self) -> bool {
        false
    }
}

/// Whether the terminal has room for a bar and whole words.
fn is_wide() -> bool {
    let size = rustix::termios::tcgetwinsize(std::io::stderr());
    size.map_or(true, |size| size.ws_col == 0 || size.ws_col >= 72)
}

fn position(stop: &StopPlan, progress: &Progress) -> u64 {
    if stop.rounds.is_some() { progress.commits } else { progress.now.0 }
}

fn message(stop: &StopPlan, progress: &Progress, accuracy: Option<f64>, per_second: f64) -> String {
    let of = stop.rounds.map_or(String::new(), |rounds| format!("/{rounds}"));
    if !is_wide() {
        let accuracy = accuracy.map_or(String::new(), |value| format!(" acc {value:.3}"));
        return format!("v{}{of}{accuracy}", progress.commits);
    }
    let until = stop.time.map_or(String::new(), |time| format!(" of {}", Time(time.0)));
    let accuracy = accuracy.map_or(String::new(), |value| format!(", accuracy {value:.4}"));
    format!(
        "version {}{of}, {}{until} virtual{accuracy}, {} events/s",
        progress.commits,
        progress.now,
        super::terminal::count(per_second)
    )
}

/// Shows how many runs of a study are over, and about how long the others take.
pub struct Runs {
    bar: ProgressBar,
}

impl Runs {
    /// A bar on stderr; `done` of the runs were over before.
    #[must_use]
    pub fn new(all: u64, done: u64) -> Self {
        let bar = ProgressBar::with_draw_target(Some(all), ProgressDrawTarget::stderr_with_hz(10));
        let template = match is_wide() {
            true => "{elapsed} [{bar:24}] run {pos}/{len}{msg}, about {eta} left",
            false => "{elapsed}, {eta} left {pos}/{len}{wide_msg}",
        };
        let style = ProgressStyle::with_template(template).expect("a fixed template").progress_chars("=> ");
        bar.set_style(style);
        bar.set_position(done);
        // The runs of an earlier execution say nothing about the speed of this one.
        bar.reset_eta();
        bar.enable_steady_tick(Duration::from_secs(1));
        Self { bar }
    }

    /// Another run is over; so many failed.
    pub fn done(&self, failed: usize) {
        self.bar.inc(1);
        if failed > 0 {
            self.bar.set_message(format!(", {failed} failed"));
        }
    }

    /// Removes the bar, so that the results stand alone.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

/// Two observers, told in this order. Only the first one's position is remembered.
pub struct Both<'a>(pub &'a mut dyn Observer, pub &'a mut dyn Observer);

impl Observer for Both<'_> {
    fn commit(&mut self, row: &CommitRow) {
        self.0.commit(row);
        self.1.commit(row);
    }

    fn evaluation(&mut self, row: &EvaluationRow) {
        self.0.evaluation(row);
        self.1.evaluation(row);
    }

    fn span(&mut self, span: &TimelineSpan) {
        for observer in [&mut *self.0, &mut *self.1] {
            if observer.wants_spans() {
                observer.span(span);
            }
        }
    }

    fn progress(&mut self, progress: &Progress) {
        self.0.progress(progress);
        self.1.progress(progress);
    }

    fn position(&mut self) -> Vec<u8> {
        self.0.position()
    }

    fn wants_spans(&self) -> bool {
        self.0.wants_spans() || self.1.wants_spans()
    }

    fn event(&mut self, now: Time, node: NodeId, event: &Event) {
        for observer in [&mut *self.0, &mut *self.1] {
            if observer.wants_events() {
                observer.event(now, node, event);
            }
        }
    }

    fn effects(&mut self, now: Time, node: NodeId, effects: &[Effect]) {
        for observer in [&mut *self.0, &mut *self.1] {
            if observer.wants_events() {
                observer.effects(now, node, effects);
            }
        }
    }

    fn wants_events(&self) -> bool {
        self.0.wants_events() || self.1.wants_events()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hcddl_core::domain::Span;

    #[test]
    fn says_what_there_is_to_say() {
        let at = Progress { now: Time(1_500_000_000), commits: 12, events: 99, accuracy: None };
        let rounds = StopPlan { rounds: Some(60), time: None, target_accuracy: None };
        assert_eq!(
            message(&rounds, &at, Some(0.5), 1_234_567.0),
            "version 12/60, 1.5 s virtual, accuracy 0.5000, 1.23 M events/s"
        );
        let time = StopPlan { rounds: None, time: Some(Span::from_millis(3000)), target_accuracy: None };
        assert_eq!(message(&time, &at, None, 12.0), "version 12, 1.5 s of 3 s virtual, 12 events/s");
        assert_eq!((position(&rounds, &at), position(&time, &at)), (12, 1_500_000_000));
    }
}
