//! Laws that every policy obeys, whatever its rule: the table is walked, so a new row is tested before its author
//! writes a test. A real server node, with the reliable delivery of a deployment, is driven by workers that answer
//! in random order, get lost and come back.

use hcddl_core::domain::{
    Choice, Coded, Data, Head, JobId, Lane, Message, NodeId, Params, Pick, Progress, Row, Seeds, Stream,
    Time, Token, Version,
};
use hcddl_core::node::kinds::{ASSIGN, CANCEL, UPDATE};
use hcddl_core::node::reliable::Reliable;
use hcddl_core::node::server::Traffic;
use hcddl_core::node::server::{Server, ServerConfig, ServerState};
use hcddl_core::node::work::{Outcome, Work};
use hcddl_core::node::{Cx, Effect, Effects, Event, Node, NodeState};
use hcddl_core::policy::{BuildPolicy, Composition, Policy, table, trials};
use std::collections::{BTreeMap, BTreeSet};

/// Choices that together exercise every branch of every row: each with its defaults, and what it has tests run.
fn choices() -> Vec<Choice> {
    let table = table();
    let tried = trials().concat().into_iter().map(|text| {
        let pick = Pick::<dyn Policy>::from(hcddl_core::yaml::parse(text).unwrap().value);
        pick.resolve(&table).unwrap_or_else(|error| panic!("{text}: {error}")).1
    });
    table.rows().iter().map(|row| Choice::named(row.name)).chain(tried).collect()
}

fn build(choice: &Choice) -> Composition {
    let table = table();
    let row: &Row<BuildPolicy> = table.get(&choice.name).unwrap();
    (row.build)(choice, &()).unwrap_or_else(|e| panic!("{choice:?}: {e}"))
}

/// A server and its workers, without network or clock.
struct World {
    server: Reliable,
    /// The last message that each worker has heard since it was lost last, by lane.
    heard: BTreeMap<(NodeId, Lane), u64>,
    stream: Stream,
    now: u64,
    /// What each living worker computes on, and what waits for it.
    working: BTreeMap<NodeId, (Head, Option<Head>)>,
    clocks: BTreeMap<NodeId, u64>,
    alive: BTreeSet<NodeId>,
    jobs: Vec<(JobId, Work)>,
    timers: BTreeSet<Token>,
    version: u64,
    model: f32,
    sent: u64,
    folded: u64,
    dropped: u64,
    /// One answer in so many is void; 0 for none.
    void: u64,
    /// Worker 1 sends whatever it likes; what was noticed about it.
    hostile: bool,
    noticed: BTreeSet<&'static str>,
    line: String,
}

const WORKERS: u32 = 5;

fn update(head: Head, values: Vec<f32>) -> Message {
    Message::with(UPDATE, head, "gradient", Data::Dense(Params::new(values)))
}

impl World {
    fn new(choice: &Choice, seed: u64) -> Self {
        let composition = build(choice);
        let folds = hcddl_core::policy::fold::table();
        let rule = (folds.get(&composition.fold.name).unwrap().build)(&composition.fold, &()).unwrap();
        let optimizers = hcddl_core::policy::optimizer::table();
        let apply = (optimizers.get("sgd").unwrap().build)(&Choice::named("sgd"), &()).unwrap();
        let config = ServerConfig {
            children: (1..=WORKERS).map(NodeId).collect(),
            absent: BTreeSet::new(),
            rule,
            apply: Some(apply),
            update: composition.update,
            uplink: None,
            traffic: Traffic::Broadcast,
            codec_up: None,
            codec_down: None,
            max_norm: Some(100.0),
            rounds: None,
            life: 0,
        };
        let server = Server::new(config, composition.policy, &Params::new(vec![0.0]), None);
        let mut world = Self {
            server: Reliable::new(Box::new(server), None, 0, None),
            heard: BTreeMap::new(),
            stream: Stream::new(seed, "laws", 0, 0),
            now: 0,
            working: BTreeMap::new(),
            clocks: BTreeMap::new(),
            alive: (1..=WORKERS).map(NodeId).collect(),
            jobs: Vec::new(),
            timers: BTreeSet::new(),
            version: 0,
            model: 0.0,
            sent: 0,
            folded: 0,
            dropped: 0,
            void: 0,
            hostile: false,
            noticed: BTreeSet::new(),
            line: format!("policy {} {:?}, seed {seed}", choice.name, choice.options),
        };
        world.give(Event::Start);
        world
    }

    fn give(&mut self, event: Event) {
        self.now += 1;
        let cx = Cx { now: Time(self.now), me: NodeId(0), seeds: Seeds::all(1) };
        let mut out = Effects::default();
        self.server.on(&cx, event, &mut out);
        for effect in out.0 {
            self.take(effect);
        }
    }

    fn take(&mut self, effect: Effect) {
        if let Effect::Send { to, message } = &effect {
            // Law: a worker that was lost waits for no message that nobody has kept.
            let last = self.heard.entry((*to, message.lane())).or_insert(0);
            *last += 1;
            assert_eq!(message.sequence & u64::from(u32::MAX), *last, "a hole: {}", self.line);
        }
        match effect {
            Effect::Run { job, work } => self.jobs.push((job, work)),
            Effect::Send { to, message } if message.kind == ASSIGN => self.assigned(to, &message),
            Effect::Send { to, message } if message.kind == CANCEL => {
                self.working.remove(&to);
            }
            Effect::Commit(commit) => {
                self.version += 1;
                assert_eq!(commit.version.0, self.version, "{}", self.line);
                self.model = commit.model.values().unwrap()[0];
                self.folded += commit.contributors.len() as u64;
                for contribution in &commit.contributors {
                    assert!(contribution.base < commit.version, "{}", self.line);
                }
            }
            Effect::Dropped { .. } => self.dropped += 1,
            Effect::Noticed { from, what } => {
                assert!(self.void > 0 || self.hostile && from == NodeId(1), "{from:?} {what}: {}", self.line);
                self.noticed.insert(what.counter());
            }
            Effect::SetTimer { token, .. } => {
                self.timers.insert(token);
            }
            Effect::ClearTimer(token) => {
                self.timers.remove(&token);
            }
            other => panic!("{}: unexpected {other:?}", self.line),
        }
    }

    fn assigned(&mut self, to: NodeId, message: &Message) {
        // Law: what is handed out is the newest version, and really that model.
        assert_eq!(message.head.version.0, self.version, "an old model was handed out: {}", self.line);
        assert_eq!(message.params().unwrap().values(), Some(&[self.model][..]), "{}", self.line);
        assert!(self.alive.contains(&to), "a lost worker got work: {}", self.line);
        let head = message.head;
        self.working.entry(to).and_modify(|w| w.1 = Some(head)).or_insert((head, None));
    }

    fn answer(&mut self, worker: NodeId) {
        let (head, next) = self.working.remove(&worker).expect("a working worker");
        if let Some(next) = next {
            self.working.insert(worker, (next, None));
        }
        let clock = self.clocks.entry(worker).or_insert(0);
        *clock += 1;
        let detail = Progress { clock: *clock, ..head.detail.into() }.into();
        let head = Head { base: head.version, samples: 10, steps: 1, detail, ..head };
        self.sent += 1;
        let void = self.void > 0 && self.stream.below(self.void) == 0;
        // What a void update carries must not matter.
        let (head, value) = match void {
            true => (Head { samples: 0, steps: 0, loss: f32::NAN, ..head }, 1e9),
            false => (head, 1.0),
        };
        let message = match self.hostile && worker == NodeId(1) {
            true => self.whatever(head),
            false => update(head, vec![value]),
        };
        self.give(Event::Received { from: worker, message });
    }

    /// What a broken or hostile worker may send.
    fn whatever(&mut self, head: Head) -> Message {
        match self.stream.below(9) {
            0 => update(head, vec![f32::NAN]),
            1 => update(head, vec![f32::INFINITY]),
            2 => update(head, vec![1e30]),
            3 => update(head, vec![]),
            4 => update(Head { samples: u64::MAX, ..head }, vec![1.0; 3]),
            5 => update(Head { base: Version(u64::MAX), samples: u64::MAX, ..head }, vec![0.5]),
            6 => {
                let detail = Progress { clock: u64::MAX, ..head.detail.into() }.into();
                update(Head { steps: u64::MAX, detail, ..head }, vec![0.5])
            }
            7 => Message::control(UPDATE, head),
            _ => {
                let coded = Coded { codec: "fp16".into(), len: 1, bytes: 2, payload: None };
                Message::with(UPDATE, head, "gradient", Data::Coded(coded))
            }
        }
    }

    /// Something happens: a worker answers, a fold ends, a timer runs down. False if nothing can.
    fn happen(&mut self) -> bool {
        let workers: Vec<NodeId> = self.working.keys().copied().collect();
        let timers: Vec<Token> = self.timers.iter().copied().collect();
        let count = workers.len() + self.jobs.len() + timers.len();
        if count == 0 {
            return false;
        }
        let i = self.stream.below(count as u64) as usize;
        if i < workers.len() {
            self.answer(workers[i]);
        } else if i < workers.len() + self.jobs.len() {
            let (job, work) = self.jobs.remove(i - workers.len());
            let Work::Fold(fold) = work else { panic!("{}: a server only folds here", self.line) };
            let outcome = Outcome::Folded(Box::new(hcddl_core::policy::fold::run(*fold, &[])));
            self.give(Event::Done { job, outcome });
        } else {
            let token = timers[i - workers.len() - self.jobs.len()];
            self.timers.remove(&token);
            self.give(Event::Timer(token));
        }
        true
    }

    fn lose(&mut self, worker: NodeId) {
        self.alive.remove(&worker);
        self.working.remove(&worker);
        self.heard.retain(|(node, _), _| *node != worker);
        self.give(Event::Down(worker));
    }

    fn bring(&mut self, worker: NodeId) {
        self.alive.insert(worker);
        self.give(Event::Up(worker));
    }

    fn state(&self) -> ServerState {
        match self.server.save() {
            NodeState::Reliable(both) => match both.1 {
                NodeState::Server(state) => *state,
                _ => unreachable!("a server's state"),
            },
            _ => unreachable!("reliable delivery is around it"),
        }
    }

    fn waiting(&self) -> u64 {
        self.state().waiting()
    }
}

#[test]
fn every_row_builds_from_its_example() {
    for row in table().rows() {
        assert!(row.example.starts_with(&format!("{{name: {}", row.name)), "{}", row.example);
        assert!(row.summary.len() > 10 && !row.summary.ends_with('.'), "{}", row.name);
        build(&Choice::named(row.name));
    }
}

#[test]
fn training_goes_on_and_every_update_is_accounted_for() {
    for choice in choices() {
        for seed in 0..20 {
            let mut world = World::new(&choice, seed);
            for _ in 0..300 {
                assert!(world.happen(), "nobody has anything to do: {}", world.line);
            }
            assert!(world.version > 10, "{} commits: {}", world.version, world.line);
            assert_eq!(world.sent, world.folded + world.dropped + world.waiting(), "{}", world.line);
        }
    }
}

/// A worker that skipped its job says so in an update without steps and samples.
#[test]
fn void_updates_move_nothing_and_hold_up_nobody() {
    for choice in choices() {
        for (void, seed) in [(1, 0), (2, 1), (4, 2)] {
            let mut world = World::new(&choice, seed);
            world.void = void;
            for _ in 0..300 {
                assert!(world.happen(), "nobody has anything to do: {}", world.line);
            }
            assert!(world.version > 10, "{} commits: {}", world.version, world.line);
            assert_eq!(world.sent, world.folded + world.dropped + world.waiting(), "{}", world.line);
            assert!(world.model.abs() < 1e3, "{}: {}", world.model, world.line);
            assert_eq!(world.model == 0.0, void == 1, "{}: {}", world.model, world.line);
        }
    }
}

/// Whatever one of the workers sends: nobody waits for ever, the model stays finite and within what `max_norm` allows,
/// and it is told whose updates were strange.
#[test]
fn a_hostile_worker_neither_stops_nor_spoils_the_run() {
    for choice in choices() {
        let mut noticed = BTreeSet::new();
        for seed in 0..10 {
            let mut world = World::new(&choice, seed);
            world.hostile = true;
            for _ in 0..300 {
                assert!(world.happen(), "nobody has anything to do: {}", world.line);
            }
            assert!(world.version > 10, "{} commits: {}", world.version, world.line);
            assert_eq!(world.sent, world.folded + world.dropped + world.waiting(), "{}", world.line);
            let reach = 100.0 * world.sent as f32;
            assert!(world.model.abs() < reach, "{}: {}", world.model, world.line);
            noticed.append(&mut world.noticed);
        }
        let all = BTreeSet::from(["refused_updates", "shortened_updates", "unknown_versions"]);
        assert_eq!(noticed, all, "{choice:?}");
    }
}

#[test]
fn training_goes_on_while_workers_come_and_go() {
    for choice in choices() {
        for seed in 0..20 {
            let mut world = World::new(&choice, seed);
            for step in 0..400 {
                let worker = NodeId(1 + world.stream.below(u64::from(WORKERS)) as u32);
                match world.stream.below(10) {
                    0 if world.alive.len() > 1 && world.alive.contains(&worker) => world.lose(worker),
                    1 if !world.alive.contains(&worker) => world.bring(worker),
                    _ => assert!(world.happen(), "step {step}, {} alive: {}", world.alive.len(), world.line),
                }
            }
            assert!(world.version > 5, "{} commits: {}", world.version, world.line);
        }
    }
}

#[test]
fn nobody_is_left_is_not_the_end_if_somebody_comes_back() {
    for choice in choices() {
        let mut world = World::new(&choice, 1);
        for _ in 0..50 {
            world.happen();
        }
        (1..=WORKERS).for_each(|w| world.lose(NodeId(w)));
        while world.happen() {}
        let before = world.version;
        (1..=WORKERS).for_each(|w| world.bring(NodeId(w)));
        for _ in 0..100 {
            assert!(world.happen(), "{}", world.line);
        }
        assert!(world.version > before, "{}", world.line);
    }
}

#[test]
fn under_ssp_nobody_is_further_ahead_than_the_slack() {
    for slack in [0u64, 1, 3] {
        for seed in 0..20 {
            let mut choice = Choice::named("ssp");
            choice.options.insert("slack".to_owned(), slack.into());
            let mut world = World::new(&choice, seed);
            let mut largest = 0;
            for _ in 0..400 {
                world.happen();
                let clock = |w: &NodeId| world.clocks.get(w).copied().unwrap_or(0);
                let slowest = (1..=WORKERS).map(|w| clock(&NodeId(w))).min().unwrap();
                for worker in world.working.keys() {
                    assert!(
                        clock(worker) - slowest <= slack,
                        "{} ahead: {}",
                        clock(worker) - slowest,
                        world.line
                    );
                    largest = largest.max(clock(worker) - slowest);
                }
            }
            assert_eq!(largest, slack, "the slack is used: {}", world.line);
        }
    }
}

#[test]
fn a_synchronous_round_waits_for_everybody_and_for_nobody_else() {
    for seed in 0..20 {
        let mut world = World::new(&Choice::named("sync"), seed);
        for _ in 0..300 {
            let before = world.version;
            world.happen();
            if world.version > before {
                assert_eq!(world.folded, world.version * u64::from(WORKERS), "{}", world.line);
                assert_eq!(world.working.len(), WORKERS as usize, "{}", world.line);
            }
        }
        assert_eq!(world.dropped, 0, "{}", world.line);
    }
}

#[test]
fn a_saved_policy_goes_on_as_if_nothing_had_happened() {
    for choice in choices() {
        let mut world = World::new(&choice, 3);
        for _ in 0..37 {
            world.happen();
        }
        let saved = world.state();
        let mut copy = build(&choice).policy;
        copy.load(saved.policy_state()).unwrap_or_else(|e| panic!("{}: {e}", world.line));
        assert_eq!(copy.save(), saved.policy_state(), "{}", world.line);
    }
}
