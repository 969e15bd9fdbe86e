//! The uplink: what makes a server a child of its parent. It pushes what was folded (forwarded aggregates, the
//! distance from a milestone, or its model), adopts the parent's model, and holds its children back in between
//! if it is told to.
//!
//! It is a machine of its own: its server tells it `Input`s, with what it may know of the server at that moment
//! (`Below`), and does what it answers (`Answer`).
//!
//! Only so many pushes as its window allows wait for an answer. What is committed meanwhile is merged into the next
//! one: however slow the way up is, nothing is lost, nothing queues, and the server holds no more than a few tensors.

mod arrival;
mod plan;
mod push;
mod state;
#[cfg(test)]
mod tests;
mod unpushed;

pub use plan::{BuildPush, Push, UplinkConfig, UplinkPlan, push_table};
pub use state::UplinkState;

use super::kinds::{ASSIGN, PULL, READY};
use super::work::{Fold, FoldInput, OptState, Outcome, UpdateKind, Work};
use super::{Contribution, Effects, Jobs, Reason};
use crate::domain::{JobId, Message, NodeId, Params, Version};
use crate::policy::Assignment;
use crate::policy::fold::FoldRule;
use state::{Arriving, Gate, Merging};
use std::collections::BTreeMap;
use std::sync::Arc;
use unpushed::Aggregate;

/// A server's way to its parent.
pub(super) struct Uplink {
    config: UplinkConfig,
    /// Whether the aggregates themselves are sent on.
    forwards: bool,
    state: UplinkState,
}

/// What an uplink may know of its server while it handles an input.
pub(super) struct Below<'a> {
    /// The server's model.
    pub model: &'a Params,
    /// The model is still the one that the server was born with.
    pub is_untouched: bool,
    /// A fold is running.
    pub is_folding: bool,
    /// The clock of the slowest living child. Asked for pushes only: it looks at every child.
    pub clock: &'a dyn Fn() -> u64,
    /// Names of jobs: one series for server and uplink, as their results come back through one door.
    pub jobs: &'a mut Jobs,
}

/// What an uplink is told.
pub(super) enum Input<'a> {
    /// The parent says something.
    Heard(Message),
    /// A job ended that is none of the server's own.
    Done(JobId, Outcome),
    /// The server has a new version of its model.
    Committed {
        /// Whose updates made it.
        contributions: &'a [Contribution],
        /// The oldest version of the parent that they descend from.
        origin: Version,
        /// Their aggregate, if the uplink forwards those.
        aggregate: Option<Params>,
    },
    /// The server has done everything that a commit brings about, and may be adopted into again.
    Settled,
    /// The server has adopted what it was told to, and its children have it.
    Adopted,
    /// The parent lost this server, or this server the parent: what was under way between them is void.
    Lost,
}

/// What a server has to do for its uplink.
#[derive(Debug, PartialEq)]
pub(super) enum Answer {
    /// Nothing.
    Nothing,
    /// Take this model as a new version, let these children have it, and say so ([`Input::Adopted`]).
    ///
    /// The uplink does not go on by itself: a push that follows is about the adopted model, and the children come first.
    Adopt {
        /// The parent's model, or a mixture with it.
        model: Params,
        /// Who has waited for it, and what they shall do with it.
        waiting: BTreeMap<NodeId, Assignment>,
    },
    /// End the run.
    Fail(Reason),
}

impl Uplink {
    /// A new uplink, of a server whose children send such updates, or one that continues.
    pub fn new(config: UplinkConfig, update: UpdateKind, init: &Params, state: Option<UplinkState>) -> Self {
        let forwards = config.forwards(update);
        Self { config, forwards, state: state.unwrap_or_else(|| UplinkState::new(init)) }
    }

    /// Everything it knows.
    pub fn save(&self) -> UplinkState {
        self.state.clone()
    }

    /// Version of the parent's model that was adopted last.
    pub fn parent_version(&self) -> Version {
        self.state.parent_version
    }

    /// Version of the root's model that the adopted one descends from.
    pub fn root_version(&self) -> Version {
        self.state.root_version
    }

    /// Whether aggregates are sent on as they are, so that a fold has to keep its own.
    pub fn forwards(&self) -> bool {
        self.forwards
    }

    /// Whether the uplink's arithmetic has to end before the next commit: the parent's model is being mixed into this
    /// server's, or what waits for a push is being merged.
    pub fn is_mixing(&self) -> bool {
        matches!(self.state.arriving, Some(Arriving::Mixing { .. })) || self.state.merging.is_some()
    }

    /// Holds a child back that the server would give its model now; false if it need not wait.
    pub fn holds_back(&mut self, child: NodeId, assignment: Assignment) -> bool {
        match &mut self.state.gate {
            Gate::Open => false,
            Gate::Closed(waiting) => {
                waiting.insert(child, assignment);
                true
            }
        }
    }

    /// A child is lost: it waits for nothing any more.
    pub fn forget(&mut self, child: NodeId) {
        if let Gate::Closed(waiting) = &mut self.state.gate {
            waiting.remove(&child);
        }
    }

    /// Handles one input to its end.
    pub fn on(&mut self, input: Input<'_>, mut below: Below<'_>, out: &mut Effects) -> Answer {
        match input {
            Input::Heard(message) if message.kind == READY => {
                out.send(self.config.parent, Message::control(PULL, message.head));
            }
            Input::Heard(message) if message.kind == ASSIGN => return self.heard(message, &mut below, out),
            Input::Heard(_) => {}
            Input::Done(job, outcome) => return self.done(job, outcome, &mut below, out),
            Input::Committed { contributions, origin, aggregate } => {
                self.state.commits.note(contributions, origin, aggregate);
                self.committed(&mut below, out);
            }
            Input::Settled => return self.take_deferred(&mut below, out),
            Input::Adopted => {
                if self.state.requested && self.state.commits.count > 0 {
                    self.push(&mut below, out);
                }
            }
            Input::Lost => self.lost(),
        }
        Answer::Nothing
    }

    /// A job ended. It may be one of before a loss, whose result nobody wants any more.
    fn done(&mut self, job: JobId, outcome: Outcome, below: &mut Below<'_>, out: &mut Effects) -> Answer {
        let state = &mut self.state;
        match outcome {
            Outcome::Decoded(model) => {
                if let Some(head) = state.take_decoding(job) {
                    return self.take(model, head, below, out);
                }
            }
            Outcome::Encoded { data, residual } => {
                if let Some(head) = state.take_encoding(job) {
                    state.residual = residual;
                    self.send(data, head, below, out);
                }
            }
            Outcome::Folded(folded) => {
                // All folds of an uplink ask for their aggregate.
                let Some(tensor) = folded.aggregate else { return Answer::Nothing };
                if let Some((head, towards)) = state.take_mixing(job) {
                    let milestone = towards.unwrap_or_else(|| tensor.clone());
                    return self.adopt(tensor, milestone, head);
                }
                if let Some(Merging { updates, samples, .. }) = state.merging.take_if(|m| m.job == job) {
                    state.commits.aggregates.insert(0, Aggregate { tensor, updates, samples });
                    self.push_if_due(below, out);
                } else if let Some(head) = state.take_combining(job) {
                    self.encode(tensor, head, below, out);
                }
            }
            Outcome::Trained(_) | Outcome::Failed(_) => {}
        }
        Answer::Nothing
    }

    /// The parent is lost, or has lost this server. The server goes on with its children, keeps what they do for the next
    /// push, and waits for a model of the parent.
    ///
    /// A push that was only being prepared is given up like one on its way: the milestone has moved past it, and to move it
    /// back would need a copy of the model for a case in which what is on its way is lost all the same. A merge goes on, as what it
    /// makes is not on its way.
    fn lost(&mut self) {
        let state = &mut self.state;
        (state.open, state.requested, state.due) = (false, false, false);
        (state.unanswered, state.answers) = (0, 0);
        (state.pushing, state.arriving) = (None, None);
    }
}

/// A linear combination whose result is wanted as the aggregate.
fn combination(rule: Arc<dyn FoldRule>, inputs: Vec<FoldInput>, base: &Params) -> Work {
    Work::Fold(Box::new(Fold {
        rule,
        inputs,
        base: base.clone(),
        apply: None,
        opt: OptState::default(),
        kind: UpdateKind::Gradient,
        keep_aggregate: true,
        demands: None,
    }))
}
