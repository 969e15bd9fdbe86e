//! The way up: when a push is due, what it is made of, how it is coded.

use super::state::{Merging, Pushing};
use super::unpushed::input;
use super::{Below, Push, Uplink, combination};
use crate::domain::planted::Planted;
use crate::domain::{Data, Head, Message, Params, Progress};
use crate::node::Effects;
use crate::node::kinds::UPDATE;
use crate::node::work::{FoldInput, UpdateKind, Work};
use crate::node::worker::body_name;
use crate::policy::fold::{FoldRule, Sum};
use std::sync::Arc;

impl Uplink {
    /// A commit was noted: pushes if it is time to.
    pub(super) fn committed(&mut self, below: &mut Below<'_>, out: &mut Effects) {
        let due = match self.config.plan.push {
            Push::Every(k) => self.state.commits.count >= k,
            Push::OnRequest => self.state.requested,
        };
        if due {
            // Also if the push has to wait: without it the parent does not answer, and to wait is to wait for that.
            if self.config.plan.wait {
                self.state.gate.close();
            }
            self.push(below, out);
        }
        self.merge(below, out);
    }

    /// Merges aggregates that wait for a push into one.
    ///
    /// Not each with the next, as they come: a merge is a job that costs time, and most pushes need none.
    fn merge(&mut self, below: &mut Below<'_>, out: &mut Effects) {
        let commits = &mut self.state.commits;
        if !commits.are_many() || self.state.merging.is_some() {
            return;
        }
        let (updates, samples) = commits.behind();
        let rule = Arc::clone(&self.config.combine);
        let terms = commits.terms(rule.as_ref());
        let job = below.jobs.fresh();
        self.state.merging = Some(Merging { job, updates, samples });
        out.run(job, combination(rule, terms, below.model));
    }

    /// Starts a push of everything since the last one, if the parent takes one and the window has room.
    ///
    /// What does not go out now needs no queue: it stays among the commits, and the answer that makes room lets the
    /// children go on, so another commit comes.
    pub(super) fn push(&mut self, below: &mut Below<'_>, out: &mut Effects) {
        let state = &mut self.state;
        let is_full = state.unanswered >= self.config.plan.window && !Planted::NoWindow.is_there();
        if !state.open && !Planted::HoleAfterLoss.is_there() || is_full {
            return;
        }
        // One at a time: pushes leave in the order of their commits, whatever their jobs take.
        if state.pushing.is_some() || state.merging.is_some() {
            state.due = true;
            return;
        }
        state.requested = false;
        state.pushes += 1;
        state.unanswered += 1;
        let commits = &state.commits;
        let head = Head {
            version: state.parent_version,
            base: commits.origin.unwrap_or(state.parent_version),
            root: state.root_version,
            samples: commits.samples,
            steps: commits.count,
            loss: (commits.loss / commits.samples.max(1) as f64) as f32,
            detail: Progress { clock: (below.clock)(), era: state.era }.into(),
        };
        let (rule, terms) = self.content(below.model);
        if let [single] = &terms[..] {
            let tensor = single.tensor.clone();
            self.encode(tensor, head, below, out);
            return;
        }
        let job = below.jobs.fresh();
        self.state.pushing = Some(Pushing::Combining(job, head));
        out.run(job, combination(rule, terms, below.model));
    }

    /// What is pushed, as a linear combination; everything counts as pushed from here.
    fn content(&mut self, model: &Params) -> (Arc<dyn FoldRule>, Vec<FoldInput>) {
        let mut commits = std::mem::take(&mut self.state.commits);
        if self.forwards {
            let rule = Arc::clone(&self.config.combine);
            let terms = commits.terms(rule.as_ref());
            return (rule, terms);
        }
        let mut terms = vec![input(model.clone(), 1.0, 1)];
        if self.config.plan.send != UpdateKind::Model {
            let before = std::mem::replace(&mut self.state.milestone, model.clone());
            terms.push(input(before, -1.0, 1));
        }
        (Arc::new(Sum), terms)
    }

    /// Codes a push, if there is a codec, and sends it.
    pub(super) fn encode(&mut self, tensor: Params, head: Head, below: &mut Below<'_>, out: &mut Effects) {
        let Some(codec) = self.config.codec_up else {
            self.send(Data::Dense(tensor), head, below, out);
            return;
        };
        let job = below.jobs.fresh();
        self.state.pushing = Some(Pushing::Encoding(job, head));
        // A copy: if the push is given up with the parent, what earlier ones left over is not lost.
        let residual = self.state.residual.clone();
        out.run(job, Work::Encode { tensor, residual, codec, counter: self.state.pushes });
    }

    /// Sends a push that is ready.
    pub(super) fn send(&mut self, data: Data, head: Head, below: &mut Below<'_>, out: &mut Effects) {
        let message = Message::with(UPDATE, head, body_name(self.config.plan.send), data);
        out.send(self.config.parent, message);
        self.push_if_due(below, out);
    }

    /// Starts the push that had to wait for another one, or for a merge.
    pub(super) fn push_if_due(&mut self, below: &mut Below<'_>, out: &mut Effects) {
        if std::mem::take(&mut self.state.due) && self.state.commits.count > 0 {
            self.push(below, out);
        }
    }
}
