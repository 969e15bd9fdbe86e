//! The section `network`.

use super::{MatrixFile, PlatformFile};
use hcddl_core::domain::Pick;
use hcddl_core::domain::Span;
use hcddl_core::domain::units::{Duration, Rate};
use hcddl_core::net::profile::LinkProfile;
use hcddl_core::net::{Contention, Distribution};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Links and contention.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NetworkFile {
    /// How concurrent transfers share rates: `tcp` (queues, and windows of connections that stay open), `fair_share`
    /// (all alike at each moment; `fair_share(0.35)` is unfair, by the standard deviation of the logarithm of a
    /// transfer's weight), `fifo` (one after the other) or `none` (transfers do not disturb each other).
    pub contention: Pick<Contention>,
    /// Links that end in a worker or a peer, and each machine's network card.
    pub lan: LinkFile,
    /// Links between servers. What is not set is as in `lan`; a `rate`, `up` or `down` of its own, or a `profile`,
    /// gives each local server a separate access line to its parent.
    pub wan: LinkFile,
    /// Cells of WiFi by name, each with the nodes whose machines are stations of it: `{attic: [worker1, worker2]}`. All
    /// stations of a cell share its one medium, sending and receiving; what goes from station to station crosses it
    /// twice. Default: all machines with the same kind of WiFi card are one cell.
    pub cells: BTreeMap<String, Vec<String>>,
    /// One-way latencies between places, which take the place of those of `lan` and `wan`.
    pub latencies: Option<MatrixFile>,
    /// What one transfer from one place to another cannot exceed.
    pub rates: Option<MatrixFile>,
    /// Machines and links from a platform file of SimGrid.
    pub platform: Option<PlatformFile>,
    /// Single links with settings of their own.
    pub links: Vec<LinkOverrideFile>,
    /// Resend each message until it is acknowledged. Default: true when `faults.messages` can lose or repeat
    /// messages, else false.
    pub reliable: Option<bool>,
    /// First wait for an acknowledgement before a resend, a duration; doubles each time.
    pub resend_after: Duration,
}

impl Default for NetworkFile {
    fn default() -> Self {
        Self {
            contention: Pick::text("tcp"),
            lan: LinkFile::default(),
            wan: LinkFile::default(),
            cells: BTreeMap::new(),
            latencies: None,
            rates: None,
            platform: None,
            links: Vec::new(),
            reliable: None,
            resend_after: Duration(Span::from_millis(1000)),
        }
    }
}

/// A kind of link. Where a profile is given, the other settings override it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LinkFile {
    /// Where unset values come from: a choice (`hcddl list links`). Default: as the machine's network card.
    pub profile: Option<Pick<LinkProfile>>,
    /// One-way latency: a duration as in `20ms`, or a choice (`hcddl list latencies`).
    pub latency: Option<Pick<dyn Distribution>>,
    /// Rate in both directions, as in `50mbit`.
    pub rate: Option<Rate>,
    /// Rate towards the network; wins over `rate`.
    pub up: Option<Rate>,
    /// Rate from the network; wins over `rate`.
    pub down: Option<Rate>,
    /// Probability that a packet is lost, from 0 to below 1. On a reliable lane that costs time, no message.
    pub loss: Option<f64>,
    /// Rate of one line that all these links share, as in `1gbit`. Default: no shared line.
    pub shared: Option<Rate>,
}

/// A link with settings of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkOverrideFile {
    /// The two nodes: a server and its child, or two neighbouring peers.
    pub between: [String; 2],
    /// One-way latency: a duration as in `20ms`, or a choice (`hcddl list latencies`).
    #[serde(default)]
    pub latency: Option<Pick<dyn Distribution>>,
    /// What one transfer on this link cannot exceed, as in `50mbit`.
    #[serde(default)]
    pub rate: Option<Rate>,
    /// Probability that a packet is lost, from 0 to below 1.
    #[serde(default)]
    pub loss: Option<f64>,
}
