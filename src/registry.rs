//! Every table in one place. A user's crate adds rows to its own [`Registry`].

use crate::compress::BuildCodec;
use crate::device::BuildDevice;
use crate::domain::{NodeId, Table};
use crate::learn::optimizer::BuildLocalOptimizer;
use crate::learn::schedule::BuildSchedule;
use crate::net::latency::BuildLatency;
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
    pub latencies: Table<BuildLatency>,
    /// Kinds of link.
    pub link_profiles: Table<BuildLinkProfile>,
    /// Devices.
    pub devices: Table<BuildDevice>,
    /// Topologies.
    pub topologies: Table<BuildTopology>,
    /// Metrics.
    pub metrics: Table<crate::sim::metrics::Metric>,
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
            latencies: crate::net::latency::table(),
            link_profiles: crate::net::profile::table(),
            devices: crate::device::table(),
            topologies: crate::topology::table(),
            metrics: crate::sim::metrics::table(),
            around: None,
            #[cfg(feature = "runtime")]
            learn: crate::learn::engine::LearnTables::default(),
        }
    }
}
