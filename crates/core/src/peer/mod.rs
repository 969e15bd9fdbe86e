//! Decentralised and collective training: one file per algorithm, one row of [`table`] each. A peer is a node
//! that trains on its shard and mixes with its neighbours; there is no server.

mod d_psgd;
mod ring_all_reduce;
#[cfg(test)]
mod tests;

use crate::domain::{
    Build, Detail, Head, Kind, Message, NodeId, OptionError, Params, Pluggable, Row, Table, Version,
};
use crate::node::Node;
use crate::node::peer::PeerState;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A decentralised algorithm: builds its nodes.
pub trait PeerAlgorithm: Send + Sync {
    /// A new peer, or one that continues from a saved state.
    fn node(&self, setup: PeerSetup, state: Option<PeerState>) -> Box<dyn Node>;
    /// Whether all peers have the same model at the end of a round; tests hold it to that.
    fn agrees(&self) -> bool {
        false
    }
    /// Checks the graph before a run: for example that it is a ring.
    ///
    /// # Errors
    /// What is wrong with it and which topology would do.
    fn check(&self, neighbours: &[Vec<NodeId>]) -> Result<(), String> {
        let _ = neighbours;
        Ok(())
    }
}

/// Makes an algorithm from its options; optimisers can be named in them.
pub type BuildPeer = Build<Arc<dyn PeerAlgorithm>>;

impl Pluggable for dyn PeerAlgorithm {
    type Build = BuildPeer;
    const KIND: &'static str = "peer algorithm";
    const LIST: &'static str = "peers";
}

/// All peer algorithms.
#[must_use]
pub fn table() -> Table<BuildPeer> {
    Table::new::<dyn PeerAlgorithm>(vec![ring_all_reduce::ROW, d_psgd::ROW])
}

type PeerRow = Row<BuildPeer>;

/// What a peer is told once.
#[derive(Clone, Debug)]
pub struct PeerSetup {
    /// Its neighbours in the order of the topology (a ring: previous, next) with their mixing weights.
    pub neighbours: Vec<(NodeId, f64)>,
    /// What its neighbours are called.
    pub names: BTreeMap<NodeId, String>,
    /// Its position among the peers, along the ring where they form one.
    pub position: usize,
    /// Number of peers.
    pub peers: usize,
    /// The model that all start from.
    pub init: Params,
    /// Gradient steps (batches behind one gradient) in a round.
    pub steps: u64,
    /// Rounds after which it stops.
    pub rounds: Option<u64>,
    /// Whether this is a restart without memory: it takes the model of the first neighbour it hears.
    pub restarted: bool,
}

impl PeerSetup {
    /// What a neighbour is called.
    pub(crate) fn name(&self, neighbour: NodeId) -> &str {
        self.names.get(&neighbour).map_or("an unknown node", String::as_str)
    }
}

/// The detail of a tensor that peers exchange in several steps of a round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Piece {
    /// The step.
    step: u64,
    /// Which chunk of the whole it is.
    chunk: u32,
}

impl From<Piece> for Detail {
    fn from(Piece { step, chunk }: Piece) -> Self {
        Self { long: step, short: chunk }
    }
}

impl From<Detail> for Piece {
    fn from(Detail { long, short }: Detail) -> Self {
        Self { step: long, chunk: short }
    }
}

/// A message of a peer: a tensor of a round.
fn piece(kind: Kind, name: &'static str, round: u64, piece: Piece, tensor: Params) -> Message {
    let head = Head { version: Version(round), loss: f32::NAN, detail: piece.into(), ..Head::default() };
    Message::with(kind, head, name, crate::domain::Data::Dense(tensor))
}

fn check_lr(lr: f32) -> Result<(), OptionError> {
    if lr > 0.0 && lr.is_finite() {
        return Ok(());
    }
    Err(OptionError::new("lr", format!("expected a learning rate, found {lr}"), "above 0"))
}
