//! Machines and links that other simulators' files describe.

use super::MatrixByFile;
use hcddl_core::domain::units::Rate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Machines and links as a platform file of SimGrid describes them (version 4; zones of routing `Full`, `host`, `link`,
/// `route`, `cluster`). They take the place of `hosts` and of the other links here; `devices` say what else a machine is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PlatformFile {
    /// The file, relative to the scenario's.
    pub file: Option<String>,
    /// The same here: its XML.
    pub xml: Option<String>,
    /// Which host a node is on, unless `assign` says so. Default: `order`, if there are enough hosts.
    pub by: Option<MatrixByFile>,
    /// Hosts of single nodes: a name, or a number from 0.
    pub assign: BTreeMap<String, Value>,
}

/// A list of devices, as FedScale has them, one for each worker or peer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DeviceListFile {
    /// CSV with a heading, or JSON (a list of maps, or a map of them by name), relative to the scenario's file:
    /// `device_id`, `compute_ms` (of one sample, as FedScale's `computation`) or `gflops`, and `bandwidth_kbps` (as its
    /// `communication`), `rate_mbit`, `up_mbit`, `down_mbit`.
    pub file: Option<String>,
    /// The same here.
    pub devices: Vec<ListedDeviceFile>,
    /// `order` (the first device for the first worker or peer; the default) or `random` (drawn from the interleaving seed,
    /// none twice before each was drawn once).
    pub by: Option<ListByFile>,
}

/// How devices of a list come to nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ListByFile {
    /// The first for the first, and so on.
    Order,
    /// Drawn.
    Random,
}

/// A device of a list. What is not said is as `devices` has it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ListedDeviceFile {
    /// Its name, for readers.
    pub id: Option<String>,
    /// Milliseconds that the forward pass of one sample takes. A gradient step takes three times that for each sample of
    /// a batch, as in FedScale (Lai et al., ICML 2022).
    pub compute_ms: Option<f64>,
    /// Sustained Gflop/s of training.
    pub gflops: Option<f64>,
    /// Rate of its line in both directions, as in `5mbit`.
    pub rate: Option<Rate>,
    /// Rate towards the network; wins over `rate`.
    pub up: Option<Rate>,
    /// Rate from the network; wins over `rate`.
    pub down: Option<Rate>,
}
