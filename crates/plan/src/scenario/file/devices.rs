//! The sections `devices` and `hosts`.

use super::DeviceListFile;
use hcddl_core::device::Profile;
use hcddl_core::device::slowdown::Slowdown;
use hcddl_core::domain::Pick;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Which devices the nodes run on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DevicesFile {
    /// Every node's device unless said otherwise: a choice (`hcddl list devices`).
    pub default: Pick<Profile>,
    /// The workers' and peers' device. Default: `default`.
    pub workers: Option<Pick<Profile>>,
    /// The servers' device. Default: `default`.
    pub servers: Option<Pick<Profile>>,
    /// Single nodes' devices, by the node's name.
    pub nodes: BTreeMap<String, Pick<Profile>>,
    /// A list of devices from a file, one for each worker or peer.
    pub list: Option<DeviceListFile>,
    /// Static differences between workers (or peers) of the same device, as a factor on each one's compute time,
    /// drawn once: `none`, `uniform(1, 3)`, `lognormal(0.5)` (median 1), `some(0.1, 5)` (a tenth of them five
    /// times slower).
    pub heterogeneity: Pick<Slowdown>,
    /// Single nodes' factors on their compute time, by the node's name; win over `heterogeneity`.
    pub slowdown: BTreeMap<String, f64>,
}

impl Default for DevicesFile {
    fn default() -> Self {
        Self {
            default: Pick::text("pi-4b"),
            workers: None,
            servers: None,
            nodes: BTreeMap::new(),
            list: None,
            heterogeneity: Pick::text("none"),
            slowdown: BTreeMap::new(),
        }
    }
}

/// A machine that carries several nodes: they share its cores, network card and power.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HostFile {
    /// Names of its nodes.
    pub nodes: Vec<String>,
    /// Its device: a choice (`hcddl list devices`). Default: the device of its first node.
    #[serde(default)]
    pub device: Option<Pick<Profile>>,
}
