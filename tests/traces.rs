//! Rates, latencies and nodes' presence over time act when they should.

mod common;

use common::{digests, direct, quadratic};
use hcddl::domain::{NodeId, Time};
use hcddl::measure::outcome::{RunnerKind, SimOptions};
use hcddl::node::Reason;

const FLAT: &str = "topology: flat(2)\ntraining: {rounds: 40, local: {steps: 1}}\n\
    devices: {workers: fixed(20ms), servers: fixed(1ms)}\n\
    network: {lan: {latency: 1ms, rate: 20mbit}}\n";

fn commits(text: &str) -> Vec<Time> {
    quadratic(text).logged().1.commits.iter().map(|row| row.at).collect()
}

/// A slower line delays what is sent from then on; a rate of 0 stops everything, small messages as well, until there is
/// one again.
#[test]
fn rates_act_from_their_moments_on() {
    for contention in ["fair_share", "fifo", "none"] {
        let with = |records: &str| {
            let network =
                format!("network: {{contention: {contention}, lan: {{latency: 1ms, rate: 20mbit}}}}");
            let text = FLAT.replace("network: {lan: {latency: 1ms, rate: 20mbit}}", &network);
            commits(&format!("{text}traces: [{{where: worker1, records: {records}}}]\n"))
        };
        let plain = with("[{at: 0s, rate: 20mbit}]");
        let slow = with("[{at: 0s, rate: 20mbit}, {at: 300ms, rate: 10kbit}]");
        let same = plain.iter().zip(&slow).take_while(|(a, b)| a == b).count();
        assert!(
            plain[same - 1] <= Time(300_000_000) && plain[same] > Time(290_000_000),
            "{contention}: {same}"
        );
        assert!(slow[same] > plain[same]);
        let dead = with("[{at: 0s, rate: 20mbit}, {at: 300ms, rate: 0}, {at: 5s, rate: 20mbit}]");
        assert_eq!(dead[..same], plain[..same], "{contention}");
        assert!(
            dead[same] > Time(5_000_000_000) && dead[same] < Time(5_100_000_000),
            "{contention}: {dead:?}"
        );
        assert_eq!(dead.len(), plain.len());
    }
}

#[test]
fn a_shared_line_has_a_rate_over_time_too() {
    let text = FLAT.replace("rate: 20mbit", "rate: 20mbit, shared: 20mbit");
    let plain = commits(&text);
    let slow = commits(&format!(
        "{text}traces: [{{where: lan, records: [{{at: 0s, rate: 20mbit}}, {{at: 300ms, rate: 20kbit}}]}}]\n"
    ));
    assert!(plain.last() < slow.last());
}

/// As faults do: it leaves and joins, and is away from the start if the trace says so.
#[test]
fn presence_is_what_leaving_and_joining_would_be() {
    let trace = "traces: [{where: worker2, records: [{at: 0s, available: true}, {at: 203ms, available: false}, \
        {at: 500ms, available: true}]}]\n";
    let faults = "faults: {events: [{at: 203ms, leave: worker2}, {at: 500ms, join: worker2}]}\n";
    let (a, b) = (commits(&format!("{FLAT}{trace}")), commits(&format!("{FLAT}{faults}")));
    assert_eq!(a, b);
    assert_ne!(a, commits(FLAT));
    let away =
        "traces: [{where: worker2, records: [{at: 0s, available: false}, {at: 500ms, available: true}]}]\n";
    let joins = "faults: {events: [{at: 500ms, join: worker2}]}\n";
    let case = quadratic(&format!("{FLAT}{away}"));
    assert!(case.plan.nodes[2].joins_later);
    assert_eq!(commits(&format!("{FLAT}{away}")), commits(&format!("{FLAT}{joins}")));
}

#[test]
fn latency_of_a_trace_is_an_injection() {
    let trace = "traces: [{where: workers, repeat: true, records: [{at: 0s, latency: 1ms}, {at: 100ms, latency: 9ms}, \
        {at: 200ms, latency: 1ms}]}]\n";
    let injection = "injections: [{where: lan, replace: {name: trace, repeat: true, records: [[0s, 1ms], [100ms, 9ms], \
        [200ms, 1ms]]}}]\n";
    assert_eq!(commits(&format!("{FLAT}{trace}")), commits(&format!("{FLAT}{injection}")));
}

const EVERYTHING: &str = "topology: {name: tree, fanout: [2, 3]}\n\
    tiers: {global: {policy: async}, local: {policy: async}}\n\
    training: {rounds: 300, max_time: 1h, optimizer: {lr: 0.05}}\n\
    network: {lan: {latency: 'lognormal(2ms, 0.5)', rate: 20mbit}, wan: {latency: 9ms, rate: 5mbit}}\n\
    faults: {messages: [{loss: {name: gilbert_elliott, good: 2s, bad: 50ms, loss_bad: 0.5}}]}\n\
    traces:\n\
    - {where: workers, rate: {name: random_walk, min: 1mbit, max: 20mbit, step: 50ms}}\n\
    - {where: [local1, local2], line: access, up: 'random_walk(1mbit, 9mbit)', down: 'random_walk(1mbit, 9mbit)'}\n\
    - {where: workers, available: {name: weibull, on: 900ms, off: 90ms, shape: 0.6}}\n\
    - {where: local2, available: 'poisson(3s, 100ms)'}\n";

#[test]
fn generated_traces_are_the_same_whatever_carries_them() {
    let case = quadratic(EVERYTHING);
    let first = case.run_with(&direct());
    assert_eq!(first.summary.reason, Reason::Rounds);
    for (threads, runner) in [(1, RunnerKind::Actors), (3, RunnerKind::Direct), (2, RunnerKind::Actors)] {
        let other = case.run_with(&SimOptions { threads, runner, ..SimOptions::default() });
        assert_eq!(digests(&first), digests(&other), "{threads} threads");
    }
    let seeds = quadratic(&EVERYTHING.replace("training:", "seeds: {interleaving: 2}\ntraining:"));
    assert_ne!(first.summary.trace_digest, seeds.run_with(&direct()).summary.trace_digest);
}

/// A trace without an end does not keep a run alive in which nothing else can happen.
#[test]
fn traces_alone_do_not_go_on_for_ever() {
    for trace in [
        "traces: [{where: worker1, rate: {name: random_walk, min: 1mbit, max: 2mbit, step: 1ms}}]\n",
        "traces: [{where: worker1, available: 'poisson(1ms, 1ms)'}]\n",
    ] {
        let text = format!(
            "{FLAT}tiers: {{global: {{policy: sync}}}}\nfaults: {{detection: 1h, events: [{{at: 100ms, crash: worker2}}]}}\n\
             {trace}"
        );
        let result = quadratic(&text).run_with(&direct());
        assert!(result.summary.reason.problem().is_some() || result.summary.commits == 40, "{trace}");
    }
}

/// What one trace is does not depend on the others.
#[test]
fn each_node_has_a_course_of_its_own() {
    let text =
        |place: &str| format!("{FLAT}traces: [{{where: {place}, available: 'poisson(90ms, 90ms)'}}]\n");
    let both = quadratic(&text("workers")).plan;
    let second = quadratic(&text("worker2")).plan;
    let course = |plan: &hcddl::plan::Plan, i: usize| plan.traces[i].course(1).take(20).collect::<Vec<_>>();
    assert_eq!(course(&both, 1), course(&second, 0));
    let at = |i| course(&both, i).into_iter().map(|(at, _)| at).collect::<Vec<_>>();
    assert_ne!(at(0), at(1));
    assert_eq!(both.nodes[NodeId(2).index()].name.as_str(), "worker2");
}

/// Each direction of a link has the latency from one place to the other.
#[test]
fn a_matrix_says_what_is_between_places() {
    let matrix = "network: {lan: {rate: 20mbit}, latencies: {round_trip: true, unit: ms, \
        rows: [[0, 10, 30], [20, 0, 1], [40, 1, 0]]}}\n";
    let plan = quadratic(&FLAT.replace("network: {lan: {latency: 1ms, rate: 20mbit}}\n", matrix)).plan;
    let mean = |link: u16| plan.network.links[usize::from(link)].latency.mean().unwrap();
    let ways = |node: usize| {
        let node = &plan.nodes[node];
        (mean(node.link), mean(node.link_down.unwrap_or(node.link)))
    };
    let ms = |x: u64| hcddl::domain::Span::from_millis(x);
    assert_eq!((ways(1), ways(2)), ((ms(10), ms(5)), (ms(20), ms(15))));
    let same = "network: {latencies: {round_trip: false, rows: [[5ms, 5ms, 5ms], [5ms, 5ms, 5ms], [5ms, 5ms, 5ms]]}}";
    let lan = "network: {lan: {latency: 5ms}}";
    let text = |network: &str| FLAT.replace("network: {lan: {latency: 1ms, rate: 20mbit}}", network);
    assert_eq!(commits(&text(same)), commits(&text(lan)));
}

#[test]
fn places_are_drawn_when_there_are_more_nodes() {
    let text = "topology: ring(9)\ntraining: {rounds: 3}\npeers: {algorithm: d_psgd}\n\
        network: {latencies: {round_trip: false, unit: ms, by: random, rows: [[1, 2, 3], [2, 1, 4], [3, 4, 1]]}}\n";
    let means = |seed: u64| {
        let plan = quadratic(&format!("seed: {seed}\n{text}")).plan;
        let of = |node: &hcddl::plan::NodePlan| {
            let each = node.neighbours.iter().map(|n| &plan.network.links[usize::from(n.link)]);
            each.map(|link| link.latency.mean().unwrap().0 / 1_000_000).collect::<Vec<u64>>()
        };
        plan.nodes.iter().map(of).collect::<Vec<_>>()
    };
    assert_eq!(means(1), means(1));
    assert_ne!(means(1), means(2));
    assert!(means(1).iter().flatten().all(|ms| (1..=4).contains(ms)));
}

/// A cluster of SimGrid is a star of cards: the same run as over a LAN of the same rates.
#[test]
fn a_platform_is_its_hosts_and_links() {
    let work = "topology: flat(4)\ntraining: {rounds: 30}\ndevices: {default: instant}\n";
    let lan = "network: {lan: {profile: ideal, rate: 1MB/s, latency: 4ms}}\n";
    let cluster = "network: {platform: {xml: '<platform version=\"4\"><cluster id=\"c\" prefix=\"n\" suffix=\"\" \
        radical=\"0-4\" speed=\"1e30f\" bw=\"1MBps\" lat=\"2ms\"/></platform>'}}\n";
    for policy in ["sync", "async"] {
        let text = format!("{work}tiers: {{global: {{policy: {policy}}}}}\n");
        assert_eq!(commits(&format!("{text}{cluster}")), commits(&format!("{text}{lan}")), "{policy}");
    }
    // A backbone that all share holds them up, and counts in both directions.
    let backbone = cluster.replace("lat=", "bb_bw=\"1MBps\" lat=");
    let plan = quadratic(&format!("{work}{backbone}")).plan;
    let node = &plan.nodes[2];
    let link = |index: u16| &plan.network.links[usize::from(index)];
    let (up, down) = (link(node.link), link(node.link_down.unwrap()));
    let names = |link: &hcddl::plan::LinkPlan| {
        let ports = link.segments.iter().map(|port| plan.network.ports[port.0 as usize].name.clone());
        ports.collect::<Vec<_>>()
    };
    assert_eq!(names(up), ["c_link_2.up", "c_backbone", "c_link_0.down"]);
    assert_eq!(names(down), ["c_link_0.up", "c_backbone", "c_link_2.down"]);
    assert_eq!(plan.hosts[2].device.flops_per_second, 1e30);
}

/// As FedScale counts: three times the forward pass of each sample of a batch.
#[test]
fn a_list_says_what_devices_can() {
    let text = "topology: flat(3)\ntraining: {rounds: 3, batch: 10}\n\
        devices: {list: {devices: [{compute_ms: 2, rate: 5mbit}, {gflops: 3}, {up: 1mbit, down: 8mbit}]}}\n";
    let plan = quadratic(text).plan;
    let device = |i: usize| &plan.hosts[plan.nodes[i].host.index()].device;
    let step = device(1).step_time.as_ref().unwrap();
    assert_eq!(step.mean(), Some(hcddl::domain::Span::from_millis(60)));
    assert_eq!(device(2).flops_per_second, 3e9);
    let rates = |i: usize| {
        let host = &plan.hosts[plan.nodes[i].host.index()];
        [host.up, host.down].map(|port| plan.network.ports[port.0 as usize].bytes_per_second)
    };
    assert_eq!((rates(1), rates(3)), ([625e3, 625e3], [125e3, 1e6]));
    assert_eq!(rates(2), [125e6, 125e6]);
    let drawn = |seed: u64| {
        let text = format!("seed: {seed}\n{}", text.replace("list: {", "list: {by: random, "));
        let plan = quadratic(&text).plan;
        (1..4).map(|i| plan.hosts[i].device.step_time.is_some()).collect::<Vec<_>>()
    };
    assert!((1..20).any(|seed| drawn(seed) != drawn(1)));
}
