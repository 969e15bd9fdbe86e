//! What all nodes of a deployed run did, on one clock: jobs, messages from sending to hearing, and times at which nodes
//! were down.

use super::clocks::{Bounds, Clock, Life, clocks};
use super::{ROWS_MAX, Row, lives, read};
use crate::deploy::node_file;
use hcddl_core::domain::{NodeId, Time};
use hcddl_plan::plan::Plan;
use hcddl_sim::record::order::{self, What};
use std::collections::BTreeMap;
use std::path::Path;

/// A job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Whose.
    pub node: NodeId,
    /// From.
    pub begin: Time,
    /// To.
    pub end: Time,
    /// `train`, `fold`, `encode` or `decode`.
    pub label: String,
    /// Steps of training, inputs of a fold, else 1.
    pub count: u64,
    /// Of its tensor, or of each of its inputs.
    pub bytes: u64,
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// The sender.
    pub from: NodeId,
    /// The receiver.
    pub to: NodeId,
    /// When it was handed to the links.
    pub at: Time,
    /// When the receiver was told; `None` if it never was.
    pub heard: Option<Time>,
    /// Its size, heads included.
    pub bytes: u64,
    /// Its kind.
    pub kind: String,
}

/// A sign of life there and back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ping {
    /// Who sent it.
    pub from: NodeId,
    /// Who sent it back.
    pub to: NodeId,
    /// When.
    pub sent: Time,
    /// When it was there.
    pub there: Time,
    /// When it was back.
    pub back: Time,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// In the order of nodes and lives, then of their ends.
    pub jobs: Vec<Job>,
    /// In the order of senders, then of sending.
    pub messages: Vec<Sent>,
    /// In the order of senders, then of sending.
    pub pings: Vec<Ping>,
    /// Between two lives: node, from, to.
    pub down: Vec<(NodeId, Time, Time)>,
    /// How each life's clock is read.
    pub clocks: BTreeMap<Life, Clock>,
    /// The system's date at the clock's 0, by the root's host: nanoseconds since 1970.
    pub date: Option<u64>,
    /// Rows of traces without meaning.
    pub strange: u64,
}

/// An arrival: who was told, in which life, and when by its own clock.
type Arrival = (Life, Time);

/// A life as it was read.
struct Known {
    rows: Vec<Row>,
    /// The last moment in its order log.
    last: Time,
}

impl Observed {
    /// Reads the traces and order logs of a fetched run. Nodes that left none are missing in it.
    #[must_use]
    pub fn read(run: &Path, plan: &Plan) -> Self {
        let mut observed = Self::default();
        let mut arrivals: BTreeMap<(Life, NodeId, u64), Arrival> = BTreeMap::new();
        let mut known: BTreeMap<Life, Known> = BTreeMap::new();
        for (i, node) in plan.nodes.iter().enumerate() {
            // However often a device says that its node was started.
            let mut room = ROWS_MAX as usize;
            for (life, dir) in lives(run, &node.name).iter().enumerate() {
                let (mut rows, strange) =
                    if room > 0 { read(dir, plan.nodes.len()) } else { Default::default() };
                rows.truncate(room);
                room -= rows.len();
                observed.strange += strange;
                known.insert((i as u32, life as u32), Known { rows, last: Time::ZERO });
            }
            let path = run.join("nodes").join(&node.name).join(node_file::ORDER);
            let Ok((found, entries)) = order::read(&path) else { continue };
            if found.index() != i {
                continue;
            }
            let mut me = (i as u32, 0);
            for entry in entries {
                if let What::Born { life, .. } = entry.what {
                    me = (i as u32, life);
                }
                if let Some(life) = known.get_mut(&me) {
                    life.last = entry.now;
                }
                if let What::Received { from, life, ordinal } = entry.what {
                    arrivals.insert(((from.0, life), NodeId(i as u32), ordinal), (me, entry.now));
                }
            }
        }
        observed.clocks = align(&known, &arrivals, &hosts(run));
        observed.take(known, &arrivals);
        observed
    }

    /// Whether any node left a trace.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty() && self.messages.is_empty()
    }

    fn take(&mut self, known: BTreeMap<Life, Known>, arrivals: &BTreeMap<(Life, NodeId, u64), Arrival>) {
        let mut before: Option<(Life, Time)> = None;
        for (me, Known { rows, last }) in known {
            let Some(clock) = self.clocks.get(&me).copied() else { continue };
            let node = NodeId(me.0);
            let on = |own: Time| Time(clock.aligned(own.0));
            for row in rows {
                match row {
                    Row::Born { at, date, .. } => {
                        if me == ROOT {
                            self.date = date.checked_sub(at.0);
                        }
                        if let Some((_, ended)) = before.filter(|(other, _)| other.0 == me.0)
                            && ended < on(at)
                        {
                            self.down.push((node, ended, on(at)));
                        }
                    }
                    Row::Job { begin, end, count, bytes, label } => {
                        self.jobs.push(Job { node, begin: on(begin), end: on(end), label, count, bytes });
                    }
                    Row::Sent { at, to, ordinal, bytes, kind } => {
                        let heard = arrivals.get(&(me, to, ordinal)).and_then(|(life, own)| {
                            let clock = self.clocks.get(life)?;
                            // Clocks are known but for some uncertainty: nothing is heard before it is sent.
                            Some(Time(clock.aligned(own.0)).max(on(at)))
                        });
                        self.messages.push(Sent { from: node, to, at: on(at), heard, bytes, kind });
                    }
                    Row::Ping { sent, back, node: to, life, theirs } => {
                        let Some(other) = self.clocks.get(&(to.0, life)) else { continue };
                        let there = Time(other.aligned(theirs.0)).max(on(sent)).min(on(back));
                        self.pings.push(Ping { from: node, to, sent: on(sent), there, back: on(back) });
                    }
                }
            }
            before = Some((me, on(last)));
        }
    }
}

/// Whose clock is that of the run.
const ROOT: Life = (0, 0);

/// The host of each node, by what the controller wrote.
fn hosts(run: &Path) -> Vec<String> {
    let deployment = crate::deploy::energy::read_deployment(run);
    deployment.map_or(Vec::new(), |all| all.nodes.into_iter().map(|node| node.host).collect())
}

fn align(
    known: &BTreeMap<Life, Known>,
    arrivals: &BTreeMap<(Life, NodeId, u64), Arrival>,
    hosts: &[String],
) -> BTreeMap<Life, Clock> {
    let mut pairs: BTreeMap<(Life, Life), Bounds> = BTreeMap::new();
    // `there` on the clock of `b` is not before `sent` on that of `a`.
    let mut after = |a: Life, sent: Time, b: Life, there: Time| {
        let (sent, there) = (sent.0 as i64, there.0 as i64);
        if a < b {
            pairs.entry((a, b)).or_default().at_most(sent, there - sent);
        } else {
            pairs.entry((b, a)).or_default().at_least(there, sent - there);
        }
    };
    for (me, life) in known {
        for row in &life.rows {
            match row {
                Row::Sent { at, to, ordinal, .. } => {
                    if let Some((other, heard)) = arrivals.get(&(*me, *to, *ordinal)) {
                        after(*me, *at, *other, *heard);
                    }
                }
                Row::Ping { sent, back, node, life, theirs } if node.0 != me.0 => {
                    after(*me, *sent, (node.0, *life), *theirs);
                    after((node.0, *life), *theirs, *me, *back);
                }
                _ => {}
            }
        }
    }
    let host = |life: &Life| hosts.get(life.0 as usize);
    let estimates = pairs.iter().filter_map(|((a, b), bounds)| {
        let one_host = host(a).is_some() && host(a) == host(b);
        Some(((*a, *b), bounds.estimate(one_host)?))
    });
    let mut all = clocks(ROOT, &estimates.collect());
    // What nobody reached is placed by the dates of the hosts.
    let date = |life: &Life| match known.get(life)?.rows.first()? {
        Row::Born { at, date, .. } => Some(*date as f64 - at.0 as f64),
        _ => None,
    };
    let root = date(&ROOT);
    for life in known.keys() {
        if let (Some(own), Some(root)) = (date(life), root) {
            all.entry(*life).or_insert_with(|| Clock::by_date(own - root));
        }
    }
    all.retain(|life, _| known.contains_key(life));
    all
}
