//! The stage: hands a node one event after the other, as they really come, and carries its effects out. It is to a
//! deployed node what the conductor is to the simulated ones. It waits for nothing: whoever drives it tells it what
//! happens ([`Stage::on`]) and when it wants to be woken ([`Stage::next_wake`]).

use super::books::Books;
use super::checkpoint::Saved;
use super::ending::{End, Farewell, Notice};
use super::jobs::Jobs;
use super::late::Late;
use super::timers::Timers;
use super::world::{Done, Happening, World};
use super::{Place, evaluates};
use crate::deploy::deployment::NodeState;
use crate::transport::links::Input;
use hcddl_core::domain::planted::Planted;
use hcddl_core::domain::{JobId, NodeId, Params, Span, Time};
use hcddl_core::node::work::Outcome;
use hcddl_core::node::{Event, Reason};
use hcddl_learn::Learner;
use hcddl_plan::factory::{Begin, Factory};
use hcddl_plan::plan::{Plan, Settings};
use hcddl_plan::registry::Registry;
use hcddl_sim::record::order::{Entry, What};
use hcddl_sim::run::carrier::{Carrier, Core};
use hcddl_sim::run::compute::Compute;
use hcddl_sim::run::execute::Tools;
use hcddl_sim::run::rules::Chain;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// What a stage is made of.
pub(crate) struct StageParts<'a> {
    pub place: Place,
    pub plan: &'a Plan,
    pub registry: &'a Registry,
    pub learner: &'a Arc<dyn Learner>,
    pub settings: &'a Settings,
    /// The checkpoint from which this life goes on.
    pub saved: Option<Saved>,
}

/// See the module.
pub(crate) struct Stage<'a, W: World> {
    pub(crate) world: W,
    pub(super) place: Place,
    pub(super) plan: &'a Plan,
    pub(super) me: NodeId,
    pub(super) settings: &'a Settings,
    pub(crate) core: Core<'a, W::Runner>,
    pub(super) timers: Timers,
    pub(super) jobs: Jobs,
    /// Modelled durations, when results are held back to them.
    pub(super) pace: Option<Compute<'a>>,
    held: BTreeMap<(Time, JobId), Done>,
    /// What injections delay.
    /// What becomes of messages and jobs beside what real links and devices do.
    pub(super) rules: Chain<'a>,
    late: Late<'a>,
    pub(super) books: Books<'a>,
    /// Messages sent to each neighbour in this life.
    pub(super) ordinals: BTreeMap<NodeId, u64>,
    pub(super) lost: BTreeSet<NodeId>,
    /// Since when the parent is lost.
    orphan_since: Option<Time>,
    pub(super) finished_peers: BTreeSet<NodeId>,
    /// Events that follow from effects, before anything from outside.
    pub(super) next: VecDeque<(What, Event)>,
    /// How the run is over.
    pub(crate) over: Option<End>,
    /// Checkpoints so far.
    pub(super) checkpoints: u64,
    /// Who still has to understand that the run is over.
    pub(crate) farewell: Option<Farewell>,
    /// What the clock showed at the start: a later life goes on from its checkpoint.
    offset: Time,
    next_look: Time,
    next_ping: Time,
}

/// Between two looks at the interrupt flag, evaluations and the progress file.
const LOOK_EVERY: Span = Span::from_millis(100);

/// Between two measurements of the round trip to the neighbours.
const PING_EVERY: Span = Span::from_millis(100);
/// How long a node waits for a parent that is lost, and may be resumed by hand.
const ORPHAN: Span = Span::from_millis(3_600_000);

impl<'a, W: World> Stage<'a, W> {
    /// A node in its place, before its first event; `runner` is empty.
    ///
    /// # Errors
    /// A full disk, or a bug.
    pub async fn open(parts: StageParts<'a>, mut world: W, runner: W::Runner) -> anyhow::Result<Self> {
        let StageParts { place, plan, registry, learner, settings, saved } = parts;
        let (me, life) = (place.me, place.life);
        let init = Params::new(learner.init(plan.seeds.init));
        let tools =
            Tools::new(plan, registry, Arc::clone(learner)).map_err(|error| anyhow::anyhow!("{error}"))?;
        let offset = saved.as_ref().map_or(Time::ZERO, |saved| saved.now);
        let number = saved.as_ref().map(|saved| saved.number + u64::from(Planted::NextCheckpoint.is_there()));
        world.log(&Entry { now: offset, what: What::Born { life, checkpoint: number } })?;
        let mut books = Books::new(&place, plan, registry, tools.clone(), init.clone())?;
        books.born(offset + world.age());
        let factory = Factory::new(plan, registry, learner.as_ref(), init).over_streams();
        let mut core = Core::new(plan, factory, runner, tools);
        if evaluates(plan, me) && plan.evaluation.at_start && life == 0 {
            books.evaluate(Time::ZERO, &core.account);
        }
        let begin = match saved {
            Some(saved) => Begin::Restart(Some(books.resume(saved, &mut core.account))),
            None if life == 0 => Begin::New,
            None => Begin::Restart(None),
        };
        core.place(me, begin, life, &BTreeSet::new()).await?;
        books.progress.state = NodeState::Running;
        let pace = settings.paced.then(|| Compute::new(plan, learner.as_ref(), &core.tools.codecs));
        Ok(Self {
            world,
            place,
            plan,
            me,
            settings,
            core,
            timers: Timers::default(),
            jobs: Jobs::new(plan.nodes.len()),
            pace,
            held: BTreeMap::new(),
            rules: Chain::new(plan, None),
            late: Late::new(plan, me),
            books,
            ordinals: BTreeMap::new(),
            lost: BTreeSet::new(),
            orphan_since: None,
            finished_peers: BTreeSet::new(),
            next: VecDeque::from([(What::Start, Event::Start)]),
            over: None,
            checkpoints: number.unwrap_or(0),
            farewell: None,
            offset,
            next_look: offset,
            next_ping: offset,
        })
    }

    /// What the node's clock showed when this life began.
    pub fn began(&self) -> Time {
        self.offset
    }

    /// The node's clock: it goes on from the checkpoint of a former life.
    pub fn now(&self) -> Time {
        self.offset + self.world.age()
    }

    /// Something happens to the node; afterwards all that follows from it has been done.
    ///
    /// # Errors
    /// A full disk, or a bug.
    pub async fn on(&mut self, happening: Happening) -> anyhow::Result<()> {
        if self.farewell.is_some() {
            if let Happening::Input(input) = happening {
                self.heard_at_the_end(input);
            }
            self.say_it_again();
            return Ok(());
        }
        match happening {
            Happening::Input(input) => self.heard(input).await?,
            Happening::Job(done) => self.job_result(done).await?,
            Happening::Wake => self.woken().await?,
        }
        self.go_on().await
    }

    /// What follows before anything from outside: at the start, and after each event.
    ///
    /// # Errors
    /// A full disk, or a bug.
    pub async fn go_on(&mut self) -> anyhow::Result<()> {
        while self.over.is_none()
            && let Some((what, event)) = self.next.pop_front()
        {
            self.dispatch(what, event).await?;
        }
        if self.over.is_some() && self.farewell.is_none() { self.say_farewell() } else { Ok(()) }
    }

    /// When it wants to be woken, by its own clock, if nothing happens before.
    pub fn next_wake(&self) -> Time {
        if let Some(farewell) = &self.farewell {
            return farewell.next();
        }
        let held = self.held.keys().next().map(|(at, _)| *at);
        let due = self.timers.next().into_iter().chain(held).chain(self.late.next()).min();
        due.map_or(self.next_look, |due| due.min(self.next_look))
    }

    /// What the links bring.
    async fn heard(&mut self, input: Input) -> anyhow::Result<()> {
        match input {
            Input::Received { from, stamp, message, credit } => {
                self.books.progress.bytes_received += message.bytes();
                let now = self.now();
                if let Some(at) = self.late.until(now, from, stamp.ordinal, &message, &mut self.rules) {
                    self.late.keep(at, from, Input::Received { from, stamp, message, credit });
                    return Ok(());
                }
                self.deliver(Input::Received { from, stamp, message, credit }).await
            }
            Input::Up(node) | Input::Down(node) | Input::Reconnected(node) => {
                for input in self.late.take_of(node) {
                    self.deliver(input).await?;
                }
                self.changed(input).await
            }
            Input::Notice { from, bytes } => {
                match Notice::decode(&bytes) {
                    Some(notice) => self.noticed(from, notice),
                    None => tracing::warn!("{} sent a notice that means nothing", self.name(from)),
                }
                Ok(())
            }
        }
    }

    /// Tells the node of a message whose moment has come.
    async fn deliver(&mut self, input: Input) -> anyhow::Result<()> {
        let Input::Received { from, stamp, message, credit } = input else { return Ok(()) };
        let what = What::Received { from, life: stamp.life, ordinal: stamp.ordinal };
        let handled = self.dispatch(what, Event::Received { from, message }).await;
        drop(credit);
        handled
    }

    /// A neighbour is there, lost, or connected again.
    async fn changed(&mut self, input: Input) -> anyhow::Result<()> {
        match input {
            Input::Up(node) => {
                self.lost.remove(&node);
                self.orphan_since = self.orphan_since.filter(|_| self.parent() != Some(node));
                tracing::warn!("{} is there again", self.name(node));
                self.dispatch(What::Up(node), Event::Up(node)).await?;
                self.say_again(node);
                Ok(())
            }
            Input::Down(node) => {
                self.lost.insert(node);
                if self.parent() == Some(node) {
                    self.orphan_since = Some(self.now());
                }
                tracing::warn!("{} is lost", self.name(node));
                self.dispatch(What::Down(node), Event::Down(node)).await?;
                self.peers_finished(BTreeSet::new());
                Ok(())
            }
            Input::Reconnected(node) => {
                tracing::info!("connected to {} again", self.name(node));
                self.dispatch(What::Reconnected(node), Event::Reconnected(node)).await?;
                self.say_again(node);
                Ok(())
            }
            Input::Received { .. } | Input::Notice { .. } => Ok(()),
        }
    }

    async fn job_result(&mut self, result: Done) -> anyhow::Result<()> {
        if self.pace.is_none() {
            // A modelled duration has the slow-down in it already.
            let (now, me, rules) = (self.now(), self.me, &mut self.rules);
            self.jobs.slow_down(&result, now, |started| rules.slowdown(started, me));
        }
        match self.jobs.held_until(&result) {
            None => Ok(()),
            Some(until) if until > self.now() => {
                self.held.insert((until, result.job), result);
                Ok(())
            }
            Some(_) => self.job_done(result).await,
        }
    }

    async fn job_done(&mut self, result: Done) -> anyhow::Result<()> {
        let Some(running) = self.jobs.finish(&result) else { return Ok(()) };
        let Done { job, outcome, .. } = result;
        let now = self.now();
        let done = if let Outcome::Trained(trained) = &outcome { Some(trained.steps) } else { None };
        self.books.job_ended(now, &running, done);
        if let Err(why) = self.core.job_ended(now, self.me, job, &outcome) {
            self.fail(why);
            return Ok(());
        }
        let mut steps = None;
        if let Outcome::Trained(trained) = &outcome {
            self.books.trained(trained, &self.core.account);
            if running.steps.is_some_and(|asked| trained.steps < asked) && trained.skipped.is_none() {
                steps = Some(trained.steps);
            }
            // Given up before its first step: nothing to tell, as in the simulator.
            if steps == Some(0) {
                return Ok(());
            }
        }
        self.dispatch(What::Done { job, steps }, Event::Done { job, outcome }).await
    }

    /// Timers, results that were held back, and what need not be looked at for every event.
    async fn woken(&mut self) -> anyhow::Result<()> {
        while let Some(token) = self.timers.take_due(self.now()) {
            self.dispatch(What::Timer(token), Event::Timer(token)).await?;
        }
        while let Some(input) = self.late.take_due(self.now()) {
            self.deliver(input).await?;
        }
        while let Some((key, result)) = self.held.pop_first() {
            if key.0 > self.now() {
                self.held.insert(key, result);
                break;
            }
            if self.jobs.held_until(&result).is_some() {
                self.job_done(result).await?;
            }
        }
        if self.now() >= self.next_look {
            self.next_look = self.now() + LOOK_EVERY;
            self.look_around()?;
        }
        Ok(())
    }

    fn look_around(&mut self) -> anyhow::Result<()> {
        if self.now() >= self.next_ping {
            self.next_ping = self.now() + PING_EVERY;
            let ping = Notice::Ping(self.now()).encode();
            self.above().into_iter().for_each(|node| self.world.notice(node, ping.clone()));
        }
        let traffic = self.world.traffic();
        self.books.progress.bytes_sent = traffic.sent;
        self.books.progress.lost = self.lost.iter().map(|node| self.name(*node).to_owned()).collect();
        self.books.look(self.now())?;
        self.world.show(self.name(self.me), &self.books.progress);
        self.world.saved(false)?;
        if self.over.is_some() {
            return Ok(());
        }
        if self.world.is_interrupted() {
            self.over = Some(End::of(Reason::Interrupted));
        } else if self.is_top() && self.plan.stop.time.is_some_and(|limit| self.now().0 >= limit.0) {
            self.over = Some(End::of(Reason::TimeLimit));
        } else if self.orphan_since.is_some_and(|since| self.now().since(since) > ORPHAN) {
            let why = format!("{} has been lost for an hour", self.parent().map_or("", |p| self.name(p)));
            self.over = Some(End::of(Reason::Failed(why)));
        }
        Ok(())
    }

    /// Hands one event to the node and does what it wants.
    pub async fn dispatch(&mut self, what: What, event: Event) -> anyhow::Result<()> {
        let now = self.now();
        self.world.log(&Entry { now, what })?;
        self.tell(now, self.me, event).await
    }

    /// The run cannot go on.
    pub fn fail(&mut self, why: String) {
        tracing::error!("{why}");
        if self.is_top() {
            self.over = Some(End::of(Reason::Failed(why.clone())));
        }
        for node in self.above() {
            self.world.notice(node, Notice::Failed(why.clone()).encode());
        }
        self.books.progress.reason = Some(Reason::Failed(why));
    }

    /// Whether this is the root server or a peer.
    pub fn is_top(&self) -> bool {
        super::evaluates(self.plan, self.me)
    }

    fn parent(&self) -> Option<NodeId> {
        self.plan.nodes[self.me.index()].parent
    }

    pub fn name(&self, node: NodeId) -> &'a str {
        &self.plan.nodes[node.index()].name
    }

    /// The parent, or the other peers that this node knows.
    pub fn above(&self) -> Vec<NodeId> {
        let node = &self.plan.nodes[self.me.index()];
        let neighbours = node.neighbours.iter().map(|n| n.node);
        let all: BTreeSet<NodeId> = node.parent.into_iter().chain(neighbours).collect();
        all.into_iter().collect()
    }
}
