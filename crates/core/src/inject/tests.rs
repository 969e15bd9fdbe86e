use super::super::{Direction, Place, Trace};
use super::*;
use crate::device::SlowPhase;
use crate::domain::Choice;
use crate::net::latency::Latencies;
use serde_json::json;

const A: NodeId = NodeId(1);
const B: NodeId = NodeId(2);

fn hop(from: NodeId, to: NodeId) -> Hop {
    let direction = if from == A { Direction::Up } else { Direction::Down };
    Hop { from, to, direction: Some(direction), lan: true }
}

fn drawn(text: &str, correlation: f64) -> Amount {
    Amount::Drawn { distribution: Latencies::default().read(&json!(text)).unwrap(), correlation }
}

fn injection(change: Change) -> Injection {
    Injection { place: Place::All, direction: None, from: Time::ZERO, until: Time::MAX, bursts: None, change }
}

const MS: u64 = 1_000_000;

#[test]
fn changes_follow_each_other_in_their_order() {
    let list = [
        injection(Change::Add(drawn("5ms", 0.0))),
        injection(Change::Scale(3.0)),
        injection(Change::SlowDown(9.0)),
    ];
    let mut injector = Injector::new(&list, 1);
    assert_eq!(injector.latency(Time::ZERO, hop(A, B), 1, Span(MS)), Span(18 * MS));
    assert_eq!(injector.slowdown(Time::ZERO, A), 9.0);
    let replaced = [injection(Change::Add(drawn("5ms", 0.0))), injection(Change::Replace(drawn("2ms", 0.0)))];
    let mut injector = Injector::new(&replaced, 1);
    assert_eq!(injector.latency(Time::ZERO, hop(A, B), 1, Span(MS)), Span(2 * MS));
}

#[test]
fn an_injection_holds_where_and_when_it_says() {
    let up = Injection {
        place: Place::Link(A, B),
        direction: Some(Direction::Up),
        from: Time(10),
        until: Time(20),
        ..injection(Change::Scale(2.0))
    };
    let list = [up];
    let mut injector = Injector::new(&list, 1);
    let mut at = |now, from, to| injector.latency(Time(now), hop(from, to), 1, Span(100)).0;
    assert_eq!([at(9, A, B), at(10, A, B), at(19, A, B), at(20, A, B)], [100, 200, 200, 100]);
    assert_eq!([at(10, B, A), at(10, A, NodeId(3))], [100, 100]);
    let nodes = Injection { place: Place::Nodes(vec![B]), ..injection(Change::SlowDown(4.0)) };
    let list = [nodes];
    let mut injector = Injector::new(&list, 1);
    assert_eq!([injector.slowdown(Time::ZERO, A), injector.slowdown(Time::ZERO, B)], [1.0, 4.0]);
    assert_eq!(injector.latency(Time::ZERO, hop(A, B), 1, Span(7)), Span(7), "it slows jobs, no messages");
    let wan = [Injection { place: Place::Wan, ..injection(Change::Scale(2.0)) }];
    assert_eq!(Injector::new(&wan, 1).latency(Time::ZERO, hop(A, B), 1, Span(7)), Span(7));
}

#[test]
fn bursts_come_and_go() {
    let regular = Bursts::Regular { on: Span(10), off: Span(30) };
    let list = [Injection { bursts: Some(regular), from: Time(5), ..injection(Change::SlowDown(2.0)) }];
    let mut injector = Injector::new(&list, 1);
    let on: Vec<u64> = (0..100).filter(|now| injector.slowdown(Time(*now), A) > 1.0).collect();
    assert_eq!(on, (5..15).chain(45..55).chain(85..95).collect::<Vec<_>>());

    let phase = SlowPhase { factor: 2.0, normal_mean: Span(300), slow_mean: Span(100) };
    let list = [Injection { bursts: Some(Bursts::Random(phase)), ..injection(Change::SlowDown(2.0)) }];
    let mut injector = Injector::new(&list, 1);
    let count = (0..400_000).filter(|now| injector.slowdown(Time(*now), A) > 1.0).count();
    assert!((0.22..0.28).contains(&(count as f64 / 400_000.0)), "a quarter of the time: {count}");
    // Whatever was asked before: a later process sees the same phases.
    let again = Injector::new(&list, 1).slowdown(Time(399_999), A);
    assert_eq!(again, injector.slowdown(Time(399_999), A));
}

/// The autoregression keeps mean and variance, and neighbours are as much alike as they should.
#[test]
fn jitter_is_correlated_as_asked() {
    let list = [injection(Change::Add(drawn("uniform(40ms, 60ms)", 0.8)))];
    let mut injector = Injector::new(&list, 7);
    let x: Vec<f64> =
        (0..40_000).map(|i| injector.latency(Time(i), hop(A, B), i, Span(0)).seconds() * 1e3).collect();
    let n = x.len() as f64;
    let mean = x.iter().sum::<f64>() / n;
    let variance = x.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n;
    let lag = x.windows(2).map(|w| (w[0] - mean) * (w[1] - mean)).sum::<f64>() / n / variance;
    assert!((mean - 50.0).abs() < 0.3, "{mean}");
    assert!((variance / (400.0 / 12.0) - 1.0).abs() < 0.05, "{variance}");
    assert!((lag - 0.8).abs() < 0.02, "{lag}");
}

#[test]
fn a_trace_says_what_was_recorded() {
    let of = |value: serde_json::Value| Trace::of(&Choice::from_value(&value).unwrap());
    let records = json!([["1s", "10ms"], ["2s", "30ms"], ["4s", "5ms"]]);
    let trace = of(json!({"name": "trace", "records": records})).unwrap();
    let seconds = |s: f64| Time(Span::from_seconds(s).0);
    let at = |trace: &Trace, s: f64| trace.at(seconds(10.0), seconds(10.0 + s)).0 / MS;
    assert_eq!([0.0, 1.5, 2.0, 3.9, 4.0, 99.0].map(|s| at(&trace, s)), [10, 10, 30, 30, 5, 5]);
    let round = of(json!({"name": "trace", "records": records, "repeat": true})).unwrap();
    assert_eq!([0.0, 1.5, 2.5, 4.0, 5.0, 7.5].map(|s| at(&round, s)), [10, 10, 30, 10, 30, 10]);
    for wrong in [json!([]), json!([["2s", "1ms"], ["1s", "1ms"]])] {
        assert!(of(json!({"name": "trace", "records": wrong})).is_err());
    }
}
