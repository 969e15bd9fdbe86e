//! Laws that hold whatever the scenario: the mean staleness of asynchronous training, sequential SGD as the
//! limit of every policy, and equivalences between policies. Bytes on the wire are the transport's tests.

mod common;

use common::{composition, quadratic, quadratic_with, ulps};
use hcddl::domain::NodeId;
use hcddl::domain::work::UpdateKind;
use hcddl::learn::quadratic::Quadratic;
use hcddl::policy::Composition;
use std::collections::BTreeMap;

/// Workers that compute for about 20 ms and links with jitter, so that arrivals mix.
const WORLD: &str = "network: {contention: none, lan: {latency: 'uniform(1ms, 9ms)'}}\n\
    devices: {workers: fixed(20ms), servers: instant, heterogeneity: 'uniform(1, 1.5)'}";
const IDEAL: &str = "network: {contention: none, lan: {profile: ideal}}\ndevices: {default: instant}";

fn flat(workers: usize, rounds: u64, tier: &str) -> String {
    format!(
        "topology: flat({workers})\ntiers: {{global: {{{tier}}}}}\n\
         training: {{rounds: {rounds}, local: {{steps: 1}}, optimizer: {{lr: 0.1}}}}\n{WORLD}"
    )
}

fn model(text: &str) -> Vec<f32> {
    quadratic(text).model()
}

/// Every version but the last is handed out once, and n - 1 of those are still being computed on at the end: so
/// the sum of all staleness is the sum of these n - 1 versions. The mean lacks n(n - 1)/2T of n - 1 when they are
/// the last ones, and more by the age of what the slowest workers hold; that also vanishes as 1/T.
#[test]
fn mean_staleness_is_the_number_of_the_others_whatever_the_delays() {
    let delays = [
        "constant(5ms)",
        "uniform(0ms, 50ms)",
        "shifted_exponential(1ms, 30ms)",
        "lognormal(5ms, 1.5)",
        "pareto(2ms, 1.5)",
    ];
    for n in [1, 2, 5, 10] {
        for delay in delays {
            for codec in ["", ", compression: {up: fp16, down: fp16}"] {
                let (rounds, tier) = (400, format!("policy: async{codec}"));
                let text = flat(n, rounds, &tier).replace("uniform(1ms, 9ms)", delay);
                let case = quadratic(&text);
                let (result, log) = case.logged();
                let staleness = result.summary.staleness;
                // What the others still compute on at the end: their last commits' versions.
                let mut holds: BTreeMap<_, f64> =
                    (1..=n as u32).map(|worker| (NodeId(worker), 0.0)).collect();
                for row in &log.commits {
                    holds.insert(row.contributors[0].node, row.version.0 as f64);
                }
                let (n, rounds) = (n as f64, rounds as f64);
                let exact = (holds.values().sum::<f64>() - rounds) / rounds;
                assert!(
                    (staleness.mean - exact).abs() < 1e-9,
                    "{}, exactly {exact}: {}",
                    staleness.mean,
                    case.line
                );
                let missing = n - 1.0 - staleness.mean;
                let least = n * (n - 1.0) / (2.0 * rounds);
                assert!(missing >= least - 1e-9, "{missing} below n - 1: {}", case.line);
                if delay.starts_with("constant") {
                    assert!(missing <= 2.0 * least + 1e-9, "{missing} below n - 1: {}", case.line);
                }
            }
        }
    }
}

/// A broken link does not leave a worker with two models to train on.
#[test]
fn mean_staleness_holds_after_faults() {
    for faults in [
        "events: [{at: 203ms, link_down: [global, worker2]}, {at: 400ms, link_up: [global, worker2]}]",
        "events: [{at: 203ms, link_down: [global, worker2]}, {at: 230ms, link_up: [global, worker2]}]",
        "events: [{at: 203ms, crash: worker2}, {at: 205ms, restart: worker2}]",
    ] {
        let text = format!("{}\nfaults: {{detection: 50ms, {faults}}}", flat(4, 2000, "policy: async"));
        let case = quadratic(&text);
        let mean = case.run().summary.staleness.mean;
        assert!((mean - 3.0).abs() < 0.1, "mean staleness {mean}: {}", case.line);
    }
}

/// Plain SGD on worker 1's function.
fn sequential(steps: usize, noise: f64) -> Vec<f32> {
    let case = quadratic_with(&flat(1, 1, "policy: sync"), |q| Quadratic { noise, ..q });
    let mut x = case.learner.init(case.plan.seeds.init);
    for cursor in 0..steps as u64 {
        let job = hcddl::node::Train {
            model: hcddl::domain::Params::new(x.clone()),
            opt: None,
            cursor,
            steps: 1,
            output: hcddl::node::work::UpdateKind::Gradient,
            lr_scale: 1.0,
        };
        let trained = case.learner.train(NodeId(1), &job).expect("a gradient");
        x.iter_mut().zip(trained.tensor.values().expect("values")).for_each(|(x, g)| *x -= 0.1 * g);
    }
    x
}

/// Every policy has a setting that leaves nothing but SGD, and says so.
#[test]
fn one_worker_without_delay_is_sequential_sgd() {
    let expected = sequential(50, 0.5);
    for trials in hcddl::policy::trials() {
        let mut met = false;
        for policy in trials {
            let Composition { update, claims, .. } = composition(policy);
            if claims.sequential {
                is_sequential(policy, update, &expected);
                met = true;
            }
        }
        assert!(met, "{trials:?}");
    }
}

fn is_sequential(policy: &str, update: UpdateKind, expected: &[f32]) {
    for world in [WORLD, IDEAL] {
        let text = flat(1, 50, &format!("policy: {policy}")).replace(WORLD, world);
        let case = quadratic_with(&text, |q| Quadratic { noise: 0.5, ..q });
        let got = case.model();
        if update == UpdateKind::Gradient {
            assert_eq!(got, expected, "{}", case.line);
        } else {
            // A delta or a model is a rounded difference: a few units per step.
            let distance = ulps(&got, expected);
            assert!(distance <= 8.0, "{distance} ulp: {}", case.line);
        }
    }
}

const ROUNDS: u64 = 60;

/// Pairs that are the same algorithm to the bit: workers, one tier's settings, the other's.
#[test]
fn equivalences_to_the_bit() {
    let pairs: &[(&str, &str)] = &[
        ("policy: 'ssp(1000000)'", "policy: async"),
        ("policy: 'k_async(1)', fold: sum", "policy: async"),
        ("policy: 'dc_asgd(0)'", "policy: async"),
        ("policy: {name: sync, backup: 0}", "policy: sync"),
        ("policy: {name: sync, wait_for: 4}", "policy: sync"),
        ("policy: {name: k_async, k: 4}", "policy: sync"),
        ("policy: {name: fedavg, clients: 4}", "policy: fedavg"),
        ("policy: {name: deadline, after: 10s}", "policy: sync"),
        ("policy: sync, traffic: pull", "policy: sync"),
        ("policy: {name: sync, clients: 4, wait_for: 4, cancel: true}", "policy: sync"),
    ];
    for (one, other) in pairs {
        assert_eq!(model(&flat(4, ROUNDS, one)), model(&flat(4, ROUNDS, other)), "{one} = {other}");
    }
}

fn close(a: &str, b: &str, most: f64) {
    let distance = ulps(&model(a), &model(b));
    assert!(distance <= most, "{distance} ulp, at most {most}: {a} = {b}");
}

/// Pairs that differ in rounding only. A unit of rounding per round is contracted by the descent, not summed.
#[test]
fn equivalences_up_to_rounding() {
    close(&flat(4, ROUNDS, "policy: fedavg"), &flat(4, ROUNDS, "policy: sync"), 16.0);
    close(
        &flat(4, ROUNDS, "policy: {name: fedbuff, k: 1, exponent: 0}"),
        &flat(4, ROUNDS, "policy: async"),
        16.0,
    );
    close(&flat(1, ROUNDS, "policy: {name: fedasync, alpha: 1}"), &flat(1, ROUNDS, "policy: async"), 16.0);
}

/// Under SSP without slack a clock's updates are those of one bulk-synchronous step, applied one by one. With
/// every worker reading the same model (nobody is let go before all are in), that is SGD with the summed step.
#[test]
fn ssp_without_slack_is_bulk_synchronous() {
    let ssp = flat(4, 4 * ROUNDS, "policy: 'ssp(0)', optimizer: sgd(0.05)");
    let bulk = flat(4, ROUNDS, "policy: sync, fold: sum, optimizer: sgd(0.05)");
    close(&ssp, &bulk, 16.0);
}

fn tree(fanout: &str, rounds: u64, global: &str, local: &str) -> String {
    flat(1, rounds, global)
        .replace("topology: flat(1)", &format!("topology: {{name: tree, fanout: {fanout}}}"))
        .replace("tiers: {global", &format!("tiers: {{local: {{{local}}}, global"))
}

#[test]
fn hierarchies_that_change_nothing() {
    // Synchronous in synchronous forwards the mean of means.
    close(&tree("[2, 2]", ROUNDS, "policy: sync", "policy: sync"), &flat(4, ROUNDS, "policy: sync"), 16.0);
    close(&tree("[2, 1, 2]", ROUNDS, "policy: sync", "policy: sync"), &flat(4, ROUNDS, "policy: sync"), 16.0);
    // HierFAVG with one edge round per cloud round.
    close(
        &tree("[2, 2]", ROUNDS, "policy: fedavg", "policy: fedavg, uplink: {push: every(1)}"),
        &flat(4, ROUNDS, "policy: fedavg"),
        16.0,
    );
    // One edge server is a detour.
    close(&tree("[1, 4]", ROUNDS, "policy: sync", "policy: sync"), &flat(4, ROUNDS, "policy: sync"), 16.0);
    close(&tree("[1, 4]", ROUNDS, "policy: async", "policy: sync"), &flat(4, ROUNDS, "policy: sync"), 16.0);
    close(
        &tree("[1, 4]", ROUNDS, "policy: fedavg", "policy: fedavg"),
        &flat(4, ROUNDS, "policy: fedavg"),
        16.0,
    );
}

fn peers(topology: &str, algorithm: &str) -> String {
    format!(
        "topology: {topology}\npeers: {{algorithm: {algorithm}}}\ntraining: {{rounds: {ROUNDS}}}\n{}",
        WORLD.replace("workers:", "default:")
    )
}

#[test]
fn a_ring_all_reduce_is_synchronous_sgd() {
    let sync = flat(4, ROUNDS, "policy: sync, fold: mean");
    close(&peers("ring(4)", "{name: ring_all_reduce, optimizer: sgd(0.1)}"), &sync, 16.0);
}

/// x_i+ = mean x - eta g_i(x_i): gradients are taken at the peers' own models, so on a complete graph this is
/// synchronous SGD when all have the same function, and in the first round whatever they have.
#[test]
fn d_psgd_on_a_complete_graph_is_synchronous_sgd() {
    let same = |q: Quadratic| {
        let functions = vec![q.functions[0].clone(); q.functions.len()];
        Quadratic { functions, ..q }
    };
    let (graph, sync) = (peers("complete(4)", "d_psgd(0.1)"), flat(4, ROUNDS, "policy: sync, fold: mean"));
    let distance = ulps(&quadratic_with(&graph, same).model(), &quadratic_with(&sync, same).model());
    assert!(distance <= 16.0, "{distance} ulp: {graph}");
    let once = |text: &str| text.replace(&format!("rounds: {ROUNDS}"), "rounds: 1");
    close(&once(&graph), &once(&sync), 4.0);
}

/// Without gradients mixing keeps the mean (W is doubly stochastic) and brings the models together.
#[test]
fn gossip_preserves_the_mean_of_the_models() {
    for topology in [
        "ring(6)",
        "wheel(6)",
        "star(5)",
        "complete(4)",
        "{name: random, peers: 8, probability: 0.4, seed: 3}",
    ] {
        // A first round with gradients sets the peers apart; then the mean moves by the mean gradient alone.
        let one = |rounds: u64| {
            let text = peers(topology, "d_psgd(0.1)")
                .replace(&format!("rounds: {ROUNDS}"), &format!("rounds: {rounds}"));
            let case = quadratic(&text);
            let result = case.run();
            (case, result)
        };
        let (case, before) = one(20);
        let (_, after) = one(21);
        let n = before.models.len() as f64;
        let mean = |models: &BTreeMap<NodeId, hcddl::domain::Params>, d: usize| {
            models.values().map(|m| f64::from(m.values().expect("values")[d])).sum::<f64>() / n
        };
        for d in 0..5 {
            let mut gradient = 0.0;
            for (id, m) in &before.models {
                let job = hcddl::node::Train {
                    model: m.clone(),
                    opt: None,
                    cursor: 20,
                    steps: 1,
                    output: hcddl::node::work::UpdateKind::Gradient,
                    lr_scale: 1.0,
                };
                let trained = case.learner.train(*id, &job).expect("a gradient");
                gradient += f64::from(trained.tensor.values().expect("values")[d]) / n;
            }
            let expected = mean(&before.models, d) - 0.1 * gradient;
            let got = mean(&after.models, d);
            assert!((got - expected).abs() < 1e-6, "mean {got}, expected {expected}: {}", case.line);
        }
    }
}

/// 2 (n - 1) messages of 1/n of the model per peer and round, plus their heads.
#[test]
fn a_ring_moves_twice_the_model_less_one_part() {
    for n in [2u64, 4, 5] {
        let text = peers(&format!("ring({n})"), "{name: ring_all_reduce}");
        let case = quadratic_with(&text, |q| Quadratic::random(1000, q.shards, 1.0, 1));
        let summary = case.run().summary;
        let messages = n * ROUNDS * 2 * (n - 1);
        let model = ROUNDS * 2 * (n - 1) * 4 * 1000;
        assert_eq!(
            (summary.messages, summary.bytes_up),
            (messages, model + messages * (96 + 32)),
            "{}",
            case.line
        );
    }
}

/// Common random numbers: links have draws of their own, so another worker does not move anybody's messages.
#[test]
fn every_link_has_its_own_random_stream() {
    let arrivals = |workers: usize| {
        let text = flat(workers, 400, "policy: async");
        let text = text.replace("heterogeneity: 'uniform(1, 1.5)'", "heterogeneity: none");
        let case = quadratic(&text);
        let (_, log) = case.logged();
        let mut latencies = BTreeMap::<u32, Vec<u64>>::new();
        for span in log.spans.iter().filter(|s| s.label == "assign") {
            let to = span.other.expect("a receiver").0;
            latencies.entry(to).or_default().push(span.end.since(span.start).0);
        }
        latencies
    };
    let (few, more) = (arrivals(2), arrivals(3));
    for worker in [1, 2] {
        let both = few[&worker].len().min(more[&worker].len());
        assert!(both > 50);
        assert_eq!(few[&worker][..both], more[&worker][..both], "latencies of the link to worker {worker}");
    }
    assert_ne!(few[&1][..20], few[&2][..20], "two links share their draws");
}

/// Error feedback: what top-k holds back now is sent later. A constant gradient shows it: only the residual
/// ever lets the small coordinate through.
#[test]
fn what_compression_holds_back_is_sent_later() {
    for codec in ["{name: top_k, fraction: 0.2}", "{name: two_bit, threshold: 4}"] {
        let text = format!(
            "{}\nseed: 9",
            flat(3, 6000, &format!("policy: sync, compression: {{up: {codec}}}, optimizer: sgd(0.005)"))
        );
        let case = quadratic(&text);
        let result = case.run();
        let seeds = case.plan.seeds;
        let shards = case.plan.nodes.iter().map(|node| node.shard).collect();
        let optimum = Quadratic::random(5, shards, 1.0, seeds.data).optimum();
        let far = result
            .model
            .values()
            .expect("values")
            .iter()
            .zip(optimum)
            .map(|(x, o)| (x - o).abs())
            .fold(0.0, f32::max);
        assert!(far < 0.1, "{far} from the optimum: {}", case.line);
    }
}

/// What evaluations are told without a walk over the hosts is what a walk finds: with hosts of one node and of several,
/// and with nodes that fall while they compute. That an interruption changes nothing, `tests/resume.rs` compares.
#[test]
fn the_energy_of_all_hosts_is_the_sum_over_hosts() {
    let text = "topology: flat(6)\ntiers: {global: {policy: async}}\ntraining: {rounds: 60, local: {steps: 3}}\n\
        devices: {workers: pi-4b, servers: fixed(1ms), nodes: {worker2: pi-3b-plus}}\n\
        hosts: {both: {nodes: [worker3, worker4]}, all: {nodes: [worker5, worker6], device: jetson-nano}}\n\
        faults: {detection: 10ms, events: [{at: 50ms, crash: worker1}, {at: 90ms, restart: worker1}, \
        {at: 60ms, leave: worker2}]}";
    for seed in 1..6 {
        let case = quadratic(&format!("{text}\nseeds: {{interleaving: {seed}}}"));
        let summary = case.run().summary;
        let hosts: f64 = summary.energy_by_host_j.values().sum();
        assert!(summary.energy_j > 0.0 && summary.energy_by_host_j.len() > 3);
        let off = (summary.energy_j - hosts).abs() / hosts;
        assert!(off < 1e-12, "{} and {hosts}: seed {seed}", summary.energy_j);
    }
}
