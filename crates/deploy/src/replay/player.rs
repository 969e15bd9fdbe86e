//! The player: takes each node through its log.

use super::{Cut, Difference, Divergence, Logs, ReplayError, Replayed, Until};
use hcddl_core::domain::digest::of_values;
use hcddl_core::domain::{Digest, JobId, Message, NodeId, Params, Span, Time, Token, Version};
use hcddl_core::node::work::{Outcome, Train, Work};
use hcddl_core::node::{Commit, Event, NodeState, Reason};
use hcddl_learn::Learner;
use hcddl_plan::factory::{Begin, Factory};
use hcddl_plan::plan::Plan;
use hcddl_plan::registry::Registry;
use hcddl_sim::record::order::{Entry, What};
use hcddl_sim::run::RunError;
use hcddl_sim::run::carrier::{Carrier, Core};
use hcddl_sim::run::execute::Tools;
use hcddl_sim::run::pool::{Handle, Pool};
use hcddl_sim::run::runner::{Direct, Runner};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// Executes a deployed run again, with `threads` compute threads (0: all cores), to its end or to `until`.
///
/// # Errors
/// [`ReplayError::Sim`] when the nodes cannot be built. That a run differs from its logs is not an error but a
/// [`Divergence`].
pub fn replay(
    plan: &Plan,
    registry: &Registry,
    learner: Arc<dyn Learner>,
    logs: &Logs,
    threads: usize,
    until: Option<Until>,
) -> Result<Replayed, ReplayError> {
    let init = Params::new(learner.init(plan.seeds.init));
    let tools = Tools::new(plan, registry, Arc::clone(&learner)).map_err(RunError::Build)?;
    let factory = Factory::new(plan, registry, learner.as_ref(), init).over_streams();
    let mut player = Player {
        core: Core::new(plan, factory, Direct::default(), tools),
        pool: Pool::new(threads).map_err(RunError::Threads)?,
        tracks: logs.0.iter().map(|entries| Track::new(entries)).collect(),
        sent: BTreeMap::new(),
        ready: BTreeSet::new(),
        waiting: BTreeMap::new(),
        result: Replayed::default(),
        until,
    };
    // Nothing here waits for anything; the runner's calls are async for the actors' sake.
    let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(RunError::Runtime)?;
    runtime.block_on(player.play())?;
    Ok(player.end())
}

/// A node on its way through its log.
struct Track<'a> {
    entries: &'a [Entry],
    at: usize,
    life: u32,
    inputs: u64,
    /// Steps of each job that the log says has ended, by the life that began it.
    ends: BTreeMap<(u32, JobId), Option<u64>>,
    jobs: BTreeMap<JobId, Job>,
    /// Commits of the last input that the log has to confirm.
    commits: VecDeque<(Version, Digest)>,
    /// States at the checkpoints from which later lives go on.
    saved: BTreeMap<u64, Option<NodeState>>,
    digest: Option<Digest>,
}

/// A job that a node has begun.
enum Job {
    /// Under way on the pool.
    Running(Handle<Outcome>),
    /// Never ended, or cut short: computed when that is known.
    Described(Work),
}

impl<'a> Track<'a> {
    fn new(entries: &'a [Entry]) -> Self {
        let (mut life, mut ends, mut saved) = (0, BTreeMap::new(), BTreeMap::new());
        for entry in entries {
            match entry.what {
                What::Born { life: born, checkpoint } => {
                    life = born;
                    saved.extend(checkpoint.map(|number| (number, None)));
                }
                What::Done { job, steps } => {
                    ends.insert((life, job), steps);
                }
                _ => {}
            }
        }
        let (jobs, commits) = (BTreeMap::new(), VecDeque::new());
        Self { entries, at: 0, life: 0, inputs: 0, ends, jobs, commits, saved, digest: None }
    }
}

/// A sender's life and its receiver.
type Stream = (NodeId, NodeId, u32);

struct Player<'a> {
    core: Core<'a, Direct>,
    pool: Pool,
    tracks: Vec<Track<'a>>,
    /// Messages that have been sent and not been received, by ordinal; and how many were sent.
    sent: BTreeMap<Stream, (u64, BTreeMap<u64, Message>)>,
    /// Nodes that can go on, the one with the earliest clock first: so jobs overlap as they did.
    ready: BTreeSet<(Time, NodeId)>,
    /// Who waits for a message of this stream.
    waiting: BTreeMap<Stream, NodeId>,
    result: Replayed,
    until: Option<Until>,
}

/// Whether a node can go on.
enum Step {
    Went,
    Waits(Stream),
    Ended,
}

impl<'a> Carrier<'a> for Player<'a> {
    type Runner = Direct;
    type Error = RunError;

    fn core(&mut self) -> &mut Core<'a, Direct> {
        &mut self.core
    }

    /// The run has said it already.
    fn warn(&mut self, text: &str) {
        tracing::debug!("{text}");
    }

    fn start_job(&mut self, now: Time, node: NodeId, job: JobId, work: Work) {
        self.result.moments.job_begun(node, job, work.label(), now);
        let track = &mut self.tracks[node.index()];
        let begun = match track.ends.get(&(track.life, job)) {
            Some(None) => {
                let tools = self.core.tools.clone();
                Job::Running(self.pool.start(move || tools.execute(node, work)))
            }
            _ => Job::Described(work),
        };
        track.jobs.insert(job, begun);
    }

    fn send(&mut self, now: Time, from: NodeId, to: NodeId, message: Message) {
        let stream = (from, to, self.tracks[from.index()].life);
        let (count, messages) = self.sent.entry(stream).or_default();
        if stream.2 == 0 {
            self.result.moments.sent(from, to, *count, message.lane(), now);
        }
        messages.insert(*count, message);
        *count += 1;
        if let Some(node) = self.waiting.remove(&stream) {
            self.make_ready(node);
        }
    }

    async fn commit(&mut self, _: Time, node: NodeId, commit: Commit) -> Result<(), RunError> {
        let digest = commit.model.values().map_or_else(|| of_values(&[]), of_values);
        let track = &mut self.tracks[node.index()];
        track.commits.push_back((commit.version, digest));
        track.digest = Some(digest);
        Ok(())
    }

    // The log says which jobs were given up, which timers ran down, and when the run was over.
    fn cancel_job(&mut self, _: Time, _: NodeId, _: JobId, _: bool) {}
    fn set_timer(&mut self, _: Time, _: NodeId, _: Span, _: Token) {}
    fn clear_timer(&mut self, _: NodeId, _: Token) {}
    fn finish(&mut self, _: Time, _: NodeId, _: Reason) {}
}

impl Player<'_> {
    async fn play(&mut self) -> Result<(), RunError> {
        for id in 0..self.tracks.len() as u32 {
            self.make_ready(NodeId(id));
        }
        while let Some((_, node)) = self.ready.pop_first() {
            match self.step(node).await? {
                Step::Went if self.is_there() => return Ok(()),
                Step::Went => self.make_ready(node),
                Step::Waits(stream) => {
                    self.waiting.insert(stream, node);
                }
                Step::Ended => {}
            }
            if self.result.divergence.is_some() {
                return Ok(());
            }
        }
        Ok(())
    }

    fn make_ready(&mut self, node: NodeId) {
        let track = &self.tracks[node.index()];
        if let Some(entry) = track.entries.get(track.at) {
            self.ready.insert((entry.now, node));
        }
    }

    fn is_there(&self) -> bool {
        self.until.is_some_and(|until| self.tracks[until.node.index()].inputs >= until.inputs)
    }

    /// Executes a node's next entry.
    async fn step(&mut self, node: NodeId) -> Result<Step, RunError> {
        let track = &mut self.tracks[node.index()];
        let Some(entry) = track.entries.get(track.at) else { return Ok(Step::Ended) };
        let entry = entry.clone();
        if matches!(entry.what, What::Born { .. }) {
            // A killed process may have died between an input and the commits that followed from it.
            track.commits.clear();
        }
        if !matches!(entry.what, What::Commit { .. }) && !track.commits.is_empty() {
            let (version, _) = track.commits[0];
            self.differs(
                node,
                entry.now,
                Difference::Commit(format!("version {} is not in the log", version.0)),
            );
            return Ok(Step::Ended);
        }
        let event = match entry.what {
            What::Born { life, checkpoint } => {
                self.born(node, life, checkpoint).await?;
                None
            }
            What::Commit { version, digest } => {
                self.check(node, entry.now, version, digest);
                None
            }
            What::Checkpoint { number } => {
                let state = self.core.runner.save(node).await?;
                self.tracks[node.index()].saved.entry(number).and_modify(|saved| *saved = state);
                None
            }
            What::Received { from, life, ordinal } => {
                let stream = (from, node, life);
                let message = self.sent.get_mut(&stream).and_then(|(_, messages)| messages.remove(&ordinal));
                let Some(message) = message else { return Ok(Step::Waits(stream)) };
                if life == 0 {
                    self.result.moments.received(from, node, ordinal, entry.now);
                }
                Some(Event::Received { from, message })
            }
            What::Done { job, steps } => match self.outcome(node, job, steps) {
                Some(outcome) => {
                    self.result.moments.job_ended(node, job, entry.now, steps.is_none());
                    Some(Event::Done { job, outcome })
                }
                None => {
                    self.differs(node, entry.now, Difference::Job(job.0));
                    return Ok(Step::Ended);
                }
            },
            What::Start => Some(Event::Start),
            What::Timer(token) => Some(Event::Timer(token)),
            What::Up(other) => Some(Event::Up(other)),
            What::Down(other) => Some(Event::Down(other)),
            What::Reconnected(other) => Some(Event::Reconnected(other)),
            What::Stop(reason) => Some(Event::Stop(reason)),
        };
        self.tracks[node.index()].at += 1;
        if let Some(event) = event {
            self.dispatch(node, entry.now, event).await?;
        }
        Ok(Step::Went)
    }

    async fn born(&mut self, node: NodeId, life: u32, checkpoint: Option<u64>) -> Result<(), RunError> {
        let track = &mut self.tracks[node.index()];
        track.life = life;
        track.jobs.clear();
        // Several lives may go on from one checkpoint: a process that is killed before its next one.
        let state = checkpoint.and_then(|number| track.saved.get(&number)?.clone());
        let how = if life == 0 { Begin::New } else { Begin::Restart(state) };
        self.core.runner.remove(node).await;
        self.core.place(node, how, life, &BTreeSet::new()).await
    }

    async fn dispatch(&mut self, node: NodeId, now: Time, event: Event) -> Result<(), RunError> {
        self.result.events += 1;
        self.tracks[node.index()].inputs += 1;
        self.tell(now, node, event).await
    }

    fn outcome(&mut self, node: NodeId, job: JobId, steps: Option<u64>) -> Option<Outcome> {
        Some(match (self.tracks[node.index()].jobs.remove(&job)?, steps) {
            (Job::Running(handle), _) => self.pool.wait(handle),
            (Job::Described(Work::Train(train)), Some(steps)) => {
                self.core.tools.execute(node, Work::Train(Train { steps, ..train }))
            }
            (Job::Described(work), _) => self.core.tools.execute(node, work),
        })
    }

    fn check(&mut self, node: NodeId, now: Time, version: Version, logged: Digest) {
        match self.tracks[node.index()].commits.pop_front() {
            Some((committed, computed)) if committed == version && computed == logged => {
                self.result.commits += 1;
            }
            Some((committed, computed)) if committed == version => {
                self.differs(node, now, Difference::Model { version, logged, computed });
            }
            Some((committed, _)) => {
                let text = format!("version {} instead of {}", committed.0, version.0);
                self.differs(node, now, Difference::Commit(text));
            }
            None => {
                self.differs(
                    node,
                    now,
                    Difference::Commit(format!("version {} is not committed now", version.0)),
                );
            }
        }
    }

    fn differs(&mut self, node: NodeId, now: Time, what: Difference) {
        let position = self.tracks[node.index()].at;
        self.result.divergence.get_or_insert(Divergence { node, position, now, what });
    }

    fn end(mut self) -> Replayed {
        let name = |id: NodeId| self.core.plan.nodes[id.index()].name.as_str();
        if self.result.divergence.is_none() && !self.is_there() {
            for (stream, node) in &self.waiting {
                let track = &self.tracks[node.index()];
                let (from, _, life) = *stream;
                let sent = self.sent.get(stream).map_or(0, |(count, _)| *count);
                let why = format!(
                    "a message of {} (life {life}) that is not among the {sent} it sent according to its log",
                    name(from)
                );
                self.result.cut.push(Cut { node: *node, left: track.entries.len() - track.at, why });
            }
        }
        self.result.digest = self.tracks.first().and_then(|track| track.digest);
        if let Some(until) = self.until {
            let runtime = tokio::runtime::Builder::new_current_thread().build();
            let save =
                runtime.ok().and_then(|runtime| runtime.block_on(self.core.runner.save(until.node)).ok());
            self.result.state = save.flatten();
        }
        self.result
    }
}
