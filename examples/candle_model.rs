//! A model of your own, written with candle: an MLP with GELU, which hcddl has no layer for. It is trained, averaged,
//! compressed and simulated like any other model.
//!
//! ```sh
//! cargo run --release --example candle_model                 # compares it with a built-in model
//! cargo run --release --example candle_model -- list models
//! cargo run --release --example candle_model -- sim scenarios/quickstart.yml --set 'model=gelu_mlp(64)'
//! ```

use hcddl::domain::{Choice, OptionError, Row, Tables, options};
use hcddl::learn::candle::CandleLayer;
use hcddl::learn::layer::{Role, Tensor};
use hcddl::learn::loss::Loss;
use hcddl::learn::model::{DataShape, Init, Network};
use hcddl::measure::outcome::{Silent, SimOptions};
use hcddl::{Registry, SimulateError};
use serde::Deserialize;
use std::process::ExitCode;

#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Options {
    /// Outputs of the hidden layer.
    hidden: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { hidden: 32 }
    }
}

/// The parameters in flat order with their first values' roles, and the forward pass; candle's autograd does the
/// rest.
fn build(choice: &Choice, _: &dyn Tables, shape: &DataShape) -> Result<Network, OptionError> {
    let Options { hidden } = choice.options()?;
    let (inputs, outputs) = (shape.row_len(), shape.output_len());
    let tensors = vec![
        Tensor::new("weight1", vec![inputs, hidden], Role::Weight).fans(inputs, hidden),
        Tensor::new("bias1", vec![hidden], Role::Bias).fans(inputs, hidden),
        Tensor::new("weight2", vec![hidden, outputs], Role::Weight).fans(hidden, outputs),
        Tensor::new("bias2", vec![outputs], Role::Bias).fans(hidden, outputs),
    ];
    let layer = CandleLayer::new("gelu_mlp", vec![inputs], tensors, |params, x| {
        let hidden = x.matmul(&params[0])?.broadcast_add(&params[1])?.gelu()?;
        hidden.matmul(&params[2])?.broadcast_add(&params[3])
    })?;
    Ok(Network::new(vec![Box::new(layer)], *shape, Loss::CrossEntropy, Init::GlorotUniform))
}

fn registry() -> Registry {
    let mut registry = Registry::default();
    registry.learn.models.add(Row {
        name: "gelu_mlp",
        summary: "one hidden layer with GELU, written with candle",
        example: "{name: gelu_mlp, hidden: 32}",
        positional: &["hidden"],
        options: options::<Options>,
        build,
    });
    registry
}

fn compare() -> Result<(), SimulateError> {
    let scenario = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/quickstart.yml");
    println!("{:<14} {:>9} {:>9}", "model", "accuracy", "loss");
    for model in ["mlp", "gelu_mlp(32)"] {
        let set = format!("model={model}");
        let run =
            hcddl::simulate(scenario, &[&set], &registry(), &SimOptions::default(), &mut Silent)?.summary;
        println!(
            "{model:<14} {:>9.4} {:>9.4}",
            run.accuracy.unwrap_or_default(),
            run.loss.unwrap_or_default()
        );
    }
    Ok(())
}

fn main() -> ExitCode {
    if std::env::args_os().len() > 1 {
        return hcddl::cli::main_with(&registry());
    }
    compare().map_or_else(
        |error| {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        },
        |()| ExitCode::SUCCESS,
    )
}
