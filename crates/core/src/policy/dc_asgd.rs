//! Delay-compensated asynchronous SGD: g~ = g + lambda g*g*(x_t - x_{v_i}), where x_{v_i} is the snapshot that
//! this very worker computed on (Zheng et al., Asynchronous Stochastic Gradient Descent with Delay
//! Compensation, arXiv 1609.08326). The compensation is the fold `delay_compensated`.

use super::asynchronous::{Async, Weighting};
use super::fold::delay_compensated::{DelayCompensated, check};
use super::{Composition, PolicyRow, choice};
use crate::domain::work::UpdateKind;
use crate::domain::{Choice, OptionError, Tables, options};

pub(super) const ROW: PolicyRow = PolicyRow {
    name: "dc_asgd",
    summary: "asynchronous; each gradient is corrected for the distance the model moved since (DC-ASGD)",
    example: "{name: dc_asgd, lambda: 0.04, adaptive: false, decay: 0.95}",
    positional: &["lambda"],
    options: options::<DelayCompensated>,
    build,
};

fn build(options: &Choice, _: &dyn Tables) -> Result<Composition, OptionError> {
    let mut fold = options.clone();
    fold.name = "delay_compensated".to_owned();
    check(&fold)?;
    Ok(Composition {
        policy: Box::new(Async::new(Weighting::One, None)),
        update: UpdateKind::Gradient,
        fold,
        optimizer: choice("sgd", Some(("lr", 0.1))),
        rounds: false,
    })
}
