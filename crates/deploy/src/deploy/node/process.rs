//! The process of a node: a stage with a real clock, real links, threads and files.

use super::Place;
use super::checkpoint::{self, Saved};
use super::metrics::Exporter;
use super::stage::{Stage, StageParts};
use super::world::{Asked, Done, Happening, World};
use crate::deploy::deployment::NodeProgress;
use crate::deploy::node_file;
use crate::transport::links::{Input, Links, Stamp, Traffic};
use hcddl_core::domain::{Message, NodeId, Span, Time};
use hcddl_sim::record::order::{Entry, OrderLog};
use hcddl_sim::run::actors::Actors;
use hcddl_sim::run::execute::Tools;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// See the module.
pub(super) struct Process {
    links: Links,
    received: UnboundedReceiver<Input>,
    threads: rayon::ThreadPool,
    results: UnboundedSender<Done>,
    done: UnboundedReceiver<Done>,
    log: OrderLog,
    own: PathBuf,
    writing: Option<JoinHandle<anyhow::Result<()>>>,
    started: Instant,
    interrupt: Arc<AtomicBool>,
    exporter: Option<Exporter>,
    /// Name of the run.
    run: String,
}

/// What has been sent gets this long to leave the process.
const FLUSH: Duration = Duration::from_secs(2);

impl Process {
    /// The surroundings of a node, with `threads` for its jobs.
    ///
    /// # Errors
    /// Threads that cannot be started, an order log that cannot be opened.
    pub fn new(
        place: &Place,
        (links, received): (Links, UnboundedReceiver<Input>),
        threads: u16,
        interrupt: Arc<AtomicBool>,
        exporter: Option<Exporter>,
        run: &str,
    ) -> anyhow::Result<Self> {
        let (results, done) = unbounded_channel();
        Ok(Self {
            links,
            received,
            threads: rayon::ThreadPoolBuilder::new().num_threads(usize::from(threads)).build()?,
            results,
            done,
            log: OrderLog::open(&place.own.join(node_file::ORDER), place.me)?,
            own: place.own.clone(),
            writing: None,
            started: Instant::now(),
            interrupt,
            exporter,
            run: run.to_owned(),
        })
    }

    /// Waits for what happens next, until `wake` of this process's life at most.
    async fn next(&mut self, wake: Span) -> Happening {
        let wake = self.started + Duration::from_nanos(wake.0);
        tokio::select! {
            Some(input) = self.received.recv() => Happening::Input(input),
            Some(done) = self.done.recv() => Happening::Job(done),
            () = tokio::time::sleep_until(wake.into()) => Happening::Wake,
        }
    }
}

/// Runs a node to its end; returns whether the run ended as it should.
///
/// # Errors
/// A full disk, or a bug.
pub(super) async fn run(parts: StageParts<'_>, process: Process) -> anyhow::Result<bool> {
    let began = parts.saved.as_ref().map_or(Time::ZERO, |saved| saved.now);
    let mut stage = Stage::open(parts, process, Actors::default()).await?;
    let mut ended = stage.go_on().await;
    while !stage.is_done() {
        if stage.farewell.is_none() {
            // The disk is full, say: nobody waits for the others then.
            ended?;
            ended = Ok(());
        }
        let wake = stage.next_wake().since(began);
        let happening = stage.world.next(wake).await;
        ended = ended.and(stage.on(happening).await);
    }
    let good = stage.leave();
    stage.world.links.close(FLUSH).await;
    ended.map(|()| good)
}

impl World for Process {
    type Runner = Actors;

    fn age(&self) -> Span {
        Span(self.started.elapsed().as_nanos() as u64)
    }

    fn is_interrupted(&self) -> bool {
        self.interrupt.load(Ordering::Relaxed)
    }

    fn send(&mut self, to: NodeId, stamp: Stamp, message: Message) {
        self.links.send(to, stamp, message);
    }

    fn notice(&mut self, to: NodeId, bytes: Vec<u8>) {
        self.links.notice(to, bytes);
    }

    fn traffic(&self) -> Traffic {
        self.links.traffic()
    }

    fn compute(&mut self, tools: &Tools, Asked { node, job, key, work }: Asked, stop: Arc<AtomicBool>) {
        let (tools, results) = (tools.clone(), self.results.clone());
        self.threads.spawn_fifo(move || {
            let outcome = tools.execute_while(node, work, &|| !stop.load(Ordering::Relaxed));
            // Nobody listens any more when the run is over.
            let _ = results.send(Done { job, key, outcome });
        });
    }

    fn log(&mut self, entry: &Entry) -> anyhow::Result<()> {
        Ok(self.log.push(entry)?)
    }

    /// On a thread of its own, one at a time.
    fn save(&mut self, saved: Saved) {
        let (own, log) = (self.own.clone(), self.log.file());
        self.writing = Some(std::thread::spawn(move || {
            log?.sync_data()?;
            Ok(checkpoint::write(&own, &saved)?)
        }));
    }

    fn is_saving(&self) -> bool {
        self.writing.as_ref().is_some_and(|writing| !writing.is_finished())
    }

    fn saved(&mut self, wait: bool) -> anyhow::Result<()> {
        if self.is_saving() && !wait {
            return Ok(());
        }
        match self.writing.take().map(JoinHandle::join) {
            Some(Ok(written)) => written,
            Some(Err(_)) => anyhow::bail!("the thread that writes checkpoints died"),
            None => Ok(()),
        }
    }

    fn show(&self, name: &str, progress: &NodeProgress) {
        if let Some(exporter) = &self.exporter {
            exporter.show(&self.run, name, progress);
        }
    }
}
