//! Every table in one place. A user's crate adds rows to its own [`Registry`].

use crate::compress::BuildCodec;
use crate::device::BuildDevice;
use crate::domain::Table;
use crate::learn::optimizer::BuildLocalOptimizer;
use crate::learn::schedule::BuildSchedule;
use crate::net::latency::BuildLatency;
use crate::net::profile::BuildLinkProfile;
use crate::peer::BuildPeer;
use crate::policy::BuildPolicy;
use crate::policy::fold::BuildFold;
use crate::policy::optimizer::BuildOptimizer;
use crate::topology::BuildTopology;

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
    pub latencies: Table<BuildLatency>,
    /// Kinds of link.
    pub link_profiles: Table<BuildLinkProfile>,
    /// Devices.
    pub devices: Table<BuildDevice>,
    /// Topologies.
    pub topologies: Table<BuildTopology>,
    /// Metrics.
    pub metrics: Table<crate::sim::metrics::Metric>,
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
            latencies: crate::net::latency::table(),
            link_profiles: crate::net::profile::table(),
            devices: crate::device::table(),
            topologies: crate::topology::table(),
            metrics: crate::sim::metrics::table(),
            #[cfg(feature = "runtime")]
            learn: crate::learn::engine::LearnTables::default(),
        }
    }
}
