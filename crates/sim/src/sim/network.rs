//! The simulated transport, the only thing that moves a message between nodes: links and their contention. What becomes
//! of a message, and how long it is on its way beside the transfer, the chain of rules decides ([`crate::run::rules`]).

use super::heap::{Heap, Pending};
use super::traces::Stopped;
use crate::run::rules::{Chain, ChainState, Sending, pair};
use hcddl_core::domain::{Kind, Lane, Message, NodeId, Span, Stream, Time};
use hcddl_core::inject::InjectState;
use hcddl_core::net::tcp::SEGMENT_BYTES;
use hcddl_core::net::transfer::{rate_cap, wire_bytes};
use hcddl_core::net::{Fabric, FabricState, FlowId, FlowSpec, PortId, Way};
use hcddl_plan::plan::{Changing, Contention, HostPlan, LinkPlan, NodePlan, Plan};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{BuildHasherDefault, Hasher};

/// What the network knows while it runs.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct NetworkState {
    /// From each node to its parent, and back.
    tree: Vec<[Edge; 2]>,
    /// Between nodes of which neither is the other's parent.
    edges: HashMap<u64, Edge, BuildHasherDefault<MixHasher>>,
    pub(super) flows: BTreeMap<u64, Flow>,
    next_flow: u64,
    /// Pairs whose link is down, both directions.
    cut: BTreeSet<(NodeId, NodeId)>,
    /// Group of each node while the network is partitioned; nodes without one reach all.
    groups: BTreeMap<NodeId, u32>,
    /// Messages that wait for their link.
    held: Vec<Packet>,
    /// Messages beside the fabric whose line carries nothing now.
    pub(super) stopped: Vec<Stopped>,
    fabric: FabricState,
    /// Of the chain of rules, whose checkpoints have lain here since before it was one.
    pub injected: InjectState,
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
pub(super) struct Flow {
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
    pub(super) plan: &'a Plan,
    pub(super) fabric: Box<dyn Fabric>,
    pub(super) bare: bool,
    /// The rate of each port now, in bytes per second, where any of them changes.
    pub(super) rates: Vec<f64>,
    caps: Vec<f64>,
    /// There and back on each link, in the mean.
    round_trips: Vec<Span>,
    pub state: NetworkState,
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
pub(super) struct Route<'a> {
    pub(super) link: &'a LinkPlan,
    index: u16,
    pub(super) cap: f64,
    /// The sender's card, the receiver's, and the access line of the link's lower end.
    pub(super) ports: [Option<PortId>; 3],
    /// The same of the other direction, which acknowledgements pass.
    back: [Option<PortId>; 3],
    /// Bytes that each byte takes of the ports: more than 1 where a slow station, or two of them, use a cell.
    pub(super) airtime: f64,
}

impl Route<'_> {
    /// Every constraint on the way, in its order.
    pub(super) fn way(&self) -> impl Iterator<Item = &PortId> {
        let [card, other, access] = &self.ports;
        card.iter().chain(access).chain(&self.link.segments).chain(other)
    }
}

impl<'a> Network<'a> {
    pub fn new(plan: &'a Plan) -> Self {
        let capacities: Vec<f64> = plan.network.ports.iter().map(|p| p.bytes_per_second).collect();
        let cap = |link: &LinkPlan| match link.latency.mean() {
            Some(mean) if link.loss > 0.0 => link.rate_max.min(rate_cap(mean.times(2), link.loss)),
            _ => link.rate_max,
        };
        let round_trip = |link: &LinkPlan| link.latency.mean().unwrap_or_default().times(2);
        // Where rates change, the fabric follows them during a transfer.
        let constant = !plan.traces.iter().any(|trace| matches!(trace.what, Changing::Rate(..)));
        Self {
            plan,
            fabric: hcddl_core::net::build(&plan.network.contention, &capacities, plan.seeds.interleaving),
            bare: plan.network.contention == Contention::None && constant,
            rates: if constant { Vec::new() } else { capacities },
            caps: plan.network.links.iter().map(cap).collect(),
            round_trips: plan.network.links.iter().map(round_trip).collect(),
            state: NetworkState { tree: vec![Default::default(); plan.nodes.len()], ..Default::default() },
        }
    }

    /// Its state, with what the chain of rules knows of links.
    pub fn save(&self, chain: &ChainState) -> NetworkState {
        let injected = chain.injected.clone();
        NetworkState { fabric: self.fabric.save(), injected, ..self.state.clone() }
    }

    pub fn load(&mut self, mut state: NetworkState) {
        if state.fabric != FabricState::Empty {
            self.fabric.load(std::mem::take(&mut state.fabric));
        }
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
            self.state.edges.entry(pair(from, to)).or_default()
        }
    }

    /// The way from one node to another; `None` between nodes of one host.
    pub(super) fn route(&self, from: NodeId, to: NodeId) -> Option<Route<'a>> {
        let (sender, receiver) = (self.node(from), self.node(to));
        if sender.host == receiver.host {
            return None;
        }
        let (link, access, access_back) = if sender.parent == Some(to) {
            (sender.link, sender.access.map(|a| a.0), sender.access.map(|a| a.1))
        } else if receiver.parent == Some(from) {
            let link = receiver.link_down.unwrap_or(receiver.link);
            (link, receiver.access.map(|a| a.1), receiver.access.map(|a| a.0))
        } else {
            (sender.neighbours.iter().find(|n| n.node == to).map_or(0, |n| n.link), None, None)
        };
        let hosts = &self.plan.hosts;
        let (sender, receiver) = (&hosts[sender.host.index()], &hosts[receiver.host.index()]);
        let ports = [Some(sender.up), Some(receiver.down), access];
        let back = [Some(receiver.up), Some(sender.down), access_back];
        let link_index = usize::from(link);
        Some(Route {
            link: &self.plan.network.links[link_index],
            index: link,
            cap: self.caps[link_index],
            ports,
            back,
            airtime: airtime(sender, receiver),
        })
    }

    /// Sends a message; returns when it arrives if that is known already.
    pub fn send(
        &mut self,
        now: Time,
        from: NodeId,
        to: NodeId,
        message: Message,
        chain: &mut Chain<'_>,
        heap: &mut Heap,
    ) -> Sent {
        let edge = self.edge(from, to);
        edge.sent += 1;
        let number = edge.sent;
        // Draws are named by numbers from 1, messages by numbers from 0.
        let packet = |message| Packet { from, to, number: number - 1, message };
        let Some(route) = self.route(from, to) else {
            let at = now + chain.within(from, to, number, &message);
            return Sent::Arrives(self.arrive(at, packet(message), now, false, heap));
        };
        let link = route.index;
        let fate =
            chain.message(&Sending { now, from, to, number, message: &message, link, chances: (0.0, 0.0) });
        if fate.lost {
            return Sent::Lost;
        }
        let latency = fate.latency.unwrap_or_default();
        if fate.carried {
            return Sent::Arrives(self.arrive(now + latency, packet(message), now, fate.duplicate, heap));
        }
        let bytes = wire_bytes(message.bytes(), route.link.efficiency);
        if self.bare || message.lane() == Lane::Control {
            let (packet, duplicate) = (packet(message), fate.duplicate);
            let alone = Stopped { packet, latency, duplicate, started: now };
            return self.leave_alone(now, &route, alone, heap).map_or(Sent::Flows, Sent::Arrives);
        }
        let spec = self.spec(&route, bytes, pair(from, to), number);
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
        let mut ports: Vec<PortId> = Vec::with_capacity(4);
        // From station to station of a cell both ends are one medium.
        route.way().for_each(|port| {
            if !ports.contains(port) {
                ports.push(*port)
            }
        });
        let way = match self.plan.network.contention {
            Contention::Tcp(_) => self.connection(route, edge_key),
            _ => {
                ports.sort_unstable();
                Way::default()
            }
        };
        let weight = match self.plan.network.contention {
            Contention::FairShare { unfairness } if unfairness > 0.0 => {
                let mut stream = Stream::new(self.plan.seeds.interleaving, "share", edge_key, number);
                hcddl_core::domain::math::exp(unfairness * stream.normal())
            }
            _ => 1.0,
        };
        let bytes = if route.airtime == 1.0 { bytes } else { (bytes as f64 * route.airtime).ceil() as u64 };
        FlowSpec { bytes, ports, weight, rate_max: route.cap * route.airtime, way }
    }

    /// The connection of a directed pair.
    fn connection(&self, route: &Route<'_>, edge_key: u64) -> Way {
        let segment = (SEGMENT_BYTES as f64 * route.airtime).ceil() as u64;
        let round_trip = self.round_trips[usize::from(route.index)];
        Way { connection: edge_key, round_trip, back: route.back.into_iter().flatten().collect(), segment }
    }

    /// Continues from the state of another network between the same hosts: transfers under way begin anew.
    pub fn adopt(&mut self, now: Time, mut state: NetworkState) {
        state.fabric = FabricState::Empty;
        let flows = std::mem::take(&mut state.flows);
        self.state = state;
        for (id, flow) in flows {
            let Packet { from, to, number, message } = &flow.packet;
            if let Some(route) = self.route(*from, *to) {
                let bytes = wire_bytes(message.bytes(), route.link.efficiency);
                let spec = self.spec(&route, bytes, pair(*from, *to), number + 1);
                self.fabric.start(now, FlowId(id), spec);
                self.state.flows.insert(id, flow);
            }
        }
    }

    /// When the last message of one node to another arrived, or will.
    pub fn heard(&mut self, from: NodeId, to: NodeId) -> Time {
        let [control, model] = self.edge(from, to).last;
        control.max(model)
    }

    /// Puts the arrival on the heap, after everything that was sent before in the same lane.
    pub(super) fn arrive(
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

    /// The moment of the next completed transfer before `horizon`, the next moment at which others may happen.
    pub fn next(&mut self, horizon: Option<Time>) -> Option<(Time, FlowId)> {
        if self.state.flows.is_empty() {
            return None;
        }
        match horizon {
            Some(horizon) => self.fabric.next_before(horizon),
            None => self.fabric.next(),
        }
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
        self.state.stopped.retain(|stopped| (stopped.packet.from, stopped.packet.to) != (from, to));
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
            + self.state.stopped.iter().map(|stopped| update(&stopped.packet.message)).sum::<u64>()
    }
}

/// A change of who can talk to whom.
pub(crate) enum Cut<'a> {
    Down(NodeId, NodeId),
    Up(NodeId, NodeId),
    Partition(&'a [Vec<NodeId>]),
    Heal,
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
