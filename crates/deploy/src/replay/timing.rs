//! What a deployed run tells about its devices and links: how long steps took, and how long messages. All durations
//! are differences of one node's own clock, so no clocks have to agree: a message has arrived when its
//! acknowledgement is back.

use hcddl_core::domain::{JobId, Message, NodeId, Span, Time};
use hcddl_core::node::kinds::ACK;
use hcddl_core::node::reliable::Receipt;
use hcddl_core::node::work::Work;
use hcddl_plan::plan::Plan;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Durations seen while a run is executed again.
#[derive(Debug, Default)]
pub struct Timing {
    begun: BTreeMap<(NodeId, JobId), (Time, u64)>,
    /// Of each node, nanoseconds of a training step of every whole job.
    steps: BTreeMap<NodeId, Vec<u64>>,
    sent: BTreeMap<(NodeId, NodeId, u64), (Time, u64)>,
    /// Of each directed pair: bytes of a message, and nanoseconds until its acknowledgement was back.
    trips: BTreeMap<(NodeId, NodeId), Vec<(u64, u64)>>,
}

/// What a link does, one way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LinkTiming {
    /// Half of the shortest round trip of a small message.
    pub latency: Span,
    /// Bytes per second of the fastest of the larger messages; `None` if there was none.
    pub rate: Option<f64>,
}

/// A message of so many bytes is small: its time is latency.
const SMALL: u64 = 1024;

impl Timing {
    pub(super) fn job_begun(&mut self, node: NodeId, job: JobId, now: Time, work: &Work) {
        if let Work::Train(train) = work {
            self.begun.insert((node, job), (now, train.steps.max(1)));
        }
    }

    pub(super) fn job_ended(&mut self, node: NodeId, job: JobId, now: Time, whole: bool) {
        if let Some((begun, steps)) = self.begun.remove(&(node, job)).filter(|_| whole) {
            self.steps.entry(node).or_default().push(now.since(begun).0 / steps);
        }
    }

    pub(super) fn sent(&mut self, from: NodeId, to: NodeId, now: Time, message: &Message) {
        if message.kind != ACK && message.sequence > 0 {
            // Of a message that was sent twice it is unknown which one was acknowledged.
            let first = self.sent.insert((from, to, message.sequence), (now, message.bytes())).is_none();
            if !first {
                self.sent.remove(&(from, to, message.sequence));
            }
        }
    }

    pub(super) fn received(&mut self, at: NodeId, from: NodeId, now: Time, message: &Message) {
        if message.kind != ACK {
            return;
        }
        if let Some((sent, bytes)) =
            self.sent.remove(&(at, from, Receipt::from(message.head.detail).sequence))
        {
            self.trips.entry((at, from)).or_default().push((bytes, now.since(sent).0));
        }
    }

    /// Takes note of the round trip of a small message that was measured beside the nodes' own.
    pub fn round_trip(&mut self, a: NodeId, b: NodeId, took: Span) {
        self.trips.entry((a, b)).or_default().push((0, took.0));
        self.trips.entry((b, a)).or_default().push((0, took.0));
    }

    /// The median duration of a training step of each node that trained.
    #[must_use]
    pub fn step_times(&self) -> BTreeMap<NodeId, Span> {
        let median = |all: &Vec<u64>| Span(median(all.iter().copied()));
        self.steps.iter().map(|(node, all)| (*node, median(all))).collect()
    }

    /// What each directed pair's link does. Where no small message was sent, latency is that of the whole run's
    /// fastest link.
    #[must_use]
    pub fn links(&self) -> BTreeMap<(NodeId, NodeId), LinkTiming> {
        let shortest = |trips: &[(u64, u64)]| trips.iter().filter(|t| t.0 < SMALL).map(|t| t.1).min();
        let anywhere = self.trips.values().filter_map(|trips| shortest(trips)).min();
        let timing = |trips: &Vec<(u64, u64)>| {
            let larger = trips.iter().filter(|(bytes, _)| *bytes >= SMALL);
            let fastest = larger.min_by(|a, b| (a.1 * b.0).cmp(&(b.1 * a.0)));
            let round_trip = shortest(trips).or(anywhere).unwrap_or(0).min(fastest.map_or(u64::MAX, |t| t.1));
            let rate = fastest.map(|(bytes, took)| *bytes as f64 * 1e9 / (took - round_trip).max(1) as f64);
            LinkTiming { latency: Span(round_trip / 2), rate }
        };
        self.trips.iter().map(|(pair, trips)| (*pair, timing(trips))).collect()
    }

    /// The sections `devices` and `network` of a scenario that behaves like the measured run: medians, and single nodes
    /// and links where they differ from them by more than a fifth.
    #[must_use]
    pub fn sections(&self, plan: &Plan) -> Value {
        let name = |node: NodeId| plan.nodes[node.index()].name.clone();
        let steps: Vec<(NodeId, u64)> =
            self.step_times().into_iter().map(|(node, step)| (node, step.0)).collect();
        let usual_step = median(steps.iter().map(|(_, step)| *step));
        let unusual = steps.iter().filter(|(_, step)| differs(*step as f64, usual_step as f64));
        let nodes: Map<String, Value> =
            unusual.map(|(node, step)| (name(*node).to_string(), device(*step))).collect();
        let links = self.undirected();
        let usual = LinkTiming {
            latency: Span(median(links.iter().map(|(_, link)| link.latency.0))),
            rate: Some(median(links.iter().filter_map(|(_, link)| link.rate).map(|rate| rate as u64)) as f64),
        };
        let unusual = links.iter().filter(|(_, link)| {
            let rate = link.rate.or(usual.rate).zip(usual.rate);
            differs(link.latency.0 as f64, usual.latency.0 as f64) || rate.is_some_and(|(a, b)| differs(a, b))
        });
        let links: Vec<Value> = unusual
            .map(|((a, b), link)| {
                let mut written = written(link);
                written["between"] = json!([name(*a), name(*b)]);
                written
            })
            .collect();
        json!({
            "devices": {"default": "pc", "workers": device(usual_step), "nodes": nodes},
            "network": {"lan": written(&usual), "links": links},
        })
    }

    /// Both directions of each link as one: the shorter latency, the higher rate.
    fn undirected(&self) -> Vec<((NodeId, NodeId), LinkTiming)> {
        let mut all: BTreeMap<(NodeId, NodeId), LinkTiming> = BTreeMap::new();
        for ((a, b), link) in self.links() {
            let both = all.entry((a.min(b), a.max(b))).or_insert(link);
            both.latency = both.latency.min(link.latency);
            both.rate = both.rate.into_iter().chain(link.rate).reduce(f64::max);
        }
        all.into_iter().collect()
    }
}

/// A share by which a node or a link may differ from the usual one before it is named.
const UNUSUAL: f64 = 0.2;

fn differs(value: f64, usual: f64) -> bool {
    (value - usual).abs() > UNUSUAL * usual
}

/// The middle value; 0 of none.
fn median(values: impl Iterator<Item = u64>) -> u64 {
    let mut sorted: Vec<u64> = values.collect();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied().unwrap_or(0)
}

fn device(step: u64) -> Value {
    json!({"name": "pc", "step_time": format!("{step}ns"), "overhead": "0ms", "jitter": 0.0})
}

fn written(link: &LinkTiming) -> Value {
    let mut written = json!({"latency": format!("{}ns", link.latency.0)});
    if let Some(rate) = link.rate.filter(|rate| *rate > 0.0) {
        written["rate"] = json!(format!("{:.0}bit", rate * 8.0));
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;
    use hcddl_core::domain::{Data, Head, Kind, Params};

    #[test]
    fn latency_and_rate_are_those_of_the_link() {
        let (a, b) = (NodeId(0), NodeId(1));
        let mut timing = Timing::default();
        // 5 ms one way, 1,000,000 bytes per second.
        for (i, values) in [0usize, 0, 25_000, 50_000].into_iter().enumerate() {
            let data = Data::Dense(Params::new(vec![0.0; values]));
            let mut message = match values {
                0 => Message::control(Kind::new("x"), Head::default()),
                _ => Message::with(Kind::new("x"), Head::default(), "m", data),
            };
            message.sequence = i as u64 + 1;
            let sent = Time(i as u64 * 1_000_000_000);
            timing.sent(a, b, sent, &message);
            let size = if values == 0 { 0 } else { message.bytes() };
            let ack = Receipt { sequence: message.sequence, lane: message.lane() }.message();
            timing.received(a, b, Time(sent.0 + 10_000_000 + size * 1_000), &ack);
        }
        let link = timing.links()[&(a, b)];
        assert_eq!(link.latency, Span::from_millis(5));
        assert!((link.rate.unwrap() / 1e6 - 1.0).abs() < 1e-6, "{link:?}");
    }
}
