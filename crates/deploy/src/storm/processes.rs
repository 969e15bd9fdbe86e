//! Processes in the storm: they begin, are told what happens, and what they want is done.

use super::desk::{Desk, Want};
use super::edge::End;
use super::world::{Event, Pair, Ready, World, at_once};
use crate::deploy::node::stage::{Stage, StageParts};
use crate::deploy::node::world::Happening;
use crate::deploy::node::{Place, checkpoint, next_life};
use crate::deploy::node_file;
use crate::transport::rules::Told;
use hcddl_core::domain::{NodeId, Span};
use hcddl_sim::record::order::OrderLog;
use hcddl_sim::run::runner::{Direct, Runner};

impl World<'_> {
    /// A process begins.
    pub(super) fn start(&mut self, node: NodeId) -> Result<(), String> {
        let text = |error: anyhow::Error| format!("{error:#}");
        let own = self.own(node);
        std::fs::create_dir_all(&own).map_err(|error| error.to_string())?;
        let ready = self.ready;
        let slot = &mut self.slots[node.index()];
        if slot.stage.is_some() || slot.ended.is_some() || !slot.is_powered {
            return Ok(());
        }
        let life = next_life(&own).map_err(text)?;
        if life != slot.lives {
            return Err(format!("expected life {} of {}, found {life}", slot.lives, own.display()));
        }
        slot.lives += 1;
        (slot.paused_until, slot.wake, slot.events) = (None, None, 0);
        let place = Place { run: self.dir.clone(), own: own.clone(), me: node, life };
        let saved = checkpoint::load(&place).map_err(text)?;
        let desk = Desk {
            now: self.now,
            born: self.now,
            rate: 990 + self.stream.below(21),
            wants: Vec::new(),
            log: OrderLog::open(&own.join(node_file::ORDER), node).map_err(|error| error.to_string())?,
            is_saving: false,
            disk_full: slot.is_full,
            interrupted: false,
        };
        let Ready { plan, registry, learner, settings } = ready;
        let parts = StageParts { place, plan, registry, learner, settings, saved };
        let mut stage = match at_once(Stage::open(parts, desk, Direct::default())) {
            Ok(stage) => stage,
            // Its disk is full still.
            Err(_) if slot.is_full => return Ok(()),
            Err(error) => return Err(text(error)),
        };
        let began = at_once(stage.go_on());
        slot.stage = Some(stage);
        let mine: Vec<(Pair, usize)> = self.edges_of(node);
        for (pair, side) in mine {
            let now = self.now;
            *self.end((pair, side)) = End::new(now, ready.timing(), side == 0, life);
            self.ask((pair, side), Told::Time, None);
        }
        self.after(node, began)
    }

    /// Tells a process what happens, and does what it wants.
    pub(super) fn tell(&mut self, node: NodeId, happening: Happening) -> Result<(), String> {
        let now = self.now;
        let slot = &mut self.slots[node.index()];
        let Some(stage) = &mut slot.stage else { return Ok(()) };
        stage.world.now = now;
        self.events += 1;
        slot.events += 1;
        let told = at_once(stage.on(happening));
        if slot.events.is_multiple_of(64) {
            let state = at_once(stage.core.runner.save(node)).map_err(|error| error.to_string())?;
            let bytes = hcddl_files::bytes::to_bytes(&state).map_or(0, |bytes| bytes.len());
            if bytes > self.largest.1 {
                self.largest = (node, bytes);
            }
        }
        self.after(node, told)
    }

    pub(super) fn after(&mut self, node: NodeId, told: anyhow::Result<()>) -> Result<(), String> {
        self.do_wants(node);
        let now = self.now;
        let slot = &mut self.slots[node.index()];
        let Some(stage) = &mut slot.stage else { return Ok(()) };
        if let Err(error) = told {
            let is_full = std::mem::take(&mut stage.world.disk_full);
            if !is_full {
                slot.ended = Some(Err(format!("{error:#}")));
            }
            self.close(node);
            return Ok(());
        }
        if stage.is_done() {
            let good = stage.leave();
            let reason = stage.over.as_ref().map(|over| over.reason.to_string()).unwrap_or_default();
            slot.ended = Some(if good { Ok(true) } else { Err(reason) });
            self.do_wants(node);
            self.close(node);
            return Ok(());
        }
        let age = stage.next_wake().since(stage.began());
        let wake = stage.world.when(age).max(now + Span(1));
        if slot.wake.is_none_or(|already| wake < already) {
            slot.wake = Some(wake);
            let lives = slot.lives;
            self.push(wake, Event::Wake(node, lives));
        }
        Ok(())
    }

    pub(super) fn do_wants(&mut self, node: NodeId) {
        let slot = &mut self.slots[node.index()];
        let (lives, is_full) = (slot.lives, slot.is_full);
        let Some(stage) = &mut slot.stage else { return };
        for want in std::mem::take(&mut stage.world.wants) {
            match want {
                Want::Send(to, stamp, message) => {
                    let at = self.edge_to(node, to);
                    self.ask(at, Told::Send((stamp, Box::new(message))), None);
                }
                Want::Notice(to, bytes) => self.notice(node, to, bytes),
                Want::Compute(tools, asked, stop) => {
                    let took = Span((1 + self.stream.below(40)) * 500_000 * self.weather.slow);
                    self.push(self.now + took, Event::Job(node, lives, Box::new((tools, asked)), stop));
                }
                Want::Save(_) if is_full => {}
                Want::Save(saved) => {
                    let took = Span((1 + self.stream.below(60)) * 500_000);
                    self.push(self.now + took, Event::Saved(node, lives, saved));
                }
            }
        }
    }

    /// A checkpoint has reached the disk, with what the log had said by then; unless the process is gone, or the disk
    /// full.
    pub(super) fn saved(
        &mut self,
        node: NodeId,
        lives: u32,
        saved: &checkpoint::Saved,
    ) -> Result<(), String> {
        let own = self.own(node);
        let slot = &mut self.slots[node.index()];
        if let Some(stage) = slot.stage.as_mut().filter(|_| slot.lives == lives && !slot.is_full) {
            slot.synced = std::fs::metadata(own.join(node_file::ORDER)).map_or(0, |data| data.len());
            checkpoint::write(&own, saved).map_err(|error| error.to_string())?;
            stage.world.is_saving = false;
        }
        Ok(())
    }
}
