//! Delay-compensated asynchronous SGD: g~ = g + lambda g*g*(x_t - x_{v_i}), where x_{v_i} is the snapshot that
//! this very worker computed on (Zheng et al., Asynchronous Stochastic Gradient Descent with Delay
//! Compensation, arXiv 1609.08326). The compensation is the fold `delay_compensated`.

use super::asynchronous::{Async, Weighting};
use super::fold::delay_compensated::{DelayCompensated, parse};
use super::{Claims, Composition, PolicyRow, choice};
use crate::domain::work::UpdateKind;
use crate::domain::{Choice, OptionError, Row, Tables, options};

pub(super) const ROW: PolicyRow = PolicyRow {
    row: Row {
        name: "dc_asgd",
        summary: "asynchronous; each gradient is corrected for the distance the model moved since (DC-ASGD)",
        example: "{name: dc_asgd, lambda: 0.04, adaptive: false, decay: 0.95}",
        positional: &["lambda"],
        options: options::<DelayCompensated>,
        build,
    },
    trials: &["dc_asgd", "dc_asgd(0)", "{name: dc_asgd, lambda: 0.1, adaptive: true}"],
};

fn build(options: &Choice, _: &dyn Tables) -> Result<Composition, OptionError> {
    let mut fold = options.clone();
    fold.name = "delay_compensated".to_owned();
    let DelayCompensated { lambda, .. } = parse(&fold)?;
    Ok(Composition {
        policy: Box::new(Async::new(Weighting::One, None)),
        update: UpdateKind::Gradient,
        fold,
        optimizer: choice("sgd", Some(("lr", 0.1))),
        rounds: false,
        claims: Claims { sequential: lambda == 0.0, ..Claims::default() },
    })
}
