//! Carrying out what the node wants.

use super::ending::End;
use super::stage::Stage;
use super::world::{Asked, World};
use crate::transport::links::Stamp;
use hcddl_core::domain::{JobId, Message, NodeId, Span, Time, Token, digest};
use hcddl_core::node::work::Work;
use hcddl_core::node::{Commit, Event, Reason};
use hcddl_sim::record::order::{Entry, What};
use hcddl_sim::run::carrier::{Carrier, Core};
use hcddl_sim::run::runner::Runner;

impl<'a, W: World> Carrier<'a> for Stage<'a, W> {
    type Runner = W::Runner;
    type Error = anyhow::Error;

    fn core(&mut self) -> &mut Core<'a, W::Runner> {
        &mut self.core
    }

    fn start_job(&mut self, now: Time, node: NodeId, job: JobId, work: Work) {
        let modelled = match &mut self.pace {
            Some(pace) => {
                pace.duration(now, node, job, &work, &mut self.rules).duration.map(|took| now + took)
            }
            None => None,
        };
        let not_before = modelled.unwrap_or(Time::ZERO);
        let (key, stop) = self.jobs.begin((node, job), &work, now, not_before);
        self.world.compute(&self.core.tools, Asked { node, job, key, work }, stop);
    }

    fn cancel_job(&mut self, _: Time, node: NodeId, job: JobId, keep_partial: bool) {
        self.jobs.cancel(node, job, keep_partial);
    }

    fn send(&mut self, now: Time, from: NodeId, to: NodeId, message: Message) {
        // When the last byte has left is not known here.
        self.core.account.departed(now, from);
        let ordinal = self.ordinals.entry(to).or_insert(0);
        let stamp = Stamp { life: self.place.life, ordinal: *ordinal };
        *ordinal += 1;
        self.books.sent(now, to, stamp.ordinal, &message);
        self.world.send(to, stamp, message);
    }

    fn set_timer(&mut self, now: Time, _: NodeId, after: Span, token: Token) {
        self.timers.set(now + after, token);
    }

    fn clear_timer(&mut self, _: NodeId, token: Token) {
        self.timers.clear(token);
    }

    async fn commit(&mut self, now: Time, _: NodeId, commit: Commit) -> anyhow::Result<()> {
        let digest = commit.model.values().map_or_else(|| digest::of_values(&[]), digest::of_values);
        self.world.log(&Entry { now, what: What::Commit { version: commit.version, digest } })?;
        let top = self.is_top();
        if let Some(reason) = self.books.commit(now, &commit, top, &mut self.core.account) {
            self.next.push_back((What::Stop(reason.clone()), Event::Stop(reason)));
        }
        let every = self.settings.checkpoint_every;
        let is_root = top && self.plan.peers.is_none();
        if is_root && every > 0 && commit.version.0.is_multiple_of(every) {
            self.checkpoint(now).await?;
        }
        Ok(())
    }

    fn finish(&mut self, _: Time, node: NodeId, reason: Reason) {
        if let Some(why) = reason.problem() {
            self.fail(why.to_owned());
        } else if self.plan.peers.is_none() {
            self.over = Some(End::of(reason));
        } else {
            // The others may still need this one.
            self.peers_finished([node].into());
        }
    }
}

impl<W: World> Stage<'_, W> {
    /// Saves the node's state, unless the last one is still being written.
    async fn checkpoint(&mut self, now: Time) -> anyhow::Result<()> {
        if self.world.is_saving() {
            return Ok(());
        }
        let Some(state) = self.core.runner.save(self.me).await? else { return Ok(()) };
        self.checkpoints += 1;
        let number = self.checkpoints;
        self.world.log(&Entry { now, what: What::Checkpoint { number } })?;
        let saved = self.books.saved(number, now, state, &self.core.account);
        self.world.save(saved);
        Ok(())
    }
}
