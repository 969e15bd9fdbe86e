//! Small plans and a summary made by hand, for tests of what shows or records them, in this crate and those above.

use crate::measure::outcome::{Staleness, Summary, TimeSplit};
use crate::plan::*;
use hcddl_core::device::Profile;
use hcddl_core::domain::{Choice, HostId, NodeId, Seeds, Span, Stream};
use hcddl_core::net::{Distribution, PortId};
use hcddl_core::node::Reason;
use hcddl_core::node::work::UpdateKind;
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Debug)]
struct Constant(Span);

impl Distribution for Constant {
    fn sample(&self, _: &mut Stream) -> Span {
        self.0
    }
    fn mean(&self) -> Option<Span> {
        Some(self.0)
    }
}

/// A root, `clusters` local servers, `workers` workers below each, and one worker at the root: 1 host each.
pub fn tree(clusters: u32, workers: u32) -> Plan {
    let mut nodes = vec![node("global", Role::Server(0), None, 0)];
    for cluster in 0..clusters {
        let server = nodes.len() as u32;
        nodes.push(node(&format!("local{}", cluster + 1), Role::Server(1), Some(0), 1));
        for _ in 0..workers {
            let name = format!("worker{}", nodes.len());
            nodes.push(node(&name, Role::Worker, Some(server), 2));
        }
    }
    nodes.push(node("central", Role::Worker, Some(0), 1));
    for index in 1..nodes.len() {
        let parent = nodes[index].parent.expect("only the root has none");
        nodes[parent.index()].children.push(NodeId(index as u32));
        nodes[index].link = u16::from(nodes[index].depth == 2);
    }
    let mut policy = Choice::named("ssp");
    policy.options.insert("slack".to_owned(), 3.into());
    plan("tree", nodes, vec![tier("global", Choice::named("sync")), tier("local", policy)])
}

/// Peers in a ring with Metropolis weights of a ring: 1/3 each.
pub fn ring(peers: u32) -> Plan {
    let nodes = (0..peers)
        .map(|i| {
            let mut peer = node(&format!("peer{i}"), Role::Peer, None, 0);
            let next = |by| Neighbour { node: NodeId((i + by) % peers), weight: 1.0 / 3.0, link: 0 };
            peer.neighbours = vec![next(peers - 1), next(1)];
            peer.place = i;
            peer
        })
        .collect();
    let mut plan = plan("ring", nodes, Vec::new());
    plan.peers = Some(PeerPlan { algorithm: Choice::named("dpsgd") });
    plan
}

fn node(name: &str, role: Role, parent: Option<u32>, depth: u16) -> NodePlan {
    NodePlan {
        name: hcddl_core::domain::NodeName::new(name).expect("a name"),
        place: 0,
        role,
        host: HostId(0),
        parent: parent.map(NodeId),
        children: Vec::new(),
        neighbours: Vec::new(),
        depth,
        link: 0,
        link_down: None,
        access: None,
        slowdown: 1.0,
        joins_later: false,
        shard: None,
    }
}

fn tier(name: &str, policy: Choice) -> TierPlan {
    TierPlan {
        name: name.to_owned(),
        policy,
        fold: Choice::named("mean"),
        optimizer: Some(Choice::named("adam")),
        update: UpdateKind::Gradient,
        uplink: None,
        max_norm: None,
        traffic: Traffic::Broadcast,
        compress_up: None,
        compress_down: None,
    }
}

fn link(name: &str, latency: Span, rate_max: f64) -> LinkPlan {
    let latency = Arc::new(Constant(latency));
    LinkPlan { name: name.to_owned(), latency, rate_max, loss: 0.0, efficiency: 1.0, segments: Vec::new() }
}

fn plan(name: &str, mut nodes: Vec<NodePlan>, tiers: Vec<TierPlan>) -> Plan {
    let mut hosts = Vec::new();
    let mut ports = Vec::new();
    for (index, node) in nodes.iter_mut().enumerate() {
        node.host = HostId(index as u32);
        let (up, down) = (PortId(2 * index as u32), PortId(2 * index as u32 + 1));
        hosts.push(HostPlan { name: format!("host{index}"), device: device(), up, down, airtime: 0.0 });
        for direction in ["up", "down"] {
            ports.push(PortPlan { name: format!("{}.{direction}", node.name), bytes_per_second: 12.5e6 });
        }
    }
    Plan {
        name: name.to_owned(),
        seeds: Seeds::all(1),
        nodes,
        hosts,
        tiers,
        peers: None,
        learning: learning(),
        stop: StopPlan { rounds: Some(10), time: None, target_accuracy: None },
        evaluation: EvaluationPlan {
            every: 1,
            at_start: true,
            metrics: vec!["accuracy".to_owned(), "loss".to_owned(), "bytes".to_owned()],
            per_node: false,
            best: BestBy::ValLoss,
        },
        network: NetworkPlan {
            contention: Contention::FairShare { unfairness: 0.0 },
            ports,
            links: vec![
                link("wan", Span::from_millis(20), 12.5e6),
                link("lan", Span::from_micros(200), f64::INFINITY),
            ],
            reliable: false,
            resend_after: Span::from_millis(500),
        },
        faults: FaultsPlan::default(),
        schedule: None,
        injections: Vec::new(),
        traces: Vec::new(),
        deploy: DeployPlan { placement: Vec::new(), port: 7700, settings: Settings::default() },
        expect: Expect::default(),
        timing_only: false,
        codecs: Vec::new(),
        warnings: Vec::new(),
    }
}

fn learning() -> LearningPlan {
    LearningPlan {
        model: Choice::named("mlp"),
        data: Choice::named("digits"),
        data_dir: None,
        partition: Choice::named("iid"),
        shard_limit: None,
        batch: 32,
        shuffle: true,
        drop_last: false,
        local: LocalWork::Steps(1),
        rule: LocalRule::sgd(0.1),
        gradients: true,
        shards: 1,
        init_from: None,
    }
}

fn device() -> Profile {
    Profile {
        name: "pi4".to_owned(),
        flops_per_second: 1e10,
        memory_bytes_per_second: 4e9,
        overhead: Span::ZERO,
        jitter_sigma: 0.0,
        slow_phase: None,
        thermal: None,
        threads: 1,
        cache_bytes: 1e6,
        efficiency: None,
        step_time: None,
        cores: 4,
        idle_watts: 3.0,
        load_watts: 6.0,
        joules_per_byte: 0.0,
        nic: "lan".to_owned(),
    }
}

/// What a run of the quickstart could have reported.
pub fn summary() -> Summary {
    Summary {
        name: "quickstart".to_owned(),
        reason: Reason::Rounds,
        accuracy: Some(0.943_21),
        loss: Some(0.2),
        metrics: BTreeMap::from([("accuracy".to_owned(), 0.943_21), ("epochs".to_owned(), 12.5)]),
        time_to_target_s: Some(1.25),
        virtual_time_s: 90.0,
        wall_time_s: 0.5,
        commits: 60,
        client_fits: 240,
        gradient_steps: 480,
        events: 12_345,
        staleness: Staleness { mean: 3.0, p50: 3, p90: 4, p99: 5, max: 6 },
        bytes_up: 1_250_000,
        bytes_down: 999,
        bytes_by_tier: BTreeMap::from([("depth 1 up".to_owned(), 1_250_000)]),
        messages: 480,
        dropped_updates: BTreeMap::from([("stale".to_owned(), 2)]),
        lost_updates: 0,
        time_split: BTreeMap::from([(
            "worker".to_owned(),
            TimeSplit { nodes: 4, compute: 0.5, send: 0.25, wait: 0.25, idle: 0.0 },
        )]),
        energy_j: 1234.0,
        energy_marginal_j: 0.0,
        energy_by_host_j: BTreeMap::new(),
        trace_digest: "0123456789abcdef0123456789abcdef".to_owned(),
        weight_digest: "fedcba9876543210fedcba9876543210".to_owned(),
        seeds: [1, 2, 3],
        best: None,
        kernels: "portable".to_owned(),
    }
}
