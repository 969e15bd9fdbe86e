//! Book-keeping of a run: bytes, staleness, where each node's time goes, energy. It watches; it decides nothing.

use super::joules::Joules;
use super::outcome::{Staleness, TimeSplit};
use crate::plan::{HostPlan, Plan, Role};
use hcddl_core::domain::{NodeId, Span, Strange, Time};
use hcddl_core::node::work::Trained;
use hcddl_core::node::{Commit, Metric};
use hcddl_core::policy::Why;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Running totals.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Account {
    /// Events handled.
    pub events: u64,
    /// Messages sent.
    pub messages: u64,
    /// Training jobs finished.
    pub client_fits: u64,
    /// Gradient steps finished.
    pub gradient_steps: u64,
    /// Training samples seen.
    pub samples: u64,
    /// Forward passes of single samples in training.
    pub forward_passes: u64,
    /// Commits of the root or of all peers.
    pub commits: u64,
    /// Updates sent towards servers.
    pub updates_sent: u64,
    /// Updates that went into a commit.
    pub updates_committed: u64,
    /// Updates that a policy dropped, by reason.
    pub dropped: BTreeMap<String, u64>,
    staleness: BTreeMap<u64, u64>,
    /// Bytes on links by (depth of the lower end, towards the root); peers are depth 0.
    bytes: BTreeMap<(u16, bool), u64>,
    bytes_in: Vec<u64>,
    nodes: Vec<NodeTime>,
    /// Jobs that each node had to skip because they were not finite.
    skipped: BTreeMap<NodeId, u64>,
    /// Batches that each node has trained on.
    pub batches: Vec<u64>,
    /// How often something was strange about what a node sent, by node and counter.
    strange: BTreeMap<String, u64>,
    /// Counters that nodes keep themselves, such as resends.
    pub metrics: BTreeMap<String, f64>,
    /// Follows from the others.
    #[serde(skip)]
    joules: Joules,
}

/// Where one node's time goes.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct NodeTime {
    since: Time,
    jobs: u32,
    sends: u32,
    /// Has been asked for something once.
    awake: bool,
    down: bool,
    compute: Span,
    send: Span,
    wait: Span,
    idle: Span,
    /// Bytes in and out, for energy.
    bytes: u64,
}

impl NodeTime {
    fn settle(&mut self, now: Time) {
        let span = now.since(self.since);
        self.since = now;
        if self.down || !self.awake {
            self.idle += span;
        } else if self.jobs > 0 {
            self.compute += span;
        } else if self.sends > 0 {
            self.send += span;
        } else {
            self.wait += span;
        }
    }

    /// Whether its time goes into a job.
    fn is_busy(&self) -> bool {
        self.jobs > 0 && self.awake && !self.down
    }

    /// How long jobs have run until now.
    fn computed(&self, now: Time) -> Span {
        if self.is_busy() { self.compute + now.since(self.since) } else { self.compute }
    }
}

// The pure core carries the books for metrics; only the simulator keeps them.
impl Account {
    pub fn new(plan: &Plan) -> Self {
        let nodes =
            plan.nodes.iter().map(|n| NodeTime { down: n.joins_later, ..NodeTime::default() }).collect();
        let zeros = vec![0; plan.nodes.len()];
        let joules = Joules::new(plan);
        Self { nodes, bytes_in: zeros.clone(), batches: zeros, joules, ..Self::default() }
    }

    /// Opens books that were saved again: works out what was not.
    pub fn reopened(mut self, plan: &Plan) -> Self {
        self.joules = Joules::new(plan);
        for (i, time) in self.nodes.iter().enumerate() {
            let node = NodeId(i as u32);
            if time.is_busy() {
                self.joules.busy(node, time.since, true);
            }
            self.joules.had_run(node, time.compute);
            self.joules.moved(node, time.bytes);
        }
        self
    }

    /// Changes where a node's time goes from now on.
    fn change(&mut self, now: Time, node: NodeId, change: impl FnOnce(&mut NodeTime)) {
        let time = &mut self.nodes[node.index()];
        time.settle(now);
        let before = time.is_busy();
        change(time);
        let after = time.is_busy();
        if before != after {
            self.joules.busy(node, now, after);
        }
    }

    pub fn job_started(&mut self, now: Time, node: NodeId) {
        self.change(now, node, |time| {
            time.awake = true;
            time.jobs += 1;
        });
    }

    pub fn job_ended(&mut self, now: Time, node: NodeId) {
        self.change(now, node, |time| time.jobs = time.jobs.saturating_sub(1));
    }

    /// A message is on its way.
    pub fn sent(&mut self, plan: &Plan, now: Time, from: NodeId, to: NodeId, bytes: u64) {
        self.messages += 1;
        let (a, b) = (&plan.nodes[from.index()], &plan.nodes[to.index()]);
        let link = if a.role == Role::Peer { (0, true) } else { (a.depth.max(b.depth), a.depth > b.depth) };
        *self.bytes.entry(link).or_insert(0) += bytes;
        self.bytes_in[to.index()] += bytes;
        let sender = &mut self.nodes[from.index()];
        sender.settle(now);
        sender.awake = true;
        sender.sends += 1;
        sender.bytes += bytes;
        self.nodes[to.index()].bytes += bytes;
        self.joules.moved(from, bytes);
        self.joules.moved(to, bytes);
    }

    /// A message has left its sender.
    pub fn departed(&mut self, now: Time, from: NodeId) {
        let time = &mut self.nodes[from.index()];
        time.settle(now);
        time.sends = time.sends.saturating_sub(1);
    }

    pub fn arrived(&mut self, now: Time, to: NodeId) {
        let time = &mut self.nodes[to.index()];
        if !time.awake {
            time.settle(now);
            time.awake = true;
        }
    }

    pub fn set_down(&mut self, now: Time, node: NodeId, down: bool) {
        self.change(now, node, |time| {
            time.down = down;
            time.jobs = 0;
        });
    }

    /// Takes note of a training job's end.
    pub fn trained(&mut self, node: NodeId, trained: &Trained) {
        self.client_fits += 1;
        self.gradient_steps += trained.steps;
        self.samples += trained.samples;
        self.forward_passes += trained.forward_passes;
        self.batches[node.index()] += trained.steps;
    }

    /// Takes note of a job that was skipped; returns how many of this node were by now.
    pub fn skipped(&mut self, node: NodeId) -> u64 {
        *self.metrics.entry("skipped_jobs".to_owned()).or_insert(0.0) += 1.0;
        let count = self.skipped.entry(node).or_insert(0);
        *count += 1;
        *count
    }

    /// Takes note of an update that a policy dropped.
    pub fn dropped(&mut self, why: Why) {
        *self.dropped.entry(why.name().to_owned()).or_insert(0) += 1;
    }

    /// Adds to a counter that nodes keep themselves.
    pub fn counted(&mut self, metric: Metric) {
        *self.metrics.entry(metric.name.into_owned()).or_insert(0.0) += metric.value;
    }

    /// Takes note of something strange about what `from` sent to `to`; what is to be said the first time, the tenth, ...
    pub fn noticed(&mut self, from: &str, to: &str, what: Strange) -> Option<String> {
        *self.metrics.entry(what.counter().to_owned()).or_insert(0.0) += 1.0;
        let times = self.strange.entry(format!("{from} {}", what.counter())).or_insert(0);
        *times += 1;
        let times = *times;
        let more = if times > 1 { format!(" ({times} of such by now)") } else { String::new() };
        (10u64.pow(times.ilog10()) == times).then(|| format!("an update of {from} for {to} {what}{more}"))
    }

    /// Takes note of a commit; returns the bytes that came in since the last one.
    pub fn committed(&mut self, node: NodeId, commit: &Commit, is_root: bool, counts_updates: bool) -> u64 {
        if counts_updates {
            self.updates_committed += commit.contributors.len() as u64;
        }
        if is_root {
            self.commits += 1;
            for contribution in &commit.contributors {
                let staleness = (commit.version.0 - 1).saturating_sub(contribution.base.0);
                *self.staleness.entry(staleness).or_insert(0) += 1;
            }
        }
        std::mem::take(&mut self.bytes_in[node.index()])
    }

    /// Distribution of the staleness of the updates in the root's commits.
    pub fn staleness(&self) -> Staleness {
        let total: u64 = self.staleness.values().sum();
        if total == 0 {
            return Staleness::default();
        }
        let quantile = |q: f64| {
            let rank = (q * total as f64).ceil().max(1.0) as u64;
            let mut seen = 0;
            for (staleness, count) in &self.staleness {
                seen += count;
                if seen >= rank {
                    return *staleness;
                }
            }
            0
        };
        let sum: u128 = self.staleness.iter().map(|(s, n)| u128::from(*s) * u128::from(*n)).sum();
        Staleness {
            mean: sum as f64 / total as f64,
            p50: quantile(0.5),
            p90: quantile(0.9),
            p99: quantile(0.99),
            max: self.staleness.keys().next_back().copied().unwrap_or(0),
        }
    }

    /// Bytes towards the root, away from it, and by tier.
    pub fn bytes(&self) -> (u64, u64, BTreeMap<String, u64>) {
        let sum = |up: bool| self.bytes.iter().filter(|(k, _)| k.1 == up).map(|(_, b)| b).sum();
        let name = |(depth, up): &(u16, bool)| match (depth, up) {
            (0, _) => "peers".to_owned(),
            (depth, true) => format!("depth {depth} up"),
            (depth, false) => format!("depth {depth} down"),
        };
        (sum(true), sum(false), self.bytes.iter().map(|(k, b)| (name(k), *b)).collect())
    }

    /// Bytes sent so far, all of them.
    pub fn bytes_sent(&self) -> u64 {
        self.bytes.values().sum()
    }

    /// Mean shares of time by kind of node.
    pub fn time_split(&mut self, plan: &Plan, now: Time) -> BTreeMap<String, TimeSplit> {
        let mut sums: BTreeMap<String, ([u128; 4], u64)> = BTreeMap::new();
        for (node, time) in plan.nodes.iter().zip(&mut self.nodes) {
            time.settle(now);
            let kind = match (node.role, node.parent) {
                (Role::Server(_), None) => "global server",
                (Role::Server(_), Some(_)) => "local server",
                (Role::Worker, _) => "worker",
                (Role::Peer, _) => "peer",
            };
            let entry = sums.entry(kind.to_owned()).or_default();
            for (sum, span) in entry.0.iter_mut().zip([time.compute, time.send, time.wait, time.idle]) {
                *sum += u128::from(span.0);
            }
            entry.1 += 1;
        }
        let share = |part: u128, whole: u128| if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
        sums.into_iter()
            .map(|(kind, ([compute, send, wait, idle], nodes))| {
                let whole = compute + send + wait + idle;
                let split = TimeSplit {
                    nodes,
                    compute: share(compute, whole),
                    send: share(send, whole),
                    wait: share(wait, whole),
                    idle: share(idle, whole),
                };
                (kind, split)
            })
            .collect()
    }

    /// How long jobs of a node have run.
    pub fn computed(&mut self, node: NodeId, now: Time) -> Span {
        let time = &mut self.nodes[node.index()];
        time.settle(now);
        time.compute
    }

    /// Joules in all, above idle, and by host.
    pub fn energy(&self, plan: &Plan, now: Time) -> (f64, f64, BTreeMap<String, f64>) {
        let (mut marginal, mut by_host) = (0.0, BTreeMap::new());
        self.each_host(plan, now, |host, (joules, above_idle)| {
            marginal += above_idle;
            if plan.hosts.len() <= 1000 {
                by_host.insert(host.name.clone(), joules);
            }
        });
        (self.joules(plan, now), marginal, by_host)
    }

    /// Joules of all hosts so far, idle included.
    pub fn joules(&self, plan: &Plan, now: Time) -> f64 {
        let used = |node: NodeId| {
            let time = &self.nodes[node.index()];
            (time.computed(now), time.bytes)
        };
        self.joules.of_kinds(now) + self.joules.of_shared(plan, now, used)
    }

    /// Tells of each host its joules, in all and above idle.
    fn each_host(&self, plan: &Plan, now: Time, mut tell: impl FnMut(&HostPlan, (f64, f64))) {
        let total = now.since(Time::ZERO);
        let mut busy = vec![(Span::ZERO, 0u64); plan.hosts.len()];
        for (node, time) in plan.nodes.iter().zip(&self.nodes) {
            let host = &mut busy[node.host.index()];
            host.0 += time.computed(now);
            host.1 += time.bytes;
        }
        for (host, (busy, bytes)) in plan.hosts.iter().zip(busy) {
            let device = &host.device;
            let (idle, load, per_byte) = (device.idle_watts, device.load_watts, device.joules_per_byte);
            tell(host, hcddl_core::device::energy(idle, load, busy.min(total), total, bytes, per_byte));
        }
    }
}
