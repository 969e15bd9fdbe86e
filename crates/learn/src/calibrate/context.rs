//! What whole steps take beyond the sum of their kernels: kernels find the caches, the pages of memory and the branch
//! predictor as others have left them. Measured with networks of every kind of layer, none of which is a model of the
//! table, so that models can be predicted and compared.

use super::check::Case;
use super::{Found, Timer};
use crate::model::{DataShape, Input, Output};
use hcddl_core::domain::math;
use serde_json::{Value, json};
use std::time::Duration;

/// Time of each step.
const TIME: Duration = Duration::from_millis(600);

/// A network of these layers on samples of a shape, and sizes of its batches.
fn networks() -> Vec<(DataShape, usize, Value, [usize; 2])> {
    let images = |channels, side| DataShape::images(channels, side, side, 10);
    let text =
        DataShape { input: Input::Token { vocabulary: 200 }, sequence: true, output: Output::Classes(20) };
    let conv = |filters: usize, stride: usize| json!({"name": "conv2d", "filters": filters, "kernel": 3, "stride": stride, "padding": 1});
    let classes = json!("linear(classes)");
    let dense = json!(["linear(200)", "relu", "linear(100)", "relu", classes]);
    let small =
        json!([conv(12, 1), "relu", "max_pool(2)", conv(24, 1), "relu", "max_pool(2)", "flatten", classes]);
    let block = |filters: usize, stride: usize| [conv(filters, stride), json!("batch_norm"), json!("relu")];
    let wide: Vec<Value> =
        [block(48, 1), block(48, 1), block(96, 2), block(96, 1), block(192, 2), block(384, 2)]
            .into_iter()
            .flatten()
            .chain([json!("global_avg_pool"), classes.clone()])
            .collect();
    let recurrent = json!(["embedding(24)", {"name": "lstm", "hidden": 200}, "last_step", classes]);
    vec![
        (images(1, 20), 1, dense, [4, 24]),
        (images(1, 20), 1, small, [2, 6]),
        (images(3, 36), 1, json!(wide), [4, 24]),
        (text, 60, recurrent, [24, 96]),
    ]
}

/// Geometric means of measured over predicted steps: of those that lie in caches, and of those that do not.
pub(super) fn measured(timer: &mut Timer, found: &Found) -> [f64; 2] {
    let (mut sums, mut counts) = ([0.0; 2], [0.0; 2]);
    for (shape, steps, layers, batches) in networks() {
        let case = Case::of("layers", json!({"layers": layers}), shape, steps);
        for batch in batches {
            let all = case.operations(batch);
            // Those in between say something about both.
            let inside = 1.0 - found.efficiency.share_outside(all.working_set);
            let ratio = math::ln(case.measured(timer, batch, TIME) / found.seconds(&all));
            for (i, weight) in [inside, 1.0 - inside].into_iter().enumerate() {
                sums[i] += weight * ratio;
                counts[i] += weight;
            }
        }
    }
    [0, 1].map(|i| super::rounded(math::exp(sums[i] / f64::max(counts[i], 1e-9))))
}
