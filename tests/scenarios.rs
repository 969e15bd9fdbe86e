//! Every file in scenarios/, topologies/ and bench/scenarios/ resolves.

use hcddl::plan::{LocalWork, Plan, Push, Role};
use hcddl::registry::Registry;
use hcddl::scenario::{load::load, resolve};
use std::path::{Path, PathBuf};

fn files(folder: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut found: Vec<PathBuf> = std::fs::read_dir(&root)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "yml"))
        .collect();
    found.sort();
    assert!(!found.is_empty(), "{folder}");
    found
}

fn plan(path: &Path, sets: &[&str]) -> Plan {
    let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
    let written = load(path, &sets).unwrap_or_else(|error| panic!("{error}"));
    resolve(&written, &Registry::default()).unwrap_or_else(|error| panic!("{error}"))
}

fn scenario(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios").join(name)
}

#[test]
fn every_scenario_resolves_without_a_warning() {
    let systems = ["hcddl", "pos_tagger", "dinno", "fedml", "hips"].map(|name| format!("scenarios/{name}"));
    for folder in systems.iter().map(String::as_str).chain(["scenarios", "bench/scenarios"]) {
        for path in files(folder) {
            let plan = plan(&path, &[]);
            assert!(!plan.nodes.is_empty());
            let older = path.ends_with("config.yml");
            assert!(older || plan.warnings.is_empty(), "{}: {:?}", path.display(), plan.warnings);
        }
    }
}

/// The learner is what reads data, so this is where too few samples would show.
#[test]
fn every_scenario_on_embedded_data_has_a_learner() {
    for folder in ["scenarios", "bench/scenarios"] {
        for path in files(folder) {
            let written = load(&path, &[]).unwrap();
            let plan = resolve(&written, &Registry::default()).unwrap();
            if let Err(error) = written.learner(&plan, &Registry::default()) {
                panic!("{error}");
            }
        }
    }
}

#[test]
fn every_topology_carries_a_scenario() {
    for path in files("topologies") {
        let set = format!("topology={}", path.display());
        let text = "model: softmax\ntopology: flat(1)\n";
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.yml");
        std::fs::write(&file, text).unwrap();
        let plan = plan(&file, &[&set]);
        assert!(plan.learning.shards > 0, "{}", path.display());
    }
}

/// A scenario of three lines is enough.
#[test]
fn a_short_scenario_has_sensible_defaults() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("short.yml");
    std::fs::write(&file, "topology: flat(4)\nmodel: softmax\ndata: digits\n").unwrap();
    let plan = plan(&file, &[]);
    assert_eq!((plan.name.as_str(), plan.stop.rounds, plan.seeds.data), ("short", Some(100), 1));
    assert_eq!((plan.tiers[0].policy.name.as_str(), plan.learning.local), ("sync", LocalWork::Steps(1)));
    assert_eq!((plan.hosts.len(), plan.hosts[0].device.name.as_str()), (5, "pi-4b"));
    assert!(plan.warnings.is_empty(), "{:?}", plan.warnings);
}

#[test]
fn the_older_configuration_means_what_its_scenario_says() {
    let older = plan(&scenario("hcddl/config.yml"), &[]);
    let ours = plan(&scenario("hcddl/2x2_sync_async.yml"), &["training.rounds=100"]);
    let names = |plan: &Plan| plan.nodes.iter().map(|node| node.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&older), names(&ours));
    assert_eq!(older.learning.shard_limit, ours.learning.shard_limit);
    assert_eq!((older.learning.batch, older.learning.shuffle), (32, false));
    assert_eq!((older.stop.rounds, older.stop.target_accuracy), (Some(100), Some(0.9)));
    let tier = |plan: &Plan, node: usize| match plan.nodes[node].role {
        Role::Server(tier) => plan.tiers[tier as usize].clone(),
        role => panic!("{role:?}"),
    };
    for node in [0, 1, 4] {
        let (old, new) = (tier(&older, node), tier(&ours, node));
        assert_eq!((&old.policy, &old.fold, old.update), (&new.policy, &new.fold, new.update));
        assert_eq!(old.uplink, new.uplink);
        let rates = |t: &hcddl::plan::TierPlan| {
            t.optimizer.as_ref().map(|o| (o.name.clone(), o.options["lr"].clone(), o.options["eps"].clone()))
        };
        assert_eq!(rates(&old), rates(&new));
    }
    assert_eq!(tier(&older, 1).uplink.unwrap().push, Push::OnRequest);
}

/// The same numbers, whatever is said about the rest: 131,072 workers in well under a second per stage.
#[test]
fn a_big_tree_resolves_fast() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("big.yml");
    std::fs::write(
        &file,
        "topology: {name: tree, fanout: [32, 64, 64]}\nmodel: softmax\ntiming_only: true\n\
         tiers: {global: {policy: fedavg}, local: {policy: fedavg}}\n",
    )
    .unwrap();
    let started = std::time::Instant::now();
    let plan = plan(&file, &[]);
    let seconds = started.elapsed().as_secs_f64();
    assert_eq!((plan.learning.shards, plan.tiers.len()), (131_072, 2));
    assert!(seconds < 10.0, "{seconds} s");
}
