//! What a deployed node writes down: its commits and evaluations in the files of a run directory, with measured instead
//! of modelled times; its jobs and messages (`super::super::trace`), and where it stands.

use super::checkpoint::Saved;
use super::ending::End;
use super::jobs::Running;
use super::{Place, write_progress};
use crate::deploy::deployment::{NodeProgress, NodeState};
use crate::deploy::result::NodeResult;
use crate::deploy::trace::{Row, Writer};
use crate::transport::links::Traffic;
use hcddl_core::domain::{Message, NodeId, Params, Span, Time, Version};
use hcddl_core::node::work::Trained;
use hcddl_core::node::{Commit, Reason};
use hcddl_learn::safetensors;
use hcddl_plan::measure::account::Account;
use hcddl_plan::measure::outcome::{CommitRow, Observer, Progress};
use hcddl_plan::plan::Plan;
use hcddl_plan::registry::Registry;
use hcddl_sim::record::pace::Pace;
use hcddl_sim::record::rundir::file;
use hcddl_sim::record::{Recorder, RecorderOptions, RunDir};
use hcddl_sim::run::execute::Tools;
use hcddl_sim::run::pool::Pool;
use hcddl_sim::run::probe::Probe;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// See the module.
pub(super) struct Books<'a> {
    place: Place,
    plan: &'a Plan,
    probe: Probe<'a>,
    tools: Tools,
    /// Evaluates beside the node.
    pool: Pool,
    recorder: Recorder,
    trace: Writer,
    dir: RunDir,
    pub progress: NodeProgress,
    pace: Pace,
    trace_pace: Pace,
    /// The shortest round trip to each neighbour.
    round_trips: BTreeMap<String, Span>,
    /// The node's last committed model.
    model: Params,
    version: Version,
}

const PROGRESS_EVERY: Duration = Duration::from_millis(250);
/// What a killed process may lose of its trace.
const TRACE_EVERY: Duration = Duration::from_millis(250);

impl<'a> Books<'a> {
    /// Opens the files of this life of the node: `nodes/<name>/life<n>/`.
    pub fn new(
        place: &Place,
        plan: &'a Plan,
        registry: &Registry,
        tools: Tools,
        init: Params,
    ) -> anyhow::Result<Self> {
        let dir = RunDir::create(Some(&place.own.join(format!("life{}", place.life))), &plan.name)?;
        // One timeline over all nodes is made of their traces.
        let options = RecorderOptions { timeline: false, ..RecorderOptions::default() };
        Ok(Self {
            place: place.clone(),
            plan,
            probe: Probe::new(plan, &registry.metrics, tools.clone()),
            tools,
            pool: Pool::detached(1)?,
            recorder: Recorder::create(&dir, plan, options)?,
            trace: Writer::create(dir.path())?,
            dir,
            progress: NodeProgress { life: place.life, ..NodeProgress::default() },
            pace: Pace::new(PROGRESS_EVERY),
            trace_pace: Pace::new(TRACE_EVERY),
            round_trips: BTreeMap::new(),
            model: init,
            version: Version(0),
        })
    }

    /// Goes on from a checkpoint; returns the node's state.
    pub fn resume(&mut self, saved: Saved, account: &mut Account) -> hcddl_core::node::NodeState {
        tracing::warn!("continues from checkpoint {} (version {})", saved.number, saved.version.0);
        *account = saved.account.reopened(self.plan);
        self.probe.state = saved.probe;
        self.version = saved.version;
        self.progress.commits = saved.version.0;
        saved.state
    }

    /// What a checkpoint holds.
    pub fn saved(
        &self,
        number: u64,
        now: Time,
        state: hcddl_core::node::NodeState,
        account: &Account,
    ) -> Saved {
        let (account, probe) = (account.clone(), self.probe.state.clone());
        Saved { number, now, state, version: self.version, account, probe }
    }

    /// This life begins, at this moment of its clock.
    pub fn born(&mut self, at: Time) {
        let date = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let date = u64::try_from(date.as_nanos()).unwrap_or(u64::MAX);
        self.trace.push(&Row::Born { at, date, life: self.place.life });
        self.trace.flush();
    }

    /// A job has ended, of training after so many steps.
    pub fn job_ended(&mut self, now: Time, job: &Running, steps: Option<u64>) {
        let (asked, bytes) = job.size;
        let (count, label) = (steps.unwrap_or(asked), job.label.to_owned());
        self.trace.push(&Row::Job { begin: job.started, end: now, count, bytes, label });
    }

    /// A message is handed to the links.
    pub fn sent(&mut self, at: Time, to: NodeId, ordinal: u64, message: &Message) {
        let kind = message.kind.name().to_owned();
        self.trace.push(&Row::Sent { at, to, ordinal, bytes: message.bytes(), kind });
    }

    /// A sign of life is back.
    pub fn ping(&mut self, ping: &Row) {
        self.trace.push(ping);
    }

    /// What a worker shows of itself is how many jobs it has finished, and the last loss.
    pub fn trained(&mut self, trained: &Trained, account: &Account) {
        if self.plan.nodes[self.place.me.index()].children.is_empty() && self.plan.peers.is_none() {
            self.progress.commits = account.client_fits;
            self.progress.loss = Some(f64::from(trained.loss));
        }
    }

    pub fn round_trip(&mut self, to: &str, took: Span) {
        let shortest = self.round_trips.entry(to.to_owned()).or_insert(took);
        *shortest = (*shortest).min(took);
    }

    /// Takes note of a commit; says if the target is reached.
    pub fn commit(&mut self, now: Time, commit: &Commit, top: bool, account: &mut Account) -> Option<Reason> {
        let me = self.place.me;
        // Staleness of every server and peer is told, also below the root.
        let bytes_in = account.committed(me, commit, true, self.plan.peers.is_none());
        self.model = commit.model.clone();
        self.version = commit.version;
        self.progress.commits = commit.version.0;
        self.progress.staleness = Some(account.staleness().mean);
        let mut reached = false;
        if top {
            self.probe.note_loss(commit);
            if self.probe.is_due(commit.version.0) {
                reached = self.evaluate(now, account);
            }
        }
        self.recorder.commit(&CommitRow {
            node: me,
            version: commit.version,
            at: now,
            contributors: commit.contributors.clone(),
            bytes_in,
        });
        reached.then_some(Reason::Target)
    }

    /// Evaluates the last model; waits for the result only if a target hangs on it.
    pub fn evaluate(&mut self, now: Time, account: &Account) -> bool {
        let models = BTreeMap::from([(self.place.me, self.model.clone())]);
        let learner = Arc::clone(&self.tools.learner);
        self.probe.begin(&mut self.pool, self.version, &models, account, now, learner.as_ref());
        let wait = self.plan.stop.target_accuracy.is_some();
        self.probe.collect(&mut self.pool, &mut self.recorder, wait);
        wait && self.probe.state.target_reached.is_some()
    }

    /// Collects evaluations and says where the node stands, now and then.
    pub fn look(&mut self, now: Time) -> anyhow::Result<()> {
        self.probe.collect(&mut self.pool, &mut self.recorder, false);
        self.recorder.progress(&Progress::default());
        if self.trace_pace.due() {
            self.trace.flush();
        }
        self.progress.now = now.0;
        if let Some(accuracy) = self.probe.accuracy() {
            self.progress.accuracy = Some(accuracy);
            self.progress.loss = self.probe.state.last.get("loss").copied();
        }
        if self.pace.due() {
            write_progress(&self.place, &self.progress)?;
        }
        Ok(())
    }

    /// Writes what only the end knows.
    pub fn finish(
        &mut self,
        now: Time,
        over: &End,
        traffic: Traffic,
        account: &mut Account,
    ) -> anyhow::Result<()> {
        let top = super::evaluates(self.plan, self.place.me);
        if top && over.is_good && !self.probe.has_evaluated(self.version) {
            self.evaluate(now, account);
        }
        self.probe.collect(&mut self.pool, &mut self.recorder, true);
        let not_finite = self.probe.not_finite().filter(|_| top);
        let good = over.is_good && not_finite.is_none();
        let reason = not_finite.map_or_else(|| over.reason.clone(), Reason::Failed);
        let result = NodeResult::of(self.plan, self.place.me, self.place.life, now, account)
            .with_evaluation(&self.probe, &self.model, self.version)
            .ended(reason.clone(), traffic, self.round_trips.clone());
        self.recorder.close()?;
        self.trace.flush();
        self.dir.write(NodeResult::FILE, &hcddl_files::json(&result))?;
        if let Some(values) = self.model.values().filter(|_| top) {
            let path = self.dir.join(file::MODEL);
            safetensors::save(&path, &self.tools.learner.tensors(), values).map_err(anyhow::Error::msg)?;
        }
        let best = self.probe.state.best.as_ref().and_then(|(_, model)| model.values());
        if let Some(values) = best {
            let path = self.dir.join(file::BEST);
            safetensors::save(&path, &self.tools.learner.tensors(), values).map_err(anyhow::Error::msg)?;
        }
        self.progress.state = if good { NodeState::Finished } else { NodeState::Failed };
        self.progress.accuracy = self.probe.accuracy().or(self.progress.accuracy);
        self.progress.now = now.0;
        self.progress.bytes_sent = traffic.sent;
        self.progress.reason = Some(reason);
        write_progress(&self.place, &self.progress)
    }
}
