//! What every fabric must do.

use crate::domain::Time;
use crate::net::Contention;
use crate::net::{Fabric, FlowId, FlowSpec, PortId, Way, build};

const KINDS: [Contention; 3] =
    [Contention::None, Contention::Fifo, Contention::FairShare { unfairness: 0.0 }];

pub(crate) fn spec(bytes: u64, ports: &[u32]) -> FlowSpec {
    FlowSpec {
        bytes,
        ports: ports.iter().map(|p| PortId(*p)).collect(),
        weight: 1.0,
        rate_max: f64::INFINITY,
        way: Way::default(),
    }
}

/// Runs to the end; completions in nanoseconds in their order.
pub(crate) fn drain(fabric: &mut dyn Fabric) -> Vec<(u64, u64)> {
    let mut done = Vec::new();
    while let Some((at, flow)) = fabric.next() {
        fabric.complete(at, flow);
        done.push((at.0, flow.0));
    }
    done
}

/// n workers push 4 MB each at once: worker i sends through port i + 1, all into port 0 at 100 Mb/s.
fn pushes(kind: Contention, n: u32) -> Vec<(u64, u64)> {
    let mut fabric = build(&kind, &vec![12.5e6; n as usize + 1], 0);
    for i in 0..n {
        fabric.start(Time(5), FlowId(u64::from(i)), spec(4_000_000, &[0, i + 1]));
        fabric.next();
    }
    drain(&mut *fabric)
}

#[test]
fn simultaneous_pushes_end_together_or_in_order() {
    let alone = 320_000_000;
    for n in [2, 4, 8, 16u32] {
        let expected =
            |end: &dyn Fn(u64) -> u64| (0..u64::from(n)).map(|i| (5 + end(i), i)).collect::<Vec<_>>();
        let close = |found: &[(u64, u64)], expected: &[(u64, u64)]| {
            assert_eq!(found.len(), expected.len());
            for (f, e) in found.iter().zip(expected) {
                assert!(f.1 == e.1 && f.0.abs_diff(e.0) <= u64::from(n), "{found:?}, not {expected:?}");
            }
        };
        let fair = pushes(Contention::FairShare { unfairness: 0.0 }, n);
        close(&fair, &expected(&|_| u64::from(n) * alone));
        assert!(fair.iter().all(|end| end.0 == fair[0].0), "equal flows end at one moment: {fair:?}");
        close(&pushes(Contention::Fifo, n), &expected(&|i| (i + 1) * alone));
        close(&pushes(Contention::None, n), &expected(&|_| alone));
    }
}

#[test]
fn a_stopped_constraint_stops_its_flows_until_it_is_raised() {
    for kind in KINDS {
        let mut fabric = build(&kind, &[1e9, 1e9], 0);
        fabric.start(Time(0), FlowId(1), spec(1000, &[0, 1]));
        assert_eq!(fabric.next(), Some((Time(1000), FlowId(1))));
        fabric.set_capacity(Time(400), PortId(1), 0.0);
        assert_eq!(fabric.next(), None, "{kind:?}");
        fabric.start(Time(500), FlowId(2), spec(100, &[1]));
        fabric.set_capacity(Time(10_000), PortId(1), 2e9);
        fabric.cancel(Time(10_000), FlowId(2));
        assert_eq!(fabric.next(), Some((Time(10_600), FlowId(1))), "{kind:?}");
    }
}

#[test]
fn a_cancelled_flow_returns_what_it_had_not_sent() {
    for kind in KINDS {
        let mut fabric = build(&kind, &[1e9], 0);
        fabric.start(Time(0), FlowId(1), spec(1000, &[0]));
        assert_eq!(fabric.cancel(Time(250), FlowId(1)), Some(750), "{kind:?}");
        assert_eq!(fabric.cancel(Time(250), FlowId(1)), None);
        assert_eq!(fabric.next(), None);
    }
}

#[test]
fn an_infinite_rate_takes_no_time_and_a_maximum_holds() {
    for kind in KINDS {
        let mut fabric = build(&kind, &[f64::INFINITY; 3], 0);
        for i in 0..4 {
            fabric.start(Time(7), FlowId(i), spec(4_000_000, &[0, 1 + i as u32 % 2]));
        }
        fabric.start(Time(7), FlowId(9), FlowSpec { rate_max: 1e9, ..spec(100, &[2]) });
        let done = drain(&mut *fabric);
        assert_eq!(done, [(7, 0), (7, 1), (7, 2), (7, 3), (107, 9)], "{kind:?}");
    }
}

#[test]
fn a_flow_at_the_head_of_one_queue_waits_for_its_other_queue() {
    let mut fifo = build(&Contention::Fifo, &[1e9, 1e9, 1e9, 1e9], 0);
    fifo.start(Time(0), FlowId(1), spec(100, &[0, 2]));
    fifo.start(Time(0), FlowId(2), spec(100, &[1, 2]));
    fifo.start(Time(0), FlowId(3), spec(50, &[1, 3]));
    // 2 waits for port 2 and holds up 3 at port 1, although port 3 is free.
    assert_eq!(drain(&mut *fifo), [(100, 1), (200, 2), (250, 3)]);
}

/// A saved fabric goes on to the same nanosecond, also through JSON.
#[test]
fn a_saved_fabric_continues_alike() {
    for kind in KINDS {
        let capacities = [3e6, 5e6, 7e6, f64::INFINITY];
        let mut fabric = build(&kind, &capacities, 0);
        let mut start = |at: u64, id: u64, ports: &[u32], weight: f64| {
            let spec = FlowSpec { weight, ..spec(1_000_003 * (id + 1), ports) };
            fabric.start(Time(at), FlowId(id), spec);
        };
        start(0, 0, &[0, 3], 1.0);
        start(10_007, 1, &[0, 1], 0.7);
        start(90_001, 2, &[1, 2], 1.3);
        start(90_001, 3, &[2], 1.0);
        start(90_002, 4, &[3], 1.0);
        let (at, flow) = fabric.next().unwrap();
        fabric.complete(at, flow);
        let json = serde_json::to_string(&fabric.save()).unwrap();
        let mut fresh = build(&kind, &capacities, 0);
        fresh.load(serde_json::from_str(&json).unwrap());
        assert_eq!(fresh.save(), fabric.save());
        let rest = drain(&mut *fresh);
        assert_eq!(rest, drain(&mut *fabric), "{kind:?}");
        assert_eq!(rest.len(), 4);
    }
}
