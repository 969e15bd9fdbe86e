//! Every table in one place. A user's crate adds rows to its own [`Registry`].

use hcddl_core::compress::BuildCodec;
use hcddl_core::device::BuildDevice;
use hcddl_core::device::slowdown::BuildSlowdown;
use hcddl_core::domain::{AnyTable, NodeId, Table, Tables};
use hcddl_core::net::contention::BuildContention;
use hcddl_core::net::latency::BuildLatency;
use hcddl_core::net::profile::BuildLinkProfile;
use hcddl_core::node::Node;
use hcddl_core::node::uplink::BuildPush;
use hcddl_core::peer::BuildPeer;
use hcddl_core::policy::BuildPolicy;
use hcddl_core::policy::fold::BuildFold;
use hcddl_core::policy::optimizer::BuildOptimizer;
use hcddl_core::topology::BuildTopology;
use hcddl_core::trace::{BuildAvailability, BuildBandwidth, BuildLoss};
use hcddl_learn::optimizer::BuildLocalOptimizer;
use hcddl_learn::schedule::BuildSchedule;
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
    /// Ways to share rates.
    pub contentions: Table<BuildContention>,
    /// When local servers push.
    pub pushes: Table<BuildPush>,
    /// Devices.
    pub devices: Table<BuildDevice>,
    /// Differences between devices of a kind.
    pub heterogeneity: Table<BuildSlowdown>,
    /// Generators of rates over time.
    pub bandwidths: Table<BuildBandwidth>,
    /// Generators of nodes' presence.
    pub availabilities: Table<BuildAvailability>,
    /// Ways in which messages get lost.
    pub losses: Table<BuildLoss>,
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
            latencies: hcddl_core::net::latency::table(),
            link_profiles: hcddl_core::net::profile::table(),
            contentions: hcddl_core::net::contention::table(),
            pushes: hcddl_core::node::uplink::push_table(),
            devices: hcddl_core::device::table(),
            heterogeneity: hcddl_core::device::slowdown::table(),
            bandwidths: hcddl_core::trace::bandwidth::table(),
            availabilities: hcddl_core::trace::availability::table(),
            losses: hcddl_core::trace::loss::table(),
            topologies: hcddl_core::topology::table(),
            metrics: crate::measure::metrics::table(),
            around: None,
            learn: hcddl_learn::tables::LearnTables::default(),
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
            &self.contentions,
            &self.pushes,
            &self.devices,
            &self.heterogeneity,
            &self.bandwidths,
            &self.availabilities,
            &self.losses,
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
