use super::*;
use serde_json::{Value, json};

fn built(name: &str, options: Value) -> Result<Arc<dyn Schedule>, OptionError> {
    let options = options.as_object().cloned().unwrap_or_default();
    (table().get(name).unwrap().build)(&Choice { name: name.to_owned(), options, positional: vec![] }, &())
}

/// PyTorch's and numpy's learning rates of each step (tests/goldens/make.py).
#[test]
fn goldens_of_pytorch() {
    let file = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/goldens/ops.json"));
    let goldens: Value = serde_json::from_str(&file.unwrap()).unwrap();
    let entries = goldens["schedules"].as_array().unwrap();
    let mut seen = std::collections::BTreeSet::new();
    for entry in entries {
        let name = entry["schedule"].as_str().unwrap();
        seen.insert(name);
        let option = |key: &str| entry["options"][key].as_f64().unwrap_or_default();
        let lr = option("lr");
        let schedule = match name {
            "step" => built(name, json!({"every": option("every") as u64, "factor": option("factor")})),
            _ => built(name, json!({"over": option("steps") as u64, "to": option("finish") / lr})),
        };
        let schedule = schedule.unwrap();
        let values = entry["values"].as_array().unwrap();
        for (i, expected) in values.iter().enumerate() {
            let (value, expected) = (lr * schedule.factor(i as u64, 1), expected.as_f64().unwrap());
            assert!((value - expected).abs() <= 1e-7 * lr, "{entry}, step {i}: {value}");
        }
        if name != "step" {
            let after = lr * schedule.factor(1_000_000, 1);
            assert!((after - option("finish")).abs() < 1e-12, "{entry} stays at its end: {after}");
        }
    }
    assert_eq!((seen.len(), entries.len()), (4, 7));
}

#[test]
fn epochs_are_those_of_the_node() {
    for name in ["linear", "cosine", "log"] {
        let epochs = built(name, json!({"epochs": 3, "to": 0.1})).unwrap();
        let steps = built(name, json!({"over": 12, "to": 0.1})).unwrap();
        for position in 0..20 {
            assert_eq!(epochs.factor(position, 4), steps.factor(position, 99), "{name}");
        }
    }
    let stairs = built("step", json!({"epochs": 2, "factor": 0.5})).unwrap();
    assert_eq!([0, 7, 8, 16].map(|p| stairs.factor(p, 4)), [1.0, 1.0, 0.5, 0.25]);
}

#[test]
fn every_row_builds_and_refuses_what_makes_no_sense() {
    for row in table().rows() {
        let example = hcddl_core::yaml::parse(row.example).unwrap().value;
        let schedule = (row.build)(&Choice::from_value(&example).unwrap(), &()).unwrap();
        assert_eq!((schedule.name(), schedule.factor(0, 5)), (row.name, 1.0));
    }
    for (name, options, key) in [
        ("constant", json!({"to": 0}), "to"),
        ("cosine", json!({}), "over"),
        ("cosine", json!({"over": 3, "epochs": 3}), "epochs"),
        ("linear", json!({"over": 0}), "over"),
        ("linear", json!({"over": 3, "to": -1.0}), "to"),
        ("log", json!({"epochs": 3}), ""),
        ("step", json!({"factor": 0.1}), "every"),
        ("step", json!({"every": 3, "factor": 0.0}), "factor"),
    ] {
        assert_eq!(built(name, options).unwrap_err().key, key, "{name}");
    }
    assert_eq!(
        built("linear", json!({"over": 1, "to": 0.5})).unwrap().factor(0, 1),
        0.5,
        "one point is the end"
    );
}
