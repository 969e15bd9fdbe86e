//! The world of a fleet: one heap of events, hosts, and whoever is at work on them.

use super::controller::{Controller, Kind, Step};
use super::host::Machine;
use super::{Trouble, Unrest};
use crate::deploy::controller::{HostRecord, Record};
use crate::deploy::inventory::Host;
use hcddl_core::domain::{Span, Stream, Time};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A run without a controller is looked after by somebody so often.
const OPERATOR: Span = Span::from_millis(10_000);
/// So long after the last trouble nothing of the run is left on a host.
const HANG: Span = Span::from_millis(600_000);
/// A supervisor stops its nodes when its controller has been silent for so long.
pub(super) const LEASE: Span = Span::from_millis(20_000);

pub(super) enum Event {
    Trouble(usize),
    /// Somebody looks whether anybody cares for the run.
    Operator,
    /// A supervisor tells where it stands.
    Tick {
        host: usize,
        life: u32,
    },
    /// A process does what it does at this moment.
    Node {
        host: usize,
        node: usize,
        pid: u32,
    },
    /// A process ends because of a signal.
    Dies {
        host: usize,
        node: usize,
        pid: u32,
        how: &'static str,
    },
    /// A supervisor hears of the end of a process.
    Ended {
        host: usize,
        life: u32,
        node: usize,
        how: &'static str,
    },
    /// A controller does its next step.
    Step(u32, Step),
}

/// See the module.
pub(super) struct World<'a> {
    pub unrest: &'a Unrest,
    pub record: Record,
    pub local: PathBuf,
    pub now: Time,
    pub hosts: Vec<Machine>,
    pub controllers: BTreeMap<u32, Controller>,
    pub stream: Stream,
    /// The root has ended as it should.
    pub is_over: bool,
    /// A controller could not clean everything.
    pub is_left: bool,
    heap: BTreeMap<(Time, u64), Event>,
    pushed: u64,
    started: u32,
}

impl<'a> World<'a> {
    pub fn new(unrest: &'a Unrest, dir: &Path) -> Result<Self, String> {
        let local = dir.join("local");
        std::fs::create_dir_all(&local).map_err(|error| error.to_string())?;
        let names = |host: u64| {
            (0..unrest.nodes).map(|node| format!("node{}", host * unrest.nodes + node)).collect::<Vec<_>>()
        };
        let hosts = (0..unrest.hosts).map(|host| HostRecord {
            host: Host { name: format!("host{host}"), ..Host::default() },
            base: dir.join(format!("host{host}")).display().to_string(),
            program: "hcddl".to_owned(),
            nodes: names(host),
        });
        let record = Record {
            run: "storm".to_owned(),
            root: unrest.has_root.then(|| "node0".to_owned()),
            rounds: None,
            lease: LEASE.0,
            detached: false,
            cleaned: false,
            hosts: hosts.collect(),
        };
        let mut stream = Stream::new(unrest.seed, "storm", 5, 0);
        let machines = record.hosts.iter().map(|host| Machine::new(host, "storm", &mut stream));
        let hosts = machines.collect::<Result<_, _>>()?;
        let mut world = Self {
            unrest,
            record,
            local,
            now: Time::ZERO,
            hosts,
            controllers: BTreeMap::new(),
            stream,
            is_over: false,
            is_left: false,
            heap: BTreeMap::new(),
            pushed: 0,
            started: 0,
        };
        for (i, (at, _)) in unrest.faults.iter().enumerate() {
            world.push(at.since(Time::ZERO), Event::Trouble(i));
        }
        world.push(OPERATOR, Event::Operator);
        world.call(Kind::Run, false)?;
        Ok(world)
    }

    /// Something happens after a while.
    pub fn push(&mut self, after: Span, event: Event) {
        self.pushed += 1;
        self.heap.insert((self.now + after, self.pushed), event);
    }

    /// How long something takes: some milliseconds, now and then many.
    pub fn delay(&mut self) -> Span {
        let slow = if self.stream.below(12) == 0 { 30 } else { 1 };
        Span::from_millis((1 + self.stream.below(60)) * slow)
    }

    /// Lets everything happen until nothing of the run is left; how much that was.
    pub fn run(&mut self) -> Result<u64, String> {
        let mut calm = Time::ZERO;
        for (at, trouble) in &self.unrest.faults {
            let lasts = if let Trouble::Cut { pause, .. } = trouble { *pause } else { 0 };
            calm = calm.max(*at + Span::from_millis(lasts));
        }
        while let Some(((at, _), event)) = self.heap.pop_first() {
            self.now = at;
            if at > calm + HANG {
                let left = self.hosts.iter().filter(|host| host.is_there).count();
                return Err(format!("at {} the run is still on {left} hosts", at.seconds()));
            }
            self.happen(event)?;
            if self.record.cleaned && self.controllers.is_empty() && at > calm {
                self.nothing_is_left()?;
                return Ok(self.pushed);
            }
        }
        Err("nobody cares for the run any more".to_owned())
    }

    fn happen(&mut self, event: Event) -> Result<(), String> {
        match event {
            Event::Trouble(i) => {
                let (_, trouble) = &self.unrest.faults[i];
                self.strike(trouble)
            }
            Event::Operator => {
                self.push(OPERATOR, Event::Operator);
                self.look_after()
            }
            Event::Tick { host, life } => self.tick(host, life),
            Event::Node { host, node, pid } => self.node_acts(host, node, pid),
            Event::Dies { host, node, pid, how } => {
                self.node_ends(host, node, pid, how);
                Ok(())
            }
            Event::Ended { host, life, node, how } => self.agent_hears(host, life, node, how),
            Event::Step(id, step) => self.step(id, step),
        }
    }

    fn strike(&mut self, trouble: &Trouble) -> Result<(), String> {
        let place = |node: u64| ((node / self.unrest.nodes) as usize, (node % self.unrest.nodes) as usize);
        match *trouble {
            Trouble::KillControllers => self.controllers.clear(),
            Trouble::Resume { take_over } => self.call(Kind::Run, take_over)?,
            Trouble::Fetch => self.call(Kind::Fetch, false)?,
            Trouble::KillSupervisor { host } => self.hosts[host as usize].agent = None,
            Trouble::KillNode { node } => {
                let (host, node) = place(node);
                if let Some(process) = &self.hosts[host].nodes[node].process {
                    let pid = process.pid;
                    self.node_ends(host, node, pid, "signal 9");
                }
            }
            Trouble::Hang { node } => {
                let (host, node) = place(node);
                if let Some(process) = &mut self.hosts[host].nodes[node].process {
                    process.hangs = true;
                }
            }
            Trouble::Cut { host, pause } => {
                let until = self.now + Span::from_millis(pause);
                let cut = &mut self.hosts[host as usize].cut_until;
                *cut = until.max(*cut);
            }
        }
        Ok(())
    }

    /// A command that somebody gives; there is nothing to do for a run of which nothing is left.
    pub fn call(&mut self, kind: Kind, take_over: bool) -> Result<(), String> {
        if self.record.cleaned {
            return Ok(());
        }
        self.started += 1;
        let id = self.started;
        self.begin(id, kind, take_over)
    }

    /// Somebody takes care of a run that nobody follows: goes on, or ends what is left.
    fn look_after(&mut self) -> Result<(), String> {
        if !self.controllers.is_empty() || self.record.cleaned {
            return Ok(());
        }
        let orphans = |host: &Machine| host.agent.is_none() && host.is_held();
        let must_end = self.is_left || self.hosts.iter().any(|host| !host.is_there || orphans(host));
        self.call(if must_end { Kind::End } else { Kind::Run }, false)
    }

    fn nothing_is_left(&self) -> Result<(), String> {
        for (host, record) in self.hosts.iter().zip(&self.record.hosts) {
            if host.is_held() {
                return Err(format!("processes are left on {}", record.host.name));
            }
            let own = self.local.join("hosts").join(&record.host.name);
            // Where nothing was fetched there is no directory.
            for entry in std::fs::read_dir(&own).into_iter().flatten().flatten() {
                let name = entry.file_name();
                if name.to_string_lossy().starts_with('.') {
                    return Err(format!("`{}` is left in `{}`", name.display(), own.display()));
                }
            }
        }
        Ok(())
    }
}
