//! Asynchronous SGD: every update is applied on arrival, x+ = x - eta g_i(x_{t - tau}), and its sender gets
//! the new model at once. The family (staleness-aware, delay-compensated, FedAsync) differs in weight and fold.

use super::{Composition, Policy, PolicyEvent, PolicyRow, ServerView, Verdict, Why, choice, state_is_self};
use crate::domain::work::UpdateKind;
use crate::domain::{Choice, OptionError};
use serde::{Deserialize, Serialize};

pub(super) const ROW: PolicyRow = PolicyRow {
    name: "async",
    summary: "every update is applied on arrival; its sender goes on with the new model",
    example: "{name: async, staleness_max: null}",
    positional: &["staleness_max"],
    build,
};

/// Options that every asynchronous policy shares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct AsyncOptions {
    /// Updates that are staler than this are dropped; none when absent.
    staleness_max: Option<u64>,
}

/// The weight of an update as a function of its staleness tau.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Weighting {
    /// 1.
    One,
    /// 1 / max(1, tau).
    Inverse,
    /// `alpha`.
    Constant { alpha: f64 },
    /// alpha (1 + tau)^-a.
    Polynomial { alpha: f64, a: f64 },
    /// alpha if tau <= b, else alpha / (a (tau - b) + 1).
    Hinge { alpha: f64, a: f64, b: f64 },
}

impl Weighting {
    pub(super) fn of(self, staleness: u64) -> f32 {
        let tau = staleness as f64;
        let weight = match self {
            Weighting::One => 1.0,
            Weighting::Inverse => 1.0 / tau.max(1.0),
            Weighting::Constant { alpha } => alpha,
            Weighting::Polynomial { alpha, a } => alpha * crate::domain::math::pow(1.0 + tau, -a),
            Weighting::Hinge { alpha, b, .. } if tau <= b => alpha,
            Weighting::Hinge { alpha, a, b } => alpha / (a * (tau - b) + 1.0),
        };
        weight as f32
    }
}

fn build(options: &Choice) -> Result<Composition, OptionError> {
    let options: AsyncOptions = options.options()?;
    Ok(Composition {
        policy: Box::new(Async::new(Weighting::One, options.staleness_max)),
        update: UpdateKind::Gradient,
        fold: choice("sum", None),
        optimizer: choice("sgd", Some(("lr", 0.1))),
        rounds: false,
    })
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Async {
    weighting: Weighting,
    staleness_max: Option<u64>,
}

impl Async {
    pub(super) fn new(weighting: Weighting, staleness_max: Option<u64>) -> Self {
        Self { weighting, staleness_max }
    }
}

impl Policy for Async {
    fn on(&mut self, event: PolicyEvent, view: &ServerView<'_>) -> Verdict {
        match event {
            PolicyEvent::Start => Verdict::nothing().reply(view.free()),
            PolicyEvent::Update(id) => {
                let update = &view.pending[&id];
                let staleness = view.staleness(update);
                if self.staleness_max.is_some_and(|max| staleness > max) {
                    return Verdict { dropped: vec![(id, Why::Stale)], ..Verdict::nothing() }
                        .reply([update.from]);
                }
                Verdict { fold: vec![(id, self.weighting.of(staleness))], ..Verdict::nothing() }
            }
            PolicyEvent::Folded => Verdict::nothing().reply(view.contributors.iter().copied()),
            PolicyEvent::Joined(child) => Verdict::nothing().reply([child]),
            PolicyEvent::Lost(_) | PolicyEvent::Timer => Verdict::nothing(),
        }
    }

    state_is_self!();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_follow_the_papers() {
        assert_eq!([0, 1, 2, 4].map(|tau| Weighting::Inverse.of(tau)), [1.0, 1.0, 0.5, 0.25]);
        assert_eq!(Weighting::Polynomial { alpha: 0.6, a: 0.5 }.of(3), 0.3);
        let hinge = Weighting::Hinge { alpha: 1.0, a: 10.0, b: 4.0 };
        assert_eq!([4, 5].map(|tau| hinge.of(tau)), [1.0, 1.0 / 11.0]);
    }
}
