//! What one end of an edge decides: when it dials, whom it lets in, when it takes silence for a loss, what it keeps until
//! the two have met. What happens goes in, with the time and a random number; what is to be done comes out. Nothing here
//! waits or touches a socket: [`super::edge`] does what comes out with real connections, the storm (`crate::storm`) with
//! modelled ones.

use super::hello::Purpose;
use hcddl_core::domain::{Span, Time};
use hcddl_core::node::bond::{Bond, Change, Standing};
use std::collections::VecDeque;

/// First and longest pause between two attempts to connect; the longest is shorter than a node waits at the end of a
/// run for those below it.
const REDIAL: (Span, Span) = (Span::from_millis(50), Span::from_millis(3000));
/// What the other end has said that is kept for a connection which is not yet complete: a few words, not a flood.
const EARLY_MAX: usize = 1024;
/// A connection that lasted so long was a good one: the next is dialled at once.
const GOOD: Span = Span::from_millis(1000);
/// Of attempts in vain so many pass between two that are worth a warning; the first of those is number [`WARNED`].
const WARN_EVERY: u32 = 16;
const WARNED: u32 = 3;

/// When an edge does things.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    /// Between two signs of life.
    pub heartbeat: Span,
    /// Silence after which the other end is lost.
    pub detection: Span,
    /// Absence from the start after which it is.
    pub start_timeout: Span,
}

/// A moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    /// The time, by the clock of this process.
    pub now: Time,
    /// When the connection that there is brought bytes last.
    pub heard: Time,
    /// A random number that nobody has seen.
    pub draw: u64,
}

/// What an end is told. `O` is what its node sends, `F` what the other end says.
#[derive(Debug)]
pub(crate) enum Told<O, F> {
    /// It is as late as it is.
    Time,
    /// The node sends something.
    Send(O),
    /// The other end calls.
    Called { purpose: Purpose, connection: u64, standing: Standing },
    /// An attempt to connect has ended: where the other end stands, or nothing came of it.
    Met { connection: u64, other: Option<Standing> },
    /// The other end says something.
    Said { connection: u64, content: F },
    /// What the other end says means nothing.
    Garbled,
    /// A connection is gone.
    Lost { connection: u64 },
}

/// What is to be done.
#[derive(Debug, PartialEq)]
pub(crate) enum Act<O, F> {
    /// Dial both connections, and say where this end stands.
    Dial { connection: u64, ours: Standing },
    /// Answer the caller, await its second connection, and say where this end stands.
    Welcome { connection: u64, ours: Standing },
    /// The caller is the second connection that is awaited.
    Pair,
    /// Send the caller away.
    Refuse(Refusal),
    /// The connection is complete: take it into use.
    Open,
    /// Drop the connection, or the attempt, if there is one.
    Close(Why),
    /// Give a sign of life.
    Beat,
    /// Put this into its lane.
    Send(O),
    /// Take what the other end says.
    Take(F),
    /// Tell the node.
    Tell(Change),
}

/// Why a caller is sent away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// This end dials, it is not called.
    Dials,
    /// A second connection without a first one.
    Alone,
    /// An old process of the other end.
    Outdated,
}

/// Why a connection is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// It is gone.
    Lost,
    /// Nothing came of the attempt; whether to warn of it.
    InVain { is_warned: bool },
    /// The other end has called anew.
    Replaced,
    /// The other end says what nobody understands, or too much before its time.
    Garbled,
    /// The other end is silent.
    Silent,
}

#[derive(Debug)]
enum Phase<F> {
    /// Not connected; a dialling end tries again at this moment.
    Apart(Time),
    /// Connecting.
    Meeting {
        connection: u64,
        /// Whether the second connection is awaited.
        is_awaited: bool,
        /// What the other end, which is faster, has said already.
        early: Vec<F>,
    },
    Together {
        connection: u64,
        since: Time,
    },
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Rules<O, F> {
    timing: Timing,
    dials: bool,
    life: u32,
    bond: Bond,
    phase: Phase<F>,
    /// Messages from before the first meeting.
    waiting: VecDeque<O>,
    /// The last sign of life when not connected; the start before the first meeting.
    heard: Time,
    /// Attempts to connect since the last good connection.
    attempts: u32,
    /// The next sign of life.
    beat: Time,
    /// Nobody is lost before.
    judge_from: Time,
}

impl<O, F> Rules<O, F> {
    /// An end that begins now, in a process with so many lives before it.
    pub fn new(now: Time, timing: Timing, dials: bool, life: u32) -> Self {
        Self {
            timing,
            dials,
            life,
            bond: Bond::default(),
            phase: Phase::Apart(now),
            waiting: VecDeque::new(),
            heard: now,
            attempts: 0,
            beat: now,
            judge_from: now,
        }
    }

    /// The connection, if it is complete.
    pub fn together(&self) -> Option<u64> {
        match self.phase {
            Phase::Together { connection, .. } => Some(connection),
            _ => None,
        }
    }

    /// The connection, whether or not it is complete.
    pub fn connection(&self) -> Option<u64> {
        match self.phase {
            Phase::Apart(_) => None,
            Phase::Meeting { connection, .. } | Phase::Together { connection, .. } => Some(connection),
        }
    }

    /// When it wants to be told the time, if nothing happens before.
    pub fn next(&self, heard: Time) -> Time {
        let deadline = self.deadline(heard).map(|at| at.max(self.judge_from));
        [deadline, self.redial_at()].into_iter().flatten().fold(self.beat, Time::min)
    }

    /// Something happens.
    pub fn on(&mut self, at: Moment, told: Told<O, F>) -> Vec<Act<O, F>> {
        let next = self.next(at.heard);
        let mut acts = Vec::new();
        match told {
            Told::Time => {}
            Told::Send(outgoing) => self.send(outgoing, &mut acts),
            Told::Called { purpose, connection, standing } => {
                self.called(at, purpose, connection, standing, &mut acts);
            }
            Told::Met { connection, other } => self.met(at, connection, other, &mut acts),
            Told::Said { connection, content } => self.said(at, connection, content, &mut acts),
            Told::Garbled => self.part(at, Why::Garbled, &mut acts),
            Told::Lost { connection } if self.connection() == Some(connection) => {
                self.part(at, Why::Lost, &mut acts);
            }
            Told::Lost { .. } => {}
        }
        if at.now > next + self.timing.heartbeat {
            // This process was stopped or starved: first hear what has arrived meanwhile.
            self.judge_from = at.now + self.timing.heartbeat;
        }
        if at.now >= self.beat {
            if self.together().is_some() {
                acts.push(Act::Beat);
            }
            self.beat = at.now + self.timing.heartbeat;
        }
        if self.deadline(at.heard).is_some_and(|deadline| at.now >= deadline.max(self.judge_from)) {
            self.part(at, Why::Silent, &mut acts);
            self.waiting.clear();
            acts.extend(self.bond.lose().iter().map(|change| Act::Tell(*change)));
        }
        if self.redial_at().is_some_and(|due| at.now >= due) {
            self.phase = Phase::Meeting { connection: at.draw, is_awaited: false, early: Vec::new() };
            acts.push(Act::Dial { connection: at.draw, ours: self.bond.standing(self.life) });
        }
        acts
    }

    /// When the other end will count as lost; it may be already.
    fn deadline(&self, heard: Time) -> Option<Time> {
        let heard = if self.together().is_some() { heard.max(self.heard) } else { self.heard };
        let silence = if self.bond.has_met() { self.timing.detection } else { self.timing.start_timeout };
        (!self.bond.is_down()).then(|| Time(heard.0.saturating_add(silence.0)))
    }

    fn redial_at(&self) -> Option<Time> {
        match self.phase {
            Phase::Apart(at) if self.dials => Some(at),
            _ => None,
        }
    }

    fn send(&mut self, outgoing: O, acts: &mut Vec<Act<O, F>>) {
        if self.together().is_some() {
            acts.push(Act::Send(outgoing));
        } else if !self.bond.has_met() && !self.bond.is_down() {
            self.waiting.push_back(outgoing);
        }
        // Else reliable delivery sends it again when the neighbour is there.
    }

    fn called(
        &mut self,
        at: Moment,
        purpose: Purpose,
        connection: u64,
        standing: Standing,
        acts: &mut Vec<Act<O, F>>,
    ) {
        if self.dials {
            return acts.push(Act::Refuse(Refusal::Dials));
        }
        match (purpose, &mut self.phase) {
            (Purpose::Bulk, Phase::Meeting { connection: current, is_awaited, .. })
                if *current == connection && *is_awaited =>
            {
                acts.push(Act::Pair);
            }
            (Purpose::Bulk, _) => acts.push(Act::Refuse(Refusal::Alone)),
            (Purpose::Control, _) if self.bond.is_outdated(standing.life) => {
                acts.push(Act::Refuse(Refusal::Outdated));
            }
            (Purpose::Control, _) => {
                // Whatever was there is broken, or its other end has given it up.
                self.part(at, Why::Replaced, acts);
                self.heard = at.now;
                self.phase = Phase::Meeting { connection, is_awaited: true, early: Vec::new() };
                acts.push(Act::Welcome { connection, ours: self.bond.standing(self.life) });
            }
        }
    }

    fn met(&mut self, at: Moment, connection: u64, other: Option<Standing>, acts: &mut Vec<Act<O, F>>) {
        let early = match &mut self.phase {
            Phase::Meeting { connection: current, early, .. } if *current == connection => {
                std::mem::take(early)
            }
            _ => return,
        };
        // What answers may be an old process.
        let Some(other) = other.filter(|other| !self.bond.is_outdated(other.life)) else {
            let is_warned = self.attempts % WARN_EVERY == WARNED;
            return self.part(at, Why::InVain { is_warned }, acts);
        };
        self.heard = at.now;
        self.phase = Phase::Together { connection, since: at.now };
        acts.push(Act::Open);
        acts.extend(self.bond.meet(other).iter().map(|change| Act::Tell(*change)));
        acts.extend(self.waiting.drain(..).map(Act::Send));
        acts.extend(early.into_iter().map(Act::Take));
    }

    fn said(&mut self, at: Moment, connection: u64, content: F, acts: &mut Vec<Act<O, F>>) {
        match &mut self.phase {
            Phase::Together { connection: current, .. } if *current == connection => {
                acts.push(Act::Take(content));
            }
            Phase::Meeting { connection: current, early, .. } if *current == connection => {
                if early.len() < EARLY_MAX {
                    early.push(content);
                } else {
                    self.part(at, Why::Garbled, acts);
                }
            }
            _ => {}
        }
    }

    /// Drops the connection, if any, and dials again soon.
    fn part(&mut self, at: Moment, why: Why, acts: &mut Vec<Act<O, F>>) {
        if let Phase::Together { since, .. } = self.phase {
            self.heard = at.heard.max(self.heard);
            if at.now.since(since) >= GOOD {
                self.attempts = 0;
            }
        }
        let (first, longest) = REDIAL;
        let pause = first.times(1 << self.attempts.min(10)).min(longest);
        // A quarter more or less, so that those who lost the same neighbour do not all come back at once.
        let pause = Span(pause.0 / 4 * 3 + at.draw % (pause.0 / 2));
        self.attempts = self.attempts.saturating_add(1);
        self.phase = Phase::Apart(at.now + pause);
        acts.push(Act::Close(why));
    }
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
