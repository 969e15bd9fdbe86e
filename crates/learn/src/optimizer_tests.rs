use super::{Buffers, LocalRule, Site, StepLoss, run};
use crate::kernels::Isa;
use crate::optimizer::*;
use hcddl_core::domain::Params;
use hcddl_core::domain::digest::of_values;
use hcddl_core::domain::work::{Train, UpdateKind};
use hcddl_core::domain::{Choice, OptionError};
use serde_json::{Map, Value, json};
use std::sync::Arc;

fn built(name: &str, options: Value) -> Result<Arc<dyn LocalOptimizer>, OptionError> {
    let options = options.as_object().cloned().unwrap_or_default();
    (table().get(name).unwrap().build)(&Choice { name: name.to_owned(), options, positional: vec![] })
}

fn rule(name: &str, options: Value, clip_norm: Option<f64>) -> LocalRule {
    let optimizer = built(name, options).unwrap();
    LocalRule { optimizer, clip_norm, ..LocalRule::sgd(1.0) }
}

/// Parameters after a job whose batches have these gradients.
fn after(isa: Isa, rule: &LocalRule, x0: &[f32], gradients: &[Vec<f32>]) -> Vec<f32> {
    let model = Params::new(x0.to_vec());
    let steps = gradients.len() as u64;
    let job = Train { model, opt: None, cursor: 0, steps, output: UpdateKind::Model, lr_scale: 1.0 };
    let site = Site { isa, params_len: x0.len(), statistics: &[], epoch: 1 };
    let trained = run(site, &job, rule, &mut Buffers::default(), &|| true, |_, cursor, out| {
        out.copy_from_slice(&gradients[cursor as usize]);
        Ok(StepLoss { loss: 1.0, samples: 1 })
    });
    trained.unwrap().tensor.into_values().unwrap()
}

fn numbers(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32).collect()
}

/// PyTorch's parameters after each step (tests/goldens/make.py).
#[test]
fn goldens_of_pytorch() {
    let file = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/goldens/ops.json"));
    let goldens: Value = serde_json::from_str(&file.unwrap()).unwrap();
    let entries = goldens["optimizers"].as_array().unwrap();
    let mut seen = std::collections::BTreeSet::new();
    for entry in entries {
        let name = entry["optimizer"].as_str().unwrap();
        seen.insert(name);
        let mut options: Map<String, Value> = entry["options"].as_object().unwrap().clone();
        let clip_norm = options.shift_remove("clip_norm").and_then(|norm| norm.as_f64());
        let rule = rule(name, Value::Object(options), clip_norm);
        let gradients: Vec<Vec<f32>> = entry["gradients"].as_array().unwrap().iter().map(numbers).collect();
        for (i, expected) in entry["x"].as_array().unwrap().iter().enumerate() {
            let x = after(Isa::best(), &rule, &numbers(&entry["x0"]), &gradients[..=i]);
            for (x, expected) in x.iter().zip(numbers(expected)) {
                assert!(
                    (x - expected).abs() <= 1e-6 * expected.abs().max(1.0),
                    "{}, step {i}: {x}, expected {expected}",
                    entry["name"]
                );
            }
        }
    }
    assert_eq!((seen.len(), entries.len()), (3, 13));
}

#[test]
fn every_instruction_set_gives_the_same_bits() {
    let gradients: Vec<Vec<f32>> = (0..4)
        .map(|step| (0..37).map(|i| ((i * 7 + step * 13) % 29) as f32 * 0.37 - 4.1).collect())
        .collect();
    let x0: Vec<f32> = (0..37).map(|i| i as f32 * 0.11 - 2.0).collect();
    for (name, options) in [
        ("sgd", json!({"weight_decay": 0.1})),
        ("sgd", json!({"momentum": 0.9, "nesterov": true})),
        ("adam", json!({"weight_decay": 0.1})),
        ("adamw", json!({})),
    ] {
        let rule = LocalRule { proximal: 0.3, ..rule(name, options, Some(3.0)) };
        let digest = |isa: &Isa| of_values(&after(*isa, &rule, &x0, &gradients));
        let digests: Vec<_> = Isa::available().iter().map(digest).collect();
        assert!(digests.windows(2).all(|pair| pair[0] == pair[1]), "{name}: {digests:?}");
    }
}

/// The first step of Adam has the size of the learning rate whatever the gradient; AdamW's decay is not part of it.
#[test]
fn adamw_decays_apart_from_the_gradient() {
    let step = |name: &str, gradient: f32| {
        let rule = rule(name, json!({"lr": 0.01, "weight_decay": 0.5}), None);
        after(Isa::best(), &rule, &[2.0], &[vec![gradient]])[0]
    };
    for gradient in [1e-3, 1.0, 1e3] {
        assert!((step("adam", gradient) - 1.99).abs() < 1e-6);
        assert!((step("adamw", gradient) - (2.0 * 0.995 - 0.01)).abs() < 1e-6);
    }
}

#[test]
fn every_row_builds_and_refuses_what_it_does_not_know() {
    for row in table().rows() {
        let example: Value = hcddl_core::yaml::parse(row.example).unwrap().value;
        let choice = Choice::from_value(&example).unwrap();
        let optimizer = (row.build)(&choice).unwrap();
        assert_eq!(optimizer.name(), row.name);
        let defaults = built(row.name, json!({})).unwrap();
        assert_eq!(format!("{optimizer:?}"), format!("{defaults:?}"), "the example shows the defaults");
        for (key, value) in [("lr", 0.0), ("weight_decay", -1.0)] {
            assert_eq!(built(row.name, json!({ key: value })).unwrap_err().key, key, "{}", row.name);
        }
    }
    for (name, key, value) in
        [("sgd", "momentum", 1.0), ("adam", "beta1", 1.0), ("adam", "epsilon", 0.0), ("adamw", "beta2", -0.1)]
    {
        assert_eq!(built(name, json!({ key: value })).unwrap_err().key, key, "{name}");
    }
    let foreign = built("adam", json!({"momentum": 0.9})).unwrap_err();
    assert!(foreign.to_string().contains("unknown field `momentum`"), "{foreign}");
}
