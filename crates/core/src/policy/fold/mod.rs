//! Folds: how a server combines updates. The only place, with the server optimisers, that sees values.

pub(crate) mod delay_compensated;
mod judge;
mod mean;
mod sum;
mod weighted;

use crate::domain::work::{FoldInput, Folded, OptState, UpdateKind};
use crate::domain::{Choice, OptionError, Params, Row, Table};
use std::ops::Range;
use std::sync::Arc;

pub use judge::Demands;
pub use sum::Sum;

/// Combines tensors of equal length. Pure; the order of the inputs is part of the result, so the server sorts
/// them by sender.
pub trait FoldRule: Send + Sync + std::fmt::Debug {
    /// Its name in the table.
    fn name(&self) -> &'static str;
    /// Weights as the rule uses them, one for each input, in their order.
    fn weights(&self, inputs: &[FoldInput]) -> Vec<f32>;
    /// Combines the inputs into `out`; `base` is the server's current model, `state` the rule's own vectors.
    fn fold(&self, inputs: &[Slice<'_>], base: &[f32], state: &mut [Vec<f32>], out: &mut [f32]) {
        let _ = (base, state);
        linear(inputs, out);
    }
    /// Whether inputs need the parameters that they were computed at.
    fn needs_snapshots(&self) -> bool {
        false
    }
    /// Number of state vectors.
    fn slots(&self) -> usize {
        0
    }
}

/// A server's arithmetic: combine inputs by a rule, then perhaps let an optimiser apply the result.
#[derive(Clone, Debug)]
pub struct Fold {
    /// How to combine.
    pub rule: Arc<dyn FoldRule>,
    /// What to combine, in a fixed order.
    pub inputs: Vec<FoldInput>,
    /// The server's model before.
    pub base: Params,
    /// How to apply the aggregate to `base`; `None` leaves the model alone.
    pub apply: Option<Arc<dyn crate::policy::optimizer::ServerOptimizer>>,
    /// State of that optimiser.
    pub opt: OptState,
    /// Whether the aggregate points downhill already (a delta) or uphill (a gradient).
    pub kind: UpdateKind,
    /// Whether the aggregate itself is wanted (an uplink sends it on).
    pub keep_aggregate: bool,
    /// What is demanded of inputs that come from others; `None` for arithmetic over tensors that were looked at.
    pub demands: Option<Demands>,
}

impl PartialEq for Fold {
    fn eq(&self, other: &Self) -> bool {
        self.rule.name() == other.rule.name()
            && self.inputs == other.inputs
            && self.base == other.base
            && self.apply.as_ref().map(|a| a.name()) == other.apply.as_ref().map(|a| a.name())
            && self.opt == other.opt
            && self.kind == other.kind
            && self.keep_aggregate == other.keep_aggregate
            && self.demands == other.demands
    }
}

/// One input with its final weight.
#[derive(Clone, Copy, Debug)]
pub struct Slice<'a> {
    /// A gradient or a delta.
    pub values: &'a [f32],
    /// As [`FoldRule::weights`] decided.
    pub weight: f32,
    /// The parameters that it was computed at, if the rule asked for them.
    pub snapshot: Option<&'a [f32]>,
}

/// Makes a fold from its options.
pub type BuildFold = fn(&Choice) -> Result<Arc<dyn FoldRule>, OptionError>;

/// All folds.
#[must_use]
pub fn table() -> Table<BuildFold> {
    Table::new("fold", vec![mean::ROW, weighted::ROW, sum::ROW, delay_compensated::ROW])
}

type FoldRow = Row<BuildFold>;

/// Elements that are combined at a time, so that `out` stays in the first-level cache.
const BLOCK: usize = 4096;

/// out = sum_j w_j x_j, added up in the order of the inputs.
pub fn linear(inputs: &[Slice<'_>], out: &mut [f32]) {
    for (block, out) in out.chunks_mut(BLOCK).enumerate() {
        let range = block * BLOCK..block * BLOCK + out.len();
        out.fill(0.0);
        for input in inputs {
            let weight = input.weight;
            for (sum, value) in out.iter_mut().zip(&input.values[range.clone()]) {
                *sum += weight * value;
            }
        }
    }
}

/// Does a fold: combines the inputs, then lets the optimiser apply the aggregate.
///
/// A model that a worker sends counts as its distance from the server's current model. The optimiser gets
/// the aggregate as a gradient: a delta with its sign turned. In a timing-only run only lengths and weights
/// are passed on.
///
/// Running statistics of the model, which lie at `statistics`, are values in every input, whatever its kind, and are
/// averaged, never stepped: the aggregate's are the mean of the inputs with weights above 0, by these; the model's move
/// there by the sum of these weights, all the way at most. So a variance stays within what was measured (a sum of
/// deltas of stale workers would overshoot, and Adam would step it below 0).
#[must_use]
pub fn run(fold: Fold, statistics: &[Range<usize>]) -> Folded {
    let Fold { rule, mut inputs, base, apply, mut opt, kind, keep_aggregate, demands } = fold;
    let strange = match (demands, base.values()) {
        (Some(demands), Some(base)) => judge::admit(demands, &mut inputs, base, kind, statistics),
        _ => Vec::new(),
    };
    let weights = rule.weights(&inputs);
    opt.step += 1;
    if inputs.is_empty() && !strange.is_empty() {
        let aggregate = keep_aggregate.then(|| Params::new(vec![0.0; base.len()]));
        return Folded { model: base, opt, aggregate, weights, strange };
    }
    let Some(base_values) = base.values().filter(|_| inputs.iter().all(|i| i.tensor.values().is_some()))
    else {
        let len = inputs.first().map_or(base.len(), |i| i.tensor.len());
        let aggregate = keep_aggregate.then(|| Params::absent(len));
        return Folded { model: base, opt, aggregate, weights, strange };
    };
    let deltas: Vec<Vec<f32>> = match kind {
        UpdateKind::Model => {
            inputs.iter().map(|i| distance(i.tensor.values().unwrap_or(&[]), base_values)).collect()
        }
        UpdateKind::Gradient | UpdateKind::Delta => Vec::new(),
    };
    let slices: Vec<Slice<'_>> = inputs
        .iter()
        .enumerate()
        .map(|(i, input)| Slice {
            values: deltas.get(i).map_or_else(|| input.tensor.values().unwrap_or(&[]), Vec::as_slice),
            weight: weights[i],
            snapshot: input.snapshot.as_ref().and_then(Params::values),
        })
        .collect();
    let len = slices.first().map_or(0, |s| s.values.len());
    let slots = rule.slots() + apply.as_ref().map_or(0, |a| a.slots());
    let mut state: Vec<Vec<f32>> = opt.slots.drain(..).filter_map(Params::into_values).collect();
    state.resize_with(slots, || vec![0.0; len]);
    let mut aggregate = vec![0.0; len];
    rule.fold(&slices, base_values, &mut state[..rule.slots()], &mut aggregate);
    drop(slices);
    drop(deltas);
    let measured = Measured::of(&inputs, &weights, statistics);
    measured.write(&mut aggregate, statistics, |_, mean| mean);
    let kept = keep_aggregate.then(|| Params::new(aggregate.clone()));
    let model = match apply {
        Some(apply) => {
            if kind != UpdateKind::Gradient {
                aggregate.iter_mut().for_each(|value| *value = -*value);
            }
            let mut model = base.into_values().expect("a model with values");
            // No gradient, so no moment either.
            statistics.iter().for_each(|range| aggregate[range.clone()].fill(0.0));
            let before: Vec<f32> =
                statistics.iter().flat_map(|range| &model[range.clone()]).copied().collect();
            apply.step(&mut model, &aggregate, &mut state[rule.slots()..], opt.step);
            let share = measured.share;
            measured.write(&mut model, statistics, |i, mean| before[i] + share * (mean - before[i]));
            Params::new(model)
        }
        None => base,
    };
    opt.slots = state.into_iter().map(Params::new).collect();
    Folded { model, opt, aggregate: kept, weights, strange }
}

/// The running statistics of a fold's inputs.
struct Measured {
    /// Their weighted means, one after the other.
    means: Vec<f32>,
    /// How far the model's move there: from 0 to 1.
    share: f32,
}

impl Measured {
    fn of(inputs: &[FoldInput], weights: &[f32], statistics: &[Range<usize>]) -> Self {
        let counted: Vec<(&[f32], f64)> = inputs
            .iter()
            .zip(weights)
            .filter(|(_, weight)| **weight > 0.0)
            .filter_map(|(input, weight)| Some((input.tensor.values()?, f64::from(*weight))))
            .collect();
        let total: f64 = counted.iter().map(|(_, weight)| weight).sum();
        let mean = |at: usize| {
            let sum: f64 = counted.iter().map(|(values, weight)| weight * f64::from(values[at])).sum();
            (sum / total) as f32
        };
        let means = match counted.is_empty() {
            true => Vec::new(),
            false => statistics.iter().flat_map(Range::clone).map(mean).collect(),
        };
        Self { means, share: total.min(1.0) as f32 }
    }

    /// Writes what `value` makes of each mean; nothing when there were no inputs that count.
    fn write(&self, to: &mut [f32], statistics: &[Range<usize>], value: impl Fn(usize, f32) -> f32) {
        let places = statistics.iter().flat_map(Range::clone);
        for (i, (at, mean)) in places.zip(&self.means).enumerate() {
            to[at] = value(i, *mean);
        }
    }
}

fn distance(model: &[f32], base: &[f32]) -> Vec<f32> {
    model.iter().zip(base).map(|(m, b)| m - b).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Strange;

    fn input(values: &[f32], samples: u64) -> FoldInput {
        FoldInput { tensor: Params::new(values.to_vec()), weight: 1.0, samples, snapshot: None }
    }

    fn fold(rule: &str, inputs: Vec<FoldInput>, kind: UpdateKind) -> Folded {
        let rule = (table().get(rule).unwrap().build)(&Choice::named(rule)).unwrap();
        let sgd = (crate::policy::optimizer::table().get("sgd").unwrap().build)(&crate::policy::choice(
            "sgd",
            Some(("lr", 1.0)),
        ));
        let base = Params::new(vec![10.0, 10.0]);
        let opt = OptState::default();
        run(Fold { rule, inputs, base, apply: sgd.ok(), opt, kind, keep_aggregate: true, demands: None }, &[])
    }

    /// A parameter and a variance, under every fold, server optimiser and kind of update.
    #[test]
    fn statistics_are_averaged_and_never_stepped() {
        for rule in table().rows() {
            for optimizer in crate::policy::optimizer::table().rows() {
                for kind in [UpdateKind::Delta, UpdateKind::Model] {
                    let what = format!("{} {} {kind:?}", rule.name, optimizer.name);
                    let mut model = Params::new(vec![1.0, 4.0]);
                    let mut opt = OptState::default();
                    for step in 0..20 {
                        // Stale workers that all measured less: the sum of their changes would be below 0.
                        let inputs: Vec<FoldInput> = [0.5, 1.5, 1.0]
                            .iter()
                            .map(|variance| FoldInput {
                                snapshot: Some(model.clone()),
                                ..input(&[0.1, *variance], 5)
                            })
                            .collect();
                        let fold = Fold {
                            rule: (rule.build)(&Choice::named(rule.name)).unwrap(),
                            inputs,
                            base: model,
                            apply: Some((optimizer.build)(&Choice::named(optimizer.name)).unwrap()),
                            opt,
                            kind,
                            keep_aggregate: true,
                            demands: Some(Demands::default()),
                        };
                        let folded = run(fold, std::slice::from_ref(&(1..2)));
                        (model, opt) = (folded.model, folded.opt);
                        let values = model.values().unwrap();
                        assert!((values[1] - 1.0).abs() < 1e-6, "{what}, step {step}: {values:?}");
                        let kept = folded.aggregate.unwrap();
                        assert!((kept.values().unwrap()[1] - 1.0).abs() < 1e-6, "{what}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_small_weight_moves_statistics_by_as_much() {
        let sgd = crate::policy::optimizer::table();
        let fold = |weight: f32| {
            let input = FoldInput { weight, ..input(&[0.0, 2.0], 1) };
            let fold = Fold {
                rule: Arc::new(Sum),
                inputs: vec![input],
                base: Params::new(vec![0.0, 1.0]),
                apply: Some((sgd.get("sgd").unwrap().build)(&Choice::named("sgd")).unwrap()),
                opt: OptState::default(),
                kind: UpdateKind::Delta,
                keep_aggregate: false,
                demands: None,
            };
            run(fold, std::slice::from_ref(&(1..2))).model.values().unwrap()[1]
        };
        assert_eq!([fold(0.25), fold(1.0), fold(3.0), fold(0.0)], [1.25, 2.0, 2.0, 1.0]);
    }

    /// What is refused has no part in any fold: neither in its sum nor in its weights.
    #[test]
    fn what_is_not_finite_is_as_if_it_had_not_come() {
        for rule in table().rows() {
            for kind in [UpdateKind::Gradient, UpdateKind::Delta, UpdateKind::Model] {
                let fold = |inputs: Vec<FoldInput>| {
                    let base = Params::new(vec![1.0, 4.0]);
                    let snapshot = Some(base.clone());
                    run(
                        Fold {
                            rule: (rule.build)(&Choice::named(rule.name)).unwrap(),
                            inputs: inputs
                                .into_iter()
                                .map(|i| FoldInput { snapshot: snapshot.clone(), ..i })
                                .collect(),
                            base,
                            apply: (crate::policy::optimizer::table().get("adam").unwrap().build)(
                                &Choice::named("adam"),
                            )
                            .ok(),
                            opt: OptState::default(),
                            kind,
                            keep_aggregate: true,
                            demands: Some(Demands::default()),
                        },
                        &[],
                    )
                };
                let (good, bad) = (|| input(&[0.5, 1.0], 3), || input(&[0.0, f32::NAN], 900));
                let (with, without) = (fold(vec![good(), bad(), good()]), fold(vec![good(), good()]));
                assert_eq!(with.strange, [(1, Strange::NotFinite)]);
                assert_eq!(Folded { strange: vec![], ..with }, without, "{} {kind:?}", rule.name);
                let none = fold(vec![bad()]);
                assert_eq!(none.model.values(), Some(&[1.0, 4.0][..]), "{} {kind:?}", rule.name);
                assert_eq!(none.aggregate.unwrap().values(), Some(&[0.0, 0.0][..]));
            }
        }
    }

    #[test]
    fn mean_counts_heads_and_weighted_counts_samples() {
        let inputs = || vec![input(&[1.0, 0.0], 1), input(&[5.0, 4.0], 3)];
        assert_eq!(fold("mean", inputs(), UpdateKind::Gradient).model.values(), Some(&[7.0, 8.0][..]));
        assert_eq!(fold("weighted", inputs(), UpdateKind::Gradient).model.values(), Some(&[6.0, 7.0][..]));
        assert_eq!(fold("sum", inputs(), UpdateKind::Gradient).model.values(), Some(&[4.0, 6.0][..]));
    }

    #[test]
    fn a_delta_points_downhill_and_a_model_is_a_distance() {
        assert_eq!(
            fold("sum", vec![input(&[1.0, 2.0], 1)], UpdateKind::Delta).model.values(),
            Some(&[11.0, 12.0][..])
        );
        assert_eq!(
            fold("sum", vec![input(&[1.0, 2.0], 1)], UpdateKind::Model).model.values(),
            Some(&[1.0, 2.0][..])
        );
    }

    #[test]
    fn absent_values_stay_absent() {
        let absent = FoldInput { tensor: Params::absent(2), weight: 1.0, samples: 1, snapshot: None };
        let folded = fold("mean", vec![absent], UpdateKind::Gradient);
        assert_eq!(folded.aggregate, Some(Params::absent(2)));
        assert_eq!(folded.opt.step, 1);
    }
}
