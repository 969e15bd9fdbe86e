//! Who carries the nodes: plain calls, or one actor for each. The order of events is the conductor's business,
//! so both give the same trace.

use super::RunError;
use hcddl_core::domain::NodeId;
use hcddl_core::node::{Cx, Effects, Event, Node, NodeState};

/// Carries nodes.
#[expect(
    async_fn_in_trait,
    reason = "a carrier stays on the thread of its loop: its futures need not be Send"
)]
pub trait Runner {
    /// Hands an event to a node and takes its effects.
    async fn handle(&mut self, cx: Cx, event: Event, out: &mut Effects) -> Result<(), RunError>;
    /// Puts a node in its place, which must be empty.
    async fn place(&mut self, id: NodeId, node: Box<dyn Node>) -> Result<(), RunError>;
    /// Takes a node out, if it is there.
    async fn remove(&mut self, id: NodeId);
    /// A node's state, if it is there.
    async fn save(&mut self, id: NodeId) -> Result<Option<NodeState>, RunError>;
}

/// Plain calls: for sweeps and very many nodes.
#[derive(Default)]
pub struct Direct {
    nodes: Vec<Option<Box<dyn Node>>>,
}

impl Runner for Direct {
    async fn handle(&mut self, cx: Cx, event: Event, out: &mut Effects) -> Result<(), RunError> {
        if let Some(Some(node)) = self.nodes.get_mut(cx.me.index()) {
            node.on(&cx, event, out);
        }
        Ok(())
    }

    async fn place(&mut self, id: NodeId, node: Box<dyn Node>) -> Result<(), RunError> {
        if self.nodes.len() <= id.index() {
            self.nodes.resize_with(id.index() + 1, || None);
        }
        self.nodes[id.index()] = Some(node);
        Ok(())
    }

    async fn remove(&mut self, id: NodeId) {
        if let Some(place) = self.nodes.get_mut(id.index()) {
            *place = None;
        }
    }

    async fn save(&mut self, id: NodeId) -> Result<Option<NodeState>, RunError> {
        Ok(self.nodes.get(id.index()).and_then(|n| n.as_ref()).map(|n| n.save()))
    }
}
