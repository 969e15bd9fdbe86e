//! A crate of a user adds rows to every table; each must work wherever a scenario can name one.

use hcddl::domain::{Choice, NoOptions, Pick, Row, options};
use hcddl::learn::model::NetworkBuilder;
use hcddl::measure::metrics::Metric;
use hcddl::measure::outcome::{Silent, SimOptions};
use hcddl::net::Distribution;
use hcddl::registry::Registry;
use hcddl::simulate;
use hcddl::trace::{Availability, Bandwidth, Loss};

use std::collections::BTreeMap;
use std::fs;

/// The row `mine` of a table.
fn mine<B>(build: B) -> Row<B> {
    Row {
        name: "mine",
        summary: "of another crate",
        example: "mine",
        positional: &[],
        options: options::<NoOptions>,
        build,
    }
}

/// What a table has under a name, without options.
macro_rules! like {
    ($table:expr, $name:literal $(, $more:ident)*) => {
        |_, tables $(, $more)*| ($table.get($name)?.build)(&Choice::named($name), tables $(, $more)*)
    };
}

fn registry() -> Registry {
    let mut all = Registry::default();
    all.policies.add(mine(like!(hcddl::policy::table(), "async")));
    all.folds.add(mine(like!(hcddl::policy::fold::table(), "sum")));
    all.optimizers.add(mine(like!(hcddl::policy::optimizer::table(), "sgd")));
    all.local_optimizers.add(mine(like!(hcddl::learn::optimizer::table(), "sgd")));
    all.schedules.add(mine(like!(hcddl::learn::schedule::table(), "constant")));
    all.peers.add(mine(like!(hcddl::peer::table(), "ring_all_reduce")));
    all.codecs.add(mine(like!(hcddl::compress::table(), "fp16")));
    all.latencies.add(mine(|_, tables| Pick::<dyn Distribution>::text("2ms").build(tables)));
    all.link_profiles.add(mine(like!(hcddl::net::profile::table(), "lan-gige")));
    all.contentions.add(mine(like!(hcddl::net::contention::table(), "fifo")));
    all.pushes.add(mine(like!(hcddl::node::uplink::push_table(), "on_request")));
    all.devices.add(mine(|_, tables| {
        let mut choice = Choice::named("fixed");
        choice.options.insert("step_time".to_owned(), "mine".into());
        choice.options.insert("nic".to_owned(), "mine".into());
        (hcddl::device::table().get("fixed")?.build)(&choice, tables)
    }));
    all.heterogeneity.add(mine(like!(hcddl::device::slowdown::table(), "none")));
    all.bandwidths
        .add(mine(|_, tables| Pick::<dyn Bandwidth>::text("random_walk(1mbit, 9mbit)").build(tables)));
    all.availabilities
        .add(mine(|_, tables| Pick::<dyn Availability>::text("poisson(9s, 100ms)").build(tables)));
    all.losses.add(mine(|_, tables| Pick::<Loss>::from(serde_json::json!(0.01)).build(tables)));
    all.topologies.add(mine(|_, tables| {
        let mut choice = Choice::named("flat");
        choice.options.insert("workers".to_owned(), 2.into());
        (hcddl::topology::table().get("flat")?.build)(&choice, tables)
    }));
    all.metrics
        .add(mine(Metric::Computed(|view| BTreeMap::from([(String::new(), view.models.len() as f64)]))));
    let learn = &mut all.learn;
    learn.layers.add(mine(|_, tables, network: NetworkBuilder| {
        let mut choice = Choice::named("linear");
        choice.options.insert("outputs".to_owned(), 16.into());
        (hcddl::learn::model::layers::table().get("linear")?.build)(&choice, tables, network)
    }));
    learn.inits.add(mine(like!(hcddl::learn::model::init::table(), "he_normal")));
    learn.models.add(mine(like!(hcddl::learn::model::table(), "softmax", shape)));
    learn.data.add(mine(like!(hcddl::learn::data::table(), "digits", context)));
    learn.augment.add(mine(like!(hcddl::learn::augment::table(), "flip", shape)));
    learn.partitions.add(mine(like!(hcddl::learn::partition::table(), "iid")));
    all
}

const TREE: &str = "
topology: mine
model: {name: layers, layers: [mine, relu, {name: residual, layers: [{name: residual, layers: [mine]}]}, linear(classes)], init: mine}
data: {name: mine, augment: [mine]}
partition: mine
training: {rounds: 4, update: delta, optimizer: mine, schedule: mine}
tiers: {global: {policy: mine, fold: mine, optimizer: mine, update: delta, compression: {up: mine, down: mine}}}
network:
  contention: mine
  lan: {profile: mine, latency: 'jittered(1ms, mine)'}
  links: [{between: [global, worker1], latency: {name: mixture, of: [mine, 'jittered(1ms, mine)', 3ms]}}]
devices: {default: mine, heterogeneity: mine}
injections: [{where: all, add: mine}]
traces: [{where: worker2, rate: mine, available: mine}]
faults: {messages: [{loss: mine}]}
evaluation: {metrics: [accuracy, mine]}
";

const PUSHED: &str = "
topology: {name: tree, fanout: [2, 1]}
model: softmax
tiers: {local: {policy: async, uplink: {push: mine}}}
training: {rounds: 3}
";

const RING: &str = "
topology: ring(3)
model: {name: softmax, init: mine}
peers: {algorithm: {name: ring_all_reduce, optimizer: mine}}
training: {rounds: 3}
devices: {workers: {name: pi-4b, nic: mine, step_time: mine}}
";

const OWN: &str = "
topology: ring(3)
model: mine
peers: {algorithm: mine}
training: {rounds: 3}
";

#[test]
fn a_row_from_outside_works_wherever_it_can_be_named() {
    let folder = tempfile::tempdir().unwrap();
    let registry = registry();
    for (name, text, commits) in
        [("tree.yml", TREE, 4), ("ring.yml", RING, 3), ("own.yml", OWN, 3), ("pushed.yml", PUSHED, 3)]
    {
        let file = folder.path().join(name);
        fs::write(&file, text).unwrap();
        let options = SimOptions::default();
        let run = simulate(file.to_str().unwrap(), &[], &registry, &options, &mut Silent);
        let run = run.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(run.summary.commits, commits, "{name}");
        // Without the crate's tables it names what is missing.
        let error = simulate(file.to_str().unwrap(), &[], &Registry::default(), &options, &mut Silent);
        assert!(error.err().unwrap().to_string().contains("mine"), "{name}");
    }
}

/// Editors offer it as well, in each of its places.
#[test]
fn a_row_from_outside_is_in_the_schema() {
    let schema = hcddl::scenario::schema(&registry());
    for table in registry().outlines() {
        let names = &schema["$defs"][hcddl::domain::pick::name_definition(table.list)]["enum"];
        assert!(names.as_array().unwrap().iter().any(|name| name == "mine"), "{}", table.list);
        let forms = &schema["$defs"][hcddl::domain::pick::definition(table.list)]["anyOf"];
        let maps = forms.as_array().unwrap().iter();
        assert_eq!(maps.filter(|form| form["title"] == "mine").count(), 1, "{}", table.list);
    }
}

/// No table is left out of this test, nor of `hcddl list`.
#[test]
fn every_table_of_a_registry_can_be_listed() {
    let tables = registry().outlines();
    let without: Vec<&str> =
        tables.iter().filter(|table| table.get("mine").is_err()).map(|table| table.list).collect();
    assert_eq!(without, Vec::<&str>::new());
    assert_eq!(tables.len(), 24);
}

#[test]
fn a_row_of_the_same_name_takes_the_place_of_the_old_one() {
    let mut table = registry().codecs;
    let rows = table.rows().len();
    table.add(Row { summary: "newer", ..*table.get("mine").unwrap() });
    assert_eq!((table.rows().len(), table.get("mine").unwrap().summary), (rows, "newer"));
}
