//! What changes over time: rates of ports, nodes that come and go (`traces`). Each trace has its next change on the heap
//! and no other, so that one without an end takes no room; where they stand is how many changes each has seen, since a
//! trace is a pure function of the seed.

use super::conductor::Conductor;
use super::heap::{Heap, Pending};
use super::network::{Arrival, Network, Packet, Route};
use crate::run::RunError;
use crate::run::runner::Runner;
use hcddl_core::domain::{Span, Time};
use hcddl_core::net::PortId;
use hcddl_core::net::transfer::wire_bytes;
use hcddl_core::node::Reason;
use hcddl_plan::factory::Begin;
use hcddl_plan::plan::{Held, Plan};
use serde::{Deserialize, Serialize};

/// A run in which nodes come and go so often without a commit goes nowhere.
const FRUITLESS_MAX: u64 = 100_000;
/// After so many changes at which no node did anything, somebody looks whether anything else can happen.
const IDLE_MAX: u64 = 10_000;

/// The traces of a plan, and where each stands.
pub(super) struct Traces {
    all: Vec<Running>,
    state: TracesState,
}

/// How far traces have come, for checkpoints.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct TracesState {
    /// Changes that each has seen.
    seen: Vec<u64>,
    /// Changes in a row at which nothing else had happened since the one before.
    idle: u64,
    /// Events of nodes at the last change.
    events: u64,
    /// Times that a node came or went since the last commit.
    fruitless: u64,
    commits: u64,
}

struct Running {
    course: Box<dyn Iterator<Item = (Time, Held)> + Send>,
    next: Option<(Time, Held)>,
}

impl Traces {
    pub fn new(plan: &Plan) -> Self {
        let seed = plan.seeds.interleaving;
        let all =
            plan.traces.iter().map(|trace| Running { course: trace.course(seed), next: None }).collect();
        Self { all, state: TracesState { seen: vec![0; plan.traces.len()], ..TracesState::default() } }
    }

    /// Takes the next change, which is due.
    fn take(&mut self, index: usize) -> Option<Held> {
        let running = &mut self.all[index];
        let (_, held) = running.next.take()?;
        running.next = running.course.next();
        self.state.seen[index] += 1;
        Some(held)
    }

    pub fn save(&self) -> TracesState {
        self.state.clone()
    }

    /// Continues where others were; hands each rate that holds to `rate`.
    pub fn load(&mut self, state: TracesState, mut rate: impl FnMut(PortId, f64)) {
        for (running, seen) in self.all.iter_mut().zip(&state.seen) {
            let last = (0..*seen).map_while(|_| running.course.next()).last();
            running.next = running.course.next();
            if let Some((_, Held::Rate(port, bytes_per_second))) = last {
                rate(port, bytes_per_second);
            }
        }
        self.state = state;
    }

    /// Goes to `now`: what holds then is due at once. Tells when each trace's next change is due.
    fn ahead(&mut self, now: Time) -> Vec<(usize, Time)> {
        let mut due = Vec::new();
        for (i, running) in self.all.iter_mut().enumerate() {
            let mut next = running.course.next();
            let mut held = None;
            while let Some((at, _)) = next.filter(|(at, _)| *at <= now) {
                held = next.take().map(|(_, held)| (at.max(now), held));
                self.state.seen[i] += 1;
                next = running.course.next();
            }
            if held.is_some() {
                // It has been seen, but is yet to happen.
                self.state.seen[i] -= 1;
                let course = std::mem::replace(&mut running.course, Box::new(std::iter::empty()));
                running.course = Box::new(next.into_iter().chain(course));
                next = held;
            }
            running.next = next;
            due.extend(running.next.map(|(at, _)| (i, at)));
        }
        due
    }
}

impl<R: Runner> Conductor<'_, R> {
    /// Puts the next change of each trace on the heap.
    pub(super) fn trace_ahead(&mut self) {
        for (index, at) in self.traces.ahead(self.now) {
            self.heap.push(at, Pending::Trace(index as u32));
        }
    }

    /// A trace changes something.
    pub(super) async fn trace_changes(&mut self, index: u32) -> Result<(), RunError> {
        let Some(held) = self.traces.take(index as usize) else { return Ok(()) };
        let bits = match held {
            Held::Rate(_, rate) => rate.to_bits(),
            Held::Presence(_, there) => u64::from(there),
        };
        self.trace.push(&[self.now.0, u64::from(index) | (9 << 32), bits, 0]);
        tracing::debug!("{}: {held:?}", self.now);
        match held {
            Held::Rate(port, rate) => {
                let arrivals = self.network.set_rate(self.now, port, rate, &mut self.heap);
                arrivals.into_iter().for_each(|arrival| self.show_transfer(arrival));
            }
            Held::Presence(node, true) => self.bring(node, Begin::New).await?,
            Held::Presence(node, false) => self.lose(node, Span::ZERO).await,
        }
        if let Some((at, _)) = self.traces.all[index as usize].next {
            self.heap.push(at, Pending::Trace(index));
        }
        self.look_for_progress(matches!(held, Held::Presence(..)));
        Ok(())
    }

    /// Ends a run that only its traces keep alive: they may have no end.
    fn look_for_progress(&mut self, presence: bool) {
        let (events, commits) = (self.core.account.events, self.commits());
        let state = &mut self.traces.state;
        state.idle = if events == state.events { state.idle + 1 } else { 0 };
        state.fruitless = if commits == state.commits { state.fruitless + u64::from(presence) } else { 0 };
        (state.events, state.commits) = (events, commits);
        let fruitless = state.fruitless > FRUITLESS_MAX + self.plan.traces.len() as u64;
        let idle = state.idle > 0 && state.idle.is_multiple_of(IDLE_MAX);
        if fruitless || idle && self.only_traces_go_on() {
            self.finished = Some(Reason::Stalled(self.stall_message()));
        }
    }

    fn only_traces_go_on(&self) -> bool {
        let other = |pending: &Pending| !matches!(pending, Pending::Trace(_) | Pending::TimeLimit);
        self.jobs.is_empty() && self.network.is_quiet() && !self.heap.iter().any(other)
    }
}

impl Network<'_> {
    /// A port has another rate from now on. What waited for its sender's or receiver's line to carry anything leaves.
    fn set_rate(&mut self, now: Time, port: PortId, bytes_per_second: f64, heap: &mut Heap) -> Vec<Arrival> {
        self.rates[port.0 as usize] = bytes_per_second;
        self.fabric.set_capacity(now, port, bytes_per_second);
        if bytes_per_second == 0.0 {
            return Vec::new();
        }
        let stopped = std::mem::take(&mut self.state.stopped);
        stopped.into_iter().filter_map(|stopped| self.leave_at_last(now, stopped, heap)).collect()
    }

    /// Sends a message that is too short to disturb others, behind what is on its lines; one whose line carries nothing now waits until it does.
    pub(super) fn leave_alone(
        &mut self,
        now: Time,
        route: &Route<'_>,
        alone: Stopped,
        heap: &mut Heap,
    ) -> Option<Arrival> {
        let bytes = wire_bytes(alone.packet.message.bytes(), route.link.efficiency);
        let rate = route.way().map(|port| self.rate(*port)).fold(route.cap, f64::min);
        if rate <= 0.0 {
            self.state.stopped.push(alone);
            return None;
        }
        // Its own machine lets a few bytes pass between those of others (fair queueing, TCP small queues).
        let waits: Span = match self.bare {
            true => Span::ZERO,
            false => route.way().skip(1).map(|port| self.fabric.wait(now, *port)).sum(),
        };
        let at = now + waits + Span::from_seconds(bytes as f64 * route.airtime / rate) + alone.latency;
        Some(self.arrive(at, alone.packet, alone.started, alone.duplicate, heap))
    }

    /// The rate of a port now, in bytes per second.
    fn rate(&self, port: PortId) -> f64 {
        let index = port.0 as usize;
        self.rates.get(index).copied().unwrap_or(self.plan.network.ports[index].bytes_per_second)
    }

    /// As [`Network::leave_alone`], of one that has waited.
    fn leave_at_last(&mut self, now: Time, alone: Stopped, heap: &mut Heap) -> Option<Arrival> {
        let route = self.route(alone.packet.from, alone.packet.to)?;
        self.leave_alone(now, &route, alone, heap)
    }

    /// Whether no message is on its way beside those on the heap.
    fn is_quiet(&self) -> bool {
        self.state.flows.is_empty() && self.state.stopped.is_empty()
    }
}

/// A message that has its line for itself, but the line carries nothing now.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Stopped {
    pub packet: Packet,
    pub latency: Span,
    pub duplicate: bool,
    pub started: Time,
}
