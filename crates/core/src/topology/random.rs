//! The random graph of Erdős and Rényi (Gilbert's form: every link with the same probability), resampled
//! until it is connected.

use super::{BuildTopology, Topology, at_least, components, graph};
use crate::domain::{Choice, OptionError, Row, Stream};
use serde::Deserialize;

pub(super) fn row() -> Row<BuildTopology> {
    Row {
        name: "random",
        summary: "every pair of peers is linked with the same probability (Erdős–Rényi), redrawn until connected; `seed` picks the graph, whatever the run's seeds",
        example: "{name: random, peers: 10, probability: 0.5, seed: 0}",
        positional: &["peers", "probability"],
        build,
    }
}

/// Graphs drawn before we give up.
const ATTEMPTS: u64 = 100;
/// Pairs to draw in one graph; more are refused because drawing each pair is slow.
const PEERS_MAX: u64 = 5000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Options {
    peers: u64,
    probability: f64,
    seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { peers: 10, probability: 0.5, seed: 0 }
    }
}

fn build(choice: &Choice) -> Result<Topology, OptionError> {
    let Options { peers, probability, seed } = choice.options()?;
    let peers = at_least("peers", peers, 2, "peer")?;
    if peers > PEERS_MAX {
        return Err(OptionError::new("peers", format!("{peers} peers"), format!("at most {PEERS_MAX}")));
    }
    if !(probability > 0.0 && probability <= 1.0) {
        let message = format!("the probability {probability}");
        return Err(OptionError::new("probability", message, "above 0, at most 1"));
    }
    for attempt in 0..ATTEMPTS {
        let mut stream = Stream::new(seed, "topology", attempt, 0);
        let mut links = Vec::new();
        for a in 0..peers {
            links.extend((a + 1..peers).filter(|_| stream.uniform() < probability).map(|b| (a, b)));
        }
        let topology = graph(peers, links);
        if components(topology.nodes.len(), &topology.links).iter().all(|component| *component == 0) {
            return Ok(topology);
        }
    }
    Err(OptionError {
        key: "probability".to_owned(),
        message: format!("none of {ATTEMPTS} random graphs with probability {probability} is connected"),
        // The connectivity threshold of the random graph is ln(n)/n.
        allowed: format!("above about {:.3}", crate::domain::math::ln(peers as f64) / peers as f64),
        hint: "raise the probability".to_owned(),
    })
}
