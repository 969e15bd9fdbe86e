//! Injected latency and stragglers in the simulator: where, when and how much, and that nothing else moves.

mod common;

use common::{digests, inline, quadratic};
use hcddl::domain::Time;
use hcddl::measure::outcome::SpanKind;

const BASE: &str = "topology: {name: tree, fanout: [2, 2]}\ntraining: {rounds: 30}\n\
    tiers: {global: {policy: fedavg}, local: {policy: fedavg}}\n\
    network: {contention: none, lan: {latency: 10ms}, wan: {latency: 40ms}}\n\
    devices: {default: instant}\n";

/// Milliseconds that each transfer took, by sender, receiver and start.
fn transfers(injections: &str) -> Vec<(u32, u32, u64, u64)> {
    let (_, log) = quadratic(&format!("{BASE}injections: {injections}\n")).logged();
    let sends = log.spans.iter().filter(|span| span.kind == SpanKind::Send);
    let ms = |time: Time| time.0 / 1_000_000;
    sends.map(|s| (s.node.0, s.other.unwrap().0, ms(s.start), (s.end.0 - s.start.0) / 1_000_000)).collect()
}

/// The latencies of messages from one node to another.
fn latencies(all: &[(u32, u32, u64, u64)], from: u32, to: u32) -> Vec<u64> {
    let mut found: Vec<u64> =
        all.iter().filter(|(a, b, ..)| (*a, *b) == (from, to)).map(|transfer| transfer.3).collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// Nodes: global 0, local1 1, local2 4, workers 2 3 and 5 6.
#[test]
fn each_place_and_direction_is_met_and_no_other() {
    let met = |injection: &str| {
        let all = transfers(&format!("[{injection}]"));
        // up and down of a LAN link, of a WAN link, up of another LAN link
        [(2, 1), (1, 2), (1, 0), (0, 1), (6, 4)].map(|(from, to)| latencies(&all, from, to))
    };
    let [lan, wan] = [10, 40].map(|ms| vec![ms]);
    let [fast, slow] = [13, 43].map(|ms| vec![ms]);
    let none = [lan.clone(), lan.clone(), wan.clone(), wan.clone(), lan.clone()];
    assert_eq!(met("{where: all, scale: 1}"), none);
    assert_eq!(
        met("{where: all, add: 3ms}"),
        [fast.clone(), fast.clone(), slow.clone(), slow.clone(), fast.clone()]
    );
    assert_eq!(
        met("{where: lan, add: 3ms}"),
        [fast.clone(), fast.clone(), wan.clone(), wan.clone(), fast.clone()]
    );
    assert_eq!(
        met("{where: wan, direction: down, add: 3ms}"),
        [lan.clone(), lan.clone(), wan.clone(), slow.clone(), lan.clone()]
    );
    assert_eq!(
        met("{where: [local1, worker1], direction: up, add: 3ms}"),
        [fast.clone(), lan.clone(), wan.clone(), wan.clone(), lan.clone()]
    );
    assert_eq!(
        met("{where: local1, direction: up, replace: 5ms}"),
        [vec![5], lan.clone(), vec![5], wan.clone(), lan.clone()]
    );
    assert_eq!(met("{where: worker4, scale: 2}"), [lan.clone(), lan.clone(), wan.clone(), wan, vec![20]]);
}

#[test]
fn times_and_bursts_hold_to_the_clock() {
    let all = transfers("[{where: all, from: 200ms, until: 500ms, add: 7ms}]");
    for (from, to, start, took) in &all {
        let injected = (200..500).contains(start);
        let usual = if *from.min(to) == 0 { 40 } else { 10 };
        assert_eq!(*took, usual + if injected { 7 } else { 0 }, "{from} to {to} at {start} ms");
    }
    assert!(all.iter().any(|t| t.2 > 500) && all.iter().any(|t| (200..500).contains(&t.2)));
    let all = transfers("[{where: lan, bursts: {on: 100ms, off: 300ms}, replace: 50ms}]");
    for (from, to, start, took) in all.iter().filter(|t| t.0.min(t.1) > 0) {
        assert_eq!(*took, if start % 400 < 100 { 50 } else { 10 }, "{from} to {to} at {start} ms");
    }
    let records = "{name: trace, records: [[0ms, 1ms], [300ms, 60ms]]}";
    let all = transfers(&format!("[{{where: wan, replace: {records}}}]"));
    for (from, to, start, took) in all.iter().filter(|t| t.0.min(t.1) == 0) {
        assert_eq!(*took, if *start < 300 { 1 } else { 60 }, "{from} to {to} at {start} ms");
    }
}

#[test]
fn a_straggler_is_slow_for_its_time() {
    let text = |injections: &str| {
        format!(
            "topology: flat(4)\ntraining: {{rounds: 50}}\ntiers: {{global: {{policy: async}}}}\n\
             devices: {{default: {{name: fixed, step_time: 10ms}}, servers: instant}}\n\
             network: {{contention: none, lan: {{latency: 1ms}}}}\ninjections: {injections}\n"
        )
    };
    let fits = |injections: &str| {
        let (_, log) = quadratic(&text(injections)).logged();
        let of =
            |node| log.commits.iter().flat_map(|row| &row.contributors).filter(|c| c.node.0 == node).count();
        [1, 2, 3, 4].map(of)
    };
    let even = fits("[]");
    assert!(even.iter().all(|n| (12..=13).contains(n)), "{even:?}");
    let slow = fits("[{where: worker2, slow_down: 5}]");
    assert!(slow[1] <= 4 && [0, 2, 3].iter().all(|i| slow[*i] >= 14), "{slow:?}");
    let over = fits("[{where: worker2, slow_down: 5, from: 1h}]");
    assert_eq!(over, even);
    let random = fits("[{where: random(2), slow_down: 5}]");
    assert_eq!(random.iter().filter(|n| **n < 8).count(), 2, "{random:?}");
}

/// An injection that is never active leaves every digest as it was, and one leaves the draws of others alone.
#[test]
fn what_is_not_injected_does_not_move() {
    let text = "topology: flat(4)\nmodel: {name: mlp, hidden: [8]}\ndata: {name: digits, limit_train: 200}\n\
        training: {rounds: 40}\ntiers: {global: {policy: async}}\n\
        network: {lan: {latency: 'lognormal(2ms, 0.5)'}}\n";
    let plain = digests(&inline(text).run());
    let idle = "injections: [{where: all, add: 'uniform(1ms, 9ms)', from: 1h}]\n";
    assert_eq!(digests(&inline(&format!("{text}{idle}")).run()), plain);
    let busy = "injections: [{where: all, add: 'uniform(1ms, 9ms)', correlation: 0.5}]\n";
    let injected = inline(&format!("{text}{busy}"));
    assert_ne!(digests(&injected.run()), plain);
    assert_eq!(digests(&injected.run()), digests(&injected.run()));
}
