//! FedAvg: x+ = x + sum_i p_i Delta_i, p_i = n_i / sum n, after E local epochs (McMahan et al., Communication-
//! Efficient Learning of Deep Networks from Decentralized Data, arXiv 1602.05629). With another server optimiser
//! it is FedOpt (Reddi et al., arXiv 2003.00295); with `training.proximal` it is FedProx (arXiv 1812.06127).

use super::synchronous::{Sync, SyncOptions};
use super::{Composition, PolicyRow, choice};
use crate::domain::work::UpdateKind;
use crate::domain::{Choice, OptionError, Row, Tables, options};

pub(super) const ROW: PolicyRow = PolicyRow {
    row: Row {
        name: "fedavg",
        summary: "rounds of local training; model deltas averaged by samples (FedAvg, FedOpt, FedProx)",
        example: "{name: fedavg, clients: null, fraction: null, backup: 0, wait_for: null, cancel: false}",
        positional: &["clients"],
        options: options::<SyncOptions>,
        build,
    },
    trials: &["fedavg"],
};

fn build(options: &Choice, _: &dyn Tables) -> Result<Composition, OptionError> {
    let options = SyncOptions::checked(options)?;
    Ok(Composition {
        claims: options.claims(),
        policy: Box::new(Sync::new(options)),
        update: UpdateKind::Delta,
        fold: choice("weighted", None),
        optimizer: choice("sgd", Some(("lr", 1.0))),
        rounds: true,
    })
}
