//! The way down: the parent's model is decoded, waits for the end of a fold, is mixed in, and adopted.

use super::state::Arriving;
use super::unpushed::input;
use super::{Answer, Below, Push, Uplink, combination};
use crate::domain::{Data, Head, Message, Params, Progress};
use crate::node::work::Work;
use crate::node::{Effects, Reason};
use crate::policy::fold::Sum;
use std::sync::Arc;

impl Uplink {
    /// The parent has sent a model.
    ///
    /// Whatever an earlier one has come to is replaced by it: to adopt that first would only cost time.
    pub(super) fn heard(&mut self, message: Message, below: &mut Below<'_>, out: &mut Effects) -> Answer {
        self.state.answers += 1;
        let head = message.head;
        match (message.bodies.into_iter().next().map(|b| b.data), self.config.codec_down) {
            (Some(Data::Dense(model)), _) => self.take(model, head, below, out),
            (Some(data), Some(codec)) => {
                let job = below.jobs.fresh();
                self.state.arriving = Some(Arriving::Decoding(job, head));
                out.run(job, Work::Decode { data, codec });
                Answer::Nothing
            }
            // No model, or one that is coded though no codec was agreed on: refused by its length.
            _ => self.take(Params::absent(0), head, below, out),
        }
    }

    /// Takes the parent's model, or mixes it in.
    pub(super) fn take(
        &mut self,
        model: Params,
        head: Head,
        below: &mut Below<'_>,
        out: &mut Effects,
    ) -> Answer {
        let (got, expected) = (model.len(), below.model.len());
        if got != expected {
            return Answer::Fail(Reason::Failed(format!(
                "the parent sent a model of {got} values, expected {expected}"
            )));
        }
        if below.is_folding {
            // The fold started from the model of before, and its result would undo this one.
            self.state.arriving = Some(Arriving::Deferred(model, head));
            return Answer::Nothing;
        }
        let share = self.config.plan.adopt_permille;
        let mine = below.model.clone();
        let (towards, terms) = if share >= 1000 || below.is_untouched {
            if self.state.commits.count == 0 || !self.config.own_model {
                return self.adopt(model.clone(), model, head);
            }
            // What was committed since the last push is not in the parent's model yet: it is carried over.
            let before = self.state.milestone.clone();
            let terms = vec![input(model.clone(), 1.0, 1), input(mine, 1.0, 1), input(before, -1.0, 1)];
            (Some(model), terms)
        } else {
            let share = f32::from(share) / 1000.0;
            (None, vec![input(mine, 1.0 - share, 1), input(model, share, 1)])
        };
        let job = below.jobs.fresh();
        self.state.arriving = Some(Arriving::Mixing { job, head, towards });
        out.run(job, combination(Arc::new(Sum), terms, below.model));
        Answer::Nothing
    }

    /// Takes the parent's model that came during the fold that has just ended.
    pub(super) fn take_deferred(&mut self, below: &mut Below<'_>, out: &mut Effects) -> Answer {
        match self.state.take_deferred() {
            Some((model, head)) => self.take(model, head, below, out),
            None => Answer::Nothing,
        }
    }

    /// The server is to have this model; the next change counts from the milestone.
    pub(super) fn adopt(&mut self, model: Params, milestone: Params, head: Head) -> Answer {
        let state = &mut self.state;
        state.arriving = None;
        state.open = true;
        state.parent_version = head.version;
        state.root_version = head.root;
        state.era = Progress::from(head.detail).era;
        state.milestone = milestone;
        state.requested = self.config.plan.push == Push::OnRequest;
        // Answers are counted when they come and settled here: one that was replaced on its way is an answer as well.
        state.unanswered = state.unanswered.saturating_sub(std::mem::take(&mut state.answers));
        Answer::Adopt { model, waiting: state.gate.open() }
    }
}
