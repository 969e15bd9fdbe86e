//! How a plan is deployed on real devices.

use hcddl_core::domain::{NodeId, Span};
use serde::{Deserialize, Serialize};

/// How a run is deployed.
#[derive(Clone, Debug, PartialEq)]
pub struct DeployPlan {
    /// Hosts of the inventory by node, ascending; the other nodes take the hosts that are left.
    pub placement: Vec<(NodeId, String)>,
    /// First port of each host.
    pub port: u16,
    /// How its processes behave.
    pub settings: Settings,
}

/// How the processes of a deployed run behave; they are told as it stands here, in `deployment.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Silence after which a neighbour counts as lost.
    pub detection: Span,
    /// Time between two signs of life.
    pub heartbeat: Span,
    /// Absence from the start after which a node counts as lost.
    pub start_timeout: Span,
    /// Silence of the controller after which an attached run stops.
    pub lease: Span,
    /// Whether streams are encrypted and both ends authenticated.
    pub tls: bool,
    /// Commits of the root between two checkpoints; 0 for none.
    pub checkpoint_every: u64,
    /// Compute threads of each node; 0 for all cores.
    pub threads: u16,
    /// Whether results are held back to their modelled duration.
    pub paced: bool,
    /// Directory of the data files on every device; `None` when samples are pushed.
    pub data_on_device: Option<std::path::PathBuf>,
    /// First port of the figures for Prometheus; 0 for none.
    pub metrics_port: u16,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            detection: Span::from_millis(10_000),
            heartbeat: Span::from_millis(1_000),
            start_timeout: Span::from_millis(60_000),
            lease: Span::from_millis(30_000),
            tls: true,
            checkpoint_every: 10,
            threads: 0,
            paced: false,
            data_on_device: None,
            metrics_port: 0,
        }
    }
}
