//! Every setting about delays and fates is consumed by a rule of the chain (`hcddl_sim::run::rules`): it changes the
//! order of events in a simulation, and it does so when durations of a real run stand in for modelled ones. The keys
//! come from the schema, so a new one fails here until somebody says what it does.

mod common;

use common::quadratic;
use hcddl::domain::{Lane, NodeId, Span};
use hcddl::measure::outcome::{Silent, SimOptions};
use hcddl::plan::Plan;
use hcddl::run::rules::recorded::{Conditions, Recorded};
use hcddl::scenario::keys_markdown;
use hcddl::sim::{Ended, Imposed, Parts, Start, run_imposed};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// What everything is tried on: two clusters of two, asynchronous, with jitter.
const BASE: &str = "topology: {name: tree, fanout: [2, 2]}\ntiers: {global: {policy: async}, local: {policy: async}}\n\
    training: {rounds: 40, local: {steps: 2}, optimizer: {lr: 0.05}}\n";
/// Settings of the base that an entry may take the place of.
const LINKS: &str =
    "network: {lan: {latency: 'uniform(1ms, 4ms)', rate: 20mbit}, wan: {latency: 9ms, rate: 5mbit}}\n";
const DEVICES: &str = "devices: {workers: fixed(20ms), servers: fixed(1ms)}\n";

/// What a setting does where durations of a real run stand in.
#[derive(Clone, Copy, PartialEq)]
enum Then {
    /// The same as without: it acts on top of them.
    Acts,
    /// Nothing: it is in these durations, as long as the machine's network card is of the same kind. `hcddl replay`
    /// refuses another value.
    Contained,
}
use Then::{Acts, Contained};

/// A key, and two scenarios that differ in it alone.
type Entry = (&'static str, Then, &'static str, &'static str);

const MUTE: &str = "faults: {messages: [{loss: 0.2}]}";

/// One for each key.
fn entries() -> Vec<Entry> {
    vec![
        (
            "network.contention",
            Acts,
            LINKS,
            "network: {contention: fifo, lan: {latency: 'uniform(1ms, 4ms)', rate: 20mbit}, wan: {latency: 9ms, rate: 5mbit}}",
        ),
        (
            "network.lan.profile",
            Acts,
            "network: {lan: {profile: lan-gige}}",
            "network: {lan: {profile: wifi4}}",
        ),
        ("network.lan.latency", Acts, "network: {lan: {latency: 2ms}}", "network: {lan: {latency: 3ms}}"),
        ("network.lan.rate", Acts, "network: {lan: {rate: 20mbit}}", "network: {lan: {rate: 2mbit}}"),
        (
            "network.lan.up",
            Acts,
            "network: {lan: {rate: 20mbit}}",
            "network: {lan: {rate: 20mbit, up: 2mbit}}",
        ),
        (
            "network.lan.down",
            Acts,
            "network: {lan: {rate: 20mbit}}",
            "network: {lan: {rate: 20mbit, down: 2mbit}}",
        ),
        (
            "network.lan.loss",
            Acts,
            "network: {lan: {latency: 2ms}}",
            "network: {lan: {latency: 2ms, loss: 0.2}}",
        ),
        ("network.lan.shared", Acts, "network: {lan: {shared: 1mbit}}", "network: {lan: {shared: 2mbit}}"),
        (
            "network.wan.profile",
            Acts,
            "network: {wan: {profile: lan-gige}}",
            "network: {wan: {profile: lte}}",
        ),
        ("network.wan.latency", Acts, "network: {wan: {latency: 2ms}}", "network: {wan: {latency: 3ms}}"),
        ("network.wan.rate", Acts, "network: {wan: {rate: 2mbit}}", "network: {wan: {rate: 1mbit}}"),
        ("network.wan.up", Acts, "network: {wan: {rate: 2mbit}}", "network: {wan: {rate: 2mbit, up: 1mbit}}"),
        (
            "network.wan.down",
            Acts,
            "network: {wan: {rate: 2mbit}}",
            "network: {wan: {rate: 2mbit, down: 1mbit}}",
        ),
        (
            "network.wan.loss",
            Acts,
            "network: {wan: {latency: 2ms}}",
            "network: {wan: {latency: 2ms, loss: 0.2}}",
        ),
        ("network.wan.shared", Acts, "network: {wan: {shared: 1mbit}}", "network: {wan: {shared: 2mbit}}"),
        (
            "network.cells",
            Acts,
            "network: {lan: {profile: wifi4}}",
            "network: {lan: {profile: wifi4}, cells: {attic: [worker1, worker2]}}",
        ),
        (
            "network.links.N.between",
            Acts,
            "network: {links: [{between: [worker1, local1], latency: 40ms}]}",
            "network: {links: [{between: [worker2, local1], latency: 40ms}]}",
        ),
        (
            "network.links.N.latency",
            Acts,
            "network: {links: [{between: [worker1, local1], latency: 40ms}]}",
            "network: {links: [{between: [worker1, local1], latency: 41ms}]}",
        ),
        (
            "network.links.N.rate",
            Acts,
            "network: {links: [{between: [worker1, local1], rate: 1mbit}]}",
            "network: {links: [{between: [worker1, local1], rate: 2mbit}]}",
        ),
        (
            "network.links.N.loss",
            Acts,
            "network: {links: [{between: [worker1, local1], rate: 1mbit}]}",
            "network: {links: [{between: [worker1, local1], rate: 1mbit, loss: 0.2}]}",
        ),
        (
            "network.reliable",
            Acts,
            "faults: {messages: [{duplicate: 0.2}]}\nnetwork: {reliable: true}",
            "faults: {messages: [{duplicate: 0.2}]}\nnetwork: {reliable: false}",
        ),
        (
            "network.resend_after",
            Acts,
            MUTE,
            "faults: {messages: [{loss: 0.2}]}\nnetwork: {resend_after: 90ms}",
        ),
        ("devices.default", Contained, "devices: {default: pi-4b}", "devices: {default: pi-5}"),
        ("devices.workers", Contained, "devices: {workers: fixed(20ms)}", "devices: {workers: fixed(30ms)}"),
        ("devices.servers", Contained, "devices: {servers: pi-4b}", "devices: {servers: pi-5}"),
        (
            "devices.nodes",
            Contained,
            DEVICES,
            "devices: {workers: fixed(20ms), servers: fixed(1ms), nodes: {worker1: fixed(30ms)}}",
        ),
        (
            "devices.heterogeneity",
            Contained,
            DEVICES,
            "devices: {workers: fixed(20ms), servers: fixed(1ms), heterogeneity: 'uniform(1, 2)'}",
        ),
        (
            "devices.slowdown",
            Contained,
            DEVICES,
            "devices: {workers: fixed(20ms), servers: fixed(1ms), slowdown: {worker1: 2}}",
        ),
        (
            "hosts.NAME.nodes",
            Acts,
            "hosts: {one: {nodes: [worker1, worker2]}}",
            "hosts: {one: {nodes: [worker1, worker3]}}",
        ),
        (
            "hosts.NAME.device",
            Contained,
            "hosts: {one: {nodes: [worker1, worker2]}}",
            "hosts: {one: {nodes: [worker1, worker2], device: pi-5}}",
        ),
        (
            "faults.detection",
            Acts,
            "faults: {events: [{at: 100ms, crash: worker1}, {at: 300ms, restart: worker1}]}",
            "faults: {detection: 70ms, events: [{at: 100ms, crash: worker1}, {at: 300ms, restart: worker1}]}",
        ),
        (
            "faults.events.N.at",
            Acts,
            "faults: {events: [{at: 100ms, crash: worker1}]}",
            "faults: {events: [{at: 110ms, crash: worker1}]}",
        ),
        ("faults.events.N.crash", Acts, "", "faults: {events: [{at: 100ms, crash: worker1}]}"),
        (
            "faults.events.N.restart",
            Acts,
            "faults: {events: [{at: 100ms, crash: worker1}]}",
            "faults: {events: [{at: 100ms, crash: worker1}, {at: 200ms, restart: worker1}]}",
        ),
        ("faults.events.N.leave", Acts, "", "faults: {events: [{at: 100ms, leave: worker1}]}"),
        ("faults.events.N.join", Acts, "", "faults: {events: [{at: 100ms, join: worker1}]}"),
        (
            "faults.events.N.slow_down.node",
            Acts,
            "faults: {events: [{at: 50ms, slow_down: {node: worker1, factor: 3}}]}",
            "faults: {events: [{at: 50ms, slow_down: {node: worker2, factor: 3}}]}",
        ),
        (
            "faults.events.N.slow_down.factor",
            Acts,
            "faults: {events: [{at: 50ms, slow_down: {node: worker1, factor: 3}}]}",
            "faults: {events: [{at: 50ms, slow_down: {node: worker1, factor: 4}}]}",
        ),
        (
            "faults.events.N.link_down",
            Acts,
            "",
            "faults: {events: [{at: 100ms, link_down: [worker1, local1]}]}",
        ),
        (
            "faults.events.N.link_up",
            Acts,
            "faults: {events: [{at: 100ms, link_down: [worker1, local1]}]}",
            "faults: {events: [{at: 100ms, link_down: [worker1, local1]}, {at: 200ms, link_up: [worker1, local1]}]}",
        ),
        (
            "faults.events.N.partition",
            Acts,
            "",
            "faults: {events: [{at: 100ms, partition: [[worker1], [local1, worker2]]}]}",
        ),
        (
            "faults.events.N.heal",
            Acts,
            "faults: {events: [{at: 100ms, partition: [[worker1], [local1, worker2]]}]}",
            "faults: {events: [{at: 100ms, partition: [[worker1], [local1, worker2]]}, {at: 200ms, heal: true}]}",
        ),
        (
            "faults.messages.N.from",
            Acts,
            "faults: {messages: [{delay: 9ms}]}",
            "faults: {messages: [{delay: 9ms, from: 100ms}]}",
        ),
        (
            "faults.messages.N.until",
            Acts,
            "faults: {messages: [{delay: 9ms}]}",
            "faults: {messages: [{delay: 9ms, until: 100ms}]}",
        ),
        (
            "faults.messages.N.sender",
            Acts,
            "faults: {messages: [{delay: 9ms}]}",
            "faults: {messages: [{delay: 9ms, sender: worker1}]}",
        ),
        (
            "faults.messages.N.receiver",
            Acts,
            "faults: {messages: [{delay: 9ms}]}",
            "faults: {messages: [{delay: 9ms, receiver: worker1}]}",
        ),
        ("faults.messages.N.loss", Acts, "faults: {messages: [{loss: 0.1}]}", MUTE),
        ("faults.messages.N.duplicate", Acts, "", "faults: {messages: [{duplicate: 0.2}]}"),
        ("faults.messages.N.delay", Acts, "", "faults: {messages: [{delay: 9ms}]}"),
        (
            "injections.N.where",
            Acts,
            "injections: [{where: all, add: 9ms}]",
            "injections: [{where: wan, add: 9ms}]",
        ),
        (
            "injections.N.direction",
            Acts,
            "injections: [{where: all, add: 9ms}]",
            "injections: [{where: all, direction: up, add: 9ms}]",
        ),
        (
            "injections.N.from",
            Acts,
            "injections: [{where: all, add: 9ms}]",
            "injections: [{where: all, from: 50ms, add: 9ms}]",
        ),
        (
            "injections.N.until",
            Acts,
            "injections: [{where: all, add: 9ms}]",
            "injections: [{where: all, until: 50ms, add: 9ms}]",
        ),
        (
            "injections.N.bursts.on",
            Acts,
            "injections: [{where: all, add: 9ms, bursts: {on: 20ms, off: 30ms}}]",
            "injections: [{where: all, add: 9ms, bursts: {on: 25ms, off: 30ms}}]",
        ),
        (
            "injections.N.bursts.off",
            Acts,
            "injections: [{where: all, add: 9ms, bursts: {on: 20ms, off: 30ms}}]",
            "injections: [{where: all, add: 9ms, bursts: {on: 20ms, off: 40ms}}]",
        ),
        (
            "injections.N.bursts.random",
            Acts,
            "injections: [{where: all, add: 9ms, bursts: {on: 20ms, off: 30ms}}]",
            "injections: [{where: all, add: 9ms, bursts: {on: 20ms, off: 30ms, random: true}}]",
        ),
        ("injections.N.add", Acts, "", "injections: [{where: all, add: 9ms}]"),
        ("injections.N.scale", Acts, "", "injections: [{where: all, scale: 3}]"),
        ("injections.N.replace", Acts, "", "injections: [{where: all, replace: 9ms}]"),
        (
            "injections.N.correlation",
            Acts,
            "injections: [{where: all, add: 'uniform(1ms, 9ms)'}]",
            "injections: [{where: all, add: 'uniform(1ms, 9ms)', correlation: 0.9}]",
        ),
        ("injections.N.slow_down", Acts, "", "injections: [{where: worker1, slow_down: 3}]"),
    ]
}

/// A scenario with what an entry says, and the base's settings for the sections that it leaves alone.
fn scenario(entry: &str) -> String {
    let mut text = format!("{BASE}{entry}\n");
    for section in [LINKS, DEVICES] {
        let name = section.split(':').next().unwrap();
        let hosts = name == "devices" && entry.contains("hosts:");
        if !entry.contains(&format!("{name}:")) && !hosts {
            text.push_str(section);
        }
    }
    text
}

#[test]
fn every_setting_about_delays_and_fates_has_an_entry() {
    let page = keys_markdown();
    let keys: BTreeSet<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .filter(|key| {
            let section = key.split('.').next().unwrap();
            ["network", "devices", "hosts", "faults", "injections"].contains(&section) && *key != section
        })
        .collect();
    // Sections themselves say nothing.
    let inner = |key: &&&str| keys.iter().any(|other| other.starts_with(&format!("{key}.")));
    let leaves: BTreeSet<&str> = keys.iter().filter(|key| !inner(key)).copied().collect();
    let known: BTreeSet<&str> = entries().iter().map(|entry| entry.0).collect();
    assert!(leaves.len() > 50, "{leaves:?}");
    let new: Vec<_> = leaves.difference(&known).collect();
    assert!(new.is_empty(), "no rule is known to consume {new:?}: add what they do to `entries`");
    let old: Vec<_> = known.difference(&leaves).collect();
    assert!(old.is_empty(), "expected keys of a scenario, found {old:?}: take them off the list");
}

#[test]
fn every_setting_about_delays_and_fates_changes_the_order_of_events() {
    for (key, _, without, with) in entries() {
        let digest = |entry: &str| quadratic(&scenario(entry)).run().summary.trace_digest;
        assert_ne!(digest(without), digest(with), "`{key}` changes nothing");
    }
}

/// Durations as a real run of a plan could have had: the same for all jobs, and for all messages of a lane.
fn recorded(plan: &Plan) -> Recorded {
    let mut recorded = Recorded { conditions: Conditions::of(plan), ..Recorded::default() };
    let all = || (0..plan.nodes.len() as u32).map(NodeId);
    for node in all() {
        for label in ["train", "fold"] {
            recorded.usual_jobs.insert((node, label), Span::from_millis(18 + u64::from(node.0)));
        }
        for (lane, ms) in [(Lane::Control, 2), (Lane::Model, 5)] {
            recorded.usual_trips.extend(all().map(|to| ((node, to, lane), Span::from_millis(ms))));
        }
    }
    recorded
}

/// The digest of a scenario's trace when the durations of a run of another one stand in.
fn led(entry: &str, durations: &Arc<Recorded>) -> String {
    let case = quadratic(&scenario(entry));
    let (options, mut silent) = (SimOptions { threads: 1, ..SimOptions::default() }, Silent);
    let parts = Parts {
        plan: &case.plan,
        registry: &case.registry,
        learner: &case.learner,
        options: &options,
        observer: &mut silent,
        director: None,
        interrupt: Arc::new(AtomicBool::new(false)),
    };
    let imposed = Imposed { durations: Some(Arc::clone(durations)), ..Imposed::default() };
    match run_imposed(parts, Start::New, imposed).unwrap().0 {
        Ended::Result(result) => result.summary.trace_digest,
        Ended::Reached(_) => unreachable!("no order is imposed"),
    }
}

#[test]
fn what_is_new_acts_on_top_of_recorded_durations() {
    for (key, then, without, with) in entries() {
        let durations = Arc::new(recorded(&quadratic(&scenario(without)).plan));
        let (before, after) = (led(without, &durations), led(with, &durations));
        match then {
            Acts => assert_ne!(before, after, "`{key}` changes nothing on top of recorded durations"),
            Contained => assert_eq!(before, after, "`{key}` is contained in recorded durations"),
        }
    }
}
