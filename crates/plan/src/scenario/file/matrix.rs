//! Matrices of the section `network`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// A quantity between each two of a number of places, and which node is at which place.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MatrixFile {
    /// The matrix in a file, relative to the scenario's: n lines of n values, with or without names in the first line,
    /// the first column or both; or a line for each pair (King: `a b rtt_us`; WonderNetwork: `source,destination,..,avg`
    /// in milliseconds of a round trip). The corner of the heading, or the name of the column, may tell what it is:
    /// `rtt_ms`, `latency_us`, `rate_mbit`.
    pub csv: Option<String>,
    /// The unit of values that have none, where the file does not say: `ms`, `mbit`.
    pub unit: Option<String>,
    /// Whether latencies are there and back, of which half is used; must be told unless the file says `rtt` or `latency`.
    pub round_trip: Option<bool>,
    /// Which place a node is at, unless `assign` says so. Default: `order`, if there are enough places.
    pub by: Option<MatrixByFile>,
    /// Places of single nodes: a name of the matrix, or a number from 0.
    pub assign: BTreeMap<String, Value>,
    /// The same here: the places' names. Default: numbers from 0.
    pub names: Vec<String>,
    /// The same here: from each place, in order, to each; a quantity with its unit, `null` where nothing is known.
    pub rows: Vec<Vec<Value>>,
}

/// How nodes come to places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MatrixByFile {
    /// The first node is at the first place, and so on.
    Order,
    /// Each node is at the place of its name.
    Name,
    /// Places are drawn from the interleaving seed, none twice before each was drawn once.
    Random,
}
