//! Steps of models, measured and predicted: what a table of efficiencies is worth.

use super::Timer;
use crate::batch::{Batch, Targets};
use crate::model::{self, DataShape, Input, Network, Output, Workspace};
use crate::optimizer::{self, Step};
use crate::tables::LearnTables;
use hcddl_core::domain::operation::Operations;
use hcddl_core::domain::{Choice, Stream};
use serde_json::{Value, json};
use std::time::Duration;

/// A model of the table on samples that it is made for.
pub struct Case {
    /// Name of the model.
    pub model: &'static str,
    /// Its parameters.
    pub params: usize,
    network: Network,
    /// Time steps of a sample.
    steps: usize,
}

/// Places in memory that a step is measured in.
const PLACES: usize = 4;

/// Sizes of batches to check with.
pub const BATCHES: [usize; 4] = [1, 8, 32, 128];

/// Every model with its usual options, on MNIST's images where they do, else on CIFAR's, on text or on points.
///
/// # Panics
/// If a model does not fit the samples that are chosen for it here.
#[must_use]
pub fn cases() -> Vec<Case> {
    let (mnist, cifar) = (DataShape::images(1, 28, 28, 10), DataShape::images(3, 32, 32, 10));
    let sequence =
        |vocabulary, output| DataShape { input: Input::Token { vocabulary }, sequence: true, output };
    let layers = json!({"layers": [{"name": "conv2d", "filters": 8, "kernel": 3}, "relu", {"name": "max_pool", "size": 2},
        "flatten", {"name": "linear", "outputs": "classes"}]});
    let of = |name: &'static str| -> (DataShape, usize, Value) {
        match name {
            "alexnet" | "resnet18_gn" | "resnet56" | "mobilenet" => (cifar, 1, json!({})),
            "gru_tagger" => (sequence(8867, Output::Tags(18)), 25, json!({})),
            "char_lstm" => (sequence(90, Output::Classes(90)), 80, json!({})),
            "fourier" => {
                (DataShape { output: Output::Probabilities(1), ..DataShape::features(2, 2) }, 1, json!({}))
            }
            "linear" => {
                (DataShape { output: Output::Numbers(1), ..DataShape::features(64, 2) }, 1, json!({}))
            }
            "layers" => (mnist, 1, layers.clone()),
            _ => (mnist, 1, json!({})),
        }
    };
    let case = |row: &hcddl_core::domain::Row<model::BuildModel>| {
        let (shape, steps, options) = of(row.name);
        Case::of(row.name, options, shape, steps)
    };
    model::table().rows().iter().map(case).collect()
}

impl Case {
    /// A model of the table with these options, on samples of a shape and of so many time steps.
    ///
    /// # Panics
    /// If they do not fit.
    #[must_use]
    pub fn of(model: &'static str, options: Value, shape: DataShape, steps: usize) -> Self {
        let options = options.as_object().cloned().unwrap_or_default();
        let choice = Choice { name: model.into(), options, positional: vec![] };
        let table = model::table();
        let row = table.rows().iter().find(|row| row.name == model).expect("a model of the table");
        let network = (row.build)(&choice, &LearnTables::default(), &shape)
            .unwrap_or_else(|error| panic!("{model} does not fit its samples: {error}"));
        Self { model, params: network.params_len(), network, steps }
    }

    /// What a gradient step with plain SGD does.
    #[must_use]
    pub fn operations(&self, samples: usize) -> Operations {
        let mut all = self.network.operations(samples, self.steps);
        all.step.push(optimizer::operation(optimizer::sgd(0.1).as_ref(), self.params));
        all
    }

    /// Seconds of such a step on one thread of this machine, in the timer's sense: the median over so much time, a part of
    /// it each in other memory.
    #[must_use]
    pub fn measured(&self, timer: &mut Timer, samples: usize, time: Duration) -> f64 {
        let batch = self.batch(samples);
        let mut held = Vec::new();
        let mut parts = [0usize; PLACES].map(|_| {
            held.push(vec![1f32; 1000 * held.len() + 7]);
            self.step(timer, &batch, time / PLACES as u32)
        });
        parts.sort_by(f64::total_cmp);
        (parts[(PLACES - 1) / 2] + parts[PLACES / 2]) / 2.0
    }

    fn step(&self, timer: &mut Timer, batch: &Batch, time: Duration) -> f64 {
        let rule = optimizer::sgd(0.1);
        let (mut work, mut params) = (Workspace::default(), self.network.init(1));
        let start = params.clone();
        let (mut gradient, mut key) = (vec![0.0; params.len()], 0);
        let step = || {
            key += 1;
            self.network.gradient(&mut work, &params, batch, key, &mut gradient);
            let moments = [&mut [][..], &mut [][..]];
            let (isa, x, gradient, start) = (work.isa, &mut params[..], &gradient[..], &start[..]);
            rule.step(Step { isa, lr: 1e-4, number: key, proximal: 0.0, x, gradient, start, moments });
        };
        timer.seconds(step, time)
    }

    fn batch(&self, samples: usize) -> Batch {
        let (mut stream, shape) = (Stream::new(1, "calibrate", 3, samples as u64), self.network.shape());
        let rows = samples * self.steps;
        let x = match shape.input {
            Input::Token { vocabulary } => {
                (0..rows).map(|_| 1.0 + stream.below(vocabulary as u64 - 1) as f32).collect()
            }
            Input::Values { .. } => (0..rows * shape.row_len()).map(|_| stream.normal() as f32).collect(),
        };
        let targets = match shape.output {
            Output::Classes(n) => Targets::Classes((0..samples).map(|i| (i % n) as u32).collect()),
            Output::Tags(n) => Targets::Classes((0..rows).map(|i| (i % n) as u32).collect()),
            Output::Probabilities(n) | Output::Numbers(n) => {
                Targets::Values((0..rows * n).map(|i| (i % 2) as f32).collect())
            }
        };
        Batch { x, targets, samples, steps: self.steps }
    }
}
