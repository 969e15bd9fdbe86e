//! Carrying nodes: each is told one event after the other, and what it wants done is done, in order. This is the one
//! place that knows every effect; a simulation, a process of a deployment and a replay differ in what time is, in how a
//! message gets from node to node and where a job's result comes from, which is what [`Carrier`] asks of them.

use super::RunError;
use super::execute::Tools;
use super::runner::Runner;
use hcddl_core::domain::{JobId, Message, NodeId, Span, Time, Token};
use hcddl_core::node::kinds::UPDATE;
use hcddl_core::node::work::{Outcome, Trained, Work};
use hcddl_core::node::{Commit, Cx, Effect, Effects, Event, Reason};
use hcddl_plan::factory::{Begin, Factory};
use hcddl_plan::measure::account::Account;
use hcddl_plan::plan::{NodePlan, Plan, Role};
use std::collections::{BTreeMap, BTreeSet};

/// What every carrier has: the nodes, what their jobs need, and the books.
pub struct Core<'a, R> {
    pub plan: &'a Plan,
    pub factory: Factory<'a>,
    pub runner: R,
    pub tools: Tools,
    pub account: Account,
    /// The largest sequence number of an update that was counted as sent, by directed pair: what is sent again because
    /// it may have got lost is one update all the same.
    pub counted: BTreeMap<(NodeId, NodeId), u64>,
    /// One buffer serves all events.
    effects: Effects,
}

impl<'a, R: Runner> Core<'a, R> {
    /// No nodes yet.
    pub fn new(plan: &'a Plan, factory: Factory<'a>, runner: R, tools: Tools) -> Self {
        let (account, counted, effects) = (Account::new(plan), BTreeMap::new(), Effects::default());
        Self { plan, factory, runner, tools, account, counted, effects }
    }

    /// A node of the plan.
    pub fn node(&self, id: NodeId) -> &'a NodePlan {
        &self.plan.nodes[id.index()]
    }

    /// What a node is called.
    pub fn name(&self, id: NodeId) -> &'a str {
        &self.node(id).name
    }

    /// Whether a node's commits are the run's: the root, or one of the peers.
    pub fn is_top(&self, id: NodeId) -> bool {
        let node = self.node(id);
        node.parent.is_none() && node.role != Role::Worker
    }

    /// Puts a node in its place; who is `down` is not there for it.
    pub async fn place(
        &mut self,
        id: NodeId,
        how: Begin,
        life: u32,
        down: &BTreeSet<NodeId>,
    ) -> Result<(), RunError> {
        let node = self.factory.node(id, how, life, down).map_err(RunError::Build)?;
        self.runner.place(id, node).await
    }

    fn sent(&mut self, now: Time, from: NodeId, to: NodeId, message: &Message) {
        if message.kind == UPDATE {
            let is_new = message.sequence == 0 || {
                let counted = self.counted.entry((from, to)).or_insert(0);
                message.sequence > std::mem::replace(counted, message.sequence.max(*counted))
            };
            self.account.updates_sent += u64::from(is_new);
        }
        self.account.sent(self.plan, now, from, to, message.bytes());
    }

    /// Takes note of a job's end.
    ///
    /// # Errors
    /// The job failed, which ends the run: whose it was, when, and why.
    pub fn job_ended(
        &mut self,
        now: Time,
        node: NodeId,
        job: JobId,
        outcome: &Outcome,
    ) -> Result<(), String> {
        self.account.job_ended(now, node);
        match outcome {
            Outcome::Failed(why) => Err(format!("{}, job {} at {now}: {why}", self.name(node), job.0)),
            Outcome::Trained(trained) => {
                self.trained(now, node, job, trained);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn trained(&mut self, now: Time, node: NodeId, job: JobId, trained: &Trained) {
        self.account.trained(node, trained);
        let Some(step) = trained.skipped else { return };
        if self.account.skipped(node) == 1 {
            tracing::warn!(
                "{} skips job {} at {now}: not finite at step {step}; later ones of {0} are only counted",
                self.name(node),
                job.0
            );
        }
    }
}

/// What carriers differ in. `now` is the moment of the event of which the node wants something.
#[expect(
    async_fn_in_trait,
    reason = "a carrier stays on the thread of its loop: its futures need not be Send"
)]
pub trait Carrier<'a> {
    type Runner: Runner;
    type Error: From<RunError>;

    fn core(&mut self) -> &mut Core<'a, Self::Runner>;

    /// Looks at what a node wants before any of it is done.
    fn look(&mut self, _now: Time, _node: NodeId, _effects: &[Effect]) {}
    /// Says what the user should know of the run.
    fn warn(&mut self, text: &str) {
        tracing::warn!("{text}");
    }

    fn start_job(&mut self, now: Time, node: NodeId, job: JobId, work: Work);
    /// Gives a job up; with `keep_partial` its result still comes, with the steps that it has finished.
    fn cancel_job(&mut self, now: Time, node: NodeId, job: JobId, keep_partial: bool);
    fn send(&mut self, now: Time, from: NodeId, to: NodeId, message: Message);
    fn set_timer(&mut self, now: Time, node: NodeId, after: Span, token: Token);
    fn clear_timer(&mut self, node: NodeId, token: Token);
    async fn commit(&mut self, now: Time, node: NodeId, commit: Commit) -> Result<(), Self::Error>;
    fn finish(&mut self, now: Time, node: NodeId, reason: Reason);

    /// Hands one event to one node and does what it wants.
    async fn tell(&mut self, now: Time, node: NodeId, event: Event) -> Result<(), Self::Error> {
        let core = self.core();
        core.account.events += 1;
        let cx = Cx { now, me: node, seeds: core.plan.seeds };
        let mut effects = std::mem::take(&mut core.effects);
        core.runner.handle(cx, event, &mut effects).await?;
        self.look(now, node, &effects.0);
        for effect in effects.0.drain(..) {
            match effect {
                Effect::Run { job, work } => {
                    self.core().account.job_started(now, node);
                    self.start_job(now, node, job, work);
                }
                Effect::Cancel { job, keep_partial } => self.cancel_job(now, node, job, keep_partial),
                Effect::Send { to, message } => {
                    self.core().sent(now, node, to, &message);
                    self.send(now, node, to, message);
                }
                Effect::SetTimer { after, token } => self.set_timer(now, node, after, token),
                Effect::ClearTimer(token) => self.clear_timer(node, token),
                Effect::Commit(commit) => self.commit(now, node, commit).await?,
                Effect::Dropped { why, .. } => self.core().account.dropped(why),
                Effect::Noticed { from, what } => {
                    let core = self.core();
                    let (from, to) = (core.name(from), core.name(node));
                    if let Some(text) = core.account.noticed(from, to, what) {
                        self.warn(&text);
                    }
                }
                Effect::Record(metric) => self.core().account.counted(metric),
                Effect::Finish(reason) => self.finish(now, node, reason),
            }
        }
        self.core().effects = effects;
        Ok(())
    }
}
