//! FedAvg: x+ = x + sum_i p_i Delta_i, p_i = n_i / sum n, after E local epochs (McMahan et al., Communication-
//! Efficient Learning of Deep Networks from Decentralized Data, arXiv 1602.05629). With another server optimiser
//! it is FedOpt (Reddi et al., arXiv 2003.00295); with `training.proximal` it is FedProx (arXiv 1812.06127).

use super::synchronous::{Sync, SyncOptions};
use super::{Composition, PolicyRow, choice};
use crate::domain::work::UpdateKind;
use crate::domain::{Choice, OptionError};

pub(super) const ROW: PolicyRow = PolicyRow {
    name: "fedavg",
    summary: "rounds of local training; model deltas averaged by samples (FedAvg, FedOpt, FedProx)",
    example: "{name: fedavg, clients: null, fraction: null, backup: 0, wait_for: null, cancel: false}",
    positional: &["clients"],
    build,
};

fn build(options: &Choice) -> Result<Composition, OptionError> {
    Ok(Composition {
        policy: Box::new(Sync::new(SyncOptions::checked(options)?)),
        update: UpdateKind::Delta,
        fold: choice("weighted", None),
        optimizer: choice("sgd", Some(("lr", 1.0))),
        rounds: true,
    })
}
