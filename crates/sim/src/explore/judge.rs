//! The judge: watches one run, hands what it sees to the laws, and stops the run at the first one that is broken.

use super::laws::{At, Breach, LAWS, Law, Mail, World};
use hcddl_core::domain::{NodeId, Time};
use hcddl_core::node::kinds::ACK;
use hcddl_core::node::{Effect, Event, Reason};
use hcddl_plan::measure::outcome::{CommitRow, EvaluationRow, Observer, Progress, Summary, TimelineSpan};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// See the module.
pub struct Judge<'a> {
    world: World<'a>,
    laws: Vec<(&'static str, Box<dyn Law + 'a>)>,
    mail: Mail,
    breach: Option<Breach>,
    /// Events after which a run counts as one that never ends.
    events_max: u64,
    /// Raised to end the run.
    stop: Arc<AtomicBool>,
    /// Whether a broken law ends the run.
    stops: bool,
    /// Raised by the user.
    interrupt: Arc<AtomicBool>,
    now: Time,
    events: u64,
    commits: u64,
}

impl<'a> Judge<'a> {
    /// A judge of one run. It raises `stop` when the run need not go on: at the first broken law (if it `stops`),
    /// after `events_max` events, and when `interrupt` is raised.
    #[must_use]
    pub fn new(
        world: World<'a>,
        events_max: u64,
        stops: bool,
        stop: Arc<AtomicBool>,
        interrupt: Arc<AtomicBool>,
    ) -> Self {
        Self {
            world,
            laws: LAWS.iter().map(|row| (row.name, (row.build)(world))).collect(),
            mail: Mail::default(),
            breach: None,
            events_max,
            stop,
            stops,
            interrupt,
            now: Time::ZERO,
            events: 0,
            commits: 0,
        }
    }

    /// Asks every law; the first breach counts.
    fn ask(&mut self, mut question: impl FnMut(&mut dyn Law) -> Result<(), String>) {
        if self.breach.is_some() {
            return;
        }
        let broken =
            self.laws.iter_mut().find_map(|(name, law)| Some((*name, question(law.as_mut()).err()?)));
        if let Some((law, what)) = broken {
            self.note(law, what);
        }
    }

    /// A law is broken, unless one was before.
    pub fn note(&mut self, law: &'static str, what: String) {
        let (at, commits, events) = (self.now, self.commits, self.events);
        self.breach.get_or_insert(Breach { law, what, at, commits, events });
        if self.stops {
            self.stop.store(true, Ordering::Relaxed);
        }
    }

    /// The run is over: the verdict.
    #[must_use]
    pub fn verdict(mut self, summary: Option<&Summary>) -> Option<Breach> {
        if let Some(summary) = summary {
            match &summary.reason {
                Reason::Stalled(why) => self.note("goes on", why.clone()),
                // What was cut off shows nothing at its end.
                Reason::Interrupted => {}
                _ => self.ask(|law| law.end(summary)),
            }
        }
        self.breach
    }
}

impl Observer for Judge<'_> {
    fn commit(&mut self, _: &CommitRow) {}
    fn evaluation(&mut self, _: &EvaluationRow) {}
    fn span(&mut self, _: &TimelineSpan) {}

    fn progress(&mut self, progress: &Progress) {
        if progress.events > self.events_max {
            let (events, commits) = (progress.events, progress.commits);
            self.note("ends", format!("{events} events, {commits} commits, and no end"));
            self.stop.store(true, Ordering::Relaxed);
        }
        if self.interrupt.load(Ordering::Relaxed) {
            self.stop.store(true, Ordering::Relaxed);
        }
    }

    fn wants_spans(&self) -> bool {
        false
    }

    fn event(&mut self, now: Time, node: NodeId, event: &Event) {
        (self.now, self.events) = (now, self.events + 1);
        let at = At { now, node };
        if *event == Event::Start {
            self.mail.reborn(node);
        }
        if let Event::Down(lost) = event {
            self.mail.lost(node, *lost);
        }
        self.ask(|law| law.event(at, event));
        if let Event::Received { from, message } = event
            && message.kind != ACK
        {
            for message in self.mail.arrived(*from, node, message) {
                self.ask(|law| law.delivered(at, *from, &message));
            }
        }
    }

    fn effects(&mut self, now: Time, node: NodeId, effects: &[Effect]) {
        let at = At { now, node };
        for effect in effects {
            match effect {
                Effect::Send { to, message } => {
                    if message.kind != ACK && self.mail.is_new(node, *to, message) {
                        self.ask(|law| law.sent(at, *to, message));
                    }
                }
                Effect::Commit(commit) => {
                    self.commits += u64::from(self.world.is_root(node));
                    self.ask(|law| law.commit(at, commit));
                }
                effect => self.ask(|law| law.effect(at, effect)),
            }
        }
    }

    fn wants_events(&self) -> bool {
        true
    }
}
