//! Every table in one place. A user's crate adds rows to its own [`Registry`].

use crate::compress::BuildCodec;
use crate::device::BuildDevice;
use crate::device::slowdown::BuildSlowdown;
use crate::domain::{NodeId, Table};
use crate::learn::optimizer::BuildLocalOptimizer;
use crate::learn::schedule::BuildSchedule;
use crate::net::latency::Latencies;
use crate::net::profile::BuildLinkProfile;
use crate::node::Node;
use crate::peer::BuildPeer;
use crate::policy::BuildPolicy;
use crate::policy::fold::BuildFold;
use crate::policy::optimizer::BuildOptimizer;
use crate::topology::BuildTopology;

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
    #[cfg(feature = "runtime")]
    pub learn: crate::learn::engine::LearnTables,
}

impl Default for Registry {
    fn default() -> Self {
        Self {
            policies: crate::policy::table(),
            folds: crate::policy::fold::table(),
            optimizers: crate::policy::optimizer::table(),
            local_optimizers: crate::learn::optimizer::table(),
            schedules: crate::learn::schedule::table(),
            peers: crate::peer::table(),
            codecs: crate::compress::table(),
            latencies: Latencies::default(),
            link_profiles: crate::net::profile::table(),
            devices: crate::device::table(),
            heterogeneity: crate::device::slowdown::table(),
            topologies: crate::topology::table(),
            metrics: crate::measure::metrics::table(),
            around: None,
            #[cfg(feature = "runtime")]
            learn: crate::learn::engine::LearnTables::default(),
        }
    }
}

#[cfg(feature = "runtime")]
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

#[cfg(feature = "runtime")]
/// One table as it is shown.
#[derive(Clone, Debug)]
pub struct Listing {
    /// Its name on the command line: `policies`.
    pub name: &'static str,
    /// Name, summary and example of each row.
    pub rows: Vec<[&'static str; 3]>,
}

#[cfg(feature = "runtime")]
impl Listing {
    /// The listing of a registry's table.
    #[must_use]
    pub fn of<B>(name: &'static str, table: &Table<B>) -> Self {
        let rows = table.rows().iter().map(|row| [row.name, row.summary, row.example]).collect();
        Self { name, rows }
    }
}
