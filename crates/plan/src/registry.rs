//! Every table in one place. A user's crate adds rows to its own [`Registry`].

use hcddl_core::compress::BuildCodec;
use hcddl_core::device::BuildDevice;
use hcddl_core::device::slowdown::BuildSlowdown;
use hcddl_core::domain::{NodeId, Table};
use hcddl_core::net::latency::Latencies;
use hcddl_core::net::profile::BuildLinkProfile;
use hcddl_core::node::Node;
use hcddl_core::peer::BuildPeer;
use hcddl_core::policy::BuildPolicy;
use hcddl_core::policy::fold::BuildFold;
use hcddl_core::policy::optimizer::BuildOptimizer;
use hcddl_core::topology::BuildTopology;
use hcddl_learn::optimizer::BuildLocalOptimizer;
use hcddl_learn::schedule::BuildSchedule;

/// Puts something around a node: itself a node that hands events on. A checkpoint or a restart builds the node anew
/// and calls this again.
pub type AroundNode = fn(NodeId, Box<dyn Node>) -> Box<dyn Node>;

/// All that a scenario can name.
#[derive(Clone)]
pub struct Registry {
    /// Server policies.
    pub policies: Table<BuildPolicy>,
    /// Folds.
    pub folds: Table<BuildFold>,
    /// Server optimisers.
    pub optimizers: Table<BuildOptimizer>,
    /// Local optimisers.
    pub local_optimizers: Table<BuildLocalOptimizer>,
    /// Learning-rate schedules.
    pub schedules: Table<BuildSchedule>,
    /// Peer algorithms.
    pub peers: Table<BuildPeer>,
    /// Codecs.
    pub codecs: Table<BuildCodec>,
    /// Distributions of latency.
    pub latencies: Latencies,
    /// Kinds of link.
    pub link_profiles: Table<BuildLinkProfile>,
    /// Devices.
    pub devices: Table<BuildDevice>,
    /// Differences between devices of a kind.
    pub heterogeneity: Table<BuildSlowdown>,
    /// Topologies.
    pub topologies: Table<BuildTopology>,
    /// Metrics.
    pub metrics: Table<crate::measure::metrics::Metric>,
    /// Put around every node, for crates that watch nodes or change what they do.
    pub around: Option<AroundNode>,
    /// Models, data sets and partitioners.
    pub learn: hcddl_learn::tables::LearnTables,
}

impl Default for Registry {
    fn default() -> Self {
        Self {
            policies: hcddl_core::policy::table(),
            folds: hcddl_core::policy::fold::table(),
            optimizers: hcddl_core::policy::optimizer::table(),
            local_optimizers: hcddl_learn::optimizer::table(),
            schedules: hcddl_learn::schedule::table(),
            peers: hcddl_core::peer::table(),
            codecs: hcddl_core::compress::table(),
            latencies: Latencies::default(),
            link_profiles: hcddl_core::net::profile::table(),
            devices: hcddl_core::device::table(),
            heterogeneity: hcddl_core::device::slowdown::table(),
            topologies: hcddl_core::topology::table(),
            metrics: crate::measure::metrics::table(),
            around: None,
            learn: hcddl_learn::tables::LearnTables::default(),
        }
    }
}

impl Registry {
    /// Every table, as `hcddl list` shows it.
    #[must_use]
    pub fn listings(&self) -> Vec<Listing> {
        vec![
            Listing::of("topologies", &self.topologies),
            Listing::of("models", &self.learn.models),
            Listing::of("layers", &self.learn.layers),
            Listing::of("inits", &self.learn.inits),
            Listing::of("data", &self.learn.data),
            Listing::of("augmentations", &self.learn.augment),
            Listing::of("partitions", &self.learn.partitions),
            Listing::of("policies", &self.policies),
            Listing::of("folds", &self.folds),
            Listing::of("optimizers", &self.optimizers),
            Listing::of("local-optimizers", &self.local_optimizers),
            Listing::of("schedules", &self.schedules),
            Listing::of("peers", &self.peers),
            Listing::of("codecs", &self.codecs),
            Listing::of("links", &self.link_profiles),
            Listing::of("latencies", &self.latencies),
            Listing::of("devices", &self.devices),
            Listing::of("heterogeneity", &self.heterogeneity),
            Listing::of("metrics", &self.metrics),
        ]
    }
}

/// One table as it is shown.
#[derive(Clone, Debug)]
pub struct Listing {
    /// Its name on the command line: `policies`.
    pub name: &'static str,
    /// Name, summary and example of each row.
    pub rows: Vec<[&'static str; 3]>,
}

impl Listing {
    /// The listing of a registry's table.
    #[must_use]
    pub fn of<B>(name: &'static str, table: &Table<B>) -> Self {
        let rows = table.rows().iter().map(|row| [row.name, row.summary, row.example]).collect();
        Self { name, rows }
    }
}
