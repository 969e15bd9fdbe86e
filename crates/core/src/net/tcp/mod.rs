//! TCP: queues that are first in, first out, and senders that may have a window on their way.
//!
//! A message goes in *trains*, one for each round of its connection's window. A train waits at each line on its way
//! behind what came before it, and passes from line to line as its segments do (the first segment does not wait for the
//! last one). Its acknowledgements go back through the queues of the other direction, where data of others delays them;
//! they allow the next train. So flows share a line as their windows stand to each other, a short message passes as a
//! whole, what meets a full queue is lost and sent again, and a line that is full one way slows what goes the other way
//! (L. Zhang, S. Shenker, D. Clark: Observations on the dynamics of a congestion control algorithm: the effects of
//! two-way traffic, SIGCOMM 1991). Packets are not simulated: a message costs one event for each round.
//!
//! Connections stay open between messages: their windows are kept (`window.rs`). Messages of one connection go one after
//! another. Errors against the kernel's TCP are in docs/fidelity.md.

mod port;
#[cfg(test)]
mod tests;
mod window;

use super::{Fabric, FabricState, FlowId, FlowSpec, PortId};
use crate::domain::{Span, Stream, Time};
use port::Port;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use window::{Round, Window};

/// Bytes on the wire of a full segment: 1,448 of payload, 52 of TCP and IP with time stamps, 14 of Ethernet.
pub const SEGMENT_BYTES: u64 = 1514;
/// Bytes that acknowledge a byte: one acknowledgement of 66 bytes for two segments (RFC 1122, section 4.2.3.2).
const ACKNOWLEDGED: f64 = 66.0 / (2.0 * SEGMENT_BYTES as f64);

/// Settings of [`Tcp`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TcpSettings {
    /// What a line's queue holds: as many bytes as pass in this time.
    pub queue: Span,
    /// Bytes that pass at once when a line has been idle, as shapers with a token bucket let them; 0 for none.
    pub burst: u64,
}

impl Default for TcpSettings {
    fn default() -> Self {
        Self { queue: Span::from_millis(300), burst: 0 }
    }
}

/// Flows of TCP.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tcp {
    settings: TcpSettings,
    seed: u64,
    ports: Vec<Port>,
    connections: BTreeMap<u64, Connection>,
    flows: BTreeMap<FlowId, Flow>,
    events: BTreeSet<(Time, u64, FlowId)>,
    /// Of events at the same moment the older one is first.
    scheduled: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Connection {
    window: Window,
    /// The first one is under way.
    messages: VecDeque<FlowId>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Flow {
    spec: FlowSpec,
    stage: Stage,
    /// When its next event is; in [`Tcp::events`] under this number unless a line holds it up.
    at: Time,
    number: u64,
    held_by: Option<PortId>,
    /// Bytes that are in no train yet.
    left: u64,
    /// Bytes of the train, of the one before it, and of what was dropped of the train.
    train: u64,
    before: u64,
    lost: u64,
    /// Whether its window has ever been full.
    limited: bool,
    /// When the train was sent; how long it waited, and of that at the first line.
    launched: Time,
    waited: Span,
    own: Span,
    /// When the last byte so far leaves the last line, and when that of the train before did.
    end: Time,
    end_before: Time,
}

/// What a flow's next event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Stage {
    /// Another message of its connection is under way.
    Waits,
    /// The train comes to this line on its way.
    Arrives(usize),
    /// The train is acknowledged, and the next one goes.
    Acknowledged,
    /// Its last byte arrives.
    Ends,
}

impl Tcp {
    /// No flows yet; capacities in bytes per second, in order of [`PortId`].
    #[must_use]
    pub fn new(settings: TcpSettings, seed: u64, capacities: &[f64]) -> Self {
        Self { settings, seed, ports: capacities.iter().map(|c| Port::new(*c)).collect(), ..Self::default() }
    }

    fn schedule(&mut self, at: Time, id: FlowId, stage: Stage) {
        self.scheduled += 1;
        let flow = self.flows.get_mut(&id).expect("only running flows are scheduled");
        (flow.at, flow.number, flow.stage) = (at, self.scheduled, stage);
        self.events.insert((at, self.scheduled, id));
    }

    /// Begins a message on its connection.
    fn begin(&mut self, now: Time, id: FlowId) {
        let connection = self.flows[&id].spec.way.connection;
        self.connections.get_mut(&connection).expect("a flow has a connection").window.wake(now);
        let flow = self.flows.get_mut(&id).expect("it was just added or was waiting");
        (flow.launched, flow.end, flow.end_before) = (now, now, now);
        self.launch(now, id);
    }

    /// The narrowest line on a flow's way, in bytes per second.
    fn narrowest(&self, spec: &FlowSpec) -> f64 {
        spec.ports.iter().map(|port| self.ports[port.0 as usize].capacity()).fold(spec.rate_max, f64::min)
    }

    /// Lets the window grow or shrink by what became of the train.
    fn account(&mut self, now: Time, id: FlowId) {
        let flow = &self.flows[&id];
        if flow.train == 0 && flow.lost == 0 {
            return;
        }
        let (way, narrowest) = (&flow.spec.way, self.narrowest(&flow.spec));
        let busy = |bytes: u64| Span::from_seconds(bytes as f64 / narrowest);
        let round = Round {
            now,
            acked: flow.train as f64 / way.segment as f64,
            limited: flow.limited,
            lost: flow.lost > 0,
            base: way.round_trip,
            waited: flow.waited,
            own: flow.own,
            train: busy(flow.train),
            gap: busy(2 * way.segment),
        };
        self.connections.get_mut(&way.connection).expect("a flow has a connection").window.round(&round);
    }

    /// Sends the next train.
    fn launch(&mut self, now: Time, id: FlowId) {
        self.account(now, id);
        let flow = self.flows.get_mut(&id).expect("only running flows send");
        let way = &flow.spec.way;
        let window = self.connections[&way.connection].window.segments().max(1) * way.segment;
        flow.limited |= flow.left > window;
        (flow.before, flow.train, flow.lost) = (flow.train, flow.left.min(window), 0);
        flow.left -= flow.train;
        (flow.launched, flow.waited, flow.own, flow.end_before) = (now, Span::ZERO, Span::ZERO, flow.end);
        self.arrive(now, id, 0);
    }

    /// The train comes to a line, and to those behind it that it need not wait for.
    fn arrive(&mut self, mut now: Time, id: FlowId, mut hop: usize) {
        let flow = self.flows.get_mut(&id).expect("only running flows arrive");
        while let Some(port_id) = flow.spec.ports.get(hop) {
            let port = &mut self.ports[port_id.0 as usize];
            if port.is_stopped() {
                (flow.held_by, flow.at, flow.stage) = (Some(*port_id), Time::ZERO, Stage::Arrives(hop));
                return;
            }
            // The train before drains as this one comes in.
            let grown = flow.train.saturating_sub(flow.before) as f64;
            let room = self.settings.queue.seconds() * port.capacity() - port.queue(now) - grown;
            if room < 0.0 {
                // Something passes in any case, so that a message that is longer than a queue ends.
                let lost = ((-room).ceil() as u64).min(flow.train / 10 * 9);
                flow.train -= lost;
                flow.left += lost;
                flow.lost += lost;
            }
            let passage = port.pass(now, flow.train, self.settings.burst);
            let waited = passage.start.since(now);
            flow.waited += waited;
            if hop == 0 {
                flow.own = waited;
            }
            flow.end = flow.end.max(passage.end);
            hop += 1;
            if passage.start > now && hop < flow.spec.ports.len() {
                return self.schedule(passage.start, id, Stage::Arrives(hop));
            }
            now = passage.start;
        }
        self.delivered(now, id);
    }

    /// The train has begun to leave the last line: plans its acknowledgement, or the message's end.
    fn delivered(&mut self, now: Time, id: FlowId) {
        let flow = self.flows.get_mut(&id).expect("only running flows are delivered");
        let mut back = now;
        for port in &flow.spec.way.back {
            let port = &mut self.ports[port.0 as usize];
            if !port.is_stopped() {
                back = back.max(now + port.wait(now));
                port.pass(now, (flow.train as f64 * ACKNOWLEDGED) as u64, self.settings.burst);
            }
        }
        flow.waited += back.since(now);
        let paced = flow.launched + Span::from_seconds(flow.train as f64 / flow.spec.rate_max);
        flow.end = flow.end.max(paced);
        let round_trip = flow.spec.way.round_trip;
        if flow.left == 0 {
            let end = flow.end;
            let sent = flow.launched.max(flow.end_before.min(end));
            let connection = flow.spec.way.connection;
            self.connections.get_mut(&connection).expect("a flow has a connection").window.sent(sent);
            return self.schedule(end, id, Stage::Ends);
        }
        let next = if flow.left <= flow.lost {
            // No acknowledgement tells of a loss at the end: a probe does (RFC 8985, section 7.2).
            flow.end + (round_trip + flow.waited).times(2)
        } else {
            (back + round_trip).max(paced)
        };
        self.schedule(next, id, Stage::Acknowledged);
    }

    fn remove(&mut self, now: Time, id: FlowId) -> Option<Flow> {
        let flow = self.flows.remove(&id)?;
        self.events.remove(&(flow.at, flow.number, id));
        let connection =
            self.connections.get_mut(&flow.spec.way.connection).expect("a flow has a connection");
        let was_first = connection.messages.front() == Some(&id);
        connection.messages.retain(|message| *message != id);
        let next = connection.messages.front().copied().filter(|_| was_first);
        next.into_iter().for_each(|next| self.begin(now, next));
        Some(flow)
    }
}

impl Fabric for Tcp {
    fn start(&mut self, now: Time, id: FlowId, spec: FlowSpec) {
        let (seed, key) = (self.seed, spec.way.connection);
        let connection = self.connections.entry(key).or_insert_with(|| Connection {
            window: Window::new(&mut Stream::new(seed, "tcp", key, 0)),
            messages: VecDeque::new(),
        });
        connection.messages.push_back(id);
        let is_first = connection.messages.len() == 1;
        let flow = Flow {
            left: spec.bytes,
            spec,
            stage: Stage::Waits,
            at: Time::ZERO,
            number: 0,
            held_by: None,
            train: 0,
            before: 0,
            lost: 0,
            limited: false,
            launched: now,
            waited: Span::ZERO,
            own: Span::ZERO,
            end: now,
            end_before: now,
        };
        assert!(self.flows.insert(id, flow).is_none(), "{id:?} runs already");
        if is_first {
            self.begin(now, id);
        }
    }

    fn next(&mut self) -> Option<(Time, FlowId)> {
        self.next_before(Time(u64::MAX))
    }

    fn next_before(&mut self, horizon: Time) -> Option<(Time, FlowId)> {
        while let Some((at, number, id)) = self.events.first().copied() {
            if at >= horizon {
                return None;
            }
            match self.flows[&id].stage {
                Stage::Ends => return Some((at, id)),
                Stage::Waits => unreachable!("a message that waits has no event"),
                stage => {
                    self.events.remove(&(at, number, id));
                    match stage {
                        Stage::Arrives(hop) => self.arrive(at, id, hop),
                        _ => self.launch(at, id),
                    }
                }
            }
        }
        None
    }

    fn complete(&mut self, now: Time, id: FlowId) {
        self.account(now, id);
        let flow = self.remove(now, id).expect("only a running flow completes");
        debug_assert_eq!(flow.left, 0, "{id:?} is not done");
    }

    fn cancel(&mut self, now: Time, id: FlowId) -> Option<u64> {
        let flow = self.remove(now, id)?;
        let under_way =
            flow.train.min((flow.end.max(now).since(now).seconds() * self.narrowest(&flow.spec)) as u64);
        Some(flow.left + under_way)
    }

    fn set_capacity(&mut self, now: Time, port: PortId, bytes_per_second: f64) {
        let was_stopped = self.ports[port.0 as usize].is_stopped();
        let stretch = self.ports[port.0 as usize].set_capacity(now, bytes_per_second);
        let stops = self.ports[port.0 as usize].is_stopped();
        let concerned = |flow: &Flow| match flow.held_by {
            Some(holder) => holder == port,
            None => {
                !was_stopped && flow.stage != Stage::Waits && flow.at > now && flow.spec.ports.contains(&port)
            }
        };
        let ids: Vec<FlowId> =
            self.flows.iter().filter(|(_, flow)| concerned(flow)).map(|(id, _)| *id).collect();
        for id in ids {
            let flow = self.flows.get_mut(&id).expect("just found");
            self.events.remove(&(flow.at, flow.number, id));
            flow.held_by = stops.then_some(port);
            if !stops {
                let (at, stage) = (stretch.moved(flow.at), flow.stage);
                flow.end = stretch.moved(flow.end);
                self.schedule(at, id, stage);
            }
        }
    }

    fn wait(&self, now: Time, port: PortId) -> Span {
        self.ports[port.0 as usize].wait(now)
    }

    fn save(&self) -> FabricState {
        FabricState::Tcp(Box::new(self.clone()))
    }

    fn load(&mut self, state: FabricState) {
        let FabricState::Tcp(saved) = state else {
            panic!("the saved state is of another kind of contention")
        };
        *self = *saved;
    }
}
