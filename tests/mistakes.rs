//! Mistakes of users, each with the whole message that it gets. A message must suffice to fix the mistake:
//! file, line, key path, the value, what is allowed, the next step.

use hcddl::error::{EXIT_USER, UserError};
use hcddl::registry::Registry;
use hcddl::scenario::load::load;
use hcddl::scenario::resolve;
use std::path::Path;

/// What stands in front of each text below, as lines 1 to 3; each is left out where the text sets its key.
const BASE: [&str; 3] = ["topology: flat(4)", "model: softmax", "data: digits"];

/// A name, the rest of the scenario, the key path that the message must name.
#[rustfmt::skip]
const MISTAKES: &[(&str, &str, &str)] = &[
    ("unknown key", "trainig: {rounds: 5}", "trainig"),
    ("unknown key in a section", "tiers:\n  global:\n    polcy: sync", "tiers.global.polcy"),
    ("wrong type", "training: {batch: many}", "training.batch"),
    ("a list for a number", "training:\n  rounds: [1, 2]", "training.rounds"),
    ("negative count", "training: {batch: -3}", "training.batch"),
    ("empty section", "training:", "training"),
    ("unknown policy", "tiers: {global: {policy: synch}}", "tiers.global.policy"),
    ("unknown option of a policy", "tiers:\n  global:\n    policy: {name: ssp, slak: 3}", "tiers.global.policy.slak"),
    ("option of a policy out of bounds", "tiers: {global: {policy: 'fedavg(0)'}}", "tiers.global.policy.clients"),
    ("too many options in parentheses", "tiers: {global: {policy: 'ssp(3, 4)'}}", "tiers.global.policy"),
    ("a choice without a name", "model: {hidden: [3]}", "model"),
    ("unknown optimiser", "tiers: {global: {optimizer: adamw}}", "tiers.global.optimizer"),
    ("unknown fold", "tiers: {global: {fold: median}}", "tiers.global.fold"),
    ("codec that leaves parts of a model out", "tiers: {global: {compression: {down: top_k}}}", "tiers.global.compression.down"),
    ("unknown codec", "tiers: {global: {compression: {up: zip}}}", "tiers.global.compression.up"),
    ("a tier that is not a server", "tiers: {worker1: {policy: sync}}", "tiers.worker1"),
    ("a tier of a depth that is not there", "topology: {name: tree, fanout: [2, 2]}\ntiers: {local-2: {policy: sync}}", "tiers.local-2"),
    ("optimiser at a forwarding server", "topology: {name: tree, fanout: [2, 2]}\ntiers:\n  local: {optimizer: adam, uplink: {send: gradient}}", "tiers.local.optimizer"),
    ("a local server that sends what its parent cannot take", "topology: {name: tree, fanout: [2, 2]}\ntiers: {global: {update: gradient}, local: {policy: fedavg}}", "tiers.local.uplink.send"),
    ("no way to push", "topology: {name: tree, fanout: [2, 2]}\ntiers: {local: {uplink: {push: sometimes}}}", "tiers.local.uplink.push"),
    ("adopts more than everything", "topology: {name: tree, fanout: [2, 2]}\ntiers: {local: {uplink: {adopt: 1.5}}}", "tiers.local.uplink.adopt"),
    ("unknown topology", "topology: rnig(4)", "topology"),
    ("zero workers", "topology: flat(0)", "topology.workers"),
    ("topology with a missing node", "topology:\n  name: links\n  peers: [a, b, c]\n  links: [[a, b], [b, d]]", "topology.links.1"),
    ("disconnected graph", "topology:\n  name: links\n  peers: [a, b, c, d]\n  links: [[a, b], [c, d]]", "topology.links"),
    ("topology file that is not there", "topology: ../topologies/flt.yml", "topology"),
    ("ring algorithm on a star", "topology: star(5)\npeers: {algorithm: ring_all_reduce}", "peers.algorithm"),
    ("unknown model", "model: lenett", "model"),
    ("unknown data set", "data: imagenet", "data"),
    ("too few samples for the workers", "topology: flat(5000)", "topology"),
    ("missing data file", "data: mnist\ndata_dir: nowhere", "data"),
    ("truncated data file", "data: fashion_mnist\ndata_dir: damaged", "data"),
    ("unknown option of a data set", "data: {name: digits, valdation: 0.1}", "data.valdation"),
    ("validation of everything", "data: {name: digits, validation: 1}", "data.validation"),
    ("limit of no samples", "data:\n  name: digits\n  limit_train: 0", "data.limit_train"),
    ("augmentation without images", "data: {name: blobs, augment: [flip]}", "data.augment"),
    ("unknown augmentation", "data: {name: digits, augment: [flip, blurr]}", "data.augment.1"),
    ("test share that leaves nothing", "topology: flat(700)\npartition: {name: iid, test_share: 0.9}", "partition.test_share"),
    ("owners of data that have none", "partition: natural", "partition"),
    ("a class too rare for its holders", "topology: flat(142)\npartition: power_law", "partition"),
    ("option of a partition out of bounds", "partition: dirichlet(-1)", "partition.alpha"),
    ("model for other data", "model: lenet", "model"),
    ("layer that does not fit", "model:\n  name: layers\n  layers:\n    - conv2d(6, 5)\n    - {name: conv2d, filters: 16, kernel: 5}\n    - linear(classes)", "model.layers.1"),
    ("option of a layer out of bounds", "model: {name: layers, layers: [conv2d(6, 5), {name: dropout, p: 2}]}", "model.layers.1.p"),
    ("model file that is not there", "training: {init_from: nothing.safetensors}", "training.init_from"),
    ("nothing ends the run", "training: {target_accuracy: 0.9}", "training.target_accuracy"),
    ("target in per cent", "training: {rounds: 10, target_accuracy: 90}", "training.target_accuracy"),
    ("zero rounds", "training: {rounds: 0}", "training.rounds"),
    ("steps and epochs", "training: {local: {steps: 1, epochs: 1}}", "training.local"),
    ("unknown local optimiser", "training: {optimizer: adma}", "training.optimizer"),
    ("momentum under Adam", "training: {optimizer: {name: adam, momentum: 0.9}}", "training.optimizer.momentum"),
    ("unknown option of the local optimiser", "training: {optimizer: {beta1: 0.9}}", "training.optimizer.beta1"),
    ("epsilon of zero", "training: {optimizer: {name: adamw, epsilon: 0}}", "training.optimizer.epsilon"),
    ("unknown schedule", "training: {schedule: cosin(10)}", "training.schedule"),
    ("schedule without a length", "training: {schedule: cosine}", "training.schedule.over"),
    ("schedule of two lengths", "training: {schedule: {name: linear, over: 5, epochs: 2}}", "training.schedule.epochs"),
    ("what to do when not finite", "training: {not_finite: ignore}", "training.not_finite"),
    ("best by an unknown measure", "evaluation: {best: accuracy}", "evaluation.best"),
    ("clipping to nothing", "training: {clip_norm: 0}", "training.clip_norm"),
    ("negative learning rate", "training: {optimizer: {lr: -0.1}}", "training.optimizer.lr"),
    ("unknown metric", "evaluation: {metrics: [accuracy, los]}", "evaluation.metrics.1"),
    ("negative latency", "network: {lan: {latency: -5ms}}", "network.lan.latency"),
    ("latency without a unit", "network: {lan: {latency: 20}}", "network.lan.latency"),
    ("unknown latency", "network: {lan: {latency: 'normal(5ms)'}}", "network.lan.latency"),
    ("rate without a unit", "network: {lan: {rate: 100}}", "network.lan.rate"),
    ("unknown unit", "network: {lan: {rate: 100mbps}}", "network.lan.rate"),
    ("rate of zero", "network: {lan: {rate: 0mbit}}", "network.lan.rate"),
    ("certain loss", "network: {lan: {loss: 1}}", "network.lan.loss"),
    ("unknown profile", "network: {wan: {latency: 3ms}, lan: {profile: wifi}}", "network.lan.profile"),
    ("unknown contention", "network: {contention: fair}", "network.contention"),
    ("a link that is not there", "network:\n  links:\n    - {between: [worker1, worker2], rate: 1mbit}", "network.links.0.between"),
    ("unknown device", "devices: {default: pi4}", "devices.default"),
    ("device of an unknown node", "devices: {nodes: {worker9: pi-4b}}", "devices.nodes.worker9"),
    ("node on two hosts", "hosts: {a: {nodes: [worker1]}, b: {nodes: [worker1]}}", "hosts.b.nodes.0"),
    ("slower than never", "devices: {slowdown: {worker1: 0}}", "devices.slowdown.worker1"),
    ("fault without a time", "faults: {events: [{crash: worker1}]}", "faults.events.0.at"),
    ("fault of an unknown node", "faults:\n  events:\n    - {at: 1s, crash: worker}", "faults.events.0.crash"),
    ("two faults in one", "faults: {events: [{at: 1s, crash: worker1, leave: worker2}]}", "faults.events.0"),
    ("restart without a crash", "faults: {events: [{at: 1s, restart: worker1}]}", "faults.events.0.restart"),
    ("probability above 1", "faults: {messages: [{loss: 5}]}", "faults.messages.0.loss"),
    ("nothing injected", "injections: [{where: all}]", "injections.0"),
    ("injection of two things", "injections: [{where: all, add: 1ms, scale: 2}]", "injections.0"),
    ("injection nowhere", "injections:\n  - {add: 1ms}", "injections.0.where"),
    ("injection at an unknown node", "injections: [{where: worker9, add: 1ms}]", "injections.0.where"),
    ("injection on a link that is not there", "injections: [{where: [worker1, worker2], add: 1ms}]", "injections.0.where"),
    ("injection between servers that are not there", "injections: [{where: wan, add: 1ms}]", "injections.0.where"),
    ("a link that is slow in computing", "injections: [{where: lan, slow_down: 2}]", "injections.0.where"),
    ("more stragglers than workers", "injections: [{where: random(5), slow_down: 2}]", "injections.0.where"),
    ("injection that ends before it begins", "injections: [{where: all, add: 1ms, from: 2s, until: 1s}]", "injections.0.until"),
    ("unknown injected latency", "injections: [{where: all, replace: 'normal(1ms)'}]", "injections.0.replace"),
    ("certain correlation", "injections: [{where: all, add: 'uniform(1ms, 2ms)', correlation: 1}]", "injections.0.correlation"),
    ("correlation of a factor", "injections: [{where: all, scale: 2, correlation: 0.5}]", "injections.0.correlation"),
    ("bursts of no length", "injections: [{where: all, add: 1ms, bursts: {on: 0ms, off: 1s}}]", "injections.0.bursts.on"),
    ("a direction of computing", "injections: [{where: all, slow_down: 2, direction: up}]", "injections.0.direction"),
    ("up among peers", "topology: ring(4)\ninjections: [{where: all, add: 1ms, direction: up}]", "injections.0.direction"),
    ("a trace that is not there", "injections: [{where: all, add: {name: trace, csv: no.csv}}]", "injections.0.add.csv"),
    ("a trace of nothing", "injections: [{where: all, add: {name: trace}}]", "injections.0.add"),
    ("a trace of nothing that changes", "traces: [{where: worker1}]", "traces.0"),
    ("a trace nowhere", "traces: [{rate: 'random_walk(1mbit, 2mbit)'}]", "traces.0.where"),
    ("a trace of an unknown node", "traces: [{where: worker9, rate: 'random_walk(1mbit, 2mbit)'}]", "traces.0.where"),
    ("a trace of a line that is not shared", "traces: [{where: lan, rate: 'random_walk(1mbit, 2mbit)'}]", "traces.0.where"),
    ("a trace of an access line that is not there", "traces: [{where: worker1, line: access, rate: 'random_walk(1mbit, 2mbit)'}]", "traces.0.line"),
    ("two traces of one line", "traces: [{where: all, rate: 'random_walk(1mbit, 2mbit)'}, {where: worker2, up: 'random_walk(1mbit, 2mbit)'}]", "traces.1.where"),
    ("rate and direction", "traces: [{where: worker1, rate: 'random_walk(1mbit, 2mbit)', up: 'random_walk(1mbit, 2mbit)'}]", "traces.0"),
    ("records that go back", "traces:\n  - where: worker1\n    records: [{at: 1s, rate: 1mbit}, {at: 0s, rate: 2mbit}]", "traces.0.records"),
    ("a record without what others have", "traces:\n  - where: worker1\n    records:\n      - {at: 0s, rate: 1mbit}\n      - {at: 1s}", "traces.0.records.1"),
    ("negative rate", "traces: [{where: worker1, records: [{at: 0s, rate: -1mbit}]}]", "traces.0.records.0.rate"),
    ("a line that never carries anything", "traces: [{where: worker1, records: [{at: 0s, rate: 0}]}]", "traces.0"),
    ("repeated without records", "traces: [{where: worker1, repeat: true, available: 'poisson(1s, 1s)'}]", "traces.0.repeat"),
    ("random start of what does not repeat", "traces: [{where: worker1, random_start: true, records: [{at: 0s, rate: 1mbit}]}]", "traces.0.random_start"),
    ("a root that leaves", "traces: [{where: global, available: 'poisson(1s, 1s)'}]", "traces.0.where"),
    ("a trace and faults of one node", "traces: [{where: worker1, available: 'poisson(1s, 1s)'}]\nfaults: {events: [{at: 1s, crash: worker1}]}", "traces.0.where"),
    ("unknown generator", "traces: [{where: worker1, available: 'poison(1s, 1s)'}]", "traces.0.available"),
    ("share of the whole day", "traces: [{where: worker1, available: {name: diurnal, share: 1}}]", "traces.0.available.share"),
    ("a trace file that is not there", "traces: [{where: worker1, csv: no.csv}]", "traces.0.csv"),
    ("a trace with a gap", "traces: [{where: worker1, csv: gap.csv}]", "traces.0.csv"),
    ("a trace out of order", "traces: [{where: worker1, csv: order.csv}]", "traces.0.csv"),
    ("a trace in an unknown unit", "traces: [{where: worker1, csv: unit.csv}]", "traces.0.csv"),
    ("a trace with a negative rate", "traces: [{where: worker1, csv: negative.csv}]", "traces.0.csv"),
    ("rate of a station of WiFi", "network: {lan: {profile: wifi5}}\ntraces: [{where: worker1, rate: 'random_walk(1mbit, 2mbit)'}]", "traces.0.where"),
    ("bursts of loss without a length", "faults: {messages: [{loss: 'gilbert_elliott(0s, 1s)'}]}", "faults.messages.0.loss.good"),
    ("a matrix of nothing", "network: {latencies: {round_trip: true}}", "network.latencies"),
    ("a matrix that is not square", "network: {latencies: {csv: square.csv}}", "network.latencies.csv"),
    ("a matrix with a negative value", "network: {latencies: {csv: below.csv}}", "network.latencies.csv"),
    ("a matrix with a hole", "network: {latencies: {csv: hole.csv}}", "network.latencies.csv"),
    ("a matrix of neither one way nor there and back", "network: {latencies: {csv: way.csv, unit: ms}}", "network.latencies.csv"),
    ("a pair that is missing", "topology: flat(2)\nnetwork:\n  latencies: {csv: king.csv}", "network.latencies"),
    ("a matrix file that is not there", "network: {rates: {csv: no.csv}}", "network.rates.csv"),
    ("more nodes than places", "network: {latencies: {csv: two.csv}}", "network.latencies"),
    ("no place of that name", "network: {latencies: {csv: two.csv, by: random, assign: {worker1: pariss}}}", "network.latencies.assign.worker1"),
    ("a node that is no place", "network: {latencies: {csv: two.csv, by: name}}", "network.latencies.by"),
    ("rows of different lengths", "network:\n  rates:\n    unit: mbit\n    rows:\n      - [null, 1]\n      - [1]", "network.rates.rows.1"),
    ("a rate there and back", "network: {rates: {unit: mbit, round_trip: true, rows: [[1]]}}", "network.rates.round_trip"),
    ("a platform that is not there", "network: {platform: {file: no.xml}}", "network.platform.file"),
    ("a platform of nothing", "network: {platform: {by: random}}", "network.platform"),
    ("a platform with an unknown element", "network: {platform: {file: unknown.xml}}", "network.platform.file"),
    ("a platform with an unknown attribute", "network: {platform: {file: attribute.xml}}", "network.platform.file"),
    ("a platform beside a LAN", "network: {platform: {file: small.xml}, lan: {rate: 1mbit}}", "network.lan"),
    ("fewer hosts than nodes", "network: {platform: {file: small.xml}}", "network.platform"),
    ("a host that is not there", "network: {platform: {file: small.xml, by: random, assign: {worker1: c}}}", "network.platform.assign.worker1"),
    ("hosts without a route", "topology: flat(2)\nnetwork: {platform: {file: apart.xml}}", "network.platform"),
    ("a device list that is not there", "devices: {list: {file: no.csv}}", "devices.list.file"),
    ("a device list with an unknown column", "devices: {list: {file: colour.csv}}", "devices.list.file"),
    ("a device list with a negative time", "devices: {list: {file: before.csv}}", "devices.list.file"),
    ("fewer devices than workers", "devices:\n  list: {file: one.csv}", "devices.list"),
    ("a list of stations of WiFi", "devices: {default: pi-zero-2w, list: {by: random, devices: [{rate: 1mbit}]}}", "devices.list"),
    ("a device of two speeds", "devices: {list: {by: random, devices: [{gflops: 1, compute_ms: 1}]}}", "devices.list.devices.0"),
    ("expectation without a target", "expect: {time_to_target_s_max: 5}", "expect.time_to_target_s_max"),
    ("duplicate key", "seed: 1\nseed: 2", "seed"),
    ("tab", "training:\n\trounds: 5", ""),
    ("unclosed bracket", "evaluation: {metrics: [accuracy", "evaluation.metrics"),
    ("second document", "seed: 1\n---\nseed: 2", ""),
    ("older config: unknown type", "num_server_rounds: 5\narch: flat\nparameter_server:\n  aggr_type: semi\n  num_workers: 4", "parameter_server.aggr_type"),
    ("older config: no workers", "num_server_rounds: 5\narch: hierarchical\nglobal_server:\n  aggr_type: sync\n  local_servers:\n    - {type: sync, num_workers: 0}", "global_server.local_servers.0.num_workers"),
    ("older config: unknown key", "num_server_rounds: 5\narch: flat\nbatchsize: 3", "batchsize"),
    ("older config: target in per cent", "num_server_rounds: 5\narch: flat\ntarget_accuracy: 90\nparameter_server: {type: sync, num_workers: 4}", "target_accuracy"),
];

/// Files that some of them name.
const FILES: &[(&str, &str)] = &[
    ("gap.csv", "time_s,rate_mbit\n0,10\n1,\n2,5\n"),
    ("order.csv", "time_s,rate_mbit\n0,10\n2,5\n1,5\n"),
    ("unit.csv", "time_s,rate_furlong\n0,10\n"),
    ("square.csv", "rtt_ms,a,b\na,0,1\nb,1,0\nc,1,2\n"),
    ("below.csv", "rtt_ms,a,b\na,0,1\nb,-1,0\n"),
    ("hole.csv", "rtt_ms,a,b\na,0,\nb,1,0\n"),
    ("way.csv", "0,1\n1,0\n"),
    ("two.csv", "rtt_ms,paris,rome\nparis,0,30\nrome,30,0\n"),
    ("king.csv", "a b rtt_us\na b 4000\nb c 5000\n"),
    (
        "unknown.xml",
        "<platform version='4.1'>\n<zone id='z' routing='Full'>\n<router id='r'/>\n</zone>\n</platform>\n",
    ),
    (
        "attribute.xml",
        "<platform version='4.1'>\n<zone id='z' routing='Full'>\n<host id='a' speed='1Gf' state_file='x'/>\n</zone>\n</platform>\n",
    ),
    (
        "small.xml",
        "<platform version='4.1'>\n<cluster id='c' prefix='n' suffix='' radical='0-1' speed='1Gf' bw='1MBps' lat='1ms'/>\n</platform>\n",
    ),
    (
        "apart.xml",
        "<platform version='4.1'>\n<zone id='z' routing='Full'>\n<host id='a' speed='1Gf'/><host id='b' speed='1Gf'/>\n<host id='c' speed='1Gf'/>\n</zone>\n</platform>\n",
    ),
    ("colour.csv", "device_id,colour\na,red\n"),
    ("before.csv", "device_id,compute_ms\na,-1\n"),
    ("one.csv", "device_id,compute_ms,bandwidth_kbps\na,50,5000\n"),
    ("negative.csv", "time_s,rate_mbit\n0,-10\n"),
];

fn text(name: &str, rest: &str) -> String {
    if name.starts_with("older config") {
        return rest.to_owned();
    }
    let sets = |line: &str| rest.lines().any(|l| l.split(':').next() == line.split(':').next());
    let base: Vec<&str> = BASE.iter().copied().filter(|line| !sets(line)).collect();
    format!("{}\n{rest}\n", base.join("\n"))
}

fn mistake(path: &Path, sets: &[String]) -> UserError {
    let registry = Registry::default();
    let plan_and_learner = || {
        let written = load(path, sets)?;
        let plan = resolve(&written, &registry)?;
        written.learner(&plan, &registry)
    };
    match plan_and_learner() {
        Ok(_) => panic!("accepted: {}", std::fs::read_to_string(path).unwrap()),
        Err(error) => error,
    }
}

#[test]
fn each_mistake_has_its_message() {
    let folder = tempfile::tempdir().unwrap();
    let damaged = folder.path().join("damaged");
    std::fs::create_dir(&damaged).unwrap();
    for name in ["train-images", "t10k-images"] {
        std::fs::write(damaged.join(format!("{name}-idx3-ubyte")), [0, 0, 8, 3, 0, 0, 0, 9, 0, 0]).unwrap();
    }
    for name in ["train-labels", "t10k-labels"] {
        std::fs::write(damaged.join(format!("{name}-idx1-ubyte")), [0, 0, 8, 1, 0, 0, 0, 9, 1, 2]).unwrap();
    }
    for (name, text) in FILES {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let file = folder.path().join("x.yml");
    let mut page = String::new();
    let mut wrong = Vec::new();
    for (name, rest, path) in MISTAKES {
        std::fs::write(&file, text(name, rest)).unwrap();
        let error = mistake(&file, &[]);
        assert_eq!(error.exit_code(), EXIT_USER, "{name}");
        let message = error.to_string();
        for (ok, rule) in [
            (error.line.is_some(), "names the line"),
            (error.path == *path, "names the path"),
            (!error.allowed.is_empty() || !error.next_step.is_empty(), "shows a way out"),
            (!message.ends_with('.'), "has no full stop"),
        ] {
            if !ok {
                wrong.push(format!("{name}: not: {rule}: {message} (path {path})"));
            }
        }
        let shown = message.replace(&format!("{}/", folder.path().display()), "");
        page += &format!("# {name}\n{shown}\n\n");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!("mistakes", page);
    });
}

/// Places other than a line of the scenario.
#[test]
fn mistakes_elsewhere_name_their_place() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.yml");
    std::fs::write(&file, BASE.join("\n")).unwrap();
    let shown = |error: UserError| error.to_string().replace(&format!("{}/", folder.path().display()), "");
    let mut page = String::new();
    for set in ["training.rouns=5", "tiers.global.policy=asynk", "rounds", "training.rounds.x=1", "seed=[1"] {
        page += &format!("{}\n\n", shown(mistake(&file, &[set.to_owned()])));
    }
    std::fs::write(folder.path().join("t.yml"), "name: flat\nworkers: 0\n").unwrap();
    page += &format!("{}\n\n", shown(mistake(&file, &["topology=t.yml".to_owned()])));
    page += &format!("{}\n\n", shown(mistake(&folder.path().join("t.yml"), &[])));
    page += &format!("{}\n\n", shown(mistake(&folder.path().join("nothing.yml"), &[])));
    std::fs::write(&file, "model: softmax").unwrap();
    page += &format!("{}\n", shown(mistake(&file, &[])));
    insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!("mistakes_elsewhere", page);
    });
}

/// The texts of all scenarios, to be damaged.
fn texts() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut texts = Vec::new();
    for folder in ["scenarios", "scenarios/hcddl"] {
        let mut files: Vec<_> =
            std::fs::read_dir(root.join(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        let yaml = files.iter().filter(|path| path.extension().is_some_and(|ending| ending == "yml"));
        texts.extend(yaml.map(|path| std::fs::read_to_string(path).unwrap()));
    }
    texts
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(400))]

    /// Whatever is damaged in a scenario, the answer is a plan or an error with its place, never a panic.
    #[test]
    fn damaged_scenarios_never_panic(
        which in 0usize..1000, at in 0.0f64..1.0, cut in 0usize..12, put in "[ -~\n]{0,6}",
    ) {
        let texts = texts();
        let mut chars: Vec<char> = texts[which % texts.len()].chars().collect();
        let start = (at * chars.len() as f64) as usize;
        let end = (start + cut).min(chars.len());
        chars.splice(start..end, put.chars());
        let text: String = chars.into_iter().collect();
        if let Ok(written) = hcddl::scenario::parse("x.yml", &text, &[]) {
            let _ = resolve(&written, &Registry::default());
        }
    }
}
