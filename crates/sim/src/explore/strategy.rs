//! How a search chooses delays. A strategy is a director whose choices follow from one number, within the bounds.

use super::bounds::Bounds;
use crate::run::rules::director::{Decided, Director};
use crate::run::rules::{Beginning, Sending};
use hcddl_core::domain::{NodeId, Span, Stream, Streams, Time, Version, rng};
use hcddl_core::node::kinds::{ASSIGN, UPDATE};
use hcddl_core::node::work::Work;
use hcddl_plan::plan::Plan;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A way to search.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// Every delay is drawn anew from its own distribution: another interleaving, as likely as the scenario's own.
    Random,
    /// Random priorities, some of which drop at random moments: who has a low one waits as long as possible. After
    /// Burckhardt, Kothari, Musuvathi, Nagarakatti: A Randomized Scheduler with Probabilistic Guarantees of Finding
    /// Bugs, ASPLOS 2010; threads are links and nodes here, and a priority is a delay.
    Pct,
    /// What is old already is delayed further, what is fresh is not: the largest staleness within the bounds.
    BoundedStaleness,
}

impl Strategy {
    /// All of them.
    pub const ALL: [Strategy; 3] = [Strategy::Random, Strategy::Pct, Strategy::BoundedStaleness];

    /// Its name on the command line and in files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Strategy::Random => "random",
            Strategy::Pct => "pct",
            Strategy::BoundedStaleness => "bounded-staleness",
        }
    }

    /// The director of the schedule with this seed. `length` is how long the scenario's own run takes.
    #[must_use]
    pub fn director<'a>(
        self,
        plan: &'a Plan,
        bounds: Bounds,
        seed: u64,
        length: Span,
    ) -> Box<dyn Director + 'a> {
        match self {
            Strategy::Random => Box::new(Random::new(plan, bounds, seed)),
            Strategy::Pct => Box::new(Pct::new(plan, bounds, seed, length)),
            Strategy::BoundedStaleness => Box::new(BoundedStaleness::new(plan, bounds, seed)),
        }
    }
}

/// The numbers of a directed pair as one.
fn pair(from: NodeId, to: NodeId) -> u64 {
    (u64::from(from.0) << 32) | u64::from(to.0)
}

/// Losses and duplicates, where the rules of the scenario can bring them about.
fn fate(sending: &Sending<'_>, latency: Option<Span>, scale: f64, stream: &mut Stream) -> Decided {
    let (loss, duplicate) = sending.chances;
    let mut happens = |chance: f64| {
        let draw = stream.uniform();
        (chance > 0.0).then(|| draw < (chance * scale).min(LOSS_MAX.max(chance)))
    };
    Decided { latency, lost: happens(loss), duplicate: happens(duplicate) }
}

/// A rule's probability is not raised above this: nothing gets through otherwise.
const LOSS_MAX: f64 = 0.5;
/// Messages of low priority are lost and repeated so many times as often as the rules say.
const BAD_LUCK: f64 = 5.0;

/// A fault at another moment: from half its time to one and a half.
fn moved(at: Time, seed: u64, index: u32) -> Option<Time> {
    let mut stream = Stream::new(seed, "fault", u64::from(index), 0);
    if stream.uniform() < 0.5 {
        return None;
    }
    const MILLI: u64 = 1_000_000;
    let to = Span(at.0).scale(0.5 + stream.uniform());
    Some(Time(if to.0 >= MILLI { to.0 / 1_000 * 1_000 } else { to.0 }))
}

struct Random<'a> {
    plan: &'a Plan,
    bounds: Bounds,
    latencies: Streams,
    jobs: Streams,
    fates: Streams,
}

impl<'a> Random<'a> {
    fn new(plan: &'a Plan, bounds: Bounds, seed: u64) -> Self {
        let streams = |purpose| Streams::new(seed, purpose);
        Self { plan, bounds, latencies: streams("latency"), jobs: streams("compute"), fates: streams("rule") }
    }
}

impl Director for Random<'_> {
    fn message(&mut self, sending: &Sending<'_>) -> Decided {
        let link = usize::from(sending.link);
        let range = self.bounds.links[link];
        let (key, number) = (pair(sending.from, sending.to), sending.number);
        let draw = || self.plan.network.links[link].latency.sample(&mut self.latencies.stream(key, number));
        let latency = range.is_wide().then(|| range.clamp(draw()));
        fate(sending, latency, 1.0, &mut self.fates.stream(key, number))
    }

    fn job(&mut self, beginning: &Beginning<'_>) -> Option<Span> {
        let range = self.bounds.job(self.plan, beginning);
        let mut stream = self.jobs.stream(u64::from(beginning.node.0), beginning.number);
        let device = self.bounds.device(self.plan, beginning);
        range
            .is_wide()
            .then(|| range.clamp(device.duration(beginning.cost, &mut stream).scale(beginning.factor)))
    }

    fn fault(&mut self, _: u32, _: Time) -> Option<Time> {
        None
    }
}

/// Drops of priority in a schedule, at most.
const CHANGES_MAX: u64 = 4;
/// The share of participants that a drop hits.
const HIT: f64 = 0.25;

struct Pct<'a> {
    plan: &'a Plan,
    bounds: Bounds,
    seed: u64,
    /// Whether a node's jobs and its links to its parent share one priority, or each has its own.
    together: bool,
    /// Whether there are only two priorities, high and low.
    sharp: bool,
    /// When priorities drop.
    changes: Vec<Time>,
}

impl<'a> Pct<'a> {
    fn new(plan: &'a Plan, bounds: Bounds, seed: u64, length: Span) -> Self {
        let mut stream = Stream::new(seed, "pct", 0, 0);
        let (together, sharp) = (stream.uniform() < 0.5, stream.uniform() < 0.5);
        let count = stream.below(CHANGES_MAX + 1);
        let changes = (0..count).map(|_| Time(length.scale(stream.uniform()).0)).collect();
        Self { plan, bounds, seed, together, sharp, changes }
    }

    /// Whose priority counts: the lower end of a link stands for it, if all that a node does goes together.
    fn participant(&self, from: NodeId, to: NodeId) -> u64 {
        match self.together {
            true if self.plan.nodes[to.index()].parent == Some(from) => u64::from(to.0),
            true => u64::from(from.0),
            false => pair(from, to),
        }
    }

    /// 0 for the highest priority, 1 for the lowest.
    fn lowness(&self, participant: u64, now: Time) -> f64 {
        let hit = |i: usize| Stream::new(self.seed, "change", participant, i as u64).uniform() < HIT;
        if self.changes.iter().enumerate().any(|(i, at)| now >= *at && hit(i)) {
            return 1.0;
        }
        let rank = Stream::new(self.seed, "priority", participant, 0).uniform();
        if self.sharp { rank.round() } else { rank }
    }
}

impl Director for Pct<'_> {
    fn message(&mut self, sending: &Sending<'_>) -> Decided {
        let range = self.bounds.links[usize::from(sending.link)];
        let lowness = self.lowness(self.participant(sending.from, sending.to), sending.now);
        let latency = range.is_wide().then(|| range.at(lowness));
        let key = pair(sending.from, sending.to);
        let mut stream = Stream::new(self.seed, "fate", key, sending.number);
        fate(sending, latency, lowness * BAD_LUCK, &mut stream)
    }

    fn job(&mut self, beginning: &Beginning<'_>) -> Option<Span> {
        let range = self.bounds.job(self.plan, beginning);
        let node = beginning.node;
        // Jobs of a node with priorities of their own are a participant like a link to itself.
        let participant = if self.together { u64::from(node.0) } else { pair(node, node) };
        range.is_wide().then(|| range.at(self.lowness(participant, beginning.now)))
    }

    fn fault(&mut self, index: u32, at: Time) -> Option<Time> {
        moved(at, self.seed, index)
    }
}

struct BoundedStaleness<'a> {
    plan: &'a Plan,
    bounds: Bounds,
    seed: u64,
    /// The share of decisions that are left to chance, so that schedules differ.
    chance: f64,
    /// The newest version that each node has handed out.
    newest: BTreeMap<NodeId, Version>,
    /// The version that each node was given last.
    given: BTreeMap<NodeId, Version>,
    decided: u64,
}

impl<'a> BoundedStaleness<'a> {
    fn new(plan: &'a Plan, bounds: Bounds, seed: u64) -> Self {
        let chance = [0.0, 0.1, 0.3][Stream::new(seed, "chance", 0, 0).below(3) as usize];
        Self { plan, bounds, seed, chance, newest: BTreeMap::new(), given: BTreeMap::new(), decided: 0 }
    }

    /// Whether `version` of a server's model is among the oldest that its children hold; ties are broken by a fixed
    /// order of the children that the seed gives, so that from the start somebody is the victim.
    fn is_old(&self, server: NodeId, child: NodeId, version: Version) -> bool {
        let order = |node: NodeId| rng::derived(self.seed, u64::from(node.0));
        let mine = (version, order(child));
        let children = &self.plan.nodes[server.index()].children;
        let younger = children.iter().filter(|other| **other != child).filter(|other| {
            let version = self.given.get(other).copied().unwrap_or_default();
            (version, order(**other)) > mine
        });
        // The older half.
        2 * younger.count() >= children.len()
    }

    /// Whether it shall take as long as possible.
    fn slow(&mut self, old: bool) -> bool {
        self.decided += 1;
        let mut stream = Stream::new(self.seed, "decided", self.decided, 0);
        if stream.uniform() < self.chance { stream.uniform() < 0.5 } else { old }
    }
}

impl Director for BoundedStaleness<'_> {
    fn message(&mut self, sending: &Sending<'_>) -> Decided {
        let Sending { from, to, message, .. } = *sending;
        let nodes = &self.plan.nodes;
        if message.kind == ASSIGN {
            let version = message.head.version;
            let newest = self.newest.entry(from).or_default();
            *newest = (*newest).max(version);
            self.given.insert(to, version);
        }
        let old = if nodes[to.index()].parent == Some(from) {
            let version = self.given.get(&to).copied().unwrap_or_default();
            self.is_old(from, to, version)
        } else if nodes[from.index()].parent == Some(to) {
            let held = self.given.get(&from).copied().unwrap_or_default();
            let version = if message.kind == UPDATE { message.head.base } else { held };
            self.is_old(to, from, version)
        } else {
            // Peers: whoever has finished fewer rounds.
            let newest = self.newest.values().copied().max().unwrap_or_default();
            let own = self.newest.entry(from).or_default();
            *own = (*own).max(message.head.version);
            *own < newest
        };
        let slow = self.slow(old);
        let range = self.bounds.links[usize::from(sending.link)];
        let latency = range.is_wide().then(|| range.at(f64::from(u8::from(slow))));
        let mut stream = Stream::new(self.seed, "fate", pair(from, to), sending.number);
        fate(sending, latency, if slow { BAD_LUCK } else { 0.0 }, &mut stream)
    }

    fn job(&mut self, beginning: &Beginning<'_>) -> Option<Span> {
        let range = self.bounds.job(self.plan, beginning);
        if !range.is_wide() {
            return None;
        }
        let node = beginning.node;
        let old = match (self.plan.nodes[node.index()].parent, beginning.work) {
            (Some(server), Work::Train(_)) => {
                let version = self.given.get(&node).copied().unwrap_or_default();
                self.is_old(server, node, version)
            }
            // A server's own arithmetic delays everybody alike.
            _ => false,
        };
        let slow = self.slow(old);
        Some(range.at(f64::from(u8::from(slow))))
    }

    fn fault(&mut self, index: u32, at: Time) -> Option<Time> {
        moved(at, self.seed, index)
    }
}
