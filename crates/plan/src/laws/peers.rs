//! Laws of every peer algorithm: a new row of the table is tested before its author writes a test. Real nodes run over
//! every kind of legal graph, in whatever order of their names, with messages in random order; what is checked against
//! arithmetic by hand is the mean of all models, which every exact algorithm moves by the mean gradient.

use crate::plan::Plan;
use crate::registry::Registry;
use hcddl_core::domain::work::{Trained, UpdateKind};
use hcddl_core::domain::{Choice, Message, NodeId, Params, Seeds, Stream, Time};
use hcddl_core::node::{Cx, Effect, Effects, Event, Node, NodeState, Outcome, Reason, Work};
use hcddl_core::peer::{PeerSetup, table};
use std::collections::{BTreeMap, VecDeque};

const ROUNDS: u64 = 6;
const LR: f64 = 0.1;

/// The gradient of a peer in a round, the same at every model.
fn gradient(peer: usize, round: u64, len: usize) -> Vec<f32> {
    (0..len).map(|i| ((peer * 7 + i * 3) as f32 * 0.25).sin() + round as f32 * 0.125).collect()
}

fn plan(topology: &str, algorithm: &str) -> Result<Plan, String> {
    let text = format!("topology: {topology}\nmodel: softmax\npeers: {{algorithm: {algorithm}}}\n");
    let written = crate::scenario::parse("law.yml", &text, &[]).map_err(|e| e.to_string())?;
    crate::scenario::resolve(&written, &Registry::default()).map_err(|e| e.to_string())
}

/// Messages of one peer to another: they keep their order.
type Lane = (NodeId, NodeId);

struct World {
    nodes: Vec<Box<dyn Node>>,
    ways: BTreeMap<Lane, VecDeque<Message>>,
    jobs: Vec<(NodeId, Event)>,
    models: Vec<Params>,
    rounds: Vec<u64>,
    len: usize,
    stream: Stream,
    stalled: Option<String>,
}

impl World {
    fn new(plan: &Plan, choice: &Choice, len: usize, seed: u64) -> Self {
        let init = Params::new((0..len).map(|i| i as f32 * 0.5).collect());
        let mut world = Self {
            nodes: Vec::new(),
            ways: BTreeMap::new(),
            jobs: Vec::new(),
            models: vec![init; plan.nodes.len()],
            rounds: vec![0; plan.nodes.len()],
            len,
            stream: Stream::new(seed, "law", 0, 0),
            stalled: None,
        };
        world.nodes = (0..plan.nodes.len()).map(|i| world.build(plan, choice, i, None)).collect();
        (0..plan.nodes.len()).for_each(|i| world.tell(i, Event::Start));
        world
    }

    fn build(&self, plan: &Plan, choice: &Choice, i: usize, state: Option<NodeState>) -> Box<dyn Node> {
        let node = &plan.nodes[i];
        let setup = PeerSetup {
            neighbours: node.neighbours.iter().map(|n| (n.node, n.weight)).collect(),
            names: node.neighbours.iter().map(|n| (n.node, format!("peer{}", n.node.0))).collect(),
            position: node.place as usize,
            peers: plan.nodes.len(),
            init: Params::new((0..self.len).map(|i| i as f32 * 0.5).collect()),
            steps: 1,
            rounds: Some(ROUNDS),
            restarted: false,
        };
        let state = state.map(|state| match state {
            NodeState::Peer(state) => *state,
            other => panic!("a peer saved {other:?}"),
        });
        let table = table();
        let (row, choice) = table.resolve(choice).unwrap();
        (row.build)(&choice, &hcddl_core::policy::optimizer::table()).unwrap().node(setup, state)
    }

    fn tell(&mut self, i: usize, event: Event) {
        let me = NodeId(i as u32);
        let cx = Cx { now: Time::ZERO, me, seeds: Seeds::all(1) };
        let mut out = Effects::default();
        self.nodes[i].on(&cx, event, &mut out);
        for effect in out.0 {
            match effect {
                Effect::Send { to, message } => self.ways.entry((me, to)).or_default().push_back(message),
                Effect::Run { job, work } => {
                    let outcome = self.compute(i, work);
                    self.jobs.push((me, Event::Done { job, outcome }));
                }
                Effect::Commit(commit) => {
                    assert_eq!(commit.version.0, self.rounds[i] + 1, "rounds are counted by one");
                    self.rounds[i] = commit.version.0;
                    self.models[i] = commit.model;
                }
                Effect::Finish(Reason::Failed(why)) => self.stalled = Some(why),
                _ => {}
            }
        }
    }

    fn compute(&self, i: usize, work: Work) -> Outcome {
        match work {
            Work::Train(job) => {
                assert_eq!(job.output, UpdateKind::Gradient);
                Outcome::Trained(Trained {
                    tensor: Params::new(gradient(i, self.rounds[i], self.len)),
                    opt: None,
                    steps: 1,
                    samples: 1,
                    loss: 0.0,
                    forward_passes: 1,
                    skipped: None,
                })
            }
            Work::Fold(fold) => Outcome::Folded(Box::new(hcddl_core::policy::fold::run(*fold, &[]))),
            other => panic!("peers have no codec: {other:?}"),
        }
    }

    /// One thing that can happen next, drawn; false when nothing can.
    fn step(&mut self) -> bool {
        self.ways.retain(|_, way| !way.is_empty());
        let choices = self.jobs.len() + self.ways.len();
        if choices == 0 {
            return false;
        }
        let drawn = self.stream.below(choices as u64) as usize;
        if drawn < self.jobs.len() {
            let (node, event) = self.jobs.remove(drawn);
            self.tell(node.index(), event);
        } else {
            let (from, to) = *self.ways.keys().nth(drawn - self.jobs.len()).unwrap();
            let message = self.ways.get_mut(&(from, to)).unwrap().pop_front().unwrap();
            self.tell(to.index(), Event::Received { from, message });
        }
        true
    }

    fn mean(&self) -> Vec<f64> {
        let mut mean = vec![0.0; self.len];
        for model in &self.models {
            for (sum, value) in mean.iter_mut().zip(model.values().unwrap()) {
                *sum += f64::from(*value) / self.models.len() as f64;
            }
        }
        mean
    }

    /// Where exact averaging and plain SGD lead.
    fn expected(&self) -> Vec<f64> {
        let peers = self.models.len();
        let mut mean: Vec<f64> = (0..self.len).map(|i| i as f64 * 0.5).collect();
        for round in 0..ROUNDS {
            for peer in 0..peers {
                for (value, g) in mean.iter_mut().zip(gradient(peer, round, self.len)) {
                    *value -= LR * f64::from(g) / peers as f64;
                }
            }
        }
        mean
    }
}

/// Graphs whose nodes are written in whatever order.
const GRAPHS: [&str; 10] = [
    "ring(2)",
    "ring(3)",
    "ring(7)",
    "{name: grid, rows: 2, columns: 2}",
    "{name: links, peers: [a, b, c, d], links: [[a, c], [c, b], [b, d], [d, a]]}",
    "{name: links, peers: [e, d, c, b, a], links: [[e, c], [c, a], [a, d], [d, b], [b, e]]}",
    "complete(5)",
    "star(4)",
    "{name: grid, rows: 2, columns: 3}",
    "{name: random, peers: 8, probability: 0.5}",
];

fn each_world(mut judge: impl FnMut(&str, &Plan, &Choice, usize, u64)) {
    for row in table().rows() {
        let mut legal = 0;
        for graph in GRAPHS {
            let algorithm = match row.name {
                "ring_all_reduce" => "{name: ring_all_reduce, optimizer: sgd(0.1)}".to_owned(),
                name => format!("{{name: {name}, lr: 0.1}}"),
            };
            let Ok(plan) = plan(graph, &algorithm) else { continue };
            legal += 1;
            let choice = plan.peers.as_ref().unwrap().algorithm.clone();
            // Fewer parameters than peers, and a number that no count of peers divides.
            for (len, seed) in [(1, 1), (5, 2), (11, 3)] {
                judge(
                    &format!("{} on {graph}, {len} parameters, seed {seed}", row.name),
                    &plan,
                    &choice,
                    len,
                    seed,
                );
            }
        }
        assert!(legal >= 5, "{} runs on {legal} of the graphs only", row.name);
    }
}

/// What a neighbour should not have sent ends the run with its name, and nothing panics or is kept without end.
#[test]
fn what_was_not_agreed_ends_the_run_with_a_name() {
    for row in table().rows() {
        let choice = Choice::named(row.name);
        let plan = plan("{name: ring, peers: 4}", row.name).unwrap();
        for seed in 0..20 {
            let mut world = World::new(&plan, &choice, 10, seed);
            (0..seed).for_each(|_| _ = world.step());
            world.ways.retain(|_, way| !way.is_empty());
            let Some(way) = world.ways.values_mut().next() else { continue };
            let message = way.front_mut().unwrap();
            let data = hcddl_core::domain::Data::Dense(Params::new(vec![1.0; 77]));
            let (sent, told) = match seed % 2 {
                0 => (Message::with(message.kind.clone(), message.head, "model", data), "77 values"),
                _ => (Message::control(message.kind.clone(), message.head), " 0 values"),
            };
            *message = sent;
            while world.stalled.is_none() && world.step() {}
            let why = world.stalled.expect("a run that ends");
            let named = why.starts_with("peer");
            assert!(named && why.contains(told), "{} with seed {seed}: {why}", row.name);
        }
    }
}

#[test]
fn every_algorithm_ends_and_moves_the_mean_by_the_mean_gradient() {
    each_world(|what, plan, choice, len, seed| {
        let mut world = World::new(plan, choice, len, seed);
        while world.step() {}
        assert_eq!(world.stalled, None, "{what}");
        assert_eq!(world.rounds, vec![ROUNDS; plan.nodes.len()], "{what}");
        for (got, expected) in world.mean().into_iter().zip(world.expected()) {
            assert!((got - expected).abs() < 1e-4, "{what}: {got}, expected {expected}");
        }
    });
}

#[test]
fn all_reduce_gives_everybody_the_mean() {
    each_world(|what, plan, choice, len, seed| {
        if choice.name != "ring_all_reduce" {
            return;
        }
        let mut world = World::new(plan, choice, len, seed);
        while world.step() {}
        for model in &world.models {
            for (value, expected) in model.values().unwrap().iter().zip(world.expected()) {
                assert!((f64::from(*value) - expected).abs() < 1e-4, "{what}: {value}, expected {expected}");
            }
        }
    });
}

#[test]
fn a_saved_peer_continues() {
    each_world(|what, plan, choice, len, seed| {
        let mut straight = World::new(plan, choice, len, seed);
        let mut saved = World::new(plan, choice, len, seed);
        let mut steps = 0;
        while straight.step() {
            assert!(saved.step());
            steps += 1;
            if steps % 7 == 0 {
                let i = steps % plan.nodes.len();
                let state = saved.nodes[i].save();
                saved.nodes[i] = saved.build(plan, choice, i, Some(state));
            }
        }
        assert_eq!(saved.models, straight.models, "{what}");
    });
}
