//! The stage: hands a node one event after the other, as they really come, and carries its effects out. It is to a
//! deployed node what the conductor is to the simulated ones.

use super::books::Books;
use super::ending::{End, Notice};
use super::jobs::{self, Jobs};
use super::late::Late;
use super::metrics::Exporter;
use super::timers::Timers;
use super::{Place, checkpoint, evaluates};
use crate::deploy::deployment::{NodeState, Settings};
use crate::deploy::node_file;
use crate::domain::{JobId, NodeId, Params, Time};
use crate::factory::{Birth, Factory};
use crate::learn::Learner;
use crate::node::work::Outcome;
use crate::node::{Event, Reason};
use crate::plan::Plan;
use crate::record::order::{Entry, OrderLog, What};
use crate::registry::Registry;
use crate::run::actors::Actors;
use crate::run::carrier::{Carrier, Core};
use crate::run::compute::Compute;
use crate::run::execute::Tools;
use crate::transport::links::{Input, Links};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// What comes from within the process.
pub(super) enum Happening {
    /// A job has a result.
    Job(jobs::Result),
}

/// What a stage is made of.
pub(super) struct StageParts<'a> {
    pub place: &'a Place,
    pub plan: &'a Plan,
    pub registry: &'a Registry,
    pub learner: &'a Arc<dyn Learner>,
    pub links: Links,
    pub received: UnboundedReceiver<Input>,
    pub interrupt: Arc<AtomicBool>,
    pub exporter: Option<Exporter>,
    /// Name of the run.
    pub run: &'a str,
}

/// See the module.
pub(super) struct Stage<'a> {
    pub place: &'a Place,
    pub plan: &'a Plan,
    pub me: NodeId,
    pub settings: &'a Settings,
    pub core: Core<'a, Actors>,
    pub links: Links,
    pub log: OrderLog,
    pub timers: Timers,
    pub jobs: Jobs,
    /// Modelled durations, when results are held back to them.
    pub pace: Option<Compute<'a>>,
    held: BTreeMap<(Time, JobId), jobs::Result>,
    /// What injections delay.
    late: Late<'a>,
    pub books: Books<'a>,
    /// Messages sent to each neighbour in this life.
    pub ordinals: BTreeMap<NodeId, u64>,
    pub lost: BTreeSet<NodeId>,
    /// Since when the parent is lost.
    orphan_since: Option<Instant>,
    pub finished_peers: BTreeSet<NodeId>,
    /// Events that follow from effects, before anything from outside.
    pub next: VecDeque<(What, Event)>,
    /// How the run is over.
    pub over: Option<End>,
    pub saver: checkpoint::Saver,
    started: Instant,
    /// What the clock showed at the start: a later life goes on from its checkpoint.
    offset: Time,
    interrupt: Arc<AtomicBool>,
    received: UnboundedReceiver<Input>,
    happenings: UnboundedReceiver<Happening>,
    next_look: Instant,
    next_ping: Instant,
    exporter: Option<Exporter>,
    run: &'a str,
}

/// Between two looks at the interrupt flag, evaluations and the progress file.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Between two measurements of the round trip to the neighbours.
const PING_EVERY: Duration = Duration::from_millis(100);
/// How long a node waits for a parent that is lost, and may be resumed by hand.
const ORPHAN: Duration = Duration::from_secs(3600);

impl<'a> Stage<'a> {
    /// Runs a node to its end; returns whether the run ended as it should.
    ///
    /// # Errors
    /// A full disk, or a bug.
    pub async fn run(parts: StageParts<'a>, settings: &'a Settings) -> anyhow::Result<bool> {
        let mut stage = Self::open(parts, settings).await?;
        stage.books.progress.state = NodeState::Running;
        stage.dispatch(What::Start, Event::Start).await?;
        stage.live().await?;
        stage.end().await
    }

    async fn open(parts: StageParts<'a>, settings: &'a Settings) -> anyhow::Result<Self> {
        let StageParts { place, plan, registry, learner, links, received, interrupt, exporter, run } = parts;
        let me = place.me;
        let init = Params::new(learner.init(plan.seeds.init));
        let tools =
            Tools::new(plan, registry, Arc::clone(learner)).map_err(|error| anyhow::anyhow!("{error}"))?;
        let (results, happenings) = unbounded_channel();
        let mut log = OrderLog::open(&place.own.join(node_file::ORDER), me)?;
        let saved = checkpoint::load(place)?;
        let offset = saved.as_ref().map_or(Time::ZERO, |saved| saved.now);
        let number = saved.as_ref().map(|saved| saved.number);
        log.push(&Entry { now: offset, what: What::Born { birth: place.birth, checkpoint: number } })?;
        let mut books = Books::new(place, plan, registry, tools.clone(), init.clone())?;
        let factory = Factory::new(plan, registry, learner.as_ref(), init).over_streams();
        let mut core = Core::new(plan, factory, Actors::new(), tools);
        if evaluates(plan, me) && plan.evaluation.at_start && place.birth == 0 {
            books.evaluate(Time::ZERO, &core.account);
        }
        let birth = match saved {
            Some(saved) => Birth::Restart(Some(books.resume(saved, &mut core.account))),
            None if place.birth == 0 => Birth::New,
            None => Birth::Restart(None),
        };
        core.place(me, birth, place.birth, &BTreeSet::new()).await?;
        let pace = settings.paced.then(|| Compute::new(plan, learner.as_ref(), &core.tools.codecs));
        Ok(Self {
            place,
            plan,
            me,
            settings,
            core,
            links,
            log,
            timers: Timers::default(),
            jobs: Jobs::new(plan.nodes.len(), usize::from(settings.threads), results)?,
            pace,
            held: BTreeMap::new(),
            late: Late::new(plan, me),
            books,
            ordinals: BTreeMap::new(),
            lost: BTreeSet::new(),
            orphan_since: None,
            finished_peers: BTreeSet::new(),
            next: VecDeque::new(),
            over: None,
            saver: checkpoint::Saver::new(place, number.unwrap_or(0)),
            started: Instant::now(),
            offset,
            interrupt,
            received,
            happenings,
            next_look: Instant::now(),
            next_ping: Instant::now(),
            exporter,
            run,
        })
    }

    /// Nanoseconds since the node started.
    pub fn now(&self) -> Time {
        Time(self.offset.0 + self.started.elapsed().as_nanos() as u64)
    }

    async fn live(&mut self) -> anyhow::Result<()> {
        while self.over.is_none() {
            if let Some((what, event)) = self.next.pop_front() {
                self.dispatch(what, event).await?;
                continue;
            }
            let wake = self.next_wake();
            tokio::select! {
                Some(input) = self.received.recv() => self.heard(input).await?,
                Some(Happening::Job(result)) = self.happenings.recv() => self.job_result(result).await?,
                () = tokio::time::sleep_until(wake.into()) => self.woken().await?,
            }
        }
        Ok(())
    }

    fn next_wake(&self) -> Instant {
        let held = self.held.keys().next().map(|(at, _)| *at);
        let due = self.timers.next().into_iter().chain(held).chain(self.late.next()).min();
        let due = due.map(|at| self.started + Duration::from_nanos(at.0.saturating_sub(self.offset.0)));
        due.map_or(self.next_look, |due| due.min(self.next_look))
    }

    /// What the links bring.
    async fn heard(&mut self, input: Input) -> anyhow::Result<()> {
        match input {
            Input::Received { from, stamp, message, credit } => {
                self.books.progress.bytes_received += message.bytes();
                if let Some(at) = self.late.until(self.now(), from, stamp.ordinal, &message) {
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
        let what = What::Received { from, birth: stamp.birth, ordinal: stamp.ordinal };
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
                self.dispatch(What::Up(node), Event::Up(node)).await
            }
            Input::Down(node) => {
                self.lost.insert(node);
                if self.parent() == Some(node) {
                    self.orphan_since = Some(Instant::now());
                }
                tracing::warn!("{} is lost", self.name(node));
                self.dispatch(What::Down(node), Event::Down(node)).await?;
                self.peers_finished(BTreeSet::new());
                Ok(())
            }
            Input::Reconnected(node) => {
                tracing::info!("connected to {} again", self.name(node));
                self.dispatch(What::Reconnected(node), Event::Reconnected(node)).await
            }
            Input::Received { .. } | Input::Notice { .. } => Ok(()),
        }
    }

    async fn job_result(&mut self, result: jobs::Result) -> anyhow::Result<()> {
        if self.pace.is_none() {
            // A modelled duration has the slow-down in it already.
            let (now, me, injector) = (self.now(), self.me, &mut self.late.injector);
            self.jobs.slow_down(&result, now, |started| injector.slowdown(started, me));
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

    async fn job_done(&mut self, result: jobs::Result) -> anyhow::Result<()> {
        let Some(running) = self.jobs.finish(&result) else { return Ok(()) };
        let jobs::Result { job, outcome, .. } = result;
        let now = self.now();
        self.books.job_ended(now, &running);
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
        if Instant::now() >= self.next_look {
            self.next_look = Instant::now() + LOOK_EVERY;
            self.look_around()?;
        }
        Ok(())
    }

    fn look_around(&mut self) -> anyhow::Result<()> {
        if Instant::now() >= self.next_ping {
            self.next_ping = Instant::now() + PING_EVERY;
            let ping = Notice::Ping(self.now()).encode();
            self.above().into_iter().for_each(|node| self.links.notice(node, ping.clone()));
        }
        let traffic = self.links.traffic();
        self.books.progress.bytes_sent = traffic.sent;
        self.books.progress.lost = self.lost.iter().map(|node| self.name(*node).to_owned()).collect();
        self.books.look(self.now())?;
        if let Some(exporter) = &self.exporter {
            exporter.show(self.run, self.name(self.me), &self.books.progress);
        }
        self.saver.check()?;
        if self.over.is_some() {
            return Ok(());
        }
        if self.interrupt.load(Ordering::Relaxed) {
            self.over = Some(End::of(Reason::Interrupted));
        } else if self.is_top() && self.plan.stop.time.is_some_and(|limit| self.now().0 >= limit.0) {
            self.over = Some(End::of(Reason::TimeLimit));
        } else if self.orphan_since.is_some_and(|since| since.elapsed() > ORPHAN) {
            let why = format!("{} has been lost for an hour", self.parent().map_or("", |p| self.name(p)));
            self.over = Some(End::of(Reason::Failed(why)));
        }
        Ok(())
    }

    /// Hands one event to the node and does what it wants.
    pub async fn dispatch(&mut self, what: What, event: Event) -> anyhow::Result<()> {
        let now = self.now();
        self.log.push(&Entry { now, what })?;
        self.tell(now, self.me, event).await
    }

    /// The run cannot go on.
    pub fn fail(&mut self, why: String) {
        tracing::error!("{why}");
        if self.is_top() {
            self.over = Some(End::of(Reason::Failed(why.clone())));
        }
        for node in self.above() {
            self.links.notice(node, Notice::Failed(why.clone()).encode());
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

/// The part of the stage that waits for others at the end.
impl Stage<'_> {
    /// The next thing that comes from outside within `wait`, when the node itself is told nothing any more.
    pub async fn next_input(&mut self, wait: Duration) -> Option<Input> {
        tokio::time::timeout(wait, self.received.recv()).await.ok().flatten()
    }
}
