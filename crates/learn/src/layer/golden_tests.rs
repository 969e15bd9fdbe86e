//! Every layer and loss against PyTorch in f64: `tests/goldens` (its README says what lies there and how it was
//! made).

use super::harness::run;
use super::*;
use crate::batch::{IGNORE, Targets};
use crate::loss::Loss;
use serde_json::Value;

/// Largest difference, in parts of the largest value of the tensor.
const TOLERANCE: f64 = 1e-5;

fn goldens(part: &str) -> Vec<Value> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/goldens/ops.json");
    let all: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    all[part].as_array().unwrap().clone()
}

fn exact(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

fn numbers(value: &Value) -> Vec<f32> {
    exact(value).into_iter().map(|v| v as f32).collect()
}

fn number(value: &Value) -> usize {
    value.as_u64().unwrap() as usize
}

fn close(got: &[f32], want: &Value) -> Result<(), String> {
    let want = exact(want);
    if got.len() != want.len() {
        return Err(format!("{} values instead of {}", got.len(), want.len()));
    }
    let largest = want.iter().fold(0f64, |m, v| m.max(v.abs()));
    let worst = got.iter().zip(&want).map(|(g, w)| (f64::from(*g) - w).abs()).fold(0.0, f64::max);
    // NaN is not close.
    if worst <= TOLERANCE * largest && got.iter().all(|g| g.is_finite()) {
        return Ok(());
    }
    Err(format!("{worst} of {largest}: {got:?} instead of {want:?}"))
}

/// The layer of an entry.
fn layer(entry: &Value) -> Option<Box<dyn Layer>> {
    let option = |key: &str| number(&entry["options"][key]);
    let shape: Vec<usize> = entry["input"]["shape"].as_array().unwrap().iter().map(number).collect();
    let len = shape.iter().product();
    let image = || (shape[0], shape[1], shape[2]);
    let (channels, pixels) = (shape[0], len / shape[0]);
    let (hidden, layers, dropout) = (|| option("hidden"), || option("layers"), 0.0);
    let activation = Activation::Identity;
    let pool = || {
        let plain = PoolShape::new(image(), option("size"));
        PoolShape { stride: option("stride"), padding: option("padding"), ..plain }
    };
    let activate = |activation| Box::new(Activate { len, activation }) as Box<dyn Layer>;
    Some(match entry["op"].as_str().unwrap() {
        "conv2d" => Box::new(Conv2d {
            stride: option("stride"),
            padding: option("padding"),
            groups: option("groups"),
            bias: entry["options"]["bias"].as_bool().unwrap(),
            ..Conv2d::new(image(), option("filters"), option("kernel"))
        }),
        "linear" => Box::new(Linear { inputs: len, outputs: option("outputs"), activation }),
        "max_pool" => Box::new(MaxPool2d(pool())),
        "avg_pool" => Box::new(AvgPool2d(pool())),
        "global_avg_pool" => Box::new(GlobalAvgPool { channels, pixels }),
        "relu" => activate(Activation::Relu),
        "tanh" => activate(Activation::Tanh),
        "sigmoid" => activate(Activation::Sigmoid),
        "sine" => {
            Box::new(Sine { len, scale: numbers(&Value::from(vec![entry["options"]["scale"].clone()]))[0] })
        }
        "log_softmax" => Box::new(LogSoftmax { len }),
        "group_norm" => Box::new(GroupNorm { channels, pixels, groups: option("groups"), activation }),
        "batch_norm" => {
            Box::new(BatchNorm { channels, pixels, statistics: Statistics::Aggregated, activation })
        }
        "layer_norm" => Box::new(LayerNorm { len }),
        "embedding" => Box::new(Embedding {
            vocabulary: option("vocabulary"),
            width: option("width"),
            padding: entry["options"]["padding"].as_u64().map(|p| p as usize),
        }),
        "gru" => Box::new(Gru { inputs: len, hidden: hidden(), layers: layers(), dropout }),
        "lstm" => Box::new(Lstm { inputs: len, hidden: hidden(), layers: layers(), dropout }),
        _ => return None,
    })
}

/// The values of a list of tensors by name.
fn tensor<'a>(list: &'a Value, name: &str) -> Option<&'a Value> {
    Some(&list.as_array()?.iter().find(|t| t["name"] == name)?["values"])
}

/// The parameters of an entry in the order of the layer; a linear layer without a bias is one with a bias of 0.
fn params(layer: &dyn Layer, entry: &Value) -> Vec<f32> {
    let no_bias = entry["op"] == "linear" && entry["options"]["bias"] == false;
    let values = |t: Tensor| {
        let found = tensor(&entry["params"], &t.name).or_else(|| tensor(&entry["buffers"], &t.name));
        match found {
            Some(values) => numbers(values),
            None if no_bias && t.name == "bias" => vec![0.0; t.len()],
            None => panic!("there is no golden {}", t.name),
        }
    };
    layer.tensors().into_iter().flat_map(values).collect()
}

fn check_layer(entry: &Value) -> Result<(), String> {
    let layer = layer(entry).ok_or("no layer does this operation")?;
    let params = params(layer.as_ref(), entry);
    let (x, dy) = (numbers(&entry["x"]), numbers(&entry["dy"]));
    let training = entry["options"]["training"].as_bool().unwrap_or(true).then_some(1);
    let (batch, steps) = (number(&entry["input"]["batch"]), number(&entry["input"]["steps"]));
    let on = |isa: &Isa| {
        let pass = Pass { isa: *isa, batch, steps, threads: 1, training };
        run(layer.as_ref(), pass, &params, &x, &dy, (f32::NAN, true))
    };
    let outcome = on(&Isa::best());
    for isa in Isa::available() {
        if on(isa).bits() != outcome.bits() {
            return Err(format!("other bits on {}", isa.name()));
        }
    }
    close(&outcome.y, &entry["y"]).map_err(|e| format!("y: {e}"))?;
    if entry["op"] != "embedding" {
        close(&outcome.dx, &entry["dx"]).map_err(|e| format!("dx: {e}"))?;
    }
    let (mut offset, mut compared) = (0, 0);
    for t in layer.tensors() {
        let got = &outcome.gradient[offset..offset + t.len()];
        if let Some(want) = tensor(&entry["dparams"], &t.name) {
            close(got, want).map_err(|e| format!("gradient of {}: {e}", t.name))?;
            compared += 1;
        } else if let Role::Statistic { momentum, .. } = t.role {
            let before = &params[offset..offset + t.len()];
            let after: Vec<f32> =
                before.iter().zip(got).map(|(b, s)| (1.0 - momentum) * b + momentum * s).collect();
            let want = tensor(&entry["buffers_after"], &t.name).ok_or("no statistic afterwards")?;
            close(&after, want).map_err(|e| format!("{}: {e}", t.name))?;
        }
        offset += t.len();
    }
    let golden = entry["dparams"].as_array().unwrap().len();
    if compared == golden { Ok(()) } else { Err(format!("{compared} of {golden} gradients compared")) }
}

#[test]
fn every_layer_agrees_with_pytorch_on_every_instruction_set() {
    let entries = goldens("ops");
    assert_eq!(entries.len(), 37, "entries were added or taken away");
    let failures: Vec<_> =
        entries.iter().filter_map(|e| Some(format!("{}: {}", e["name"], check_layer(e).err()?))).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn every_loss_agrees_with_pytorch_on_every_instruction_set() {
    let entries = goldens("losses");
    assert_eq!(entries.len(), 9, "entries were added or taken away");
    for entry in entries {
        let name = &entry["name"];
        let loss: Loss = serde_json::from_value(entry["loss"].clone()).unwrap();
        let targets = if loss.wants_classes() {
            let ignored = entry["ignore"].as_u64();
            let class = |v: &Value| if v.as_u64() == ignored { IGNORE } else { number(v) as u32 };
            Targets::Classes(entry["targets"].as_array().unwrap().iter().map(class).collect())
        } else {
            Targets::Values(numbers(&entry["targets"]))
        };
        let outputs = numbers(&entry["outputs"]);
        let mut first = None;
        for isa in Isa::available() {
            let mut gradient = vec![f32::NAN; outputs.len()];
            let value = loss.apply(*isa, &outputs, &targets, number(&entry["width"]), &mut gradient).mean();
            let want = entry["value"].as_f64().unwrap();
            assert!((value - want).abs() <= TOLERANCE * want.abs(), "{name}: {value} instead of {want}");
            close(&gradient, &entry["gradient"]).unwrap_or_else(|e| panic!("{name}: gradient: {e}"));
            let bits: Vec<_> = gradient.iter().map(|g| g.to_bits()).collect();
            let first = first.get_or_insert((value, bits.clone()));
            assert_eq!(*first, (value, bits), "{name}: other bits on {}", isa.name());
        }
    }
}

#[test]
fn wrong_values_and_unknown_operations_are_seen() {
    let want = Value::from(vec![1.0, -2.0]);
    assert!(close(&[1.0, -2.000_01], &want).is_ok());
    for wrong in [&[1.0, -2.0001][..], &[f32::NAN, -2.0], &[1.0]] {
        assert!(close(wrong, &want).is_err(), "{wrong:?}");
    }
    let entry = serde_json::json!({"op": "gelu", "input": {"shape": [3]}});
    assert_eq!(check_layer(&entry).unwrap_err(), "no layer does this operation");
    for entry in goldens("ops") {
        let mut wrong = entry.clone();
        let largest = exact(&entry["y"]).iter().fold(0f64, |m, v| m.max(v.abs()));
        wrong["y"][0] = Value::from(entry["y"][0].as_f64().unwrap() + 1e-3 * largest);
        assert!(check_layer(&wrong).is_err(), "{}", entry["name"]);
    }
}
