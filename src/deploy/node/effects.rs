//! Carrying out what a node wants.

use super::stage::Stage;
use crate::domain::{JobId, Message, NodeId, Time, digest};
use crate::node::work::Work;
use crate::node::{Commit, Effect, Effects, Event, Reason};
use crate::record::order::{Entry, What};
use crate::run::runner::Runner;
use crate::transport::links::Stamp;

impl Stage<'_> {
    /// Carries out the effects of one event, in order, and leaves the buffer empty.
    pub(super) async fn apply(&mut self, now: Time, effects: &mut Effects) -> anyhow::Result<()> {
        for effect in effects.0.drain(..) {
            match effect {
                Effect::Run { job, work } => self.start_job(now, job, work),
                Effect::Cancel { job, keep_partial } => self.jobs.cancel(job, keep_partial),
                Effect::Send { to, message } => self.send(now, to, message),
                Effect::SetTimer { after, token } => self.timers.set(now + after, token),
                Effect::ClearTimer(token) => self.timers.clear(token),
                Effect::Commit(commit) => self.commit(now, commit).await?,
                Effect::Dropped { why, .. } => self.books.dropped(why),
                Effect::Noticed { from, what } => {
                    let (from, to) =
                        (&self.plan.nodes[from.index()].name, &self.plan.nodes[self.me.index()].name);
                    if let Some(text) = self.books.account.noticed(from.as_str(), to.as_str(), what) {
                        tracing::warn!("{text}");
                    }
                }
                Effect::Record(metric) => {
                    *self.books.account.metrics.entry(metric.name.into_owned()).or_insert(0.0) +=
                        metric.value;
                }
                Effect::Finish(reason) => self.finish(reason),
            }
        }
        Ok(())
    }

    fn start_job(&mut self, now: Time, job: JobId, work: Work) {
        let not_before =
            self.pace.as_mut().map_or(Time::ZERO, |pace| now + pace.duration(now, self.me, &work, None));
        self.books.account.job_started(now, self.me);
        self.jobs.start(self.me, job, work, now, not_before);
    }

    fn send(&mut self, now: Time, to: NodeId, message: Message) {
        self.books.sent(now, to, &message);
        let ordinal = self.ordinals.entry(to).or_insert(0);
        let stamp = Stamp { birth: self.place.birth, ordinal: *ordinal };
        *ordinal += 1;
        self.links.send(to, stamp, message);
    }

    async fn commit(&mut self, now: Time, commit: Commit) -> anyhow::Result<()> {
        let digest = commit.model.values().map_or_else(|| digest::of_values(&[]), digest::of_values);
        self.log.push(&Entry { now, what: What::Commit { version: commit.version, digest } })?;
        let top = self.is_top();
        if let Some(reason) = self.books.commit(now, &commit, top) {
            self.next.push_back((What::Stop(reason.clone()), Event::Stop(reason)));
        }
        let every = self.settings.checkpoint_every;
        let is_root = top && self.plan.peers.is_none();
        if is_root && every > 0 && commit.version.0.is_multiple_of(every) {
            self.checkpoint(now).await?;
        }
        Ok(())
    }

    /// Saves the node's state, unless the last one is still being written.
    async fn checkpoint(&mut self, now: Time) -> anyhow::Result<()> {
        if self.saver.is_busy() {
            return Ok(());
        }
        let Some(state) = self.runner.save(self.me).await? else { return Ok(()) };
        let number = self.saver.next_number();
        self.log.push(&Entry { now, what: What::Checkpoint { number } })?;
        let saved = self.books.saved(number, now, state);
        self.saver.start(saved);
        Ok(())
    }

    fn finish(&mut self, reason: Reason) {
        if let Reason::Stalled(why) = reason {
            self.fail(why);
        } else if self.plan.peers.is_none() {
            self.over = Some(Ok(reason));
        } else {
            // The others may still need this one.
            let me = self.me;
            self.peers_finished([me].into());
        }
    }
}
