//! What breaks in the storm, and what comes back.

use super::edge::{Content, side_of};
use super::weather::Fault;
use super::world::{Event, World};
use crate::deploy::node_file;
use hcddl_core::domain::{NodeId, Span};

impl World<'_> {
    /// What happens to a process that is stopped waits until it goes on.
    pub(super) fn defer(&mut self, event: Event) -> Option<Event> {
        let node = match &event {
            Event::Wake(node, _) | Event::Job(node, ..) | Event::Happens(node, ..) => *node,
            Event::Edge(pair, side, _) | Event::Met { pair, side, .. } => side_of(*pair, *side),
            Event::Arrive { pair, to, .. } => side_of(*pair, *to),
            _ => return Some(event),
        };
        let slot = &mut self.slots[node.index()];
        if slot.paused_until.is_some() && slot.stage.is_some() {
            slot.inbox.push_back(event);
            return None;
        }
        Some(event)
    }

    pub(super) fn strike(&mut self, fault: &Fault) {
        let millis = Span::from_millis;
        match *fault {
            Fault::Kill { node, down } => {
                self.close(NodeId(node));
                self.push(self.now + millis(down), Event::Revive(NodeId(node)));
            }
            Fault::PowerCut { node, down } => {
                let slot = &mut self.slots[node as usize];
                if let Some(stage) = slot.stage.take() {
                    slot.gone(&stage);
                    self.tear(NodeId(node));
                }
                self.slots[node as usize].is_powered = false;
                self.push(self.now + millis(down), Event::Revive(NodeId(node)));
            }
            Fault::Pause { node, pause } => {
                let until = self.now + millis(pause);
                let paused = &mut self.slots[node as usize].paused_until;
                *paused = Some(paused.map_or(until, |already| already.max(until)));
                self.push(until, Event::Resume(NodeId(node)));
            }
            Fault::Isolate { node, pause } => {
                let until = &mut self.slots[node as usize].isolated_until;
                *until = (self.now + millis(pause)).max(*until);
            }
            Fault::Cut { a, b, pause } => {
                let (pair, _) = self.edge_to(NodeId(a), NodeId(b));
                if let Some(edge) = self.edges.get_mut(&pair) {
                    edge.cut_until = (self.now + millis(pause)).max(edge.cut_until);
                }
            }
            Fault::Reset { a, b } => {
                let (pair, _) = self.edge_to(NodeId(a), NodeId(b));
                for side in 0..2 {
                    let together = self.edges.get(&pair).and_then(|edge| edge.ends[side].rules.together());
                    if let Some(connection) = together {
                        self.transmit(pair, 1 - side, connection, 0, Content::Lost);
                    }
                }
            }
            Fault::FullDisk { node, down } => {
                let slot = &mut self.slots[node as usize];
                slot.is_full = true;
                if let Some(stage) = &mut slot.stage {
                    stage.world.disk_full = true;
                }
                self.push(self.now + millis(down), Event::Revive(NodeId(node)));
            }
        }
    }

    /// The last words that a disk was given before the power failed are not on it.
    pub(super) fn tear(&mut self, node: NodeId) {
        let path = self.own(node).join(node_file::ORDER);
        let Ok(file) = std::fs::OpenOptions::new().write(true).open(path) else { return };
        let len = file.metadata().map_or(0, |data| data.len());
        let lost = self.stream.below(120).min(len.saturating_sub(self.slots[node.index()].synced));
        // What cannot be shortened stays whole.
        let _ = file.set_len(len - lost);
    }

    /// A process is gone; its machine tells those who are connected to it.
    pub(super) fn close(&mut self, node: NodeId) {
        let slot = &mut self.slots[node.index()];
        let Some(stage) = slot.stage.take() else { return };
        slot.gone(&stage);
        for (pair, side) in self.edges_of(node) {
            if let Some(connection) = self.edges[&pair].ends[side].rules.connection() {
                self.transmit(pair, side, connection, 0, Content::Lost);
            }
        }
    }

    pub(super) fn resume(&mut self, node: NodeId) -> Result<(), String> {
        let now = self.now;
        let slot = &mut self.slots[node.index()];
        if slot.paused_until.is_none_or(|until| until > now) {
            return Ok(());
        }
        slot.paused_until = None;
        let inbox = std::mem::take(&mut slot.inbox);
        for event in inbox {
            self.happen(event)?;
        }
        Ok(())
    }
}
