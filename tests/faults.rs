//! Whatever goes wrong, a run ends, and for the reason it should. Every policy of the table meets every fault.

mod common;

use common::{ENDLESS, Log, composition, direct, quadratic};
use hcddl::domain::work::UpdateKind;
use hcddl::domain::{NodeId, Time};
use hcddl::node::Reason;
use hcddl::sim::RunResult;
use std::collections::BTreeSet;

/// Every policy with settings that reach its branches.
fn policies() -> Vec<&'static str> {
    hcddl::policy::trials().concat()
}

const NETWORK: &str = "network: {lan: {latency: 'uniform(5ms, 15ms)', rate: 10mbit}, resend_after: 100ms}";
const DEVICES: &str = "devices: {workers: fixed(20ms), servers: instant, heterogeneity: 'uniform(1, 2)'}";
const ROUNDS: u64 = 60;

/// A flat run of four workers with these faults.
fn flat(policy: &str, more: &str, faults: &str) -> String {
    format!(
        "topology: flat(4)\ntiers: {{global: {{policy: {policy}{more}}}}}\n\
         training: {{rounds: {ROUNDS}, local: {{steps: 1}}}}\n\
         {NETWORK}\n{DEVICES}\nfaults: {{detection: 50ms, {faults}}}"
    )
}

/// Two local servers with two workers each.
fn tree(root: &str, local: &str, uplink: &str, faults: &str) -> String {
    format!(
        "topology: {{name: tree, fanout: [2, 2]}}\n\
         tiers: {{global: {{policy: {root}}}, local: {{policy: {local}, uplink: {{{uplink}}}}}}}\n\
         training: {{rounds: {ROUNDS}, local: {{steps: 1}}}}\n\
         {NETWORK}\n{DEVICES}\nfaults: {{detection: 50ms, {faults}}}"
    )
}

/// Runs a small case, which must end by itself.
fn bounded(text: &str) -> (RunResult, Log, String) {
    let case = quadratic(text);
    let mut log = Log::default();
    let result =
        case.try_run(&direct(), &mut log, None).unwrap_or_else(|error| panic!("{}: {error}", case.line));
    assert!(result.summary.events < ENDLESS, "{} events: {}", result.summary.events, case.line);
    (result, log, case.line)
}

/// Runs a small case to its last round.
fn finishes(text: &str) -> (RunResult, Log, String) {
    let (result, log, line) = bounded(text);
    let summary = &result.summary;
    let at = summary.virtual_time_s;
    assert_eq!(summary.reason, Reason::Rounds, "after {} commits, {at} s: {line}", summary.commits);
    (result, log, line)
}

/// What a flat run can meet and must survive.
const SURVIVED: &[(&str, &str)] = &[
    ("crash", "events: [{at: 203ms, crash: worker2}]"),
    (
        "crash of all but one",
        "events: [{at: 203ms, crash: worker1}, {at: 203ms, crash: worker2}, {at: 204ms, crash: worker4}]",
    ),
    ("crash and restart", "events: [{at: 203ms, crash: worker2}, {at: 400ms, restart: worker2}]"),
    (
        "restart before the loss is noticed",
        "events: [{at: 203ms, crash: worker2}, {at: 210ms, restart: worker2}]",
    ),
    (
        "crash of all and restart",
        "events: [{at: 203ms, crash: worker1}, {at: 203ms, crash: worker2}, {at: 204ms, crash: worker3}, \
      {at: 209ms, crash: worker4}, {at: 400ms, restart: worker3}, {at: 402ms, restart: worker1}]",
    ),
    ("leave and join", "events: [{at: 203ms, leave: worker2}, {at: 400ms, join: worker2}]"),
    ("join", "events: [{at: 203ms, join: worker4}]"),
    (
        "partition and heal",
        "events: [{at: 203ms, partition: [[global, worker1], [worker2, worker3]]}, {at: 400ms, heal: true}]",
    ),
    (
        "short partition",
        "events: [{at: 203ms, partition: [[global], [worker1, worker2, worker3, worker4]]}, {at: 220ms, heal: true}]",
    ),
    (
        "link down and up",
        "events: [{at: 203ms, link_down: [global, worker2]}, {at: 400ms, link_up: [global, worker2]}]",
    ),
    (
        "link down for a moment",
        "events: [{at: 203ms, link_down: [global, worker2]}, {at: 230ms, link_up: [global, worker2]}]",
    ),
    (
        "restart behind a broken link",
        "events: [{at: 203ms, link_down: [global, worker2]}, {at: 300ms, crash: worker2}, \
      {at: 400ms, restart: worker2}, {at: 600ms, link_up: [global, worker2]}]",
    ),
    (
        "slow",
        "events: [{at: 203ms, slow_down: {node: worker2, factor: 10}}, {at: 400ms, slow_down: {node: worker2, factor: 1}}]",
    ),
    ("loss", "messages: [{loss: 0.2}]"),
    ("duplication", "messages: [{duplicate: 0.3}]"),
    (
        "loss, duplication and a restart",
        "messages: [{loss: 0.2, duplicate: 0.2}], \
      events: [{at: 203ms, crash: worker2}, {at: 400ms, restart: worker2}]",
    ),
    ("restart of the root", "events: [{at: 203ms, crash: global}, {at: 400ms, restart: global}]"),
    (
        "restart of the root before its loss is noticed",
        "events: [{at: 203ms, crash: global}, {at: 210ms, restart: global}]",
    ),
];

#[test]
fn every_policy_survives_every_fault() {
    for policy in policies() {
        for (_, faults) in SURVIVED {
            finishes(&flat(policy, "", faults));
        }
    }
}

/// The other ways that models and updates travel.
#[test]
fn pulling_and_compression_survive_every_fault() {
    let ways = [
        ", traffic: pull",
        ", compression: {up: 'top_k(0.4)', down: fp16}",
        ", traffic: pull, compression: {up: fp16, down: fp16}",
    ];
    for way in ways {
        for policy in policies() {
            // Of a whole model nothing may be left out.
            let way = if composition(policy).update == UpdateKind::Model {
                way.replace("top_k(0.4)", "fp16")
            } else {
                way.to_owned()
            };
            for (_, faults) in SURVIVED {
                finishes(&flat(policy, &way, faults));
            }
        }
    }
}

/// Reliable delivery makes losses and repetitions invisible: nothing is lost, nothing is applied twice.
#[test]
fn with_reliable_delivery_every_update_is_applied_once() {
    for policy in policies() {
        for faults in [
            "messages: [{loss: 0.2}]",
            "messages: [{duplicate: 0.3}]",
            "messages: [{loss: 0.2, duplicate: 0.2}]",
        ] {
            let (result, log, line) = finishes(&flat(policy, "", faults));
            assert_eq!(result.summary.lost_updates, 0, "{line}");
            // The count below holds whether a client may train twice on the same version or not.
            if !composition(policy).claims.repeats {
                assert_unique(&log, &line);
            }
            let applied: usize = log.commits.iter().map(|row| row.contributors.len()).sum();
            let dropped: u64 = result.summary.dropped_updates.values().sum();
            let fits = result.summary.client_fits;
            assert!(
                applied as u64 + dropped <= fits,
                "{applied} applied, {dropped} dropped of {fits}: {line}"
            );
        }
    }
}

/// A worker computes on one version once, so (worker, base) names an update.
fn assert_unique(log: &Log, line: &str) {
    let mut seen = BTreeSet::new();
    for row in &log.commits {
        for c in &row.contributors {
            let fresh = seen.insert((row.node, c.node, c.base));
            assert!(fresh, "an update of {} on version {} was applied twice: {line}", c.node, c.base.0);
        }
    }
    assert!(!seen.is_empty(), "{line}");
}

#[test]
fn a_root_that_does_not_come_back_ends_the_run() {
    for policy in policies() {
        let (result, _, line) = bounded(&flat(policy, "", "events: [{at: 203ms, crash: global}]"));
        stalled(&result, "global", &line);
    }
    for (root, local, uplink) in TIERS {
        let (result, _, line) = bounded(&tree(root, local, uplink, "events: [{at: 203ms, crash: global}]"));
        stalled(&result, "global", &line);
    }
}

#[test]
fn nobody_left_ends_the_run() {
    let faults = "events: [{at: 203ms, crash: worker1}, {at: 203ms, leave: worker2}, {at: 204ms, crash: worker3}, \
                  {at: 209ms, crash: worker4}]";
    for policy in policies() {
        let (result, _, line) = bounded(&flat(policy, "", faults));
        stalled(&result, "worker3", &line);
    }
}

fn stalled(result: &RunResult, name: &str, line: &str) {
    match result.summary.reason.problem() {
        Some(why) => assert!(why.contains(name), "`{why}` does not name {name}: {line}"),
        None => panic!("{:?} instead of stalled: {line}", result.summary.reason),
    }
}

/// Mixes of policies above and below: root, local, uplink.
const TIERS: &[(&str, &str, &str)] = &[
    ("sync", "sync", ""),
    ("sync", "async", ""),
    ("async", "sync", ""),
    ("async", "async", ""),
    ("async", "async", "push: on_request, wait: false"),
    ("sync", "async", "push: every(3), wait: true"),
    ("fedavg", "fedavg", "push: every(2)"),
    ("fedavg", "fedasync", "push: every(4), wait: true"),
    ("fedasync", "fedavg", "send: model"),
    ("fedbuff(2)", "fedbuff(2)", "send: delta, wait: false"),
    ("fedasync", "fedasync", "send: model, adopt: 0.5"),
    ("ssp(2)", "k_async(2)", ""),
    ("deadline(200ms)", "deadline(100ms)", ""),
    ("dc_asgd", "ssp(1)", ""),
    ("{name: sync, wait_for: 1, cancel: true}", "sync", ""),
    ("fedasync", "async", "push: every(2), send: delta, wait: false"),
    ("async", "async", "push: every(2), send: delta, wait: false"),
    ("fedavg", "async", "push: every(2), send: delta, wait: false"),
];

const TREE_FAULTS: &[(&str, &str)] = &[
    ("nothing", "events: []"),
    ("crash of a worker", "events: [{at: 203ms, crash: worker2}]"),
    ("crash of a local server", "events: [{at: 203ms, crash: local2}]"),
    ("restart of a local server", "events: [{at: 203ms, crash: local2}, {at: 400ms, restart: local2}]"),
    (
        "restart of a local server before its loss is noticed",
        "events: [{at: 203ms, crash: local2}, {at: 210ms, restart: local2}]",
    ),
    (
        "a local server and its worker",
        "events: [{at: 203ms, crash: local2}, {at: 210ms, crash: worker3}, {at: 400ms, restart: local2}]",
    ),
    ("restart of the root", "events: [{at: 203ms, crash: global}, {at: 400ms, restart: global}]"),
    (
        "restart of the root before its loss is noticed",
        "events: [{at: 203ms, crash: global}, {at: 210ms, restart: global}]",
    ),
    (
        "the wide line is cut",
        "events: [{at: 203ms, link_down: [global, local1]}, {at: 400ms, link_up: [global, local1]}]",
    ),
    ("loss and duplication", "messages: [{loss: 0.2, duplicate: 0.2}]"),
    (
        "the wide line is cut for a moment",
        "events: [{at: 203ms, link_down: [global, local1]}, {at: 230ms, link_up: [global, local1]}]",
    ),
    (
        "the wide line is cut again and again",
        "events: [{at: 203ms, link_down: [global, local1]}, {at: 300ms, link_up: [global, local1]}, \
      {at: 340ms, link_down: [global, local1]}, {at: 420ms, link_up: [global, local1]}, \
      {at: 430ms, link_down: [global, local1]}, {at: 600ms, link_up: [global, local1]}]",
    ),
    (
        "restart of the root behind a line that is cut",
        "events: [{at: 203ms, link_down: [global, local1]}, {at: 300ms, crash: global}, {at: 400ms, restart: global}, \
      {at: 600ms, link_up: [global, local1]}]",
    ),
    (
        "a cluster leaves and comes back",
        "events: [{at: 203ms, leave: local2}, {at: 204ms, leave: worker3}, {at: 204ms, leave: worker4}, \
      {at: 300ms, join: worker3}, {at: 350ms, join: local2}, {at: 390ms, join: worker4}]",
    ),
];

#[test]
fn every_mix_of_tiers_survives_every_fault() {
    for (root, local, uplink) in TIERS {
        for (_, faults) in TREE_FAULTS {
            finishes(&tree(root, local, uplink, faults));
        }
    }
}

/// Whoever was lost and is back contributes again: to end on the work of the others would be a cluster lost in silence.
#[test]
fn a_cluster_that_was_lost_contributes_again() {
    for (root, local, uplink) in TIERS {
        for (what, faults) in TREE_FAULTS {
            if !faults.contains("restart") && !what.contains("cut") {
                continue;
            }
            let text = tree(root, local, uplink, faults);
            let (_, log, line) = finishes(&text);
            for (i, node) in quadratic(&text).plan.nodes.iter().enumerate().filter(|(_, n)| n.parent == ROOT)
            {
                let late =
                    log.commits.iter().filter(|row| Some(row.node) == ROOT && row.at > Time(700_000_000));
                let mut contributors = late.flat_map(|row| &row.contributors);
                let some = contributors.any(|c| c.node.index() == i);
                assert!(some, "{what}: nothing of {} any more: {line}", node.name);
            }
        }
    }
}

const ROOT: Option<NodeId> = Some(NodeId(0));

/// Workers beside local servers under one root (HiPS), and a local server whose workers come late.
#[test]
fn workers_at_the_root_survive_faults() {
    for policy in ["sync", "async", "deadline(100ms)", "k_async(2)"] {
        for (_, faults) in TREE_FAULTS {
            let text = tree(policy, "sync", "", faults).replace(
                "topology: {name: tree, fanout: [2, 2]}",
                "topology: {name: tree, workers: 2, servers: [{workers: 2}, {workers: 2}]}",
            );
            finishes(&text);
        }
    }
    let late = "events: [{at: 203ms, join: worker3}, {at: 203ms, join: worker4}]";
    for (root, local, uplink) in TIERS {
        finishes(&tree(root, local, uplink, late));
    }
}

/// Who cannot make itself heard, or hears nothing, is lost for the others as in a deployment; resending has an end.
#[test]
fn a_neighbour_whose_messages_get_lost_is_lost() {
    let rules = [
        "loss: 1.0, sender: worker1",
        "loss: 1.0, receiver: worker1",
        "loss: 1.0, sender: worker1, from: 203ms",
        "loss: 0.99, sender: worker1",
        "loss: 0.99, receiver: worker1",
    ];
    for policy in policies() {
        for rule in rules {
            let (result, _, line) = finishes(&flat(policy, "", &format!("messages: [{{{rule}}}]")));
            let resends = result.summary.metrics.get("resends").copied().unwrap_or_default();
            assert!(resends < 2000.0, "{resends} resends: {line}");
        }
    }
    for (root, local, uplink) in TIERS {
        for node in ["local1", "worker1"] {
            for end in ["sender", "receiver"] {
                finishes(&tree(root, local, uplink, &format!("messages: [{{loss: 1.0, {end}: {node}}}]")));
            }
        }
    }
}

#[test]
fn a_neighbour_that_gets_through_again_is_back() {
    for policy in policies() {
        for end in ["sender", "receiver"] {
            let faults = format!("messages: [{{loss: 1.0, {end}: worker1, from: 103ms, until: 300ms}}]");
            let (_, log, line) = finishes(&flat(policy, "", &faults));
            let late = log.commits.iter().filter(|row| row.at > Time(350_000_000));
            let back = late.flat_map(|row| &row.contributors).any(|c| c.node == NodeId(1));
            assert!(back, "nothing of worker1 any more: {line}");
        }
    }
}

#[test]
fn a_network_that_loses_everything_ends_the_run() {
    for policy in policies() {
        let (result, _, line) = bounded(&flat(policy, "", "messages: [{loss: 1.0}]"));
        stalled(&result, "get lost", &line);
        bounded(&flat(policy, "", "messages: [{loss: 0.99}]"));
    }
    for (root, local, uplink) in TIERS {
        let (result, _, line) = bounded(&tree(root, local, uplink, "messages: [{loss: 1.0}]"));
        stalled(&result, "get lost", &line);
    }
}

#[test]
fn gossip_survives_faults_and_a_ring_says_that_it_cannot() {
    let peers = |algorithm: &str, topology: &str, faults: &str| {
        format!(
            "topology: {topology}\npeers: {{algorithm: {algorithm}}}\ntraining: {{rounds: {ROUNDS}}}\n{NETWORK}\n\
             devices: {{default: fixed(20ms), heterogeneity: 'uniform(1, 2)'}}\nfaults: {{detection: 50ms, {faults}}}"
        )
    };
    let survived = [
        "events: [{at: 203ms, crash: peer2}]",
        "events: [{at: 203ms, crash: peer2}, {at: 400ms, restart: peer2}]",
        "events: [{at: 203ms, crash: peer2}, {at: 210ms, restart: peer2}]",
        "events: [{at: 203ms, crash: peer2}, {at: 203ms, crash: peer3}, {at: 400ms, restart: peer2}]",
        "events: [{at: 203ms, leave: peer2}, {at: 400ms, join: peer2}]",
        "events: [{at: 203ms, join: peer2}]",
        "events: [{at: 203ms, link_down: [peer1, peer2]}, {at: 400ms, link_up: [peer1, peer2]}]",
        "events: [{at: 203ms, link_down: [peer1, peer2]}, {at: 220ms, link_up: [peer1, peer2]}]",
        "events: [{at: 203ms, partition: [[peer1, peer2], [peer3, peer4]]}, {at: 400ms, heal: true}]",
        "messages: [{loss: 0.2, duplicate: 0.2}]",
        "messages: [{loss: 1.0, sender: peer1}]",
        "messages: [{loss: 1.0, receiver: peer1}]",
        "messages: [{loss: 0.99, sender: peer1}]",
        "messages: [{loss: 1.0, sender: peer1, from: 203ms, until: 400ms}]",
        "messages: [{loss: 1.0}]",
    ];
    for topology in ["complete(4)", "ring(4)", "star(4)"] {
        for faults in survived {
            if topology == "star(4)" && faults.contains("link") {
                continue;
            }
            finishes(&peers("d_psgd", topology, faults));
        }
    }
    let (result, _, line) = bounded(&peers("ring_all_reduce", "ring(4)", survived[0]));
    stalled(&result, "ring", &line);
    let (result, _, line) =
        bounded(&peers("ring_all_reduce", "ring(3)", "messages: [{loss: 1.0, sender: peer1}]"));
    stalled(&result, "ring", &line);
    finishes(&peers("ring_all_reduce", "ring(4)", "messages: [{loss: 0.2, duplicate: 0.2}]"));
}
