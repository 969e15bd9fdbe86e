//! A node holds no more than a few models, however slow its links are and however long the run is: what is on its way
//! is bounded at every edge, and nobody hoards what has not been sent.

mod common;

use common::{Case, ENDLESS, Log, custom, direct};
use hcddl::domain::NodeId;
use hcddl::learn::quadratic::Quadratic;
use hcddl::node::{Cx, Effects, Event, Node, NodeState, Reason};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Parameters of the model: so many that all else in a node's state counts for little.
const LEN: usize = 200;

thread_local! {
    /// The most tensors that each node has held, with the delivery around it.
    static MOST: RefCell<BTreeMap<NodeId, usize>> = const { RefCell::new(BTreeMap::new()) };
}

/// Weighs a node now and then.
struct Scales {
    id: NodeId,
    inner: Box<dyn Node>,
    events: u64,
}

impl Node for Scales {
    fn on(&mut self, cx: &Cx, event: Event, out: &mut Effects) {
        self.inner.on(cx, event, out);
        self.events += 1;
        if self.events % 20 == 1 {
            let bytes = hcddl::files::bytes::to_bytes(&self.inner.save()).unwrap().len();
            MOST.with_borrow_mut(|most| {
                let most = most.entry(self.id).or_default();
                *most = (*most).max(bytes / (4 * LEN));
            });
        }
    }
    fn save(&self) -> NodeState {
        self.inner.save()
    }
}

/// Runs a scenario and weighs its nodes.
fn weigh(text: &str) -> (Case, Reason, BTreeMap<NodeId, usize>) {
    let mut case = custom(text, |plan| {
        let shards = plan.nodes.iter().map(|node| node.shard).collect();
        Arc::new(Quadratic::random(LEN, shards, 1.0, plan.seeds.data))
    });
    case.registry.around = Some(|id, inner| Box::new(Scales { id, inner, events: 0 }));
    MOST.with_borrow_mut(BTreeMap::clear);
    let mut log = Log::default();
    let result = case.try_run(&direct(), &mut log, None).unwrap_or_else(|error| panic!("{text}: {error}"));
    assert!(result.summary.events < ENDLESS, "{text}");
    (case, result.summary.reason, MOST.with_borrow(Clone::clone))
}

/// A model of its own, one under way, one that is combined; eight aggregates and their sum; and for each child what it
/// was given and what came of it.
fn bound(children: usize) -> usize {
    16 + 5 * children
}

fn holds_little(text: &str) {
    let (case, reason, most) = weigh(text);
    assert_eq!(reason, Reason::Rounds, "{text}");
    assert_eq!(most.len(), case.plan.nodes.len());
    for (id, tensors) in most {
        let node = &case.plan.nodes[id.index()];
        let few = bound(node.children.len() + node.neighbours.len());
        assert!(tensors <= few, "{} held {tensors} tensors, {few} are enough: {text}", node.name);
    }
}

/// Nodes that fail only when all is over: so they talk as deployed ones do, and what they have sent and nobody has
/// acknowledged is weighed too.
const DEPLOYED: &str = "faults: {events: [{at: 10h, crash: worker1}]}";

#[test]
fn a_slow_way_up_fills_no_memory() {
    let uplinks = [
        "wait: false",
        "push: every(3), send: delta, wait: false",
        "push: every(2), send: delta, wait: true",
        "push: on_request, wait: false",
        "wait: false, window: 3",
    ];
    for trials in hcddl::policy::trials() {
        let local = trials[0];
        for root in ["async", "sync"] {
            for uplink in uplinks {
                holds_little(&format!(
                    "topology: {{name: tree, fanout: [2, 3]}}\ntraining: {{rounds: 12, local: {{steps: 1}}}}\n\
                     tiers: {{global: {{policy: {root}}}, local: {{policy: {local}, uplink: {{{uplink}}}}}}}\n\
                     network: {{lan: {{latency: 1ms}}, wan: {{latency: 5ms, rate: 13kbit}}}}\n\
                     devices: {{workers: fixed(40ms), servers: instant, heterogeneity: 'uniform(1, 2)'}}\n{DEPLOYED}"
                ));
            }
        }
    }
}

/// A cluster that has lost its root for long goes on, and does not hoard what it commits.
#[test]
fn a_root_that_is_away_fills_no_memory() {
    for trials in hcddl::policy::trials() {
        let policy = trials[0];
        for uplink in ["wait: false", "push: every(3), send: delta, wait: false"] {
            holds_little(&format!(
                "topology: {{name: tree, fanout: [2, 3]}}\ntraining: {{rounds: 200, local: {{steps: 1}}}}\n\
                 tiers: {{global: {{policy: async}}, local: {{policy: {policy}, uplink: {{{uplink}}}}}}}\n\
                 network: {{lan: {{latency: 1ms}}, wan: {{latency: 5ms}}}}\n\
                 devices: {{workers: fixed(10ms), servers: instant, heterogeneity: 'uniform(1, 2)'}}\n\
                 faults: {{detection: 100ms, events: [{{at: 203ms, link_down: [global, local1]}}, \
                 {{at: 400ms, crash: global}}, {{at: 3s, restart: global}}, {{at: 3500ms, link_up: [global, local1]}}]}}"
            ));
        }
    }
}

#[test]
fn a_peer_that_comes_back_far_behind_hoards_nothing() {
    holds_little(
        "topology: ring(4)\npeers: {algorithm: d_psgd}\ntraining: {rounds: 300}\n\
         network: {lan: {latency: 1ms}}\ndevices: {default: fixed(10ms)}\n\
         faults: {detection: 50ms, events: [{at: 100ms, slow_down: {node: peer2, factor: 3}}, \
         {at: 203ms, link_down: [peer1, peer2]}, {at: 203ms, link_down: [peer2, peer3]}, \
         {at: 900ms, link_up: [peer1, peer2]}, {at: 905ms, link_up: [peer2, peer3]}]}",
    );
}
