//! The mirror of a scenario's YAML: what was written, nothing decided. The doc comment of each field is its
//! entry in the key reference (`docs/scenario-keys.md`) and in the JSON Schema; each default is written once,
//! in the `Default` of its section.

mod deploy;
mod devices;
mod faults;
mod injections;
mod matrix;
mod network;
mod platform;
mod tiers;
mod traces;
mod training;

pub use deploy::DeployFile;
pub use devices::{DevicesFile, HostFile};
pub use faults::{FaultEventFile, FaultsFile, MessageRuleFile, SlowDownFile};
pub use injections::{BurstsFile, InjectionFile, PlaceFile};
pub use matrix::{MatrixByFile, MatrixFile};
pub use network::{LinkFile, LinkOverrideFile, NetworkFile};
pub use platform::{DeviceListFile, ListByFile, ListedDeviceFile, PlatformFile};
pub use tiers::{CompressionFile, PeersFile, TierFile, UplinkFile};
pub use traces::{LineFile, TraceFile, TracePlaceFile, TraceRecordFile};
pub use training::{EvaluationFile, LocalFile, TrainingFile};

use crate::plan::Expect;
use hcddl_core::domain::Pick;
use hcddl_core::topology::Topology;
use hcddl_learn::data::DataSet;
use hcddl_learn::model::Network;
use hcddl_learn::partition::Partitioner;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A scenario: which topology trains which model on which data, how, over which network, and what goes wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScenarioFile {
    /// Name of the run, used for its directory. Default: the file's name without its ending.
    #[serde(default)]
    pub name: Option<String>,
    /// What the scenario shows, for readers.
    #[serde(default)]
    pub description: String,
    /// Sets all three seeds at once. Default: 1.
    #[serde(default)]
    pub seed: Option<u64>,
    /// Seeds one by one; each default is `seed`.
    #[serde(default)]
    pub seeds: SeedsFile,
    /// Who reports to whom, or who mixes with whom: a choice (`hcddl list topologies`) or the path of a file
    /// with one, relative to this file.
    #[schemars(with = "TopologyPlace")]
    pub topology: Pick<Topology>,
    /// What is trained: a choice (`hcddl list models`); `layers` is one of your own (`hcddl list layers`).
    pub model: Pick<Network>,
    /// What it is trained on: a choice (`hcddl list data`). Every data set also takes `limit_train` and `limit_test`
    /// (keep the first so many samples), `validation` (this share of the training samples is kept to validate on)
    /// and `augment` (a list of changes of training images: `hcddl list augmentations`).
    #[serde(default = "default_data")]
    pub data: Pick<DataSet>,
    /// Where data files are looked for, relative to this file. Default: the environment variable `HCDDL_DATA`,
    /// else the cache of `hcddl data fetch`.
    #[serde(default)]
    pub data_dir: Option<PathBuf>,
    /// How the training samples are split over the workers or peers: a choice (`hcddl list partitions`). Every
    /// partitioner also takes `test_share`: this share of each shard is held out, and together that is the test set.
    #[serde(default = "default_partition")]
    pub partition: Pick<dyn Partitioner>,
    /// How long and how training goes.
    #[serde(default)]
    pub training: TrainingFile,
    /// What is measured, and when.
    #[serde(default)]
    pub evaluation: EvaluationFile,
    /// Settings of servers. The keys are `global` (the root), `local` (every server below the root), `local-1`
    /// (those one level below the root; `local-2` and so on) or a server's name; the most specific one wins,
    /// setting by setting.
    #[serde(default)]
    pub tiers: BTreeMap<String, TierFile>,
    /// Settings of decentralised training, for topologies of peers.
    #[serde(default)]
    pub peers: Option<PeersFile>,
    /// Links and contention.
    #[serde(default)]
    pub network: NetworkFile,
    /// Which devices the nodes run on.
    #[serde(default)]
    pub devices: DevicesFile,
    /// Machines that carry several nodes, by name; a node named nowhere has a machine of its own.
    #[serde(default)]
    pub hosts: BTreeMap<String, HostFile>,
    /// What goes wrong, and when.
    #[serde(default)]
    pub faults: FaultsFile,
    /// A file of delays and fates that the simulator shall take instead of drawing them, as `hcddl explore` writes
    /// it; relative to this file.
    #[serde(default)]
    pub schedule: Option<PathBuf>,
    /// Latency that is injected and nodes that are slowed down, in the simulator and by deployed nodes themselves.
    #[serde(default)]
    pub injections: Vec<InjectionFile>,
    /// Rates, latencies and nodes' presence that change over time, recorded or generated.
    #[serde(default)]
    pub traces: Vec<TraceFile>,
    /// How the run is deployed on real devices.
    #[serde(default)]
    pub deploy: DeployFile,
    /// What must hold at the end for `hcddl test` to pass.
    #[serde(default)]
    pub expect: Expect,
    /// Compute no gradients: only times, bytes, versions and staleness.
    #[serde(default)]
    pub timing_only: bool,
}

fn default_data() -> Pick<DataSet> {
    Pick::text("digits")
}

fn default_partition() -> Pick<dyn Partitioner> {
    Pick::text("iid")
}

/// In the schema what names a topology: a choice, or a file with one.
struct TopologyPlace;

impl JsonSchema for TopologyPlace {
    fn schema_name() -> Cow<'static, str> {
        "TopologyPlace".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let file = json_schema!({ "type": "string", "pattern": r"\.ya?ml$" });
        json_schema!({ "anyOf": [generator.subschema_for::<Pick<Topology>>(), file] })
    }
}

/// Seeds of independent sources of randomness.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SeedsFile {
    /// Partition of the data, order of the samples. Default: `seed`.
    pub data: Option<u64>,
    /// Initial parameters. Default: `seed`.
    pub init: Option<u64>,
    /// Everything that moves events in time: latency, jitter, loss, client sampling. Default: `seed`.
    pub interleaving: Option<u64>,
}
