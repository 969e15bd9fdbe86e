//! What queues and windows must do whatever the constants are.

use super::*;
use crate::net::Way;
use crate::net::tests::contention::drain;

/// Lines 0 to 3, of `rate` bytes per second each, with a queue of 300 ms.
fn lines(rate: f64) -> Tcp {
    Tcp::new(TcpSettings::default(), 1, &[rate; 4])
}

fn message(bytes: u64, connection: u64, ports: &[u32], back: &[u32]) -> FlowSpec {
    let ids = |ports: &[u32]| ports.iter().map(|port| PortId(*port)).collect();
    let way = Way { connection, round_trip: Span::from_micros(500), back: ids(back), segment: SEGMENT_BYTES };
    FlowSpec { bytes, ports: ids(ports), weight: 1.0, rate_max: f64::INFINITY, way }
}

#[test]
fn alone_a_message_takes_its_bytes_over_the_narrowest_rate() {
    for bytes in [100, 100_000, 10_000_000_u64] {
        let mut tcp = lines(12.5e6);
        tcp.set_capacity(Time(0), PortId(1), 2.5e6);
        tcp.start(Time(0), FlowId(1), message(bytes, 1, &[0, 1], &[2, 3]));
        let done = drain(&mut tcp);
        // Slow start leaves the line idle for some round trips at the beginning.
        let least = bytes as f64 / 2.5e6;
        let found = done[0].0 as f64 / 1e9;
        assert!(found >= least && found < least * 1.01 + 0.004, "{bytes} bytes: {found} s, not {least}");
    }
}

#[test]
fn short_messages_pass_one_after_another_and_long_ones_share() {
    let ends = |bytes: u64| {
        let mut tcp = lines(3.75e6);
        for id in 0..2 {
            tcp.start(Time(id * 1000), FlowId(id), message(bytes, id, &[id as u32, 3], &[]));
        }
        drain(&mut tcp)
    };
    // 10 kB fit into the initial window: 2.67 ms each.
    let [first, second] = ends(10_000).try_into().unwrap();
    assert_eq!((first.0 / 10_000, second.0 / 10_000), (266, 533));
    let [first, second] = ends(4_000_000).try_into().unwrap();
    assert!(first.0 > second.0 * 8 / 10, "they share: {first:?} {second:?}");
    let total = 8_000_000.0 / 3.75e6;
    assert!((second.0 as f64 / 1e9 / total - 1.0).abs() < 0.02, "the line is never idle: {second:?}");
}

/// Zhang, Shenker and Clark 1991: with data in both directions neither is used fully.
#[test]
fn acknowledgements_wait_behind_data_of_the_other_direction() {
    let end = |both: bool| {
        let mut tcp = lines(3.75e6);
        tcp.start(Time(0), FlowId(0), message(2_000_000, 0, &[0, 1], &[2, 3]));
        if both {
            for id in 1..4 {
                tcp.start(Time(0), FlowId(id), message(20_000_000, id, &[2, 3], &[0, 1]));
            }
        }
        tcp.next().unwrap().0.seconds()
    };
    assert!(end(true) > 1.3 * end(false), "{} s, alone {} s", end(true), end(false));
}

#[test]
fn a_full_queue_loses_what_does_not_fit_and_all_of_it_arrives() {
    let settings = TcpSettings { queue: Span::from_millis(20), burst: 0 };
    let mut tcp = Tcp::new(settings, 1, &[3.75e6; 12]);
    for id in 0..8 {
        tcp.start(Time(id), FlowId(id), message(2_000_000, id, &[id as u32 + 1, 0], &[]));
    }
    let done = drain(&mut tcp);
    assert_eq!(done.len(), 8);
    let last = done[7].0 as f64 / 1e9;
    let least = 16_000_000.0 / 3.75e6;
    assert!(last >= least && last < least * 1.5, "{last} s, {least} s without loss");
}

#[test]
fn a_window_is_kept_between_messages_of_a_connection() {
    let took = |pause_ms: u64| {
        let mut tcp = lines(125e6);
        let far = |bytes| {
            let mut spec = message(bytes, 1, &[0, 1], &[]);
            spec.way.round_trip = Span::from_millis(50);
            spec
        };
        tcp.start(Time(0), FlowId(0), far(1_000_000));
        let end = drain(&mut tcp)[0].0;
        let begin = Time(end) + Span::from_millis(pause_ms);
        tcp.start(begin, FlowId(1), far(1_000_000));
        (end, drain(&mut tcp)[0].0 - begin.0)
    };
    let (first, soon) = took(10);
    let (_, late) = took(60_000);
    assert!(soon < first && soon < late, "{first} {soon} {late}");
    assert!(late.abs_diff(first) < first / 2, "after a minute slow start begins anew: {late} {first}");
}

#[test]
fn messages_of_one_connection_go_one_after_another() {
    let mut tcp = lines(1e6);
    for id in 0..3 {
        tcp.start(Time(0), FlowId(id), message(10_000, 7, &[0, 1], &[]));
    }
    assert_eq!(tcp.cancel(Time(0), FlowId(1)), Some(10_000));
    assert_eq!(drain(&mut tcp), [(10_000_000, 0), (20_000_000, 2)]);
}

#[test]
fn a_line_that_stops_holds_everything_until_it_goes_on() {
    let mut tcp = lines(1e6);
    tcp.start(Time(0), FlowId(0), message(10_000, 0, &[0, 1], &[]));
    assert_eq!(tcp.next(), Some((Time(10_000_000), FlowId(0))));
    tcp.set_capacity(Time(4_000_000), PortId(1), 0.0);
    assert_eq!(tcp.next(), None);
    tcp.start(Time(5_000_000), FlowId(1), message(1_000, 1, &[2, 1], &[]));
    assert_eq!(tcp.next(), None);
    tcp.set_capacity(Time(100_000_000), PortId(1), 2e6);
    assert_eq!(drain(&mut tcp), [(103_000_000, 0), (103_500_000, 1)], "6 kB at twice the rate, then 1 kB");
    let mut slower = lines(1e6);
    slower.start(Time(0), FlowId(0), message(10_000, 0, &[0, 1], &[]));
    slower.set_capacity(Time(4_000_000), PortId(1), 0.5e6);
    assert_eq!(drain(&mut slower), [(16_000_000, 0)]);
}

#[test]
fn a_few_bytes_wait_behind_what_is_there() {
    let mut tcp = lines(1e6);
    tcp.start(Time(0), FlowId(0), message(10_000, 0, &[0, 1], &[]));
    assert_eq!(tcp.wait(Time(2_000_000), PortId(1)), Span::from_millis(8));
    assert_eq!(tcp.wait(Time(2_000_000), PortId(2)), Span::ZERO);
}

#[test]
fn nothing_is_worked_in_from_the_horizon_on() {
    let mut tcp = lines(1e6);
    tcp.start(Time(0), FlowId(0), message(200_000, 0, &[0, 1], &[2, 3]));
    let before = tcp.clone();
    assert_eq!(tcp.next_before(Time(1)), None);
    assert_eq!(tcp, before);
    assert_eq!(tcp.next_before(Time(100_000_000)), None);
    assert_ne!(tcp, before, "rounds before it are");
    assert!(tcp.next_before(Time(u64::MAX)).is_some());
}

#[test]
fn a_saved_state_continues_alike() {
    let mut tcp = lines(3.75e6);
    for id in 0..6 {
        let at = Time(id * 1_000_003);
        while tcp.next_before(at).is_some() {}
        tcp.start(at, FlowId(id), message(400_000 + id, id / 2, &[id as u32 % 3, 3], &[(id as u32 + 1) % 3]));
    }
    let json = serde_json::to_string(&tcp.save()).unwrap();
    let mut fresh = lines(1.0);
    fresh.load(serde_json::from_str(&json).unwrap());
    assert_eq!(fresh, tcp);
    let rest = drain(&mut fresh);
    assert_eq!(rest, drain(&mut tcp));
    assert_eq!(rest.len(), 6);
}

/// With nothing that limits it a message takes no time, and the work ends.
#[test]
fn infinite_rates_take_no_time() {
    let mut tcp = lines(f64::INFINITY);
    let mut spec = message(100_000_000, 0, &[0, 1], &[2]);
    spec.way.round_trip = Span::ZERO;
    tcp.start(Time(7), FlowId(0), spec.clone());
    assert_eq!(drain(&mut tcp), [(7, 0)]);
    spec.rate_max = 1e9;
    tcp.start(Time(10), FlowId(1), spec);
    let end = drain(&mut tcp)[0].0;
    assert!((100_000_010..101_000_000).contains(&end), "{end}");
}
