//! The uplink: what makes a server a child of its parent. It pushes what was folded (forwarded aggregates, the
//! distance from a milestone, or its model), adopts the parent's model, and holds its children back in between
//! if it is told to.
//!
//! Only so many pushes as its window allows wait for an answer. What is committed meanwhile is merged into the next
//! one: however slow the way up is, nothing is lost, nothing queues, and the server holds no more than a few tensors.

use super::kinds::{ASSIGN, PULL, READY, UPDATE};
use super::server::Server;
use super::unpushed::{Aggregate, Commits, input};
use super::work::{Fold, FoldInput, OptState, Outcome, UpdateKind, Work};
use super::worker::body_name;
use super::{Contribution, Effects, Reason};
use crate::domain::planted::Planted;
use crate::domain::{Data, Head, JobId, Message, NodeId, Params, Version};
use crate::policy::Assignment;
use crate::policy::fold::{FoldRule, Sum};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a local server pushes to its parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UplinkPlan {
    /// When it pushes.
    pub push: Push,
    /// What it pushes.
    pub send: UpdateKind,
    /// Whether its children wait until the parent has answered a push.
    pub wait: bool,
    /// Pushes that may wait for an answer of the parent, at least 1.
    pub window: u64,
    /// How much of the parent's model it takes, in thousandths: 1000 replaces its own, 0 ignores it.
    pub adopt_permille: u16,
}

/// When a local server pushes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Push {
    /// After every k-th commit.
    Every(u64),
    /// When the parent has sent a model and at least one update has arrived since the last push.
    OnRequest,
}

/// What an uplink is told once.
#[derive(Clone)]
pub struct UplinkConfig {
    /// The parent.
    pub parent: NodeId,
    /// When and what to push, and how to adopt.
    pub plan: UplinkPlan,
    /// How aggregates of several commits are combined before they are forwarded.
    pub combine: Arc<dyn FoldRule>,
    /// Whether the server has an optimiser of its own.
    pub own_model: bool,
    /// Codec of what it pushes: index into the plan's codecs.
    pub codec_up: Option<u16>,
    /// Codec of the parent's models.
    pub codec_down: Option<u16>,
}

impl UplinkConfig {
    /// Whether the aggregates themselves are sent on.
    #[must_use]
    pub fn forwards(&self, update: UpdateKind) -> bool {
        self.plan.send == update && (!self.own_model || update == UpdateKind::Gradient)
    }
}

/// Everything an uplink knows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Uplink {
    /// Version of the parent's model that was adopted last.
    pub(super) parent_version: Version,
    /// Version of the root's model that it descends from.
    pub(super) root_version: Version,
    /// How often the parent has lost this server, as it says with its models.
    life: u32,
    /// The parent has sent a model since it was last lost. It takes no push for a model from before.
    open: bool,
    /// Children wait until the parent answers.
    pub(super) gate_closed: bool,
    /// Who waits, and for what.
    pub(super) gated: BTreeMap<NodeId, Assignment>,
    /// The parent has sent a model and waits for a push.
    requested: bool,
    /// Pushes that the parent has not answered, and answers that came and have not been adopted.
    unanswered: u64,
    answers: u64,
    /// What was committed since the last push.
    commits: Commits,
    /// Aggregates of these commits are being merged into one: updates and samples behind them.
    merging: Option<(JobId, u64, u64)>,
    /// What the next change is counted from: the model as it was pushed or adopted last.
    milestone: Params,
    /// The parent's model that commits since the last push are being carried over to.
    towards: Option<Params>,
    /// The push that is being prepared.
    pushing: Option<(JobId, Stage, Head)>,
    /// A push became due while another was being prepared.
    due: bool,
    /// The parent's model is being decoded or mixed in.
    adopting: Option<(JobId, Head)>,
    /// The parent's model came while a fold was running: its turn is after the fold, which would undo it.
    deferred: Option<(Params, Head)>,
    /// The job in `adopting` is the mixing; no fold may start before its end, which would undo that.
    mixing: bool,
    /// Error feedback of the codec.
    residual: Option<Params>,
    /// Pushes so far; names the stream of a randomised codec.
    pushes: u64,
}

/// How far a push is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Stage {
    Combining,
    Encoding,
}

impl Uplink {
    /// Before the parent's first model.
    #[must_use]
    pub fn new(init: &Params) -> Self {
        Self {
            parent_version: Version(0),
            root_version: Version(0),
            life: 0,
            open: false,
            gate_closed: true,
            gated: BTreeMap::new(),
            requested: false,
            unanswered: 0,
            answers: 0,
            commits: Commits::default(),
            merging: None,
            milestone: init.clone(),
            towards: None,
            pushing: None,
            due: false,
            adopting: None,
            deferred: None,
            mixing: false,
            residual: None,
            pushes: 0,
        }
    }
}

impl Server {
    /// A commit happened: pushes if it is time to.
    pub(super) fn note_commit(
        &mut self,
        contributions: &[Contribution],
        origin: Version,
        aggregate: Option<Params>,
        out: &mut Effects,
    ) {
        let (Some(uplink), Some(config)) = (&mut self.state.uplink, &self.config.uplink) else { return };
        uplink.commits.note(contributions, origin, aggregate);
        let due = match config.plan.push {
            Push::Every(k) => uplink.commits.count >= k,
            Push::OnRequest => uplink.requested,
        };
        if due {
            uplink.gate_closed = config.plan.wait;
            self.push(out);
        }
        self.merge(out);
    }

    /// Merges aggregates that wait for a push into one.
    fn merge(&mut self, out: &mut Effects) {
        let (Some(uplink), Some(config)) = (&mut self.state.uplink, &self.config.uplink) else { return };
        let commits = &mut uplink.commits;
        if !commits.are_many() || uplink.merging.is_some() {
            return;
        }
        let (updates, samples) = commits.behind();
        let fold = combination(
            Arc::clone(&config.combine),
            commits.terms(config.combine.as_ref()),
            &self.state.model,
        );
        let job = self.state.job();
        self.state.uplink.as_mut().expect("just seen").merging = Some((job, updates, samples));
        out.run(job, Work::Fold(Box::new(fold)));
    }

    /// The parent lost this server, or this server the parent: what was under way between them is void. The server
    /// goes on with its children, keeps what they do for the next push, and waits for a model of the parent.
    pub(super) fn parent_lost(&mut self) {
        let Some(uplink) = &mut self.state.uplink else { return };
        (uplink.open, uplink.requested, uplink.due) = (false, false, false);
        (uplink.unanswered, uplink.answers) = (0, 0);
        (uplink.pushing, uplink.adopting, uplink.deferred) = (None, None, None);
        (uplink.towards, uplink.mixing) = (None, false);
    }

    /// Starts a push of everything since the last one, if the parent takes one and the window has room.
    fn push(&mut self, out: &mut Effects) {
        let clock = self.state.clock();
        let forwards = self.config.uplink.as_ref().is_some_and(|c| c.forwards(self.config.update));
        let (Some(uplink), Some(config)) = (&mut self.state.uplink, &self.config.uplink) else { return };
        let is_full = uplink.unanswered >= config.plan.window && !Planted::NoWindow.is_there();
        if !uplink.open && !Planted::HoleAfterLoss.is_there() || is_full {
            return;
        }
        if uplink.pushing.is_some() || uplink.merging.is_some() {
            uplink.due = true;
            return;
        }
        uplink.requested = false;
        uplink.pushes += 1;
        uplink.unanswered += 1;
        let mut commits = std::mem::take(&mut uplink.commits);
        let head = Head {
            version: uplink.parent_version,
            base: commits.origin.unwrap_or(uplink.parent_version),
            root: uplink.root_version,
            clock,
            samples: commits.samples,
            steps: commits.count,
            part: uplink.life,
            loss: (commits.loss / commits.samples.max(1) as f64) as f32,
        };
        let model = self.state.model.clone();
        let (rule, terms): (Arc<dyn FoldRule>, Vec<FoldInput>) = if forwards {
            (Arc::clone(&config.combine), commits.terms(config.combine.as_ref()))
        } else if config.plan.send == UpdateKind::Model {
            (Arc::new(Sum), vec![input(model, 1.0, 1)])
        } else {
            let before = std::mem::replace(&mut uplink.milestone, model.clone());
            (Arc::new(Sum), vec![input(model, 1.0, 1), input(before, -1.0, 1)])
        };
        if let [single] = &terms[..] {
            let tensor = single.tensor.clone();
            self.encode_push(tensor, head, out);
            return;
        }
        let job = self.state.job();
        let fold = combination(rule, terms, &self.state.model);
        self.state.uplink.as_mut().expect("just seen").pushing = Some((job, Stage::Combining, head));
        out.run(job, Work::Fold(Box::new(fold)));
    }

    fn encode_push(&mut self, tensor: Params, head: Head, out: &mut Effects) {
        let config = self.config.uplink.as_ref().expect("only a local server pushes");
        let Some(codec) = config.codec_up else {
            self.send_push(Data::Dense(tensor), head, out);
            return;
        };
        let job = self.state.job();
        let uplink = self.state.uplink.as_mut().expect("only a local server pushes");
        uplink.pushing = Some((job, Stage::Encoding, head));
        let residual = uplink.residual.clone();
        let counter = uplink.pushes;
        out.run(job, Work::Encode { tensor, residual, codec, counter });
    }

    fn send_push(&mut self, data: Data, head: Head, out: &mut Effects) {
        let config = self.config.uplink.as_ref().expect("only a local server pushes");
        out.send(config.parent, Message::with(UPDATE, head, body_name(config.plan.send), data));
        let uplink = self.state.uplink.as_mut().expect("only a local server pushes");
        uplink.pushing = None;
        if std::mem::take(&mut uplink.due) && uplink.commits.count > 0 {
            self.push(out);
        }
    }

    pub(super) fn heard_parent(&mut self, message: Message, out: &mut Effects) {
        let Some(config) = &self.config.uplink else { return };
        if message.kind == READY {
            out.send(config.parent, Message::control(PULL, message.head));
        } else if message.kind == ASSIGN {
            self.state.uplink.as_mut().expect("has a parent").answers += 1;
            let head = message.head;
            match (message.bodies.into_iter().next().map(|b| b.data), config.codec_down) {
                (Some(Data::Dense(model)), _) => self.adopt(model, head, out),
                (Some(data), Some(codec)) => {
                    let job = self.state.job();
                    let uplink = self.state.uplink.as_mut().expect("has a parent");
                    (uplink.adopting, uplink.mixing) = (Some((job, head)), false);
                    out.run(job, Work::Decode { data, codec });
                }
                // No model, or one that is coded though no codec was agreed on: refused by its length.
                _ => self.adopt(Params::absent(0), head, out),
            }
        }
    }

    /// Takes the parent's model, or mixes it in.
    fn adopt(&mut self, model: Params, head: Head, out: &mut Effects) {
        let (got, expected) = (model.len(), self.state.model.len());
        if got != expected {
            let why = format!("the parent sent a model of {got} values, expected {expected}");
            self.finish(Reason::Failed(why), out);
            return;
        }
        if self.is_folding() {
            self.state.uplink.as_mut().expect("has a parent").deferred = Some((model, head));
            return;
        }
        let (Some(uplink), Some(config)) = (&mut self.state.uplink, &self.config.uplink) else { return };
        let share = config.plan.adopt_permille;
        let mine = self.state.model.clone();
        let terms = if share >= 1000 || self.state.version == Version(0) {
            if uplink.commits.count == 0 || !config.own_model {
                self.adopted(model.clone(), model, head, out);
                return;
            }
            // What was committed since the last push is not in the parent's model yet: it is carried over.
            uplink.towards = Some(model.clone());
            vec![input(model, 1.0, 1), input(mine, 1.0, 1), input(uplink.milestone.clone(), -1.0, 1)]
        } else {
            let share = f32::from(share) / 1000.0;
            vec![input(mine, 1.0 - share, 1), input(model, share, 1)]
        };
        let job = self.state.job();
        let fold = combination(Arc::new(Sum), terms, &self.state.model);
        let uplink = self.state.uplink.as_mut().expect("has a parent");
        (uplink.adopting, uplink.mixing) = (Some((job, head)), true);
        out.run(job, Work::Fold(Box::new(fold)));
    }

    /// Adopts the parent's model that came during the fold that has just ended.
    pub(super) fn adopt_deferred(&mut self, out: &mut Effects) {
        if let Some((model, head)) = self.state.uplink.as_mut().and_then(|uplink| uplink.deferred.take()) {
            self.adopt(model, head, out);
        }
    }

    /// Whether the uplink's arithmetic has to end before the next commit: the parent's model is being mixed into this
    /// server's, or what waits for a push is being merged.
    pub(super) fn is_mixing(&self) -> bool {
        self.state.uplink.as_ref().is_some_and(|uplink| uplink.mixing || uplink.merging.is_some())
    }

    /// The aggregates of the last commits are one now.
    fn merged(&mut self, tensor: Params, (updates, samples): (u64, u64), out: &mut Effects) {
        let uplink = self.state.uplink.as_mut().expect("only a local server merges");
        uplink.merging = None;
        uplink.commits.aggregates.insert(0, Aggregate { tensor, updates, samples });
        if std::mem::take(&mut uplink.due) {
            self.push(out);
        }
    }

    fn adopted(&mut self, model: Params, milestone: Params, head: Head, out: &mut Effects) {
        let on_request = self.config.uplink.as_ref().is_some_and(|c| c.plan.push == Push::OnRequest);
        self.state.version = self.state.version.next();
        self.state.model = model;
        let uplink = self.state.uplink.as_mut().expect("has a parent");
        (uplink.adopting, uplink.mixing, uplink.open) = (None, false, true);
        uplink.parent_version = head.version;
        uplink.root_version = head.root;
        uplink.life = head.part;
        uplink.milestone = milestone;
        uplink.requested = on_request;
        uplink.unanswered = uplink.unanswered.saturating_sub(std::mem::take(&mut uplink.answers));
        let push_now = on_request && uplink.commits.count > 0;
        self.open_gate(out);
        if push_now {
            self.push(out);
        }
    }

    /// A job of the uplink ended.
    pub(super) fn uplink_done(&mut self, job: JobId, outcome: Outcome, out: &mut Effects) {
        let Some(uplink) = &mut self.state.uplink else { return };
        if let Some((mine, head)) = uplink.adopting
            && mine == job
        {
            match outcome {
                Outcome::Decoded(model) => self.adopt(model, head, out),
                Outcome::Folded(folded) => {
                    let model = folded.aggregate.expect("the combination was asked for");
                    let milestone = uplink.towards.take().unwrap_or_else(|| model.clone());
                    self.adopted(model, milestone, head, out);
                }
                _ => {}
            }
            return;
        }
        if let Some((mine, updates, samples)) = uplink.merging
            && mine == job
            && let Outcome::Folded(folded) = outcome
        {
            let tensor = folded.aggregate.expect("the combination was asked for");
            return self.merged(tensor, (updates, samples), out);
        }
        let Some((mine, stage, head)) = uplink.pushing else { return };
        match (stage, outcome) {
            (Stage::Combining, Outcome::Folded(folded)) if mine == job => {
                self.encode_push(folded.aggregate.expect("the combination was asked for"), head, out);
            }
            (Stage::Encoding, Outcome::Encoded { data, residual }) if mine == job => {
                uplink.residual = residual;
                self.send_push(data, head, out);
            }
            _ => {}
        }
    }
}

/// A linear combination whose result is wanted as the aggregate.
fn combination(rule: Arc<dyn FoldRule>, inputs: Vec<FoldInput>, base: &Params) -> Fold {
    Fold {
        rule,
        inputs,
        base: base.clone(),
        apply: None,
        opt: OptState::default(),
        kind: UpdateKind::Gradient,
        keep_aggregate: true,
        demands: None,
    }
}
