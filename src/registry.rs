//! Every table in one place. A user's crate adds rows to its own [`Registry`].

use crate::compress::BuildCodec;
use crate::device::BuildDevice;
use crate::device::slowdown::BuildSlowdown;
use crate::domain::{AnyTable, NodeId, Table, Tables};
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
use std::any::{Any, TypeId};

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
    /// Differences between devices of a kind.
    pub heterogeneity: Table<BuildSlowdown>,
    /// Topologies.
    pub topologies: Table<BuildTopology>,
    /// Metrics.
    pub metrics: Table<crate::measure::metrics::Metric>,
    /// Put around every node, for crates that watch nodes or change what they do.
    pub around: Option<AroundNode>,
    /// Models, data sets and partitioners.
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
            heterogeneity: crate::device::slowdown::table(),
            topologies: crate::topology::table(),
            metrics: crate::measure::metrics::table(),
            around: None,
            learn: crate::learn::engine::LearnTables::default(),
        }
    }
}

impl Registry {
    /// Every table, in the order of `hcddl list`.
    #[must_use]
    pub fn all(&self) -> Vec<&dyn AnyTable> {
        let [models, layers, inits, data, augmentations, partitions] = self.learn.all();
        vec![
            &self.topologies,
            models,
            layers,
            inits,
            data,
            augmentations,
            partitions,
            &self.policies,
            &self.folds,
            &self.optimizers,
            &self.local_optimizers,
            &self.schedules,
            &self.peers,
            &self.codecs,
            &self.link_profiles,
            &self.latencies,
            &self.devices,
            &self.heterogeneity,
            &self.metrics,
        ]
    }

    /// What every table lists.
    #[must_use]
    pub fn outlines(&self) -> Vec<Table<()>> {
        self.all().into_iter().map(AnyTable::outline).collect()
    }
}

impl Tables for Registry {
    fn find(&self, table: TypeId) -> Option<&dyn Any> {
        self.all().into_iter().find_map(|one| one.find(table))
    }
}
