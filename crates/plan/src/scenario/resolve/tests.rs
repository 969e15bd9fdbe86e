//! What follows where nothing is set.

use super::resolve;
use crate::plan::{Contention, LocalWork, Plan, Push, Role, TierPlan, UplinkPlan};
use crate::registry::Registry;
use crate::scenario::parse;
use hcddl_core::node::work::UpdateKind;

fn plan(text: &str) -> Plan {
    let written = parse("x.yml", text, &[]).unwrap_or_else(|error| panic!("{error}"));
    resolve(&written, &Registry::default()).unwrap_or_else(|error| panic!("{error}"))
}

/// Over a tree of two local servers with two workers each.
fn tree(rest: &str) -> Plan {
    plan(&format!("topology: {{name: tree, fanout: [2, 2]}}\nmodel: softmax\n{rest}\n"))
}

fn tier<'a>(plan: &'a Plan, name: &str) -> &'a TierPlan {
    let node = plan.nodes.iter().find(|node| node.name == name).unwrap();
    match node.role {
        Role::Server(tier) => &plan.tiers[tier as usize],
        role => panic!("{name} is a {role:?}"),
    }
}

/// push, send, wait of local1, and what the root takes.
fn uplink(plan: &Plan) -> (Push, UpdateKind, bool, UpdateKind) {
    let UplinkPlan { push, send, wait, window, adopt_permille } = tier(plan, "local1").uplink.unwrap();
    assert_eq!((window, adopt_permille), (1, 1000));
    (push, send, wait, tier(plan, "global").update)
}

#[test]
fn an_uplink_follows_from_the_policy() {
    use UpdateKind::{Delta, Gradient};
    let synchronous = tree("");
    assert_eq!(uplink(&synchronous), (Push::Every(1), Gradient, true, Gradient));
    assert!(tier(&synchronous, "local1").optimizer.is_none(), "it only forwards");
    assert_eq!(
        uplink(&tree("tiers: {local: {policy: async}}")),
        (Push::OnRequest, Gradient, false, Gradient)
    );
    let all_async = tree("tiers: {local: {policy: async}, global: {policy: async}}");
    assert_eq!(uplink(&all_async), (Push::Every(1), Gradient, false, Gradient));
    let averaging = tree("tiers: {local: {policy: fedavg}, global: {policy: fedavg}}");
    assert_eq!(uplink(&averaging), (Push::Every(1), Delta, true, Delta));
    assert_eq!(averaging.learning.local, LocalWork::Epochs(1));
    // An optimiser makes a model of its own, whose change is sent; the root takes that as it is.
    let own_model = tree("tiers: {local: {policy: async, optimizer: sgd(0.2)}}");
    assert_eq!(uplink(&own_model), (Push::Every(1), Delta, false, Delta));
    let root = tier(&own_model, "global").optimizer.clone().unwrap();
    assert_eq!((root.name.as_str(), root.options["lr"].as_f64()), ("sgd", Some(1.0)));
}

#[test]
fn the_most_specific_tier_wins_setting_by_setting() {
    let plan = tree(
        "tiers:\n  local: {policy: ssp(5), fold: mean}\n  local-1: {policy: ssp(4)}\n  local2: {policy: ssp(3)}",
    );
    let slack = |name: &str| {
        let tier = tier(&plan, name);
        (tier.policy.options["slack"].as_u64(), tier.fold.name.clone())
    };
    assert_eq!(slack("local1"), (Some(4), "mean".to_owned()));
    assert_eq!(slack("local2"), (Some(3), "mean".to_owned()));
}

#[test]
fn a_wan_rate_is_an_access_line_of_each_local_server() {
    let plain = tree("");
    assert!(plain.nodes.iter().all(|node| node.access.is_none()));
    let plan = tree(
        "network: {lan: {profile: ideal}, wan: {latency: 20ms, up: 8mbit, down: 80mbit, shared: 1gbit},\n  \
         links: [{between: [worker1, local1], latency: 1s, rate: 1mbit}], contention: fair_share(0.35)}",
    );
    let node = |name: &str| plan.nodes.iter().find(|node| node.name == name).unwrap();
    let (up, down) = node("local2").access.unwrap();
    let rate = |port: hcddl_core::net::PortId| plan.network.ports[port.0 as usize].bytes_per_second;
    assert_eq!((rate(up), rate(down)), (1e6, 1e7));
    let link = |name: &str| &plan.network.links[node(name).link as usize];
    assert_eq!((link("local2").name.as_str(), link("worker2").name.as_str()), ("wan", "lan"));
    assert_eq!(link("local2").segments.iter().map(|port| rate(*port)).collect::<Vec<_>>(), [1.25e8]);
    assert_eq!((link("worker1").rate_max, link("worker1").latency.mean().unwrap().seconds()), (1.25e5, 1.0));
    assert_eq!(plan.network.contention, Contention::FairShare { unfairness: 0.35 });
    assert!(node("worker1").access.is_none() && node("global").access.is_none());
}

#[test]
fn nodes_can_share_a_host_and_join_late() {
    let plan = tree(
        "hosts: {laptop: {nodes: [worker2, local1, worker1], device: pc}}\ndevices: {slowdown: {worker4: 3}}\n\
         faults: {events: [{at: 5s, crash: worker3}, {at: 2s, join: worker1}, {at: 9s, restart: worker3}]}",
    );
    let host = |name: &str| plan.nodes.iter().find(|node| node.name == name).unwrap().host;
    assert_eq!(plan.hosts.len(), 5);
    assert_eq!((host("local1"), host("worker1")), (host("worker2"), host("worker2")));
    assert_eq!(plan.hosts[host("worker1").index()].device.name, "pc");
    let late: Vec<&str> =
        plan.nodes.iter().filter(|node| node.joins_later).map(|node| node.name.as_str()).collect();
    assert_eq!(late, ["worker1"]);
    assert_eq!(plan.nodes.last().unwrap().slowdown, 3.0);
    assert!(plan.faults.events.is_sorted_by_key(|event| event.at));
}

#[test]
fn peers_have_neighbours_in_ring_order() {
    let plan = plan("topology: ring(4)\nmodel: softmax\npeers: {algorithm: ring_all_reduce}\n");
    let around: Vec<Vec<u32>> =
        plan.nodes.iter().map(|node| node.neighbours.iter().map(|n| n.node.0).collect()).collect();
    assert_eq!(around, [[3, 1], [0, 2], [1, 3], [2, 0]]);
    assert!(plan.tiers.is_empty() && plan.nodes[0].neighbours[0].weight == 1.0 / 3.0);
}

/// Nothing that is written is ignored in silence.
#[test]
fn settings_without_effect_are_named() {
    for (text, key) in [
        ("topology: ring(3)\nmodel: softmax\ntiers: {global: {policy: sync}}", "`tiers`"),
        ("topology: flat(3)\nmodel: softmax\npeers: {algorithm: d_psgd}", "`peers`"),
        ("topology: flat(3)\nmodel: softmax\nnetwork: {wan: {latency: 3ms}}", "`network.wan`"),
        ("topology: flat(3)\nmodel: softmax\ntraining: {optimizer: {lr: 0.3}}", "`training.optimizer`"),
        ("topology: flat(3)\nmodel: softmax\ntraining: {proximal: 0.1}", "`training.proximal`"),
        ("topology: flat(3)\nmodel: softmax\ntimming: 1\n", ""),
        ("topology: flat(3)\nmodel: softmax\ntiming_only: true\ndata: digits", "`data`"),
        ("topology: flat(3)\nmodel: softmax\nevaluation: {per_node: true}", "`evaluation.per_node`"),
        ("topology: flat(3)\nmodel: softmax\nfaults: {detection: 3s}", "`faults.detection`"),
        ("topology: flat(3)\nmodel: softmax\nnetwork: {resend_after: 3s}", "`network.resend_after`"),
        (
            "topology: flat(3)\nmodel: softmax\ntiers: {global: {uplink: {wait: true}}}",
            "`tiers.global.uplink`",
        ),
    ] {
        if key.is_empty() {
            assert!(parse("x.yml", text, &[]).is_err(), "{text}");
            continue;
        }
        let warnings = plan(text).warnings;
        assert!(warnings.len() == 1 && warnings[0].starts_with(key), "{text}: {warnings:?}");
    }
}
