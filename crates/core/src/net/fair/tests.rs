//! Fair share against a solver that is slow and obviously right, and its work counted.

use super::*;
use crate::domain::Stream;
use crate::net::tests::contention::{drain, spec};
use proptest::prelude::*;

/// The textbook fluid: every rate is solved anew from scratch in plain floats, time goes in seconds.
#[derive(Default)]
struct Naive {
    now: f64,
    capacities: Vec<f64>,
    flows: BTreeMap<u64, (FlowSpec, f64)>,
    done: BTreeMap<u64, f64>,
}

impl Naive {
    fn rates(&self) -> BTreeMap<u64, f64> {
        let mut rates: BTreeMap<u64, f64> = BTreeMap::new();
        let crosses = |spec: &FlowSpec, port: usize| spec.ports.contains(&PortId(port as u32));
        while rates.len() < self.flows.len() {
            let growing = || self.flows.iter().filter(|(id, _)| !rates.contains_key(id));
            let mut level = growing().map(|(_, (s, _))| s.rate_max / s.weight).fold(f64::INFINITY, f64::min);
            let mut full = None;
            for (port, capacity) in self.capacities.iter().enumerate() {
                let weight: f64 = growing().filter(|f| crosses(&f.1.0, port)).map(|f| f.1.0.weight).sum();
                let used: f64 = rates.iter().filter(|r| crosses(&self.flows[r.0].0, port)).map(|r| r.1).sum();
                if weight > 0.0 && (capacity - used) / weight < level {
                    level = ((capacity - used) / weight).max(0.0);
                    full = Some(port);
                }
            }
            let frozen: Vec<u64> = growing()
                .filter(|(_, (s, _))| full.map_or(s.rate_max / s.weight <= level, |port| crosses(s, port)))
                .map(|f| *f.0)
                .collect();
            rates.extend(frozen.into_iter().map(|id| (id, self.flows[&id].0.weight * level)));
        }
        rates
    }

    fn advance(&mut self, until: f64) {
        loop {
            let rates = self.rates();
            let ends = self.flows.iter().map(|(id, (_, left))| (self.now + left / rates[id], *id));
            let first = ends.filter(|end| end.0 <= until).min_by(|a, b| a.0.total_cmp(&b.0));
            let to = first.map_or(until, |end| end.0);
            if to.is_finite() {
                for (id, (_, left)) in &mut self.flows {
                    *left -= rates[id] * (to - self.now);
                }
                self.now = to;
            }
            let Some((at, id)) = first else { return };
            self.flows.remove(&id);
            self.done.insert(id, at);
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Start { ports: Vec<u32>, bytes: u64, weight: f64, rate_max: f64 },
    Cancel(u64),
    Capacity { port: u32, rate: f64 },
}

fn steps(ports: u32) -> impl Strategy<Value = Vec<(u64, Step)>> {
    let start = (
        proptest::collection::btree_set(0..ports, 1..=3),
        1u64..3_000_000,
        prop_oneof![Just(1.0), 0.2f64..4.0],
        prop_oneof![Just(f64::INFINITY), 1e5f64..5e6],
    )
        .prop_map(|(ports, bytes, weight, rate_max)| Step::Start {
            ports: ports.into_iter().collect(),
            bytes,
            weight: star::quantised(weight),
            rate_max,
        });
    let capacity = (0..ports, prop_oneof![Just(0.0), 1e5f64..1e7]);
    let step = prop_oneof![
        6 => start,
        1 => (0u64..40).prop_map(Step::Cancel),
        1 => capacity.prop_map(|(port, rate)| Step::Capacity { port, rate }),
    ];
    proptest::collection::vec((prop_oneof![Just(0u64), 1u64..400_000_000], step), 1..40)
}

/// Completes what ends up to `until`.
fn run_until(fair: &mut Fair, until: Time, done: &mut BTreeMap<u64, u64>) {
    while let Some((at, flow)) = fair.next().filter(|end| end.0 <= until) {
        fair.complete(at, flow);
        assert!(done.insert(flow.0, at.0).is_none(), "{flow:?} ended twice");
    }
}

/// Every constraint carries at most its capacity, and every flow's rate is its fair one.
fn check(script: &[(u64, Step)], capacities: &[f64], restore_at: usize) -> Result<(), TestCaseError> {
    // Each completion is rounded up to a whole nanosecond: at 10 MB/s that is up to .01 bytes, which a flow
    // that is slowed down to some kB/s afterwards takes microseconds to make up for.
    const NEAR_NS: f64 = 50_000.0;
    let mut fair = Fair::new(capacities);
    let mut naive = Naive { capacities: capacities.to_vec(), ..Naive::default() };
    let (mut now, mut done, mut cancelled) = (0u64, BTreeMap::new(), Vec::new());
    for (i, (after, step)) in script.iter().enumerate() {
        now += after;
        run_until(&mut fair, Time(now), &mut done);
        naive.advance(now as f64 / 1e9);
        if i == restore_at {
            let saved = fair.save();
            fair = Fair::new(&[]);
            fair.load(saved);
        }
        match step.clone() {
            Step::Start { ports, bytes, weight, rate_max } => {
                let spec = FlowSpec { weight, rate_max, ..spec(bytes, &ports) };
                naive.flows.insert(i as u64, (spec.clone(), bytes as f64));
                fair.start(Time(now), FlowId(i as u64), spec);
            }
            Step::Cancel(flow) => {
                let left = fair.cancel(Time(now), FlowId(flow)).map_or(0.0, |left| left as f64);
                let other = naive.flows.remove(&flow).map_or(0.0, |f| f.1);
                prop_assert!((left - other).abs() <= 3.0, "flow {flow} has {left} left, not {other}");
                cancelled.push(flow);
            }
            Step::Capacity { port, rate } => {
                naive.capacities[port as usize] = rate;
                fair.set_capacity(Time(now), PortId(port), rate);
            }
        }
    }
    run_until(&mut fair, Time::MAX, &mut done);
    naive.advance(f64::MAX);
    for flow in (0..script.len() as u64).filter(|flow| !cancelled.contains(flow)) {
        match (done.get(&flow), naive.done.get(&flow)) {
            (None, None) => {}
            (Some(found), Some(expected)) => prop_assert!(
                (*found as f64 - expected * 1e9).abs() <= NEAR_NS,
                "flow {flow} ends at {found}, not {}",
                expected * 1e9
            ),
            other => prop_assert!(false, "flow {flow}: {other:?}"),
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn agrees_with_the_naive_solver(
        script in steps(5),
        capacities in proptest::collection::vec(1e5f64..1e7, 5),
        restore_at in 0usize..40,
    ) {
        check(&script, &capacities, restore_at)?;
    }

    /// What a star does: one port that all flows pass, caps on the flows.
    #[test]
    fn a_star_agrees_with_the_naive_solver(
        mut script in steps(2),
        capacity in 1e5f64..1e7,
        restore_at in 0usize..40,
    ) {
        for (_, step) in &mut script {
            match step {
                Step::Start { ports, .. } => *ports = vec![0],
                Step::Capacity { port, .. } => *port = 0,
                Step::Cancel(_) => {}
            }
        }
        check(&script, &[capacity, 1.0], restore_at)?;
    }
}

/// 10,000 workers, each with an uplink of its own, push to one server again and again.
#[test]
fn work_in_a_star_does_not_grow_with_its_flows() {
    for n in [100u64, 10_000] {
        let mut fair = Fair::new(&vec![12.5e6; n as usize + 1]);
        let mut stream = Stream::new(1, "test", 0, 0);
        for i in 0..n {
            fair.start(Time(i), FlowId(i), spec(1_000_000 + stream.below(1_000_000), &[0, i as u32 + 1]));
        }
        fair.next();
        let (before, events) = (fair.visits(), 20_000);
        for _ in 0..events {
            let (at, flow) = fair.next().unwrap();
            fair.complete(at, flow);
            let bytes = 1_000_000 + stream.below(1_000_000);
            fair.start(at, flow, spec(bytes, &[0, flow.0 as u32 + 1]));
        }
        let each = (fair.visits() - before) as f64 / f64::from(events);
        assert!(each < 4.0, "{each} visits for each transfer of {n} flows");
    }
}

/// Every peer of a complete graph sends to every other one at the same moment.
#[test]
fn flows_that_start_together_join_their_mesh_once() {
    let n = 60u32;
    let mut fair = Fair::new(&vec![12.5e6; 2 * n as usize]);
    let pairs = (0..n).flat_map(|a| (0..n).filter(move |b| *b != a).map(move |b| (a, b)));
    for (i, (a, b)) in pairs.enumerate() {
        fair.start(Time(0), FlowId(i as u64), spec(1_000_000, &[a, n + b]));
    }
    // A visit for its start and one for joining; few are taken in again with a smaller mesh.
    let flows = f64::from(n * (n - 1));
    let each = fair.visits() as f64 / flows;
    assert!(each < 3.0, "{each} visits for each of {flows} flows");
    assert_eq!(fair.next().map(|(at, _)| at), Some(Time(59_000_000_000 / 125 * 10)));
}

/// Bytes are conserved over a long busy period: the server's port is never idle and never overfull.
#[test]
fn a_busy_constraint_carries_exactly_its_capacity() {
    let mut fair = Fair::new(&[12.5e6]);
    let mut stream = Stream::new(2, "test", 0, 0);
    let (mut bytes, mut last) = (0u64, 0);
    for i in 0..50u64 {
        fair.start(Time(0), FlowId(i), FlowSpec { weight: 0.5 + stream.uniform(), ..spec(100_000, &[0]) });
        bytes += 100_000;
    }
    for i in 50..20_000u64 {
        let (at, flow) = fair.next().unwrap();
        fair.complete(at, flow);
        let weight = 0.5 + stream.uniform();
        let size = 50_000 + stream.below(100_000);
        fair.start(at, FlowId(i), FlowSpec { weight, ..spec(size, &[0]) });
        bytes += size;
        last = at.0;
    }
    let end = drain(&mut fair).last().unwrap().0;
    assert!(end > last);
    // At most one idle nanosecond for each completion, and rounding of the rate far below that.
    let exact = bytes * 80;
    assert!(end >= exact && end <= exact + 20_000, "{end} ns for {bytes} bytes, not {exact}");
}

/// Rates hold from the moment of a change on, also when nobody asks for the next completion in between.
#[test]
fn a_change_counts_from_its_moment() {
    let mut fair = Fair::new(&[1e9, 1e9]);
    fair.start(Time(0), FlowId(1), spec(1000, &[0]));
    fair.start(Time(0), FlowId(2), spec(1000, &[0]));
    assert_eq!(fair.cancel(Time(250), FlowId(1)), Some(875));
    fair.start(Time(250), FlowId(3), spec(1000, &[0, 1]));
    fair.start(Time(250), FlowId(4), spec(1000, &[1]));
    assert_eq!(fair.cancel(Time(350), FlowId(3)), Some(950));
    fair.start(Time(400), FlowId(5), spec(1, &[1]));
    assert_eq!(drain(&mut fair), [(402, 5), (1175, 2), (1301, 4)]);
}

/// Groups come and go with their flows; a mesh falls apart into stars.
#[test]
fn groups_merge_and_split() {
    let mut fair = Fair::new(&[1e9; 4]);
    fair.start(Time(0), FlowId(1), spec(1000, &[0]));
    fair.start(Time(0), FlowId(2), spec(1000, &[0]));
    fair.start(Time(0), FlowId(3), spec(1000, &[1]));
    fair.next();
    assert_eq!(fair.groups.len(), 2);
    fair.start(Time(0), FlowId(4), spec(100, &[0, 1]));
    fair.next();
    assert_eq!(fair.groups.len(), 1);
    // Flow 4 gets a third of port 0; flow 3 the rest of port 1.
    assert_eq!(fair.next(), Some((Time(301), FlowId(4))));
    fair.complete(Time(301), FlowId(4));
    fair.next();
    assert_eq!(fair.groups.len(), 2);
    assert!(fair.groups.values().all(|group| matches!(group.shape, Shape::Star(_))));
    drain(&mut fair);
    assert!(fair.groups.is_empty() && fair.heads.is_empty() && fair.dirty.is_empty());
    assert!(fair.ports.iter().all(|port| port.flows == 0));
}
