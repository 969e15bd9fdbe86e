//! FedAsync: x+ = (1 - a) x + a x_i^K with a = alpha s(tau), s constant, polynomial or hinge (Xie, Koyejo, Gupta:
//! Asynchronous Federated Optimization, arXiv 1903.03934).

use super::asynchronous::{Async, Weighting};
use super::{Composition, PolicyRow, choice};
use crate::domain::work::UpdateKind;
use crate::domain::{Choice, OptionError};
use serde::Deserialize;

pub(super) const ROW: PolicyRow = PolicyRow {
    name: "fedasync",
    summary: "asynchronous; the model is mixed with each worker's, less the staler it is (FedAsync)",
    example: "{name: fedasync, alpha: 0.6, staleness: polynomial, a: 0.5, b: 4, staleness_max: null}",
    positional: &["alpha"],
    build,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Options {
    /// Mixing weight of a fresh model, in (0, 1].
    alpha: f64,
    /// How the weight falls with staleness.
    staleness: Fall,
    /// Exponent (polynomial) or slope (hinge).
    a: f64,
    /// Staleness up to which the hinge stays at 1.
    b: f64,
    /// Updates that are staler than this are dropped.
    staleness_max: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Fall {
    Constant,
    Polynomial,
    Hinge,
}

impl Default for Options {
    fn default() -> Self {
        Self { alpha: 0.6, staleness: Fall::Polynomial, a: 0.5, b: 4.0, staleness_max: None }
    }
}

fn build(options: &Choice) -> Result<Composition, OptionError> {
    let Options { alpha, staleness, a, b, staleness_max } = options.options()?;
    if !(alpha > 0.0 && alpha <= 1.0) {
        return Err(OptionError::new(
            "alpha",
            format!("expected a mixing weight, found {alpha}"),
            "above 0 and at most 1",
        ));
    }
    for (key, value) in [("a", a), ("b", b)] {
        if !(value >= 0.0 && value.is_finite()) {
            return Err(OptionError::new(key, format!("{value} would raise the weight"), "0 or more"));
        }
    }
    let weighting = match staleness {
        Fall::Constant => Weighting::Constant { alpha },
        Fall::Polynomial => Weighting::Polynomial { alpha, a },
        Fall::Hinge => Weighting::Hinge { alpha, a, b },
    };
    Ok(Composition {
        policy: Box::new(Async::new(weighting, staleness_max)),
        update: UpdateKind::Model,
        fold: choice("sum", None),
        optimizer: choice("sgd", Some(("lr", 1.0))),
        rounds: false,
    })
}
