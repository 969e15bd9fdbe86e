//! The energy of all hosts so far without a walk over them: evaluations ask for it, and a run of a hundred thousand
//! nodes would do little else.
//!
//! A host takes `idle` watts all the time, `load - idle` more while it computes, and some joules for each byte
//! ([`energy`]). So hosts of one kind can be added up: how long their jobs have run until `now` is a sum over jobs that
//! have ended, and for those that run the number of them times `now` less the sum of their beginnings. All of that is
//! kept in whole nanoseconds, so it does not depend on the order of events and is the same after a restart.

use crate::plan::Plan;
use hcddl_core::device::energy;
use hcddl_core::domain::{NodeId, Span, Time};

/// Hosts of one kind, each with one node.
#[derive(Clone, Copy, Debug)]
struct Kind {
    idle_watts: f64,
    load_watts: f64,
    joules_per_byte: f64,
    hosts: u64,
    /// Nodes with a job now.
    busy: u64,
    /// Ends of jobs less beginnings, in nanoseconds: with `busy` times now it is how long all jobs have run.
    ended_less_begun: i128,
    bytes: u64,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Joules {
    kinds: Vec<Kind>,
    /// Kind of each node's host; `None` where several nodes share it, whose jobs can overlap.
    of_node: Vec<Option<u16>>,
    /// Hosts of several nodes: these are walked.
    shared: Vec<u32>,
}

impl Joules {
    /// Before the first event.
    pub fn new(plan: &Plan) -> Self {
        let mut nodes_of = vec![0u32; plan.hosts.len()];
        plan.nodes.iter().for_each(|node| nodes_of[node.host.index()] += 1);
        let mut kinds: Vec<Kind> = Vec::new();
        let kind_of: Vec<Option<u16>> = plan
            .hosts
            .iter()
            .zip(&nodes_of)
            .map(|(host, nodes)| {
                let device = &host.device;
                let key = [device.idle_watts, device.load_watts, device.joules_per_byte];
                let same = |kind: &Kind| [kind.idle_watts, kind.load_watts, kind.joules_per_byte] == key;
                let place = kinds.iter().position(same).unwrap_or(kinds.len());
                if *nodes > 1 || place > KINDS_MAX {
                    return None;
                }
                if place == kinds.len() {
                    let [idle_watts, load_watts, joules_per_byte] = key;
                    let (hosts, busy, ended_less_begun, bytes) = (0, 0, 0, 0);
                    kinds.push(Kind {
                        idle_watts,
                        load_watts,
                        joules_per_byte,
                        hosts,
                        busy,
                        ended_less_begun,
                        bytes,
                    });
                }
                kinds[place].hosts += 1;
                Some(place as u16)
            })
            .collect();
        let shared = (0..plan.hosts.len() as u32).filter(|host| kind_of[*host as usize].is_none()).collect();
        let of_node = plan.nodes.iter().map(|node| kind_of[node.host.index()]).collect();
        Self { kinds, of_node, shared }
    }

    fn kind(&mut self, node: NodeId) -> Option<&mut Kind> {
        let kind = self.of_node.get(node.index()).copied().flatten()?;
        self.kinds.get_mut(usize::from(kind))
    }

    /// A node has a job from now on, or none any more.
    pub fn busy(&mut self, node: NodeId, now: Time, busy: bool) {
        let Some(kind) = self.kind(node) else { return };
        if busy {
            kind.busy += 1;
            kind.ended_less_begun -= i128::from(now.0);
        } else {
            kind.busy -= 1;
            kind.ended_less_begun += i128::from(now.0);
        }
    }

    /// A node's jobs had run for so long when its books were opened again.
    pub fn had_run(&mut self, node: NodeId, span: Span) {
        if let Some(kind) = self.kind(node) {
            kind.ended_less_begun += i128::from(span.0);
        }
    }

    /// A node has sent or received.
    pub fn moved(&mut self, node: NodeId, bytes: u64) {
        if let Some(kind) = self.kind(node) {
            kind.bytes += bytes;
        }
    }

    /// Joules of all hosts of one node.
    pub fn of_kinds(&self, now: Time) -> f64 {
        let total = now.since(Time::ZERO).seconds();
        let of = |kind: &Kind| {
            let run = kind.ended_less_begun + i128::from(kind.busy) * i128::from(now.0);
            let seconds = run as f64 / 1e9;
            kind.idle_watts * total * kind.hosts as f64
                + (kind.load_watts - kind.idle_watts) * seconds
                + kind.joules_per_byte * kind.bytes as f64
        };
        self.kinds.iter().map(of).sum()
    }

    /// Joules of the hosts of several nodes; `used` tells how long jobs of a node have run, and its bytes.
    pub fn of_shared(&self, plan: &Plan, now: Time, used: impl Fn(NodeId) -> (Span, u64)) -> f64 {
        if self.shared.is_empty() {
            return 0.0;
        }
        let total = now.since(Time::ZERO);
        let mut sums = vec![(Span::ZERO, 0u64); plan.hosts.len()];
        for (i, node) in plan.nodes.iter().enumerate().filter(|(i, _)| self.of_node[*i].is_none()) {
            let (run, bytes) = used(NodeId(i as u32));
            let sum = &mut sums[node.host.index()];
            sum.0 += run;
            sum.1 += bytes;
        }
        let of = |host: &u32| {
            let (device, (run, bytes)) = (&plan.hosts[*host as usize].device, sums[*host as usize]);
            let (idle, load, per_byte) = (device.idle_watts, device.load_watts, device.joules_per_byte);
            energy(idle, load, run.min(total), total, bytes, per_byte).0
        };
        self.shared.iter().map(of).sum()
    }
}

/// More kinds of hosts than this are walked as well: finding the kind of each must not take long.
const KINDS_MAX: usize = 64;
