//! The schema says what is accepted, no more and no less: options of every row of every table, and every scenario here.

use super::check::check;
use super::*;
use hcddl_core::domain::{AnyTable, Choice, OptionError, Row, Table, option_names, pick};
use hcddl_core::yaml;
use hcddl_learn::augment::ImageShape;
use hcddl_learn::data::DataContext;
use hcddl_learn::model::{DataShape, NetworkBuilder};
use hcddl_learn::split::{DATA_OPTIONS, PARTITION_OPTIONS, data_set};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Every table that a scenario can name rows of, but metrics, which have no options.
fn tables() -> Vec<Table<()>> {
    let mut all = Registry::default().outlines();
    all.retain(|table| table.list != "metrics");
    all
}

/// Calls a row's builder, which may well fail later: there are no files.
fn build(list: &str, choice: &Choice) -> Result<(), OptionError> {
    let all = Registry::default();
    let shape = DataShape::images(1, 32, 32, 10);
    macro_rules! by {
        ($table:expr $(, $more:expr)*) => {
            $table.resolve(choice).and_then(|(row, choice)| (row.build)(&choice, &all $(, $more)*).map(drop))
        };
    }
    match list {
        "topologies" => by!(all.topologies),
        "models" => by!(all.learn.models, &shape),
        "layers" => by!(all.learn.layers, NetworkBuilder::new(&shape)),
        "inits" => by!(all.learn.inits),
        "data" => by!(all.learn.data, &DataContext::default()),
        "augmentations" => by!(all.learn.augment, ImageShape { channels: 1, height: 32, width: 32 }),
        "partitions" => by!(all.learn.partitions),
        "policies" => by!(all.policies),
        "folds" => by!(all.folds),
        "optimizers" => by!(all.optimizers),
        "local-optimizers" => by!(all.local_optimizers),
        "schedules" => by!(all.schedules),
        "peers" => by!(all.peers),
        "codecs" => by!(all.codecs),
        "links" => by!(all.link_profiles),
        "latencies" => by!(all.latencies),
        "devices" => by!(all.devices),
        "heterogeneity" => by!(all.heterogeneity),
        "bandwidths" => by!(all.bandwidths),
        "availabilities" => by!(all.availabilities),
        "losses" => by!(all.losses),
        "contentions" => by!(all.contentions),
        "pushes" => by!(all.pushes),
        other => panic!("a table that this test does not know: {other}"),
    }
}

/// The options that an error allows in place of one that it does not know.
fn allowed(error: &OptionError) -> Option<Vec<String>> {
    let rest = error.message.strip_prefix("unknown field `")?;
    let mut names: Vec<String> = rest.split('`').skip(2).step_by(2).map(str::to_owned).collect();
    names.sort();
    Some(names)
}

fn with(row: &Row<()>, key: &str, value: Value) -> Choice {
    Choice { options: Map::from_iter([(key.to_owned(), value)]), ..Choice::named(row.name) }
}

fn example(row: &Row<()>) -> Value {
    yaml::parse(row.example).unwrap().value
}

#[test]
fn rows_accept_the_options_of_the_schema_and_no_others() {
    for table in tables() {
        for row in table.rows() {
            let what = format!("{} {}", table.list, row.name);
            let mut names = option_names(row.options);
            for name in &names {
                let value = example(row).get(name).cloned().unwrap_or_default();
                let refused = build(table.list, &with(row, name, value)).err();
                assert!(refused.as_ref().and_then(allowed).is_none(), "{what}: {name}: {refused:?}");
            }
            let error = build(table.list, &with(row, "colour", "red".into())).unwrap_err();
            names.sort();
            assert_eq!(allowed(&error), Some(names.clone()), "{what}: {error}");
            assert!(row.positional.iter().all(|key| names.contains(&(*key).to_owned())), "{what}");
        }
    }
}

/// Those that all data sets and all partitioners have, too.
#[test]
fn common_options_are_those_of_the_schema() {
    let registry = Registry::default();
    for (table, shown) in [
        (registry.learn.data.outline(), DATA_OPTIONS),
        (registry.learn.partitions.outline(), PARTITION_OPTIONS),
    ] {
        let shown = yaml::parse(shown).unwrap().value;
        let names: Vec<&String> = shown.as_object().into_iter().flat_map(Map::keys).collect();
        assert_eq!(option_names(table.common.unwrap()).iter().collect::<Vec<_>>(), names, "{}", table.list);
    }
    for row in registry.learn.data.outline().rows() {
        let refused = data_set(&with(row, "colour", "red".into()), &DataContext::default(), &registry);
        let mut names = option_names(row.options);
        names.extend(option_names(registry.learn.data.common.unwrap()));
        names.sort();
        assert_eq!(allowed(&refused.err().unwrap()), Some(names), "{}", row.name);
    }
}

#[test]
fn every_example_is_valid_in_each_form() {
    let schema = schema(&Registry::default());
    for table in tables() {
        let choice = &schema["$defs"][pick::definition(table.list)];
        for row in table.rows() {
            let (example, what) = (example(row), format!("{} {}", table.list, row.name));
            check(&schema, choice, &example, &what).unwrap();
            let mut wrong = example.clone();
            wrong["colour"] = "red".into();
            assert!(check(&schema, choice, &wrong, &what).is_err(), "{what}");
            // A name alone is valid where the row needs no options.
            let alone = build(table.list, &Choice::named(row.name));
            let missing = alone.is_err_and(|error| error.message.starts_with("missing field"));
            assert_eq!(check(&schema, choice, &json!(row.name), &what).is_err(), missing, "{what}");
            if !row.positional.is_empty() {
                check(&schema, choice, &json!(format!("{}(a, b(c))", row.name)), &what).unwrap();
            }
        }
        assert!(check(&schema, choice, &json!("nothing"), table.list).is_err(), "{}", table.list);
    }
}

#[test]
fn every_option_is_described_and_has_the_default_of_the_example() {
    let schema = schema(&Registry::default());
    let mut wrong = Vec::new();
    for table in tables() {
        let forms = schema["$defs"][pick::definition(table.list)]["anyOf"].as_array().unwrap();
        for row in table.rows() {
            let map = forms.iter().find(|form| form["properties"]["name"]["const"] == row.name).unwrap();
            for (key, option) in
                map["properties"].as_object().unwrap().iter().filter(|(key, _)| *key != "name")
            {
                let what = format!("{} {} {key}: {option}", table.list, row.name);
                let about = if option["anyOf"].is_array() && option["description"].is_null() {
                    &option["anyOf"][0]["description"]
                } else {
                    &option["description"]
                };
                if !about.as_str().is_some_and(|text| text.len() > 5 && !text.contains('\n')) {
                    wrong.push(format!("{what}: no description"));
                }
                let shown = example(row).get(key).cloned().unwrap_or_default();
                let default = option["default"].clone();
                let equal = default == shown || default.as_f64().is_some_and(|d| Some(d) == shown.as_f64());
                // Where nothing is the default an example says more.
                let nothing = default.is_null() || default == json!([]) || default == "";
                if !(nothing || shown.is_null() || equal) {
                    wrong.push(format!("{what}: {shown} in the example"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn scenarios(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.extension().and_then(|ending| ending.to_str()) {
            _ if path.is_dir() => scenarios(&path, found),
            Some("yml") => found.push(path),
            _ => {}
        }
    }
}

#[test]
fn every_scenario_here_is_valid() {
    let schema = schema(&Registry::default());
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut found = Vec::new();
    scenarios(&root.join("scenarios"), &mut found);
    scenarios(&root.join("bench/scenarios"), &mut found);
    let mut valid = 0;
    for path in found {
        let value = yaml::parse(&std::fs::read_to_string(&path).unwrap()).unwrap().value;
        // Studies and the older `config.yml` have other keys.
        if value.get("topology").is_some() {
            check(&schema, &schema, &value, &path.display().to_string()).unwrap();
            valid += 1;
        }
    }
    assert!(valid > 20, "{valid}");
}

/// What a scenario writes in a place of which the schema knows the table.
#[test]
fn every_place_that_names_a_row_knows_its_rows() {
    let schema = schema(&Registry::default());
    let base = "topology: flat(2)\nmodel: softmax\n";
    let valid = |more: &str| {
        let value = yaml::parse(&format!("{base}{more}")).unwrap().value;
        check(&schema, &schema, &value, "x.yml")
    };
    for right in [
        "tiers: {global: {policy: ssp(3), fold: sum, optimizer: {name: adam, lr: 0.1}, compression: {up: fp16}}}",
        "tiers: {local: {uplink: {push: every(3)}}}",
        "training: {optimizer: {lr: 0.1}, schedule: 'step(10)'}",
        "network: {contention: fair_share(0.3), lan: {profile: wifi5, latency: 20ms}}",
        "network: {lan: {latency: {name: mixture, of: [1ms, 'pareto(1ms, 2)', {name: jittered, base: 1ms, spike: 9ms}]}}}",
        "devices: {default: {name: pi-4b, nic: wifi4, step_time: 'gamma(2ms, 3)'}, heterogeneity: 'some(0.1, 5)'}",
        "injections: [{where: all, add: {name: trace, csv: x.csv}}, {where: all, replace: 3ms}]",
        "peers: {algorithm: {name: ring_all_reduce, optimizer: sgd(0.1)}}\nevaluation: {metrics: [accuracy]}",
        "data: {name: digits, augment: [flip, 'crop(2)'], validation: 0.1}\npartition: {name: iid, test_share: 0.1}",
    ] {
        valid(right).unwrap_or_else(|error| panic!("{right}: {error}"));
    }
    for wrong in [
        "tiers: {global: {policy: fedbuf}}",
        "tiers: {global: {policy: {name: fedbuff, kk: 3}}}",
        "tiers: {global: {fold: adam}}",
        "tiers: {local: {uplink: {push: sometimes}}}",
        "training: {optimizer: {rate: 0.1}}",
        "network: {contention: fair}",
        "network: {lan: {latency: {name: mixture, of: [1ms, {name: jittered, bass: 1ms}]}}}",
        "devices: {default: {name: pi-4b, nic: wifi9}}",
        "injections: [{where: all, add: {name: trace, cvs: x.csv}}]",
        "peers: {algorithm: {name: ring_all_reduce, optimizer: {name: sgd, rl: 0.1}}}",
        "evaluation: {metrics: [acuracy]}",
        "data: {name: digits, augment: [filp]}",
    ] {
        assert!(valid(wrong).is_err(), "{wrong}");
    }
}
