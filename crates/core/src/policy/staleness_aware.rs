//! Staleness-aware asynchronous SGD: eta_eff = eta / max(1, tau) (Zhang et al., Staleness-aware Async-SGD for
//! Distributed Deep Learning, arXiv 1511.05950).

use super::asynchronous::{Async, Weighting};
use super::{Composition, PolicyRow, choice};
use crate::domain::work::UpdateKind;
use crate::domain::{Choice, OptionError};
use serde::Deserialize;

pub(super) const ROW: PolicyRow = PolicyRow {
    name: "staleness_aware",
    summary: "asynchronous; the learning rate of an update is divided by its staleness",
    example: "{name: staleness_aware}",
    positional: &[],
    build,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NoOptions {}

fn build(options: &Choice) -> Result<Composition, OptionError> {
    let NoOptions {} = options.options()?;
    Ok(Composition {
        policy: Box::new(Async::new(Weighting::Inverse, None)),
        update: UpdateKind::Gradient,
        fold: choice("sum", None),
        optimizer: choice("sgd", Some(("lr", 0.1))),
        rounds: false,
    })
}
