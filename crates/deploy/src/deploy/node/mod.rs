//! `hcddl node`: the process of one node on its device.
//!
//! The node is the same state machine in the same actor as in the simulator. Around it the stage does what the
//! conductor does there: it hands the node one event at a time and carries its effects out, for real. Every event is
//! written to the order log before, so that the run can be executed again.

mod books;
pub(crate) mod checkpoint;
mod effects;
mod ending;
mod jobs;
mod late;
mod metrics;
mod process;
pub(crate) mod stage;
mod timers;
pub(crate) mod world;

use super::deployment::{Deployment, NodeProgress, NodeState};
use super::node_file;
use crate::transport::identity::Identity;
use crate::transport::links::{Links, LinksConfig, Neighbour};
use crate::transport::wire::Limits;
use anyhow::Context;
#[cfg(feature = "fuzzing")]
pub use checkpoint::read_bytes as read_checkpoint;
use hcddl_core::domain::{NodeId, NodeName};
use hcddl_core::node::Reason;
use hcddl_files::atomic;
use hcddl_learn::Learner;
use hcddl_learn::engine::Engine;
use hcddl_learn::portion::Portion;
use hcddl_plan::plan::{Plan, Role};
use hcddl_plan::registry::Registry;
use hcddl_plan::scenario::{self, Written};
use process::Process;
use stage::StageParts;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// Where a node's process finds what it is told, and where it writes.
#[derive(Clone)]
pub(crate) struct Place {
    /// The run's directory on this host.
    pub run: PathBuf,
    /// `nodes/<name>` in it.
    pub own: PathBuf,
    /// Who it is.
    pub me: NodeId,
    /// How often it was started before.
    pub life: u32,
}

/// Time that a client gets to prove who it is.
pub(crate) const HANDSHAKE: Duration = Duration::from_secs(5);

/// Runs the node `name` of the run in `dir` to its end; `interrupt` asks it to end early. Returns whether the run
/// ended as it should.
///
/// # Errors
/// Files that are missing or do not fit, an address that is in use, a full disk.
pub fn run(dir: &Path, name: &str, registry: &Registry, interrupt: Arc<AtomicBool>) -> anyhow::Result<bool> {
    let deployment = read_deployment(dir)?;
    let me =
        deployment.find(name).with_context(|| format!("the run {} has no node `{name}`", deployment.run))?;
    let own = dir.join("nodes").join(name);
    fs::create_dir_all(&own).with_context(|| format!("cannot create `{}`", own.display()))?;
    let life = next_life(&own)?;
    let place = Place { run: dir.to_owned(), own, me, life };
    let ended = start(&place, &deployment, registry, interrupt);
    if let Err(error) = &ended {
        let reason = Some(Reason::Failed(format!("{error:#}")));
        write_progress(
            &place,
            &NodeProgress { state: NodeState::Failed, life, reason, ..Default::default() },
        )?;
    }
    ended
}

fn start(
    place: &Place,
    deployment: &Deployment,
    registry: &Registry,
    interrupt: Arc<AtomicBool>,
) -> anyhow::Result<bool> {
    let starting = NodeProgress { life: place.life, ..NodeProgress::default() };
    write_progress(place, &starting)?;
    let written = scenario::load::load(&place.run.join("scenario.yml"), &[])?;
    let plan = scenario::resolve(&written, registry)?;
    let names: Vec<&NodeName> = deployment.nodes.iter().map(|node| &node.name).collect();
    anyhow::ensure!(
        plan.nodes.iter().map(|node| &node.name).eq(names),
        "deployment.json and scenario.yml name different nodes"
    );
    let learner = learner(place, deployment, &written, &plan, registry)?;
    // Actors, links and timers; gradients have threads of their own.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let ended = runtime.block_on(async {
        let (inputs, received) = tokio::sync::mpsc::unbounded_channel();
        let limits = Limits::for_model(learner.params_len());
        let config = links_config(place, deployment, &plan, limits)?;
        let links = Links::start(config, inputs).await?;
        let exporter = match metrics_address(place.me, deployment, &plan)? {
            Some(address) => {
                let started = metrics::Exporter::start(address).await;
                Some(
                    started
                        .with_context(|| format!("cannot listen on {address} for `deploy.metrics_port`"))?,
                )
            }
            None => None,
        };
        let settings = &deployment.settings;
        let (links, threads) = ((links, received), settings.threads);
        let process = Process::new(place, links, threads, interrupt, exporter, &deployment.run)?;
        let saved = checkpoint::load(place)?;
        let (plan, learner) = (&plan, &learner);
        process::run(StageParts { place: place.clone(), plan, registry, learner, settings, saved }, process)
            .await
    });
    // Jobs that nobody waits for any more must not hold the process.
    runtime.shutdown_background();
    ended
}

/// Where a server or a peer tells its figures: nodes of one host that do take consecutive ports.
fn metrics_address(
    me: NodeId,
    deployment: &Deployment,
    plan: &Plan,
) -> anyhow::Result<Option<std::net::SocketAddr>> {
    let first = deployment.settings.metrics_port;
    let tells = |node: usize| plan.nodes[node].role != Role::Worker;
    if first == 0 || !tells(me.index()) {
        return Ok(None);
    }
    let placed = &deployment.nodes[me.index()];
    let before = (0..me.index()).filter(|i| tells(*i) && deployment.nodes[*i].host == placed.host).count();
    let port = u16::try_from(usize::from(first) + before).context("`deploy.metrics_port` is too high")?;
    let ip =
        placed.bind.parse().with_context(|| format!("expected an IP address, found `{}`", placed.bind))?;
    Ok(Some(std::net::SocketAddr::new(ip, port)))
}

fn read_deployment(dir: &Path) -> anyhow::Result<Deployment> {
    let path = dir.join("deployment.json");
    let text = fs::read_to_string(&path)
        .with_context(|| format!("cannot read `{}`; name the directory of a deployed run", path.display()))?;
    let deployment: Deployment =
        serde_json::from_str(&text).with_context(|| format!("`{}` is damaged", path.display()))?;
    let own = env!("CARGO_PKG_VERSION");
    anyhow::ensure!(
        deployment.version == own,
        "the run was made by hcddl {}, this is {own}: push the same binary to every host",
        deployment.version
    );
    Ok(deployment)
}

/// Counts the lives of a node, across crashes.
pub(crate) fn next_life(own: &Path) -> anyhow::Result<u32> {
    let path = own.join(node_file::LIVES);
    let life = match fs::read_to_string(&path) {
        Ok(text) => text.trim().parse::<u32>().with_context(|| format!("`{}` is damaged", path.display()))?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => 0,
        Err(error) => return Err(error).with_context(|| format!("cannot read `{}`", path.display())),
    };
    atomic::replace(&path, (life + 1).to_string().as_bytes())
        .with_context(|| format!("cannot write `{}`", path.display()))?;
    Ok(life)
}

pub(crate) fn write_progress(place: &Place, progress: &NodeProgress) -> anyhow::Result<()> {
    let path = place.own.join(node_file::PROGRESS);
    atomic::refresh(&path, serde_json::to_string(progress)?.as_bytes())
        .with_context(|| format!("cannot write `{}`", path.display()))
}

/// Whether a node evaluates models: the root server, and every peer its own.
#[must_use]
pub fn evaluates(plan: &Plan, node: NodeId) -> bool {
    let plan = &plan.nodes[node.index()];
    plan.parent.is_none() && plan.role != Role::Worker
}

fn learner(
    place: &Place,
    deployment: &Deployment,
    written: &Written,
    plan: &Plan,
    registry: &Registry,
) -> anyhow::Result<Arc<dyn Learner>> {
    // This process trains no other node.
    let mut shards = vec![None; plan.nodes.len()];
    shards[place.me.index()] = plan.nodes[place.me.index()].shard;
    let name = &plan.nodes[place.me.index()].name;
    let path = place.run.join("data").join(format!("{name}.bin"));
    let holdings = match &deployment.settings.data_on_device {
        Some(dir) => {
            let mut written = written.clone();
            written.file.data_dir = Some(dir.clone());
            let plan = scenario::resolve(&written, registry)?;
            let whole = written.holdings(&plan, registry)?;
            // What others hold need not stay in memory.
            let own: Vec<u32> = shards[place.me.index()].into_iter().collect();
            Portion::of(&whole, &own, evaluates(&plan, place.me)).holdings(&plan.learning, &registry.learn)
        }
        None => {
            let bytes = fs::read(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
            let portion = Portion::from_bytes(&bytes)
                .map_err(|problem| anyhow::anyhow!("`{}` {problem}", path.display()))?;
            portion.holdings(&plan.learning, &registry.learn)
        }
    };
    let engine = holdings
        .and_then(|holdings| Engine::of(holdings, &plan.learning, plan.seeds, &registry.learn, &shards));
    let engine = engine.map_err(|error| written.learn_error(error))?;
    let threads = match deployment.settings.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        threads => usize::from(threads),
    };
    engine.offer_threads(threads);
    Ok(Arc::new(engine))
}

/// The nodes that a node talks to: children dial their parents, of two peers the later one the earlier.
fn links_config(
    place: &Place,
    deployment: &Deployment,
    plan: &Plan,
    limits: Limits,
) -> anyhow::Result<LinksConfig> {
    let (me, settings) = (place.me, &deployment.settings);
    let node = &plan.nodes[me.index()];
    let to_dial = |other: NodeId| {
        let placed = &deployment.nodes[other.index()];
        Neighbour { node: other, dial: Some(crate::deploy::deployment::socket(&placed.address, placed.port)) }
    };
    let dials_us = |other: NodeId| Neighbour { node: other, dial: None };
    let mut neighbours: Vec<Neighbour> = node.parent.map(to_dial).into_iter().collect();
    neighbours.extend(node.children.iter().map(|child| dials_us(*child)));
    let mut peers: Vec<NodeId> = node.neighbours.iter().map(|n| n.node).collect();
    peers.sort_unstable();
    peers.dedup();
    neighbours.extend(peers.into_iter().map(|peer| if peer < me { to_dial(peer) } else { dials_us(peer) }));
    let listens = neighbours.iter().any(|neighbour| neighbour.dial.is_none());
    let placed = &deployment.nodes[me.index()];
    let listen = listens.then(|| crate::deploy::deployment::socket(&placed.bind, placed.port).parse());
    let tls = place.run.join("tls");
    let read = |name: String| {
        fs::read_to_string(tls.join(&name))
            .with_context(|| format!("cannot read `{}`", tls.join(name).display()))
    };
    let identity = if settings.tls {
        let name = &node.name;
        let (authority, certificate) = (read("ca.pem".into())?, read(format!("{name}.pem"))?);
        Some(Identity { authority, certificate, key: read(format!("{name}.key"))? })
    } else {
        tracing::warn!("`deploy.tls` is off: anybody on the network can read and change what is sent");
        None
    };
    let span = |span: hcddl_core::domain::Span| Duration::from_nanos(span.0);
    Ok(LinksConfig {
        run: deployment.run.clone(),
        me,
        names: plan.nodes.iter().map(|node| node.name.to_string()).collect(),
        listen: listen
            .transpose()
            .with_context(|| format!("expected an IP address, found `{}`", placed.bind))?,
        neighbours,
        identity,
        secret: read("secret".into())?.trim().to_owned(),
        life: place.life,
        heartbeat: span(settings.heartbeat),
        detection: span(settings.detection),
        start_timeout: span(settings.start_timeout),
        handshake_timeout: HANDSHAKE,
        limits,
    })
}
