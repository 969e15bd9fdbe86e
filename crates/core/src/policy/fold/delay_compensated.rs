//! Delay compensation: g~ = g + lambda g*g*(x_t - x_{v_i}), a first-order estimate of the gradient at x_t from the
//! one at the worker's own snapshot (Zheng et al., arXiv 1609.08326, DC-ASGD-c). Adaptive (DC-ASGD-a): lambda =
//! lambda_0 / sqrt(MS + eps) with MS = m MS + (1 - m) g*g for each parameter.

use super::{FoldRow, FoldRule, Slice};
use crate::domain::work::FoldInput;
use crate::domain::{Choice, OptionError};
use serde::Deserialize;
use std::sync::Arc;

pub(super) const ROW: FoldRow = FoldRow {
    name: "delay_compensated",
    summary: "each gradient is corrected for the distance the model moved since its snapshot",
    example: "{name: delay_compensated, lambda: 0.04, adaptive: false, decay: 0.95}",
    positional: &["lambda"],
    build,
};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct DelayCompensated {
    /// Strength of the correction; 0 is plain asynchronous SGD. MXNet's default.
    lambda: f32,
    /// Whether lambda is scaled by the running mean square of the gradient.
    adaptive: bool,
    /// m of that running mean.
    decay: f32,
}

impl Default for DelayCompensated {
    fn default() -> Self {
        Self { lambda: 0.04, adaptive: false, decay: 0.95 }
    }
}

/// Keeps the adaptive lambda finite (the paper's epsilon).
const EPSILON: f32 = 1e-7;

fn parse(choice: &Choice) -> Result<DelayCompensated, OptionError> {
    let rule: DelayCompensated = choice.options()?;
    if !(rule.lambda >= 0.0 && rule.lambda.is_finite()) {
        return Err(OptionError::new(
            "lambda",
            format!("expected a strength, found {}", rule.lambda),
            "0 or more",
        ));
    }
    if !(0.0..1.0).contains(&rule.decay) {
        return Err(OptionError::new(
            "decay",
            format!("expected a decay, found {}", rule.decay),
            "at least 0 and below 1",
        ));
    }
    Ok(rule)
}

/// Checks options without building; `dc_asgd` passes its own on.
pub(crate) fn check(choice: &Choice) -> Result<(), OptionError> {
    parse(choice).map(|_| ())
}

fn build(choice: &Choice) -> Result<Arc<dyn FoldRule>, OptionError> {
    Ok(Arc::new(parse(choice)?))
}

impl FoldRule for DelayCompensated {
    fn name(&self) -> &'static str {
        "delay_compensated"
    }

    fn weights(&self, inputs: &[FoldInput]) -> Vec<f32> {
        inputs.iter().map(|i| i.weight).collect()
    }

    fn fold(&self, inputs: &[Slice<'_>], base: &[f32], state: &mut [Vec<f32>], out: &mut [f32]) {
        for input in inputs {
            let snapshot =
                input.snapshot.expect("the server keeps a snapshot for each child under this rule");
            for i in 0..out.len() {
                let g = input.values[i];
                let lambda = if self.adaptive {
                    let mean_square = &mut state[0][i];
                    *mean_square = self.decay * *mean_square + (1.0 - self.decay) * g * g;
                    self.lambda / (*mean_square + EPSILON).sqrt()
                } else {
                    self.lambda
                };
                out[i] += input.weight * (g + lambda * g * g * (base[i] - snapshot[i]));
            }
        }
    }

    fn needs_snapshots(&self) -> bool {
        true
    }

    fn slots(&self) -> usize {
        usize::from(self.adaptive)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corrects_by_the_distance_from_the_workers_own_snapshot() {
        let rule = DelayCompensated { lambda: 0.5, ..DelayCompensated::default() };
        let mut out = [0.0];
        let input = Slice { values: &[2.0], weight: 1.0, snapshot: Some(&[1.0]) };
        rule.fold(&[input], &[4.0], &mut [], &mut out);
        assert_eq!(out, [2.0 + 0.5 * 4.0 * 3.0]);
    }

    #[test]
    fn the_adaptive_form_divides_by_the_root_mean_square() {
        let rule = DelayCompensated { lambda: 1.0, adaptive: true, decay: 0.0 };
        let mut state = [vec![0.0]];
        let mut out = [0.0];
        let input = Slice { values: &[2.0], weight: 1.0, snapshot: Some(&[1.0]) };
        rule.fold(&[input], &[4.0], &mut state, &mut out);
        assert_eq!(state[0], [4.0]);
        assert!((out[0] - (2.0 + 0.5 * 4.0 * 3.0)).abs() < 1e-6);
    }
}
