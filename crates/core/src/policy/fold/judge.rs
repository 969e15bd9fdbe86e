//! What a server takes of what a child says: tensors whose values are all finite, and no longer than it allows.
//!
//! A device may be broken or hostile. An update with a value that is not finite would spoil the model for good, so it
//! is never folded. A long one moves the model as far as it likes, so a server can bound it: norm clipping, as in Sun
//! et al. 2019, "Can You Really Backdoor Federated Learning?". Where no bound is set, lengths that no training brings
//! about are told.

use super::distance;
use crate::domain::work::{FoldInput, UpdateKind};
use crate::domain::{Params, Strange};
use std::ops::Range;

/// How many times longer than the model an update is surely a fault: what training changes in one update is a small
/// part of the model.
const ABSURD: f64 = 1e4;

/// What a server demands of its inputs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Demands {
    /// Largest Euclidean norm of a gradient or a delta, or of the way from the server's model to a child's.
    pub max_norm: Option<f64>,
}

/// Looks at inputs before they are folded: takes away what is not finite, shortens what is too long, and says what is
/// strange about which of them. Running statistics, which are values and no changes, must be finite but have no part
/// in norms.
pub(super) fn admit(
    demands: Demands,
    inputs: &mut Vec<FoldInput>,
    base: &[f32],
    kind: UpdateKind,
    statistics: &[Range<usize>],
) -> Vec<(usize, Strange)> {
    let parameters = between(statistics, base.len());
    let mut strange = Vec::new();
    let mut place = 0;
    inputs.retain_mut(|input| {
        let Some(values) = input.tensor.values() else { return true };
        let change = (kind == UpdateKind::Model).then(|| distance(values, base));
        let change = change.as_deref().unwrap_or(values);
        let what = look(demands, change, base, &parameters, statistics);
        if let (Some(Strange::Shortened(norm)), Some(max)) = (what, demands.max_norm) {
            let factor = (max / norm) as f32;
            let mut shorter = values.to_vec();
            for at in parameters.iter().flat_map(Range::clone) {
                let from = if kind == UpdateKind::Model { base[at] } else { 0.0 };
                shorter[at] = from + factor * change[at];
            }
            input.tensor = Params::new(shorter);
        }
        strange.extend(what.map(|what| (place, what)));
        place += 1;
        what != Some(Strange::NotFinite)
    });
    strange
}

/// What is strange about a change of the model.
fn look(
    demands: Demands,
    change: &[f32],
    base: &[f32],
    parameters: &[Range<usize>],
    statistics: &[Range<usize>],
) -> Option<Strange> {
    let squares_of = if demands.max_norm.is_some() { squares } else { about_squares };
    let norm = parameters.iter().map(|range| squares_of(&change[range.clone()])).sum::<f64>().sqrt();
    let measured: f64 = statistics.iter().map(|range| squares(&change[range.clone()])).sum();
    if !norm.is_finite() || !measured.is_finite() {
        return Some(Strange::NotFinite);
    }
    match demands.max_norm {
        Some(max) => (norm > max).then_some(Strange::Shortened(norm)),
        None if norm <= ABSURD => None,
        None => {
            let model = parameters.iter().map(|range| squares(&base[range.clone()])).sum::<f64>().sqrt();
            (norm > ABSURD * model).then_some(Strange::Long(norm))
        }
    }
}

/// What lies before, between and after these ranges, which ascend.
fn between(ranges: &[Range<usize>], len: usize) -> Vec<Range<usize>> {
    let starts = std::iter::once(0).chain(ranges.iter().map(|range| range.end));
    let ends = ranges.iter().map(|range| range.start).chain(std::iter::once(len));
    starts.zip(ends).map(|(start, end)| start..end).collect()
}

/// The sum of squares, in 8 lanes that are added up in order; not finite if and only if a value is not.
fn squares(values: &[f32]) -> f64 {
    let mut lanes = [0.0f64; 8];
    let chunks = values.chunks_exact(8);
    let rest = chunks.remainder();
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += f64::from(*value) * f64::from(*value);
        }
    }
    let rest: f64 = rest.iter().map(|value| f64::from(*value) * f64::from(*value)).sum();
    lanes.iter().sum::<f64>() + rest
}

/// As [`squares`], with the precision of f32 where that does not overflow: half the time, and enough to see that all
/// values are finite and none of them absurd.
fn about_squares(values: &[f32]) -> f64 {
    let mut lanes = [0.0f32; 16];
    let chunks = values.chunks_exact(16);
    let rest: f32 = chunks.remainder().iter().map(|value| value * value).sum();
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += value * value;
        }
    }
    let sum = lanes.iter().sum::<f32>() + rest;
    if sum.is_finite() { f64::from(sum) } else { squares(values) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(values: &[f32]) -> FoldInput {
        FoldInput { tensor: Params::new(values.to_vec()), weight: 1.0, samples: 1, snapshot: None }
    }

    fn values(input: &FoldInput) -> &[f32] {
        input.tensor.values().unwrap()
    }

    #[test]
    fn what_is_not_finite_is_found_wherever_it_stands() {
        for len in [1, 7, 8, 9, 40] {
            for at in 0..len {
                for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                    let mut numbers = vec![f32::MAX; len];
                    numbers[at] = bad;
                    for max_norm in [None, Some(f64::MAX)] {
                        let mut inputs = vec![input(&vec![f32::MAX; len]), input(&numbers)];
                        let (base, statistics) = (vec![f32::MAX; len], 0..1);
                        let statistics = std::slice::from_ref(&statistics);
                        let demands = Demands { max_norm };
                        let strange = admit(demands, &mut inputs, &base, UpdateKind::Delta, statistics);
                        assert_eq!(strange, [(1, Strange::NotFinite)], "{bad} at {at} of {len}");
                        assert_eq!(inputs.len(), 1, "{bad} at {at} of {len}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_too_long_is_shortened_but_for_running_statistics() {
        let demands = Demands { max_norm: Some(5.0) };
        let base = [1.0, 7.0, 1.0];
        for (kind, long, short) in [
            (UpdateKind::Delta, [30.0, 9.0, 40.0], [3.0, 9.0, 4.0]),
            (UpdateKind::Gradient, [-30.0, 9.0, 40.0], [-3.0, 9.0, 4.0]),
            (UpdateKind::Model, [31.0, 9.0, 41.0], [4.0, 9.0, 5.0]),
        ] {
            let mut inputs = vec![input(&long), input(&short)];
            let strange = admit(demands, &mut inputs, &base, kind, std::slice::from_ref(&(1..2)));
            assert_eq!(strange, [(0, Strange::Shortened(50.0))], "{kind:?}");
            assert_eq!(values(&inputs[0]), short, "{kind:?}");
            assert_eq!(values(&inputs[1]), short, "{kind:?}");
        }
    }

    #[test]
    fn lengths_that_no_training_brings_about_are_told() {
        let told = |norm: f32, base: f32| {
            let inputs = &mut vec![input(&[norm])];
            admit(Demands::default(), inputs, &[base], UpdateKind::Gradient, &[]).len()
        };
        assert_eq!((told(9e3, 0.0), told(2e4, 0.0)), (0, 1));
        assert_eq!((told(9e4, 10.0), told(2e5, 10.0)), (0, 1));
    }

    /// Statistics have no part in a norm, however large they are beside the parameters: nothing cancels out.
    #[test]
    fn large_statistics_hide_no_long_update() {
        let demands = Demands { max_norm: Some(5.0) };
        for statistic in [0.0, 1e12, 1e30, f32::MAX] {
            let mut inputs = vec![input(&[3.0, statistic, 4.0]), input(&[30.0, statistic, 40.0])];
            let measured = 1..2;
            let measured = std::slice::from_ref(&measured);
            let strange = admit(demands, &mut inputs, &[0.0; 3], UpdateKind::Delta, measured);
            assert_eq!(strange, [(1, Strange::Shortened(50.0))], "{statistic}");
            assert_eq!(values(&inputs[0]), [3.0, statistic, 4.0]);
            assert_eq!(values(&inputs[1]), [3.0, statistic, 4.0]);
        }
    }
}
