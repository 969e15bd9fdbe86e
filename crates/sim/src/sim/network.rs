//! The simulated transport, the only thing that moves a message between nodes: links, contention, faults.

use super::guide::Recorded;
use super::heap::{Heap, Pending};
use crate::run::director::{Director, Sending};
use hcddl_core::domain::{Kind, Lane, Message, NodeId, Span, Stream, Streams, Time};
use hcddl_core::inject::{InjectState, Injector};
use hcddl_core::net::transfer::{loss_delay, rate_cap, wire_bytes};
use hcddl_core::net::{Fabric, FabricState, FlowId, FlowSpec, PortId};
use hcddl_plan::plan::{Contention, HostPlan, LinkPlan, MessageRule, NodePlan, Plan};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

/// What the network knows while it runs.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct NetworkState {
    /// From each node to its parent, and back.
    tree: Vec<[Edge; 2]>,
    /// Between nodes of which neither is the other's parent.
    edges: HashMap<u64, Edge, BuildHasherDefault<MixHasher>>,
    flows: BTreeMap<u64, Flow>,
    next_flow: u64,
    /// Pairs whose link is down, both directions.
    cut: BTreeSet<(NodeId, NodeId)>,
    /// Group of each node while the network is partitioned; nodes without one reach all.
    groups: BTreeMap<NodeId, u32>,
    /// Messages that wait for their link.
    held: Vec<Packet>,
    fabric: FabricState,
    injected: InjectState,
}

/// A directed pair of nodes that have talked.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Edge {
    /// Messages sent: names the draws of the next one.
    sent: u64,
    /// When the last message of each lane arrives: lanes keep their order.
    last: [Time; 2],
    /// Messages with a smaller number are not delivered any more: the connection they were sent on is gone.
    void: u64,
}

/// A message under way.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Packet {
    pub from: NodeId,
    pub to: NodeId,
    /// Which message of the sender to the receiver it is, from 0.
    pub number: u64,
    pub message: Message,
}

/// A message on the fabric.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Flow {
    packet: Packet,
    /// From the last byte's departure to its arrival.
    latency: Span,
    started: Time,
    duplicate: bool,
}

/// A message that has left its sender entirely.
pub(crate) struct Arrival {
    pub from: NodeId,
    pub to: NodeId,
    pub started: Time,
    pub at: Time,
    pub bytes: u64,
    pub label: Kind,
}

/// What became of a message that was sent.
pub(crate) enum Sent {
    /// A rule of the plan lost it.
    Lost,
    /// It shares the network with others; when it arrives is not known yet.
    Flows,
    /// It arrives.
    Arrives(Arrival),
}

/// See the module.
pub(crate) struct Network<'a> {
    plan: &'a Plan,
    fabric: Box<dyn Fabric>,
    bare: bool,
    caps: Vec<f64>,
    latencies: Streams,
    /// Durations of a real run, which win.
    recorded: Option<Arc<Recorded>>,
    injector: Injector<'a>,
    pub state: NetworkState,
}

/// Whether a rule is not one of a plan whose real run is followed: that run had none of them.
fn is_new(recorded: Option<&Arc<Recorded>>, rule: &MessageRule) -> bool {
    recorded.is_none_or(|recorded| !recorded.conditions.rules.contains(rule))
}

/// How much of its ports' rates a byte from one machine to another takes. From station to station of a cell of WiFi it
/// crosses the medium twice; stations share airtime (as access points with fq_codel do), so the time that a station
/// keeps the medium busy counts, not its bytes (T. Høiland-Jørgensen et al., Ending the Anomaly, USENIX ATC 2017).
fn airtime(sender: &HostPlan, receiver: &HostPlan) -> f64 {
    match sender.up == receiver.down {
        true => sender.airtime + receiver.airtime,
        false => sender.airtime.max(receiver.airtime),
    }
    .max(1.0)
}

/// One direction between two nodes.
struct Route<'a> {
    link: &'a LinkPlan,
    index: u16,
    cap: f64,
    ports: [Option<PortId>; 3],
    /// Bytes that each byte takes of the ports: more than 1 where a slow station, or two of them, use a cell.
    airtime: f64,
}

impl<'a> Network<'a> {
    pub fn new(plan: &'a Plan) -> Self {
        let capacities: Vec<f64> = plan.network.ports.iter().map(|p| p.bytes_per_second).collect();
        let cap = |link: &LinkPlan| match link.latency.mean() {
            Some(mean) if link.loss > 0.0 => link.rate_max.min(rate_cap(mean.times(2), link.loss)),
            _ => link.rate_max,
        };
        Self {
            plan,
            fabric: hcddl_core::net::build(&plan.network.contention, &capacities),
            bare: plan.network.contention == Contention::None,
            caps: plan.network.links.iter().map(cap).collect(),
            latencies: Streams::new(plan.seeds.interleaving, "latency"),
            recorded: None,
            injector: Injector::new(&plan.injections, plan.seeds.interleaving),
            state: NetworkState { tree: vec![Default::default(); plan.nodes.len()], ..Default::default() },
        }
    }

    pub fn save(&self) -> NetworkState {
        let injected = self.injector.state.clone();
        NetworkState { fabric: self.fabric.save(), injected, ..self.state.clone() }
    }

    pub fn load(&mut self, mut state: NetworkState) {
        if state.fabric != FabricState::Empty {
            self.fabric.load(std::mem::take(&mut state.fabric));
        }
        self.injector.state = std::mem::take(&mut state.injected);
        self.state = state;
    }

    fn node(&self, id: NodeId) -> &'a NodePlan {
        &self.plan.nodes[id.index()]
    }

    /// What is known of a directed pair.
    fn edge(&mut self, from: NodeId, to: NodeId) -> &mut Edge {
        if self.node(from).parent == Some(to) {
            &mut self.state.tree[from.index()][0]
        } else if self.node(to).parent == Some(from) {
            &mut self.state.tree[to.index()][1]
        } else {
            self.state.edges.entry(key(from, to)).or_default()
        }
    }

    /// The way from one node to another; `None` between nodes of one host.
    fn route(&self, from: NodeId, to: NodeId) -> Option<Route<'a>> {
        let (sender, receiver) = (self.node(from), self.node(to));
        if sender.host == receiver.host {
            return None;
        }
        let (link, access) = if sender.parent == Some(to) {
            (sender.link, sender.access.map(|a| a.0))
        } else if receiver.parent == Some(from) {
            (receiver.link, receiver.access.map(|a| a.1))
        } else {
            (sender.neighbours.iter().find(|n| n.node == to).map_or(0, |n| n.link), None)
        };
        let hosts = &self.plan.hosts;
        let ports = [Some(hosts[sender.host.index()].up), Some(hosts[receiver.host.index()].down), access];
        let link_index = usize::from(link);
        Some(Route {
            link: &self.plan.network.links[link_index],
            index: link,
            cap: self.caps[link_index],
            ports,
            airtime: airtime(&hosts[sender.host.index()], &hosts[receiver.host.index()]),
        })
    }

    /// Sends a message; returns when it arrives if that is known already.
    pub fn send(
        &mut self,
        now: Time,
        from: NodeId,
        to: NodeId,
        message: Message,
        director: Option<&mut (dyn Director + '_)>,
        heap: &mut Heap,
    ) -> Sent {
        let edge = self.edge(from, to);
        edge.sent += 1;
        let number = edge.sent;
        // Draws are named by numbers from 1, messages by numbers from 0.
        let packet = |message| Packet { from, to, number: number - 1, message };
        let trip = self.trip(from, to, number - 1, message.lane());
        let Some(route) = self.route(from, to) else {
            let at = now + trip.unwrap_or_default();
            return Sent::Arrives(self.arrive(at, packet(message), now, false, heap));
        };
        let mut fate = self.fate(now, from, to, number);
        let chances = fate.chances;
        let sending = Sending { now, from, to, number, message: &message, link: route.index, chances };
        let decided = director.map(|director| director.message(&sending)).unwrap_or_default();
        fate.lost = decided.lost.unwrap_or(fate.lost);
        fate.duplicate = decided.duplicate.unwrap_or(fate.duplicate);
        if fate.lost {
            return Sent::Lost;
        }
        let seed = self.plan.seeds.interleaving;
        let edge_key = key(from, to);
        let mut stream = self.latencies.stream(edge_key, number);
        let drawn = || route.link.latency.sample(&mut stream);
        // A recorded trip stands for the draw and the transfer; what was decided or injected comes on top all the same.
        let mut latency = decided.latency.or(trip).unwrap_or_else(drawn) + fate.delay;
        if !self.injector.is_empty() {
            let hop = hcddl_plan::plan::hop(self.plan, from, to);
            latency = self.injector.latency(now, hop, number, latency);
        }
        if trip.is_some() {
            return Sent::Arrives(self.arrive(now + latency, packet(message), now, fate.duplicate, heap));
        }
        let bytes = wire_bytes(message.bytes(), route.link.efficiency);
        if route.link.loss > 0.0 {
            let mut stream = Stream::new(seed, "loss", edge_key, number);
            let rtt = route.link.latency.mean().unwrap_or(latency).times(2);
            latency += loss_delay(bytes, route.link.loss, rtt, &mut stream);
        }
        let ports = route.ports.iter().flatten().chain(&route.link.segments);
        if self.bare || message.lane() == Lane::Control {
            let capacity = |p: &PortId| self.plan.network.ports[p.0 as usize].bytes_per_second;
            let rate = ports.map(capacity).fold(route.cap, f64::min);
            let departs = now + Span::from_seconds(bytes as f64 * route.airtime / rate);
            let at = departs + latency;
            return Sent::Arrives(self.arrive(at, packet(message), now, fate.duplicate, heap));
        }
        let spec = self.spec(&route, bytes, edge_key, number);
        self.state.next_flow += 1;
        let flow = self.state.next_flow;
        self.fabric.start(now, FlowId(flow), spec);
        let duplicate = fate.duplicate;
        let packet = packet(message);
        self.state.flows.insert(flow, Flow { packet, latency, started: now, duplicate });
        Sent::Flows
    }

    /// What a transfer asks of the fabric.
    fn spec(&self, route: &Route<'_>, bytes: u64, edge_key: u64, number: u64) -> FlowSpec {
        let mut ports: Vec<PortId> =
            route.ports.iter().flatten().chain(&route.link.segments).copied().collect();
        ports.sort_unstable();
        ports.dedup();
        let weight = match self.plan.network.contention {
            Contention::FairShare { unfairness } if unfairness > 0.0 => {
                let mut stream = Stream::new(self.plan.seeds.interleaving, "share", edge_key, number);
                hcddl_core::domain::math::exp(unfairness * stream.normal())
            }
            _ => 1.0,
        };
        let bytes = if route.airtime == 1.0 { bytes } else { (bytes as f64 * route.airtime).ceil() as u64 };
        FlowSpec { bytes, ports, weight, rate_max: route.cap * route.airtime }
    }

    /// How long a message took in the real run that is followed, where links are as they were.
    fn trip(&self, from: NodeId, to: NodeId, number: u64, lane: Lane) -> Option<Span> {
        let recorded = self.recorded.as_ref()?;
        let trip = recorded.trip(from, to, number, lane)?;
        recorded.conditions.same_links(self.plan, from, to).then_some(trip)
    }

    /// Messages take as long as they did in a real run; what is new in this plan acts on top of that.
    pub fn follow(&mut self, recorded: Option<Arc<Recorded>>) {
        if let Some(recorded) = &recorded {
            self.injector.leave_out(&recorded.conditions.injections);
        }
        self.recorded = recorded;
    }

    /// Continues from the state of another network between the same hosts: transfers under way begin anew.
    pub fn adopt(&mut self, now: Time, mut state: NetworkState) {
        state.fabric = FabricState::Empty;
        self.injector.state = std::mem::take(&mut state.injected);
        let flows = std::mem::take(&mut state.flows);
        self.state = state;
        for (id, flow) in flows {
            let Packet { from, to, number, message } = &flow.packet;
            if let Some(route) = self.route(*from, *to) {
                let bytes = wire_bytes(message.bytes(), route.link.efficiency);
                let spec = self.spec(&route, bytes, key(*from, *to), number + 1);
                self.fabric.start(now, FlowId(id), spec);
                self.state.flows.insert(id, flow);
            }
        }
    }

    /// What the message rules of the plan do to a message.
    fn fate(&self, now: Time, from: NodeId, to: NodeId, number: u64) -> Fate {
        let mut fate = Fate::default();
        for (i, rule) in self.plan.faults.rules.iter().enumerate() {
            if rule.applies(now, from, to) && is_new(self.recorded.as_ref(), rule) {
                let rule_seed = self.plan.seeds.interleaving.wrapping_add(i as u64);
                let mut stream = Stream::new(rule_seed, "rule", key(from, to), number);
                fate.lost |= stream.uniform() < rule.loss;
                fate.duplicate |= stream.uniform() < rule.duplicate;
                fate.delay += rule.delay;
                fate.chances.0 = fate.chances.0.max(rule.loss);
                fate.chances.1 = fate.chances.1.max(rule.duplicate);
            }
        }
        fate
    }

    /// The rules that apply to what one node sends another now.
    fn rules(&self, now: Time, from: NodeId, to: NodeId) -> impl Iterator<Item = &'a MessageRule> {
        let recorded = self.recorded.clone();
        let applies =
            move |rule: &&MessageRule| rule.applies(now, from, to) && is_new(recorded.as_ref(), rule);
        self.plan.faults.rules.iter().filter(applies)
    }

    /// The chance that a message of one node to another gets lost now.
    pub fn loss(&self, now: Time, from: NodeId, to: NodeId) -> f64 {
        1.0 - self.rules(now, from, to).map(|rule| 1.0 - rule.loss).product::<f64>()
    }

    /// Until when nothing of one node gets through to another, if that is so now.
    pub fn mute_until(&self, now: Time, from: NodeId, to: NodeId) -> Option<Time> {
        self.rules(now, from, to).filter(|rule| rule.loss >= 1.0).map(|rule| rule.until).max()
    }

    /// When the last message of one node to another arrived, or will.
    pub fn heard(&mut self, from: NodeId, to: NodeId) -> Time {
        let [control, model] = self.edge(from, to).last;
        control.max(model)
    }

    /// Puts the arrival on the heap, after everything that was sent before in the same lane.
    fn arrive(
        &mut self,
        at: Time,
        packet: Packet,
        started: Time,
        duplicate: bool,
        heap: &mut Heap,
    ) -> Arrival {
        let Packet { from, to, number, message } = packet;
        let last = &mut self.edge(from, to).last[usize::from(message.lane() == Lane::Model)];
        let at = at.max(*last);
        *last = at;
        let (bytes, label) = (message.bytes(), message.kind.clone());
        if duplicate {
            heap.push(at, Pending::Deliver { from, to, number, message: message.clone() });
        }
        heap.push(at, Pending::Deliver { from, to, number, message });
        Arrival { from, to, started, at, bytes, label }
    }

    /// The moment of the next completed transfer.
    pub fn next(&mut self) -> Option<(Time, FlowId)> {
        if self.state.flows.is_empty() { None } else { self.fabric.next() }
    }

    /// Handles the completion that [`Network::next`] announced.
    pub fn complete(&mut self, now: Time, id: FlowId, heap: &mut Heap) -> Arrival {
        self.fabric.complete(now, id);
        let flow = self.state.flows.remove(&id.0).expect("only running flows complete");
        self.arrive(now + flow.latency, flow.packet, flow.started, flow.duplicate, heap)
    }

    /// Whether messages between two nodes cannot pass now.
    pub fn is_cut(&self, a: NodeId, b: NodeId) -> bool {
        let apart = match (self.state.groups.get(&a), self.state.groups.get(&b)) {
            (Some(a), Some(b)) => a != b,
            _ => false,
        };
        apart || self.state.cut.contains(&(a.min(b), a.max(b)))
    }

    /// Keeps a message whose link is down.
    pub fn hold(&mut self, packet: Packet) {
        self.state.held.push(packet);
    }

    /// What is on its way from one node to another will not be delivered: the connection it was sent on is gone.
    pub fn void(&mut self, from: NodeId, to: NodeId) {
        let edge = self.edge(from, to);
        edge.void = edge.sent;
        self.state.held.retain(|packet| (packet.from, packet.to) != (from, to));
    }

    /// Whether the `number`th message of a directed pair, from 0, will not be delivered any more.
    pub fn is_void(&mut self, from: NodeId, to: NodeId, number: u64) -> bool {
        number < self.edge(from, to).void
    }

    /// Takes a link down or up, or (un)partitions the network; returns the pairs that changed, of those that
    /// talk to each other.
    pub fn change(&mut self, change: Cut<'_>, pairs: &[(NodeId, NodeId)]) -> Vec<(NodeId, NodeId)> {
        let before: Vec<bool> = pairs.iter().map(|(a, b)| self.is_cut(*a, *b)).collect();
        match change {
            Cut::Down(a, b) => {
                self.state.cut.insert((a.min(b), a.max(b)));
            }
            Cut::Up(a, b) => {
                self.state.cut.remove(&(a.min(b), a.max(b)));
            }
            Cut::Partition(groups) => {
                self.state.groups.clear();
                for (i, group) in groups.iter().enumerate() {
                    self.state.groups.extend(group.iter().map(|node| (*node, i as u32)));
                }
            }
            Cut::Heal => self.state.groups.clear(),
        }
        let after = pairs.iter().map(|(a, b)| self.is_cut(*a, *b));
        let changed = pairs.iter().zip(before).zip(after);
        changed.filter(|((_, b), a)| b != a).map(|((pair, _), _)| *pair).collect()
    }

    /// Delivers what waited for links that are up again.
    pub fn release(&mut self, now: Time, heap: &mut Heap) {
        for packet in std::mem::take(&mut self.state.held) {
            if self.is_cut(packet.from, packet.to) {
                self.state.held.push(packet);
            } else {
                let route = self.route(packet.from, packet.to);
                let latency = route.and_then(|r| r.link.latency.mean()).unwrap_or_default();
                self.arrive(now + latency, packet, now, false, heap);
            }
        }
    }

    /// Updates that are on the fabric or held back.
    pub fn updates_in_transit(&self) -> u64 {
        let update = |m: &Message| u64::from(m.kind == hcddl_core::node::kinds::UPDATE);
        self.state.flows.values().map(|f| update(&f.packet.message)).sum::<u64>()
            + self.state.held.iter().map(|packet| update(&packet.message)).sum::<u64>()
    }
}

/// A change of who can talk to whom.
pub(crate) enum Cut<'a> {
    Down(NodeId, NodeId),
    Up(NodeId, NodeId),
    Partition(&'a [Vec<NodeId>]),
    Heal,
}

/// What the rules do to a message.
#[derive(Default)]
struct Fate {
    lost: bool,
    duplicate: bool,
    delay: Span,
    /// The largest probabilities of a loss and of a duplicate.
    chances: (f64, f64),
}

/// A directed pair as one number; also names its random streams.
fn key(from: NodeId, to: NodeId) -> u64 {
    (u64::from(from.0) << 32) | u64::from(to.0)
}

/// A fast hash for keys that are numbers already; the table is never iterated.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct MixHasher(u64);

impl Hasher for MixHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }
    fn write_u64(&mut self, word: u64) {
        let mixed = (self.0 ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0 = mixed ^ (mixed >> 32);
    }
}
