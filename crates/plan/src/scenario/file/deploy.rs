//! The section `deploy`.

use crate::plan::Settings;
use hcddl_core::domain::units::Duration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How a run is deployed on real devices; the simulator has no use for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DeployFile {
    /// Which host of the inventory carries which node: `{global: pi1, worker0: pi2}`. Several nodes may share a host.
    /// Nodes named nowhere take the hosts that are left, in the order of the inventory.
    pub placement: BTreeMap<String, String>,
    /// First TCP port; nodes of one host take consecutive ones.
    pub port: u16,
    /// What is pushed to the devices: `push` (each one gets the samples that its nodes need, cached by hash), or the
    /// path of a directory with the data files on every device, which then never leave it.
    pub data: String,
    /// A neighbour that has been silent for so long counts as lost.
    pub detection: Duration,
    /// Time between two signs of life.
    pub heartbeat: Duration,
    /// A node that has not been there from the start counts as lost after this.
    pub start_timeout: Duration,
    /// A run that nobody has detached stops when its controller has been silent for so long.
    pub lease: Duration,
    /// Mutual TLS between the nodes; `false` is for benchmarks, and warned about.
    pub tls: bool,
    /// Commits of the root between two checkpoints; 0 for none.
    pub checkpoint_every: u64,
    /// Compute threads of each node; 0 for all cores of its device.
    pub threads: u16,
    /// Hold each job's result back until its modelled duration is over: devices shared by several nodes then behave
    /// as modelled ones.
    pub paced: bool,
    /// First TCP port at which servers and peers tell Prometheus their figures, at `/metrics`; those of one host take
    /// consecutive ones. 0 for none.
    pub metrics_port: u16,
}

impl Default for DeployFile {
    fn default() -> Self {
        let usual = Settings::default();
        Self {
            placement: BTreeMap::new(),
            port: 7700,
            data: "push".to_owned(),
            detection: Duration(usual.detection),
            heartbeat: Duration(usual.heartbeat),
            start_timeout: Duration(usual.start_timeout),
            lease: Duration(usual.lease),
            tls: usual.tls,
            checkpoint_every: usual.checkpoint_every,
            threads: usual.threads,
            paced: usual.paced,
            metrics_port: usual.metrics_port,
        }
    }
}
