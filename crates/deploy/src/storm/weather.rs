//! What a run in the storm is made of: its scenario and its faults, drawn from a seed.

use hcddl_core::domain::{Stream, Time};
use serde::{Deserialize, Serialize};

/// A run in the storm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Weather {
    /// Names the draws of delays and durations.
    pub seed: u64,
    /// The scenario.
    pub scenario: String,
    /// Messages and jobs take so many times as long.
    pub slow: u64,
    /// Nodes of the scenario.
    pub nodes: u32,
    /// What breaks, by the time it does.
    pub faults: Vec<(Time, Fault)>,
}

/// Something that breaks. Times are in milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Fault {
    /// A process is killed, and started again after a while.
    Kill { node: u32, down: u64 },
    /// A machine loses power: its connections stay half open, what its disk had not yet written is gone.
    PowerCut { node: u32, down: u64 },
    /// A process is stopped by a signal, and goes on after a while.
    Pause { node: u32, pause: u64 },
    /// Nothing passes between a node and all others; connections stay.
    Isolate { node: u32, pause: u64 },
    /// Nothing passes between two nodes; connections stay.
    Cut { a: u32, b: u32, pause: u64 },
    /// The connection between two nodes is reset.
    Reset { a: u32, b: u32 },
    /// A node's order log cannot be written any more, until it is started again: its disk is full.
    FullDisk { node: u32, down: u64 },
}

impl Fault {
    /// How long it lasts, in milliseconds.
    #[must_use]
    pub fn lasts(&self) -> u64 {
        match *self {
            Self::Kill { down, .. } | Self::PowerCut { down, .. } | Self::FullDisk { down, .. } => down,
            Self::Pause { pause, .. } | Self::Isolate { pause, .. } | Self::Cut { pause, .. } => pause,
            Self::Reset { .. } => 0,
        }
    }
}

const POLICIES: [&str; 9] = [
    "sync",
    "async",
    "fedasync",
    "fedbuff(2)",
    "k_async(2)",
    "ssp(1)",
    "sync(wait_for=1)",
    "deadline(80ms)",
    "dc_asgd(0.01)",
];

pub(super) fn pick<T: Copy>(stream: &mut Stream, of: &[T]) -> T {
    of[stream.below(of.len() as u64) as usize]
}

/// `name(key=value)` as YAML.
fn policy(text: &str) -> String {
    match text.split_once('(') {
        Some((name, inside)) if inside.contains('=') => {
            let inside = inside.trim_end_matches(')').replace('=', ": ");
            format!("{{name: {name}, {inside}}}")
        }
        _ => text.to_owned(),
    }
}

impl Weather {
    /// The weather of a seed.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        let mut stream = Stream::new(seed, "storm", 0, 0);
        let (scenario, nodes, detection) = scenario(&mut stream);
        let mut faults: Vec<(Time, Fault)> = Vec::new();
        for _ in 0..stream.below(9) {
            let at = Time(stream.below(6_000) * 1_000_000);
            faults.push((at, fault(&mut stream, nodes)));
        }
        faults.sort_by_key(|(at, _)| *at);
        // Where messages take longer than silence may last, nodes lose each other for ever, as they should.
        let slow = if detection >= 3000 { pick(&mut stream, &[1, 8]) } else { 1 };
        Self { seed, scenario, slow, nodes, faults }
    }
}

/// Who is there, how many they are, and by which rules they work.
pub(super) fn shape(stream: &mut Stream) -> (String, u32, String) {
    match stream.below(6) {
        0 | 1 => {
            let workers = 1 + stream.below(3) as u32;
            let policy = policy(pick(stream, &POLICIES));
            (format!("flat({workers})"), workers + 1, format!("tiers: {{global: {{policy: {policy}}}}}"))
        }
        2 | 3 => {
            let (servers, workers) = (1 + stream.below(2) as u32, 1 + stream.below(2) as u32);
            let (above, below) = (policy(pick(stream, &POLICIES)), policy(pick(stream, &POLICIES)));
            let uplink = match stream.below(3) {
                0 => String::new(),
                1 => format!(", uplink: {{push: every({}), send: delta}}", 1 + stream.below(3)),
                _ => ", uplink: {push: every(2), send: delta, wait: false}".to_owned(),
            };
            (
                format!("{{name: tree, fanout: [{servers}, {workers}]}}"),
                1 + servers + servers * workers,
                format!("tiers: {{global: {{policy: {above}}}, local: {{policy: {below}{uplink}}}}}"),
            )
        }
        4 => {
            let peers = 2 + stream.below(3) as u32;
            (format!("ring({peers})"), peers, "peers: {algorithm: ring_all_reduce}".to_owned())
        }
        _ => {
            let peers = 2 + stream.below(3) as u32;
            (format!("complete({peers})"), peers, "peers: {algorithm: d_psgd}".to_owned())
        }
    }
}

/// The text of a scenario, its nodes, and the silence in milliseconds after which they count as lost.
fn scenario(stream: &mut Stream) -> (String, u32, u64) {
    let (topology, nodes, how) = shape(stream);
    let detection = pick(stream, &[300u64, 1000, 3000]);
    let text = format!(
        "name: storm\ntopology: {topology}\nmodel: softmax\n{how}\n\
         training: {{rounds: {}, batch: 8, local: {{steps: {}}}}}\nevaluation: {{every: 1000000}}\n\
         deploy: {{detection: {detection}ms, heartbeat: {}ms, start_timeout: 10s, checkpoint_every: {}}}\n",
        5 + stream.below(60),
        1 + stream.below(3),
        detection / 10,
        pick(stream, &[0u64, 1, 5]),
    );
    (text, nodes, detection)
}

fn fault(stream: &mut Stream, nodes: u32) -> Fault {
    let node = stream.below(u64::from(nodes)) as u32;
    let other = (node + 1 + stream.below(u64::from(nodes) - 1) as u32) % nodes;
    let long = pick(stream, &[20u64, 200, 900, 2500, 6000]) + stream.below(50);
    match stream.below(10) {
        0 | 1 => Fault::Kill { node, down: long },
        2 => Fault::PowerCut { node, down: long },
        3 => Fault::Pause { node, pause: long },
        4 | 5 => Fault::Isolate { node, pause: long },
        6 | 7 => Fault::Cut { a: node, b: other, pause: long },
        8 => Fault::Reset { a: node, b: other },
        _ => Fault::FullDisk { node, down: long },
    }
}
