//! Everything an uplink knows, and how it is stored.

use super::unpushed::Commits;
use crate::domain::{Era, Head, JobId, NodeId, Params, Version};
use crate::policy::Assignment;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Everything an uplink knows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "Stored", into = "Stored")]
pub struct UplinkState {
    /// Version of the parent's model that was adopted last.
    pub(super) parent_version: Version,
    /// Version of the root's model that it descends from.
    pub(super) root_version: Version,
    /// The era between the parent and this server, as the parent says with its models.
    pub(super) era: Era,
    /// The parent has sent a model since it was last lost. It takes no push for a model from before.
    pub(super) open: bool,
    /// Whether the children wait for the parent.
    pub(super) gate: Gate,
    /// The parent has sent a model and waits for a push.
    pub(super) requested: bool,
    /// Pushes that the parent has not answered.
    pub(super) unanswered: u64,
    /// Answers that came and have not been adopted.
    pub(super) answers: u64,
    /// What was committed since the last push.
    pub(super) commits: Commits,
    /// Aggregates of these commits are being merged into one.
    pub(super) merging: Option<Merging>,
    /// What the next change is counted from: the model as it was pushed or adopted last.
    pub(super) milestone: Params,
    /// The push that is being prepared.
    pub(super) pushing: Option<Pushing>,
    /// A push became due while another was being prepared.
    pub(super) due: bool,
    /// The parent's model, on its way to being adopted.
    pub(super) arriving: Option<Arriving>,
    /// Error feedback of the codec.
    pub(super) residual: Option<Params>,
    /// Pushes so far; names the stream of a randomised codec.
    pub(super) pushes: u64,
}

/// Between the children and the model that they would get.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Gate {
    /// They get it at once.
    Open,
    /// They wait until the parent answers: who, and for what.
    Closed(BTreeMap<NodeId, Assignment>),
}

impl Gate {
    /// Closes it; who waits already goes on waiting.
    pub fn close(&mut self) {
        if *self == Self::Open {
            *self = Self::Closed(BTreeMap::new());
        }
    }

    /// Opens it for those who have waited.
    pub fn open(&mut self) -> BTreeMap<NodeId, Assignment> {
        match std::mem::replace(self, Self::Open) {
            Self::Open => BTreeMap::new(),
            Self::Closed(waiting) => waiting,
        }
    }
}

/// A merge, and the updates and samples behind what it merges.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Merging {
    pub job: JobId,
    pub updates: u64,
    pub samples: u64,
}

/// How far a push is: the job and the head that it will go out with.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Pushing {
    Combining(JobId, Head),
    Encoding(JobId, Head),
}

/// How far the parent's model is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Arriving {
    /// It is being decoded.
    Decoding(JobId, Head),
    /// It came while a fold was running: its turn is after the fold.
    Deferred(Params, Head),
    /// It is being mixed in; no fold may start before the end of that, which would undo it.
    Mixing {
        job: JobId,
        head: Head,
        /// The model itself, if commits since the last push are being carried over to it.
        towards: Option<Params>,
    },
}

impl UplinkState {
    /// Before the parent's first model: the children wait for that, as a server's own first model is nobody's.
    pub(super) fn new(init: &Params) -> Self {
        Self {
            parent_version: Version(0),
            root_version: Version(0),
            era: Era(0),
            open: false,
            gate: Gate::Closed(BTreeMap::new()),
            requested: false,
            unanswered: 0,
            answers: 0,
            commits: Commits::default(),
            merging: None,
            milestone: init.clone(),
            pushing: None,
            due: false,
            arriving: None,
            residual: None,
            pushes: 0,
        }
    }

    /// The head of the parent's model, if this job decodes it.
    pub(super) fn take_decoding(&mut self, job: JobId) -> Option<Head> {
        match self.arriving {
            Some(Arriving::Decoding(mine, head)) if mine == job => {
                self.arriving = None;
                Some(head)
            }
            _ => None,
        }
    }

    /// The parent's model that waits for the end of a fold.
    pub(super) fn take_deferred(&mut self) -> Option<(Params, Head)> {
        match self.arriving.take() {
            Some(Arriving::Deferred(model, head)) => Some((model, head)),
            other => {
                self.arriving = other;
                None
            }
        }
    }

    /// The head of the parent's model, and that model if commits are carried over to it, if this job mixes it in.
    pub(super) fn take_mixing(&mut self, job: JobId) -> Option<(Head, Option<Params>)> {
        match self.arriving.take() {
            Some(Arriving::Mixing { job: mine, head, towards }) if mine == job => Some((head, towards)),
            other => {
                self.arriving = other;
                None
            }
        }
    }

    /// The head of the push whose terms this job combines.
    pub(super) fn take_combining(&mut self, job: JobId) -> Option<Head> {
        match self.pushing {
            Some(Pushing::Combining(mine, head)) if mine == job => {
                self.pushing = None;
                Some(head)
            }
            _ => None,
        }
    }

    /// The head of the push that this job codes.
    pub(super) fn take_encoding(&mut self, job: JobId) -> Option<Head> {
        match self.pushing {
            Some(Pushing::Encoding(mine, head)) if mine == job => {
                self.pushing = None;
                Some(head)
            }
            _ => None,
        }
    }
}

/// An uplink as checkpoints have it: a field for whatever may be there, in an order that must stay.
#[derive(Serialize, Deserialize)]
struct Stored {
    parent_version: Version,
    root_version: Version,
    life: Era,
    open: bool,
    gate_closed: bool,
    gated: BTreeMap<NodeId, Assignment>,
    requested: bool,
    unanswered: u64,
    answers: u64,
    commits: Commits,
    merging: Option<(JobId, u64, u64)>,
    milestone: Params,
    towards: Option<Params>,
    pushing: Option<(JobId, Stage, Head)>,
    due: bool,
    adopting: Option<(JobId, Head)>,
    deferred: Option<(Params, Head)>,
    mixing: bool,
    residual: Option<Params>,
    pushes: u64,
}

/// How far a push is.
#[derive(Serialize, Deserialize)]
enum Stage {
    Combining,
    Encoding,
}

impl From<UplinkState> for Stored {
    fn from(state: UplinkState) -> Self {
        let (gate_closed, gated) = match state.gate {
            Gate::Open => (false, BTreeMap::new()),
            Gate::Closed(waiting) => (true, waiting),
        };
        let (adopting, deferred, mixing, towards) = match state.arriving {
            None => (None, None, false, None),
            Some(Arriving::Decoding(job, head)) => (Some((job, head)), None, false, None),
            Some(Arriving::Deferred(model, head)) => (None, Some((model, head)), false, None),
            Some(Arriving::Mixing { job, head, towards }) => (Some((job, head)), None, true, towards),
        };
        Self {
            parent_version: state.parent_version,
            root_version: state.root_version,
            life: state.era,
            open: state.open,
            gate_closed,
            gated,
            requested: state.requested,
            unanswered: state.unanswered,
            answers: state.answers,
            commits: state.commits,
            merging: state.merging.map(|m| (m.job, m.updates, m.samples)),
            milestone: state.milestone,
            towards,
            pushing: state.pushing.map(|pushing| match pushing {
                Pushing::Combining(job, head) => (job, Stage::Combining, head),
                Pushing::Encoding(job, head) => (job, Stage::Encoding, head),
            }),
            due: state.due,
            adopting,
            deferred,
            mixing,
            residual: state.residual,
            pushes: state.pushes,
        }
    }
}

impl From<Stored> for UplinkState {
    fn from(stored: Stored) -> Self {
        // The decoding of a deferred model was kept as well; to wait for its end, which has been, is to wait for ever.
        let arriving = match (stored.adopting, stored.deferred) {
            (Some((job, head)), _) if stored.mixing => {
                Some(Arriving::Mixing { job, head, towards: stored.towards })
            }
            (_, Some((model, head))) => Some(Arriving::Deferred(model, head)),
            (Some((job, head)), None) => Some(Arriving::Decoding(job, head)),
            (None, None) => None,
        };
        Self {
            parent_version: stored.parent_version,
            root_version: stored.root_version,
            era: stored.life,
            open: stored.open,
            gate: if stored.gate_closed { Gate::Closed(stored.gated) } else { Gate::Open },
            requested: stored.requested,
            unanswered: stored.unanswered,
            answers: stored.answers,
            commits: stored.commits,
            merging: stored.merging.map(|(job, updates, samples)| Merging { job, updates, samples }),
            milestone: stored.milestone,
            pushing: stored.pushing.map(|(job, stage, head)| match stage {
                Stage::Combining => Pushing::Combining(job, head),
                Stage::Encoding => Pushing::Encoding(job, head),
            }),
            due: stored.due,
            arriving,
            residual: stored.residual,
            pushes: stored.pushes,
        }
    }
}
