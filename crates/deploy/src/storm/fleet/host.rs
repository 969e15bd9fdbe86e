//! A host of the fleet: its supervisor decides as a real one does, its processes are stand-ins.

use super::world::{Event, LEASE, World};
use crate::deploy::agent::watching::{Deed, Told, Watch};
use crate::deploy::agent::{AgentStatus, NodeStatus, Order};
use crate::deploy::controller::HostRecord;
use crate::deploy::node::next_life;
use crate::deploy::node_file;
use hcddl_core::domain::{Span, Stream, Time};
use std::collections::VecDeque;
use std::io::Write;
use std::path::PathBuf;

/// Between two words of a supervisor, and of a process.
const TELL_EVERY: Span = Span::from_millis(500);

/// The process of a node.
pub(super) struct Process {
    pub pid: u32,
    pub life: u32,
    /// It hears no signal but the last one.
    pub hangs: bool,
    /// The supervisor that hears of its end.
    parent: u32,
}

/// A node.
pub(super) struct Node {
    pub process: Option<Process>,
    own: PathBuf,
    is_root: bool,
    /// What it has to do until it ends by itself.
    left: Span,
    lives: u32,
}

/// A supervisor that lives.
pub(super) struct Supervisor {
    watch: Watch,
    pub life: u32,
    pub status: AgentStatus,
}

/// See the module.
pub(super) struct Machine {
    /// The run's directory there.
    pub dir: PathBuf,
    pub nodes: Vec<Node>,
    pub agent: Option<Supervisor>,
    /// `agent.json`
    pub file: AgentStatus,
    pub cut_until: Time,
    /// Whether the files of the run are there.
    pub is_there: bool,
    lives: u32,
    pids: u32,
}

impl Machine {
    pub fn new(record: &HostRecord, run: &str, stream: &mut Stream) -> Result<Self, String> {
        let dir = PathBuf::from(record.run_dir(run));
        std::fs::create_dir_all(&dir).map_err(|error| error.to_string())?;
        let node = |name: &String| Node {
            process: None,
            own: dir.join("nodes").join(name),
            is_root: name == "node0",
            left: Span::from_millis(3000 + stream.below(40_000)),
            lives: 0,
        };
        let nodes = record.nodes.iter().map(node).collect();
        let status = |name: &String| NodeStatus { name: name.clone(), ..NodeStatus::default() };
        let file = AgentStatus {
            run: run.to_owned(),
            host: record.host.name.clone(),
            attached: true,
            nodes: record.nodes.iter().map(status).collect(),
            ..AgentStatus::default()
        };
        let (cut_until, is_there) = (Time::ZERO, true);
        Ok(Self { dir, nodes, agent: None, file, cut_until, is_there, lives: 0, pids: 0 })
    }

    /// Whether a supervisor or what one has left holds the lock of the host.
    pub fn is_held(&self) -> bool {
        self.agent.is_some() || self.nodes.iter().any(|node| node.process.is_some())
    }

    fn publish(&mut self) -> Result<(), String> {
        let Some(agent) = &self.agent else { return Ok(()) };
        self.file = agent.status.clone();
        self.file.write(&self.dir).map_err(|error| error.to_string())
    }
}

impl World<'_> {
    /// `hcddl agent`; whether the run has a supervisor now.
    pub fn start_agent(&mut self, host: usize) -> Result<bool, String> {
        let now = self.now;
        let machine = &mut self.hosts[host];
        if !machine.is_there {
            return Ok(false);
        }
        if machine.is_held() {
            // This run is there already.
            let is_there = machine.agent.is_some();
            self.order(host, Order::Restart)?;
            return Ok(is_there);
        }
        machine.lives += 1;
        let life = machine.lives;
        let mut status = machine.file.clone();
        (status.pid, status.ended) = (1_000_000 + life, None);
        for node in &mut status.nodes {
            (node.pid, node.ended) = (None, None);
        }
        let watch = Watch::new(now, LEASE, status.attached, status.nodes.len());
        machine.agent = Some(Supervisor { watch, life, status });
        machine.publish()?;
        self.push(TELL_EVERY, Event::Tick { host, life });
        self.agent_on(host, Told::Begin)?;
        Ok(true)
    }

    pub fn order(&mut self, host: usize, order: Order) -> Result<(), String> {
        self.agent_on(host, Told::Order(order))
    }

    pub(super) fn tick(&mut self, host: usize, life: u32) -> Result<(), String> {
        if self.hosts[host].agent.as_ref().is_none_or(|agent| agent.life != life) {
            return Ok(());
        }
        self.push(TELL_EVERY, Event::Tick { host, life });
        self.hosts[host].publish()?;
        self.agent_on(host, Told::Time)
    }

    pub(super) fn agent_hears(
        &mut self,
        host: usize,
        life: u32,
        node: usize,
        how: &'static str,
    ) -> Result<(), String> {
        let Some(agent) = self.hosts[host].agent.as_mut().filter(|agent| agent.life == life) else {
            return Ok(());
        };
        let status = &mut agent.status.nodes[node];
        (status.pid, status.ended) = (None, Some(how.to_owned()));
        self.agent_on(host, Told::Ended(node))
    }

    /// Tells a supervisor what happens, and does what it wants.
    fn agent_on(&mut self, host: usize, told: Told) -> Result<(), String> {
        let now = self.now;
        let mut next = VecDeque::from([told]);
        while let Some(told) = next.pop_front() {
            let Some(agent) = &mut self.hosts[host].agent else { return Ok(()) };
            let deeds = agent.watch.on(now, told);
            agent.status.attached = agent.watch.is_attached();
            let has_started = deeds.iter().any(|deed| matches!(deed, Deed::Start(_)));
            for deed in deeds {
                match deed {
                    Deed::Start(node) => self.start_node(host, node)?,
                    Deed::Ask => self.signal(host, "code 1"),
                    Deed::Kill => self.signal(host, "signal 9"),
                    Deed::End(why) => {
                        if let Some(agent) = &mut self.hosts[host].agent {
                            agent.status.ended = Some(why);
                        }
                        self.hosts[host].publish()?;
                        self.hosts[host].agent = None;
                    }
                }
            }
            if has_started {
                self.hosts[host].publish()?;
            }
        }
        Ok(())
    }

    /// All processes of a host get a signal, and end of it unless they do not hear it.
    fn signal(&mut self, host: usize, how: &'static str) {
        let kills = how.starts_with("signal");
        let nodes = self.hosts[host].nodes.iter().enumerate();
        let hit = nodes.filter_map(|(node, state)| {
            state
                .process
                .as_ref()
                .filter(|process| kills || !process.hangs)
                .map(|process| (node, process.pid))
        });
        for (node, pid) in hit.collect::<Vec<_>>() {
            let after = Span::from_millis(1 + self.stream.below(400));
            self.push(after, Event::Dies { host, node, pid, how });
        }
    }

    /// What a supervisor that has gone left running is killed, as far as its file names it.
    pub fn kill_left(&mut self, host: usize) {
        for node in 0..self.hosts[host].nodes.len() {
            let known = self.hosts[host].file.nodes[node].pid;
            let pid = self.hosts[host].nodes[node].process.as_ref().map(|process| process.pid);
            if let Some(pid) = pid.filter(|pid| Some(*pid) == known) {
                self.node_ends(host, node, pid, "signal 9");
            }
        }
    }

    fn start_node(&mut self, host: usize, node: usize) -> Result<(), String> {
        let machine = &mut self.hosts[host];
        let parent = machine.agent.as_ref().map_or(0, |agent| agent.life);
        machine.pids += 1;
        let pid = machine.pids;
        let state = &mut machine.nodes[node];
        if state.process.is_some() {
            return Err(format!("`{}` is started a second time while it runs", state.own.display()));
        }
        std::fs::create_dir_all(&state.own).map_err(|error| error.to_string())?;
        let life = next_life(&state.own).map_err(|error| format!("{error:#}"))?;
        if life != state.lives {
            return Err(format!("expected life {} of `{}`, found {life}", state.lives, state.own.display()));
        }
        state.lives += 1;
        state.process = Some(Process { pid, life, hangs: false, parent });
        if let Some(agent) = &mut machine.agent {
            let status = &mut agent.status.nodes[node];
            (status.pid, status.ended) = (Some(pid), None);
            status.starts += 1;
        }
        self.push(TELL_EVERY, Event::Node { host, node, pid });
        Ok(())
    }

    /// A process writes a little, and ends when it has done its part.
    pub(super) fn node_acts(&mut self, host: usize, node: usize, pid: u32) -> Result<(), String> {
        let (has_root, is_over) = (self.unrest.has_root, self.is_over);
        let state = &mut self.hosts[host].nodes[node];
        let Some(process) = state.process.as_ref().filter(|process| process.pid == pid) else {
            return Ok(());
        };
        let text = |error: std::io::Error| format!("`{}`: {error}", state.own.display());
        let log =
            std::fs::OpenOptions::new().create(true).append(true).open(state.own.join(node_file::ORDER));
        log.and_then(|mut log| writeln!(log, "{} {}", process.life, self.now.0)).map_err(text)?;
        state.left = Span(state.left.0.saturating_sub(TELL_EVERY.0));
        let is_done = if has_root && !state.is_root { is_over } else { state.left == Span::ZERO };
        if !is_done {
            self.push(TELL_EVERY, Event::Node { host, node, pid });
            return Ok(());
        }
        let life = state.own.join(format!("life{}", process.life));
        let result = std::fs::create_dir_all(&life)
            .and_then(|()| std::fs::write(life.join(crate::deploy::result::NodeResult::FILE), "{}"));
        result.map_err(text)?;
        self.is_over |= state.is_root;
        self.node_ends(host, node, pid, "code 0");
        Ok(())
    }

    pub(super) fn node_ends(&mut self, host: usize, node: usize, pid: u32, how: &'static str) {
        let state = &mut self.hosts[host].nodes[node];
        if let Some(process) = state.process.take_if(|process| process.pid == pid) {
            let after = Span::from_millis(1 + self.stream.below(5));
            self.push(after, Event::Ended { host, life: process.parent, node, how });
        }
    }
}
