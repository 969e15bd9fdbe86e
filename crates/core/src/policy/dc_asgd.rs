//! Delay-compensated asynchronous SGD: g~ = g + lambda g*g*(x_t - x_{v_i}), where x_{v_i} is the snapshot that
//! this very worker computed on (Zheng et al., Asynchronous Stochastic Gradient Descent with Delay
//! Compensation, arXiv 1609.08326). The compensation is the fold `delay_compensated`.

use super::asynchronous::{Async, Weighting};
use super::{Composition, PolicyRow, choice};
use crate::domain::work::UpdateKind;
use crate::domain::{Choice, OptionError};

pub(super) const ROW: PolicyRow = PolicyRow {
    name: "dc_asgd",
    summary: "asynchronous; each gradient is corrected for the distance the model moved since (DC-ASGD)",
    example: "{name: dc_asgd, lambda: 0.04, adaptive: false}",
    positional: &["lambda"],
    build,
};

fn build(options: &Choice) -> Result<Composition, OptionError> {
    let mut fold = options.clone();
    fold.name = "delay_compensated".to_owned();
    super::fold::delay_compensated::check(&fold)?;
    Ok(Composition {
        policy: Box::new(Async::new(Weighting::One, None)),
        update: UpdateKind::Gradient,
        fold,
        optimizer: choice("sgd", Some(("lr", 0.1))),
        rounds: false,
    })
}
