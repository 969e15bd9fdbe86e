//! Server policies: when and how a server commits, and who gets which model.
//!
//! A server = admission (apply, weigh or drop a late update) x trigger (when to fold) x [`fold`] (how to
//! combine) x [`optimizer`] (how to apply) x reply (who gets the new model) x uplink. A [`Policy`] decides
//! admission, trigger and reply from ids, versions and weights; it never sees a tensor. Known algorithms
//! are named compositions: one file and one row of [`table`] each.

mod asynchronous;
mod dc_asgd;
mod deadline;
mod fedasync;
mod fedavg;
mod fedbuff;
pub mod fold;
mod k_async;
pub mod optimizer;
mod ssp;
mod staleness_aware;
mod synchronous;

use crate::domain::work::UpdateKind;
use crate::domain::{
    Build, ByNode, Choice, Era, NodeId, Pluggable, Row, Seeds, Span, Stream, Table, Time, UpdateId, Version,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Decides when a server folds which updates and who gets a model.
pub trait Policy: Send {
    /// Answers one event. No event comes while a fold is running: the server queues them.
    fn on(&mut self, event: PolicyEvent, view: &ServerView<'_>) -> Verdict;
    /// Its options that speak of so many children: what is more than a server has is told to the user.
    fn counts(&self) -> Vec<(&'static str, usize)> {
        Vec::new()
    }
    /// Its state as JSON.
    fn save(&self) -> String;
    /// Continues from the state of [`Policy::save`].
    ///
    /// # Errors
    /// When the text is not a state of this policy.
    fn load(&mut self, state: &str) -> Result<(), serde_json::Error>;
}

/// What a policy may react to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PolicyEvent {
    /// The server has a model and no child has work.
    Start,
    /// An update arrived and is pending.
    Update(UpdateId),
    /// The fold that was asked for is committed: the view's version is the new one.
    Folded,
    /// A child is there (again), without work.
    Joined(NodeId),
    /// A child is lost; its pending updates stay valid, its running work is not coming.
    Lost(NodeId),
    /// The timer ran down.
    Timer,
}

/// What a policy may know.
#[derive(Clone, Copy, Debug)]
pub struct ServerView<'a> {
    /// Now.
    pub now: Time,
    /// Number of commits.
    pub version: Version,
    /// Every child, ascending.
    pub children: &'a ByNode<Child>,
    /// Updates that are neither folded nor dropped, in order of arrival.
    pub pending: &'a BTreeMap<UpdateId, UpdateMeta>,
    /// Who contributed to the last fold: ascending, but the one whose update came last at the end.
    pub contributors: &'a [NodeId],
    /// The run's seeds and this server, for named streams.
    pub seeds: Seeds,
    /// This server.
    pub me: NodeId,
}

impl ServerView<'_> {
    /// This server's own random stream for a purpose.
    #[must_use]
    pub fn stream(&self, purpose: &str, counter: u64) -> Stream {
        Stream::new(self.seeds.interleaving, purpose, u64::from(self.me.0), counter)
    }

    /// Commits between what an update was based on and now.
    #[must_use]
    pub fn staleness(&self, update: &UpdateMeta) -> u64 {
        self.version.0 - update.base.0
    }

    /// Children that are alive and have no work, ascending.
    pub fn free(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.children.iter().filter(|(_, c)| c.alive && !c.busy).map(|(id, _)| *id)
    }

    /// Children that are alive, ascending.
    pub fn living(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.children.iter().filter(|(_, c)| c.alive).map(|(id, _)| *id)
    }
}

/// What a server knows of a child.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Child {
    /// Reachable.
    pub alive: bool,
    /// Has been given a model and has not answered yet.
    pub busy: bool,
    /// Updates it has finished, as it says itself (the clock of SSP; a local server's is the minimum below it).
    pub clock: u64,
    /// Version of the model it was given last.
    pub holds: Version,
    /// The era between the two: models go out with this number and updates come back with it.
    pub era: Era,
}

/// What a policy knows of an update.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UpdateMeta {
    /// Who sent it.
    pub from: NodeId,
    /// Version of this server's model that it was based on.
    pub base: Version,
    /// Whether it answers the model that the child was given last (not one from before).
    pub current: bool,
    /// Gradient steps behind it.
    pub steps: u64,
    /// Training samples behind it.
    pub samples: u64,
    /// When it arrived.
    pub arrived: Time,
}

impl UpdateMeta {
    /// Whether there is nothing behind it: its worker skipped the job because the loss was not finite. The server
    /// folds such updates with weight 0, or not at all.
    #[must_use]
    pub fn is_void(&self) -> bool {
        self.steps == 0 && self.samples == 0
    }
}

/// A policy's answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Verdict {
    /// Fold these pending updates now, with these weights, in this order; empty for not now.
    pub fold: Vec<(UpdateId, f32)>,
    /// Pending updates that will never be folded.
    pub dropped: Vec<(UpdateId, Why)>,
    /// Children that get the current model and shall train on it.
    pub replies: BTreeMap<NodeId, Assignment>,
    /// Children whose running work is not wanted any more; they are free at once.
    pub cancel: BTreeSet<NodeId>,
    /// Changes the policy's one timer.
    pub timer: Option<TimerRequest>,
}

/// What a child shall do with the model it gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assignment {
    /// Gradient steps; 0 for as configured.
    pub steps: u64,
}

/// Why an update was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Why {
    /// It came after its round was over.
    Late,
    /// It was based on too old a version.
    Stale,
    /// Its values are not finite.
    NotFinite,
}

impl Why {
    /// The word used in summaries.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Why::Late => "late",
            Why::Stale => "stale",
            Why::NotFinite => "not finite",
        }
    }
}

/// A change of the policy's timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimerRequest {
    /// (Re)start it.
    After(Span),
    /// Stop it.
    Clear,
}

impl Verdict {
    /// Nothing to do.
    #[must_use]
    pub fn nothing() -> Self {
        Self::default()
    }

    /// Gives the current model to these children.
    #[must_use]
    pub fn reply(mut self, children: impl IntoIterator<Item = NodeId>) -> Self {
        self.replies.extend(children.into_iter().map(|child| (child, Assignment::default())));
        self
    }
}

/// A policy with what it usually goes with; a tier's own `fold`, `optimizer` and `update` override these.
pub struct Composition {
    /// Admission, trigger and reply.
    pub policy: Box<dyn Policy>,
    /// What children send.
    pub update: UpdateKind,
    /// How updates are combined.
    pub fold: Choice,
    /// How the aggregate is applied.
    pub optimizer: Choice,
    /// Whether it commits in rounds with a barrier (decides how it behaves below a parent by default).
    pub rounds: bool,
    /// What else is true of it.
    pub claims: Claims,
}

/// What is true of a policy with its options beyond what is true of all: tests, the search for broken orders and the
/// storm hold it to this, so that none of them knows a policy by name. By default it claims nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// With one child it is plain SGD: to the bit if children send gradients, else up to rounding.
    pub sequential: bool,
    /// A child may train more than once on the same version.
    pub repeats: bool,
    /// Each round waits for every child that is there.
    pub everybody: bool,
    /// No child gets more than so many clocks ahead of the slowest.
    pub slack: Option<u64>,
}

/// Makes a policy from its options.
pub type BuildPolicy = Build<Composition>;

impl Pluggable for dyn Policy {
    type Build = BuildPolicy;
    const KIND: &'static str = "policy";
    const LIST: &'static str = "policies";
}

/// All policies.
#[must_use]
pub fn table() -> Table<BuildPolicy> {
    Table::new::<dyn Policy>(ROWS.iter().map(|one| one.row).collect())
}

/// For each policy the settings that tests run, its usual one first: for a few children whose jobs take some 20 ms, and
/// together they reach every branch of it.
#[must_use]
pub fn trials() -> Vec<&'static [&'static str]> {
    ROWS.iter().map(|one| one.trials).collect()
}

const ROWS: [PolicyRow; 10] = [
    synchronous::ROW,
    fedavg::ROW,
    asynchronous::ROW,
    staleness_aware::ROW,
    dc_asgd::ROW,
    k_async::ROW,
    ssp::ROW,
    fedasync::ROW,
    fedbuff::ROW,
    deadline::ROW,
];

/// A choice with one numeric option.
fn choice(name: &str, option: Option<(&str, f64)>) -> Choice {
    let mut choice = Choice::named(name);
    if let Some((key, value)) = option {
        choice.options.insert(key.to_owned(), value.into());
    }
    choice
}

/// A policy of this folder.
struct PolicyRow {
    row: Row<BuildPolicy>,
    /// See [`trials`].
    trials: &'static [&'static str],
}

/// Saves and loads a policy whose whole state is serialisable.
macro_rules! state_is_self {
    () => {
        fn save(&self) -> String {
            serde_json::to_string(self).expect("a policy's state is plain data")
        }
        fn load(&mut self, state: &str) -> Result<(), serde_json::Error> {
            *self = serde_json::from_str(state)?;
            Ok(())
        }
    };
}
use state_is_self;
