//! What passes between processes in the storm, and how they come to be connected.

use super::edge::Phase;
use super::world::{Content, Event, HANDSHAKE, Pair, World, side_of};
use crate::deploy::node::world::Happening;
use crate::transport::links::{Credit, Input, Stamp};
use hcddl_core::domain::{Message, NodeId, Span, Time};
use hcddl_core::node::bond::Change;

impl World<'_> {
    pub(super) fn edges_of(&self, node: NodeId) -> Vec<(Pair, usize)> {
        let pairs = self.edges.keys().filter(|pair| pair.0 == node || pair.1 == node);
        pairs.map(|pair| (*pair, usize::from(pair.1 == node))).collect()
    }

    pub(super) fn edge_to(&self, from: NodeId, to: NodeId) -> (Pair, usize) {
        if self.edges.contains_key(&(from, to)) { ((from, to), 0) } else { ((to, from), 1) }
    }

    pub(super) fn send(&mut self, from: NodeId, to: NodeId, stamp: Stamp, message: Message) {
        let (pair, side) = self.edge_to(from, to);
        let edge = self.edges.get_mut(&pair).expect("neighbours");
        let end = &edge.ends[side];
        match end.phase {
            Phase::Together(connection) => self.say(pair, side, connection, stamp, message),
            _ if !end.bond.has_met() && !end.bond.is_down() => edge.waiting[side].push((stamp, message)),
            // Reliable delivery sends it again when the neighbour is there.
            _ => {}
        }
    }

    pub(super) fn say(&mut self, pair: Pair, side: usize, connection: u64, stamp: Stamp, message: Message) {
        let lane = usize::from(message.lane() == hcddl_core::domain::Lane::Model);
        self.transmit(pair, side, connection, lane, Content::Message(stamp, Box::new(message)));
    }

    /// Something is on its way to the other end.
    pub(super) fn transmit(&mut self, pair: Pair, side: usize, connection: u64, lane: usize, what: Content) {
        let slow = self.weather.slow * if self.stream.below(20) == 0 { 40 } else { 1 };
        let delay = Span((1 + self.stream.below(30)) * 100_000 * slow);
        let last = &mut self.edges.get_mut(&pair).expect("an edge").last[side][lane];
        let at = (self.now + delay).max(*last);
        *last = at;
        self.push(at, Event::Arrive { pair, to: 1 - side, connection, what });
    }

    /// Until when nothing passes between the ends of an edge.
    pub(super) fn blocked_until(&self, pair: Pair) -> Option<Time> {
        let isolated = [pair.0, pair.1].map(|node| self.slots[node.index()].isolated_until);
        let until = self.edges[&pair].cut_until.max(isolated[0]).max(isolated[1]);
        (until > self.now).then_some(until)
    }

    pub(super) fn arrive(
        &mut self,
        pair: Pair,
        to: usize,
        connection: u64,
        what: Content,
    ) -> Result<(), String> {
        if let Some(until) = self.blocked_until(pair) {
            // TCP tries again, in order; who dials gives up.
            if !matches!(what, Content::Hello(_)) {
                self.push(until, Event::Arrive { pair, to, connection, what });
            }
            return Ok(());
        }
        let node = side_of(pair, to);
        let slot = &self.slots[node.index()];
        if slot.stage.is_none() {
            // A machine without the process refuses; one without power says nothing.
            if slot.is_powered && !matches!(what, Content::Lost) {
                self.transmit(pair, to, connection, 0, Content::Lost);
            }
            return Ok(());
        }
        let end = &mut self.edges.get_mut(&pair).expect("an edge").ends[to];
        let current = match end.phase {
            Phase::Meeting(current) | Phase::Together(current) => Some(current),
            Phase::Apart => None,
        };
        match what {
            Content::Hello(standing) => {
                if end.bond.is_outdated(standing.life) {
                    self.transmit(pair, to, connection, 0, Content::Lost);
                    return Ok(());
                }
                // Whatever was there is broken, or its other end has given it up.
                self.part(pair, to);
                let (now, life) = (self.now, self.slots[node.index()].lives - 1);
                let end = &mut self.edges.get_mut(&pair).expect("an edge").ends[to];
                (end.heard, end.phase, end.other) = (now, Phase::Meeting(connection), Some(standing));
                let ours = end.bond.standing(life);
                self.transmit(pair, to, connection, 0, Content::Welcome(ours));
                self.push(now + HANDSHAKE, Event::Timeout(pair, to, connection, life + 1));
                Ok(())
            }
            _ if current != Some(connection) => {
                if !matches!(what, Content::Lost) {
                    self.transmit(pair, to, connection, 0, Content::Lost);
                }
                Ok(())
            }
            Content::Welcome(standing) if end.bond.is_outdated(standing.life) => {
                self.part(pair, to);
                Ok(())
            }
            Content::Welcome(standing) => {
                end.other = Some(standing);
                self.transmit(pair, to, connection, 0, Content::Bulk);
                Ok(())
            }
            Content::Bulk => {
                self.transmit(pair, to, connection, 0, Content::Ready);
                // What it says on the other lane must not come before it is expected.
                let edge = self.edges.get_mut(&pair).expect("an edge");
                edge.last[to][1] = edge.last[to][0];
                self.meet(pair, to, connection)
            }
            Content::Ready => self.meet(pair, to, connection),
            Content::Lost => {
                self.part(pair, to);
                Ok(())
            }
            Content::Beat => {
                end.heard = self.now;
                Ok(())
            }
            Content::Message(stamp, message) => {
                end.heard = self.now;
                let (from, credit) = (side_of(pair, 1 - to), Credit::default());
                self.tell(node, Happening::Input(Input::Received { from, stamp, message: *message, credit }))
            }
            Content::Notice(bytes) => {
                end.heard = self.now;
                let from = side_of(pair, 1 - to);
                self.tell(node, Happening::Input(Input::Notice { from, bytes }))
            }
        }
    }

    pub(super) fn meet(&mut self, pair: Pair, side: usize, connection: u64) -> Result<(), String> {
        let now = self.now;
        let edge = self.edges.get_mut(&pair).expect("an edge");
        let end = &mut edge.ends[side];
        if end.is_together(connection) {
            return Ok(());
        }
        let other = end.other.expect("who meets has heard the other's standing");
        let changes = end.meet(now, connection, other);
        let waiting = std::mem::take(&mut edge.waiting[side]);
        self.report(pair, side, changes)?;
        for (stamp, message) in waiting {
            self.send(side_of(pair, side), side_of(pair, 1 - side), stamp, message);
        }
        Ok(())
    }

    pub(super) fn report(&mut self, pair: Pair, side: usize, changes: &[Change]) -> Result<(), String> {
        let other = side_of(pair, 1 - side);
        for change in changes {
            let input = match change {
                Change::Down => Input::Down(other),
                Change::Up => Input::Up(other),
                Change::Reconnected => Input::Reconnected(other),
            };
            self.tell(side_of(pair, side), Happening::Input(input))?;
        }
        Ok(())
    }

    /// An end gives its connection up; if it is the one that dials it will again.
    pub(super) fn part(&mut self, pair: Pair, side: usize) {
        let draw = self.stream.uniform();
        let now = self.now;
        let lives = self.slots[side_of(pair, side).index()].lives;
        let end = &mut self.edges.get_mut(&pair).expect("an edge").ends[side];
        let pause = end.part(now, draw);
        let pauses = end.pauses;
        if side == 0 {
            self.push(now + pause, Event::Redial(pair, pauses, lives));
        }
    }

    pub(super) fn redial(&mut self, pair: Pair, pauses: u64, lives: u32) {
        let slot = &self.slots[pair.0.index()];
        let edge = self.edges.get_mut(&pair).expect("an edge");
        let end = &mut edge.ends[0];
        if slot.stage.is_none() || slot.lives != lives || end.pauses != pauses || end.phase != Phase::Apart {
            return;
        }
        self.connections += 1;
        let connection = self.connections;
        end.phase = Phase::Meeting(connection);
        let ours = end.bond.standing(lives - 1);
        edge.last = [[self.now; 2]; 2];
        self.transmit(pair, 0, connection, 0, Content::Hello(ours));
        self.push(self.now + HANDSHAKE, Event::Timeout(pair, 0, connection, lives));
    }

    /// A sign of life, and a look whether the other end still gives some.
    pub(super) fn beat(&mut self, pair: Pair, side: usize, lives: u32) -> Result<(), String> {
        let slot = &self.slots[side_of(pair, side).index()];
        if slot.lives != lives || slot.stage.is_none() {
            return Ok(());
        }
        let (now, settings) = (self.now, &self.ready.settings);
        self.push(now + settings.heartbeat, Event::Beat(pair, side, lives));
        let end = &mut self.edges.get_mut(&pair).expect("an edge").ends[side];
        let silent = end.is_silent(now, settings.detection, settings.start_timeout);
        if let Phase::Together(connection) = end.phase {
            self.transmit(pair, side, connection, 0, Content::Beat);
        }
        if !silent {
            return Ok(());
        }
        self.part(pair, side);
        let edge = self.edges.get_mut(&pair).expect("an edge");
        edge.waiting[side].clear();
        let changes = edge.ends[side].bond.lose();
        self.report(pair, side, changes)
    }
}
