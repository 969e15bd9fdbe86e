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

/// A matrix between the seven nodes of the base.
macro_rules! matrix {
    ($key:literal, $options:literal) => {
        concat!("network: {", $key, ": {", $options, ", rows: [[0, 3, 4, 5, 6, 7, 8], [3, 0, 4, 5, 6, 7, 8], [4, 4, 0, 5, 6, 7, 8], [5, 5, 5, 0, 6, 7, 8], [6, 6, 6, 6, 0, 7, 8], [7, 7, 7, 7, 7, 0, 8], [8, 8, 8, 8, 8, 8, 0]]}}")
    };
}

/// A platform of a host for each node of the base, whose links differ.
fn platform(options: &str) -> &'static str {
    let host = |i: usize| {
        format!(
            "<host id=\"h{i}\" speed=\"{}Mf\"/><link id=\"l{i}\" bandwidth=\"1MBps\" latency=\"{}ms\"/>",
            i + 1,
            i + 1
        )
    };
    let route = |i: usize, j: usize| {
        format!("<route src=\"h{i}\" dst=\"h{j}\"><link_ctn id=\"l{i}\"/><link_ctn id=\"l{j}\"/></route>")
    };
    let hosts: String = (0..7).map(host).collect();
    let routes: String = (0..7).flat_map(|i| (i + 1..7).map(move |j| route(i, j))).collect();
    let xml =
        format!("<platform version=\"4\"><zone id=\"z\" routing=\"Full\">{hosts}{routes}</zone></platform>");
    String::leak(format!("network: {{platform: {{{options}xml: '{xml}'}}}}"))
}

/// A list of a device for each worker of the base, the ith of which is `device(i)`.
fn listed(options: &str, device: impl Fn(u32) -> String) -> &'static str {
    let devices: Vec<String> = (1..=4).map(|i| format!("{{id: d{i}, {}}}", device(i))).collect();
    String::leak(format!("devices: {{list: {{{options}devices: [{}]}}}}", devices.join(", ")))
}

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
        ("network.latencies.rows", Acts, "", matrix!("latencies", "unit: ms, round_trip: false")),
        // A file is read before a scenario is resolved, and its rows lie in its place.
        ("network.latencies.csv", Acts, "", matrix!("latencies", "unit: ms, round_trip: false, by: order")),
        (
            "network.latencies.unit",
            Acts,
            matrix!("latencies", "unit: ms, round_trip: false"),
            matrix!("latencies", "unit: us, round_trip: false"),
        ),
        (
            "network.latencies.by",
            Acts,
            matrix!("latencies", "unit: ms, round_trip: false"),
            matrix!("latencies", "unit: ms, round_trip: false, by: random"),
        ),
        (
            "network.latencies.names",
            Acts,
            matrix!(
                "latencies",
                "unit: ms, round_trip: false, by: name, names: [worker4, worker3, local2, worker2, worker1, local1, global]"
            ),
            matrix!(
                "latencies",
                "unit: ms, round_trip: false, by: name, names: [worker3, worker4, local2, worker2, worker1, global, local1]"
            ),
        ),
        (
            "network.latencies.assign",
            Acts,
            matrix!("latencies", "unit: ms, round_trip: false"),
            matrix!("latencies", "unit: ms, round_trip: false, assign: {worker1: 6}"),
        ),
        ("network.rates.rows", Acts, "", matrix!("rates", "unit: mbit")),
        // A file is read before a scenario is resolved, and its rows lie in its place.
        ("network.rates.csv", Acts, "", matrix!("rates", "unit: mbit, by: order")),
        ("network.rates.unit", Acts, matrix!("rates", "unit: mbit"), matrix!("rates", "unit: kbit")),
        (
            "network.rates.by",
            Acts,
            matrix!("rates", "unit: mbit"),
            matrix!("rates", "unit: mbit, by: random"),
        ),
        (
            "network.rates.names",
            Acts,
            matrix!(
                "rates",
                "unit: mbit, by: name, names: [worker4, worker3, local2, worker2, worker1, local1, global]"
            ),
            matrix!(
                "rates",
                "unit: mbit, by: name, names: [worker3, worker4, local2, worker2, worker1, global, local1]"
            ),
        ),
        (
            "network.rates.assign",
            Acts,
            matrix!("rates", "unit: mbit"),
            matrix!("rates", "unit: mbit, assign: {worker1: 6}"),
        ),
        (
            "network.latencies.round_trip",
            Acts,
            matrix!("latencies", "unit: ms, round_trip: false"),
            matrix!("latencies", "unit: ms, round_trip: true"),
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
        ("network.platform.xml", Acts, LINKS, platform("")),
        // A file is read before a scenario is resolved, and its text lies beside its name.
        ("network.platform.file", Acts, LINKS, platform("by: order, ")),
        ("network.platform.by", Acts, platform(""), platform("by: random, ")),
        ("network.platform.assign", Acts, platform(""), platform("assign: {worker1: h6, worker4: 2}, ")),
        (
            "devices.list.devices.N.compute_ms",
            Contained,
            listed("", |_| "compute_ms: 1".to_owned()),
            listed("", |i| format!("compute_ms: {i}")),
        ),
        (
            "devices.list.devices.N.gflops",
            Contained,
            listed("", |_| "gflops: 0.00001".to_owned()),
            listed("", |i| format!("gflops: 0.0000{i}")),
        ),
        ("devices.list.devices.N.rate", Acts, DEVICES, listed("", |i| format!("rate: {i}mbit"))),
        (
            "devices.list.devices.N.up",
            Acts,
            listed("", |_| "up: 1mbit, down: 1mbit".to_owned()),
            listed("", |i| format!("up: {i}mbit, down: 1mbit")),
        ),
        (
            "devices.list.devices.N.down",
            Acts,
            listed("", |_| "up: 1mbit, down: 1mbit".to_owned()),
            listed("", |i| format!("up: 1mbit, down: {i}mbit")),
        ),
        (
            "devices.list.by",
            Contained,
            listed("", |i| format!("compute_ms: {i}")),
            listed("by: random, ", |i| format!("compute_ms: {i}")),
        ),
        // As of the platform.
        (
            "devices.list.file",
            Contained,
            listed("", |_| "compute_ms: 1".to_owned()),
            listed("by: order, ", |i| format!("compute_ms: {i}")),
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
        (
            "faults.messages.N.loss",
            Acts,
            "faults: {messages: [{loss: 0.1}]}",
            "faults: {messages: [{loss: 'gilbert_elliott(90ms, 10ms)'}]}",
        ),
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
        (
            "traces.N.where",
            Acts,
            "traces: [{where: worker1, records: [{at: 0s, rate: 1mbit}]}]",
            "traces: [{where: worker2, records: [{at: 0s, rate: 1mbit}]}]",
        ),
        (
            "traces.N.line",
            Acts,
            "traces: [{where: local1, records: [{at: 0s, rate: 1mbit}]}]",
            "traces: [{where: local1, line: access, records: [{at: 0s, rate: 1mbit}]}]",
        ),
        // Files are read before a scenario is resolved, and their records lie in their place.
        ("traces.N.csv", Acts, "", "traces: [{where: workers, records: [{at: 0s, rate: 2mbit}]}]"),
        (
            "traces.N.records.N.at",
            Acts,
            "traces: [{where: workers, records: [{at: 0s, rate: 1mbit}, {at: 200ms, rate: 9mbit}]}]",
            "traces: [{where: workers, records: [{at: 0s, rate: 1mbit}, {at: 90ms, rate: 9mbit}]}]",
        ),
        ("traces.N.records.N.rate", Acts, "", "traces: [{where: workers, records: [{at: 0s, rate: 1mbit}]}]"),
        ("traces.N.records.N.up", Acts, "", "traces: [{where: workers, records: [{at: 0s, up: 1mbit}]}]"),
        ("traces.N.records.N.down", Acts, "", "traces: [{where: workers, records: [{at: 0s, down: 1mbit}]}]"),
        (
            "traces.N.records.N.latency",
            Acts,
            "",
            "traces: [{where: workers, records: [{at: 0s, latency: 9ms}]}]",
        ),
        (
            "traces.N.records.N.available",
            Acts,
            "",
            "traces: [{where: worker1, records: [{at: 0s, available: true}, {at: 90ms, available: false}]}]",
        ),
        (
            "traces.N.repeat",
            Acts,
            "traces: [{where: workers, records: [{at: 0s, rate: 1mbit}, {at: 50ms, rate: 9mbit}, {at: 90ms, rate: 9mbit}]}]",
            "traces: [{where: workers, repeat: true, \
             records: [{at: 0s, rate: 1mbit}, {at: 50ms, rate: 9mbit}, {at: 90ms, rate: 9mbit}]}]",
        ),
        (
            "traces.N.random_start",
            Acts,
            "traces: [{where: workers, repeat: true, \
             records: [{at: 0s, rate: 1mbit}, {at: 50ms, rate: 9mbit}, {at: 90ms, rate: 9mbit}]}]",
            "traces: [{where: workers, repeat: true, random_start: true, \
             records: [{at: 0s, rate: 1mbit}, {at: 50ms, rate: 9mbit}, {at: 90ms, rate: 9mbit}]}]",
        ),
        (
            "traces.N.from",
            Acts,
            "traces: [{where: workers, records: [{at: 0s, rate: 1mbit}]}]",
            "traces: [{where: workers, from: 90ms, records: [{at: 0s, rate: 1mbit}]}]",
        ),
        ("traces.N.rate", Acts, "", "traces: [{where: workers, rate: 'random_walk(500kbit, 2mbit)'}]"),
        ("traces.N.up", Acts, "", "traces: [{where: workers, up: 'random_walk(500kbit, 2mbit)'}]"),
        ("traces.N.down", Acts, "", "traces: [{where: workers, down: 'random_walk(500kbit, 2mbit)'}]"),
        ("traces.N.available", Acts, "", "traces: [{where: worker1, available: 'poisson(90ms, 90ms)'}]"),
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
            ["network", "devices", "hosts", "faults", "injections", "traces"].contains(&section)
                && *key != section
        })
        .collect();
    // Sections themselves say nothing.
    let inner = |key: &&&str| keys.iter().any(|other| other.starts_with(&format!("{key}.")));
    let leaves: BTreeSet<&str> = keys.iter().filter(|key| !inner(key)).copied().collect();
    let mut known: BTreeSet<&str> = entries().iter().map(|entry| entry.0).collect();
    // Matrices have the same keys, but a rate has no way back: there it is an error.
    known.insert("network.rates.round_trip");
    // What a device is called is for readers.
    known.insert("devices.list.devices.N.id");
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
