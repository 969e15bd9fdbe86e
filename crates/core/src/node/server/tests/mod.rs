//! Servers in conversation with their children; `local`: and with their parent.

mod local;

use super::*;
use crate::domain::{Choice, Data, Progress, Span};
use crate::node::kinds::{PULL, UPDATE};
use crate::node::transcript::{Names, Transcript, coded};
use crate::policy::fold;
use insta::assert_snapshot;

/// A root with two children.
const TREE: Names = &["root", "a", "b"];
/// A policy with what goes with it, an optimiser that takes whole steps, and children by their ids.
fn server(policy: &str, children: [u32; 2], change: impl FnOnce(&mut ServerConfig)) -> Server {
    let choice = Choice::from_value(&serde_json::from_str(policy).unwrap()).unwrap();
    let (policies, folds, optimizers) =
        (crate::policy::table(), fold::table(), crate::policy::optimizer::table());
    let (row, choice) = policies.resolve(&choice).unwrap();
    let composition = (row.build)(&choice, &()).unwrap();
    let (row, choice) = folds.resolve(&composition.fold).unwrap();
    let rule = (row.build)(&choice, &()).unwrap();
    let sgd = Choice::from_value(&"sgd(1)".into()).unwrap();
    let (row, choice) = optimizers.resolve(&sgd).unwrap();
    let mut config = ServerConfig {
        children: children.map(NodeId).to_vec(),
        absent: BTreeSet::new(),
        rule,
        apply: Some((row.build)(&choice, &()).unwrap()),
        update: UpdateKind::Gradient,
        uplink: None,
        traffic: Traffic::Broadcast,
        codec_up: None,
        codec_down: None,
        max_norm: None,
        rounds: None,
        life: 0,
    };
    change(&mut config);
    Server::new(config, composition.policy, &Params::new(vec![0.0]), None)
}

fn root(policy: &str, change: impl FnOnce(&mut ServerConfig)) -> Transcript {
    Transcript::of(Box::new(server(policy, [1, 2], change)), TREE, "root")
}

/// The update of a child that was given this version, and has finished so many updates.
fn update(version: u64, clock: u64, values: &[f32]) -> Message {
    answer(version, clock, 0, Data::Dense(Params::new(values.to_vec())))
}

fn answer(version: u64, clock: u64, losses: u32, data: Data) -> Message {
    let detail = Progress { clock, era: Era::new(0, losses) }.into();
    let version = Version(version);
    let head = Head { version, base: version, samples: 10, steps: 1, loss: 0.5, detail, ..Head::default() };
    Message::with(UPDATE, head, "gradient", data)
}

/// A round waits for everybody, is folded by sender and not by arrival, and the last one is the end.
#[test]
fn synchronous_rounds() {
    let mut talk = root(r#""sync""#, |config| config.rounds = Some(2));
    talk.start().hears("b", update(0, 1, &[4.0])).hears("a", update(0, 1, &[2.0])).ends(1);
    talk.hears("a", update(1, 2, &[1.0])).hears("b", update(1, 2, &[1.0])).ends(2);
    talk.note("after the end").hears("a", update(2, 3, &[1.0]));
    assert_snapshot!(talk.text(), @r"
    > start
    < a: ASSIGN v0 model [0.0]
    < b: ASSIGN v0 model [0.0]
    > b: UPDATE v0 clock 1 samples 10 steps 1 loss 0.5 gradient [4.0]
    > a: UPDATE v0 clock 1 samples 10 steps 1 loss 0.5 gradient [2.0]
    < j1 weighted of 1 x [2.0], 1 x [4.0] onto [0.0] by sgd
    > j1 folded to [-3.0]
    < commit v1 [-3.0] of a v0 x 0.5, b v0 x 0.5
    < a: ASSIGN v1 root v1 model [-3.0]
    < b: ASSIGN v1 root v1 model [-3.0]
    > a: UPDATE v1 base v1 clock 2 samples 10 steps 1 loss 0.5 gradient [1.0]
    > b: UPDATE v1 base v1 clock 2 samples 10 steps 1 loss 0.5 gradient [1.0]
    < j2 weighted of 1 x [1.0], 1 x [1.0] onto [-3.0] by sgd
    > j2 folded to [-4.0]
    < commit v2 [-4.0] of a v1 x 0.5, b v1 x 0.5
    < end after the configured rounds
    -- after the end
    > a: UPDATE v2 base v2 clock 3 samples 10 steps 1 loss 0.5 gradient [1.0]
    ");
}

/// A child that is lost is not waited for. What it sends of its former era is void, also when it is back.
#[test]
fn a_child_is_lost_and_back() {
    let mut talk = root(r#""sync""#, |_| ());
    talk.start()
        .hears("a", update(0, 1, &[2.0]))
        .loses("b")
        .meets("b")
        .hears("b", update(0, 1, &[4.0]))
        .ends(1);
    talk.hears("a", update(1, 2, &[1.0])).ends(2);
    let b = answer(2, 1, 1, Data::Dense(Params::new(vec![3.0])));
    talk.hears("b", b).hears("a", update(2, 3, &[1.0])).ends(3);
    assert_snapshot!(talk.text(), @r"
    > start
    < a: ASSIGN v0 model [0.0]
    < b: ASSIGN v0 model [0.0]
    > a: UPDATE v0 clock 1 samples 10 steps 1 loss 0.5 gradient [2.0]
    > b is lost
    < j1 weighted of 1 x [2.0] onto [0.0] by sgd
    > b is there
    > b: UPDATE v0 clock 1 samples 10 steps 1 loss 0.5 gradient [4.0]
    < drop b: late
    > j1 folded to [-2.0]
    < commit v1 [-2.0] of a v0 x 1
    < a: ASSIGN v1 root v1 model [-2.0]
    > a: UPDATE v1 base v1 clock 2 samples 10 steps 1 loss 0.5 gradient [1.0]
    < j2 weighted of 1 x [1.0] onto [-2.0] by sgd
    > j2 folded to [-3.0]
    < commit v2 [-3.0] of a v1 x 1
    < a: ASSIGN v2 root v2 model [-3.0]
    < b: ASSIGN v2 root v2 era 0.1 model [-3.0]
    > b: UPDATE v2 base v2 clock 1 era 0.1 samples 10 steps 1 loss 0.5 gradient [3.0]
    > a: UPDATE v2 base v2 clock 3 samples 10 steps 1 loss 0.5 gradient [1.0]
    < j3 weighted of 1 x [1.0], 1 x [3.0] onto [-3.0] by sgd
    > j3 folded to [-5.0]
    < commit v3 [-5.0] of a v2 x 0.5, b v2 x 0.5
    < a: ASSIGN v3 root v3 model [-5.0]
    < b: ASSIGN v3 root v3 era 0.1 model [-5.0]
    ");
}

/// Each update is a version; what comes while one is being folded waits, and is one version staler then.
#[test]
fn asynchronous() {
    let mut talk = root(r#""async""#, |_| ());
    talk.start().hears("a", update(0, 1, &[1.0])).hears("b", update(0, 1, &[2.0])).ends(1).ends(2);
    assert_snapshot!(talk.text(), @r"
    > start
    < a: ASSIGN v0 model [0.0]
    < b: ASSIGN v0 model [0.0]
    > a: UPDATE v0 clock 1 samples 10 steps 1 loss 0.5 gradient [1.0]
    < j1 sum of 1 x [1.0] onto [0.0] by sgd
    > b: UPDATE v0 clock 1 samples 10 steps 1 loss 0.5 gradient [2.0]
    > j1 folded to [-1.0]
    < commit v1 [-1.0] of a v0 x 1
    < a: ASSIGN v1 root v1 model [-1.0]
    < j2 sum of 1 x [2.0] onto [-1.0] by sgd
    > j2 folded to [-3.0]
    < commit v2 [-3.0] of b v0 x 1
    < b: ASSIGN v2 root v2 model [-3.0]
    ");
}

/// The round is over at the deadline with whoever has answered; who comes too late is told to start over.
#[test]
fn with_a_deadline() {
    let mut talk = root(r#"{"name": "deadline", "after": "1s"}"#, |_| ());
    talk.start().hears("a", update(0, 1, &[1.0])).waits(Span::from_millis(1000), 1).ends(1);
    talk.hears("b", update(0, 1, &[2.0])).waits(Span::from_millis(1000), 1);
    talk.note("nobody has answered: whoever is first ends the round");
    talk.hears("a", update(1, 2, &[1.0])).ends(2);
    assert_snapshot!(talk.text(), @r"
    > start
    < timer 1 in 1 s
    < a: ASSIGN v0 model [0.0]
    < b: ASSIGN v0 model [0.0]
    > a: UPDATE v0 clock 1 samples 10 steps 1 loss 0.5 gradient [1.0]
    > timer 1
    < no timer 1
    < j1 weighted of 1 x [1.0] onto [0.0] by sgd
    > j1 folded to [-1.0]
    < commit v1 [-1.0] of a v0 x 1
    < timer 1 in 1 s
    < a: ASSIGN v1 root v1 model [-1.0]
    > b: UPDATE v0 clock 1 samples 10 steps 1 loss 0.5 gradient [2.0]
    < drop b: late
    < b: ASSIGN v1 root v1 model [-1.0]
    > timer 1
    -- nobody has answered: whoever is first ends the round
    > a: UPDATE v1 base v1 clock 2 samples 10 steps 1 loss 0.5 gradient [1.0]
    < no timer 1
    < j2 weighted of 1 x [1.0] onto [-1.0] by sgd
    > j2 folded to [-2.0]
    < commit v2 [-2.0] of a v1 x 1
    < timer 1 in 1 s
    < a: ASSIGN v2 root v2 model [-2.0]
    ");
}

/// Backup workers: the round goes on without the slowest, which is told to stop.
#[test]
fn with_a_backup_that_is_cancelled() {
    let mut talk = root(r#"{"name": "sync", "backup": 1, "cancel": true}"#, |_| ());
    talk.start().hears("b", update(0, 1, &[1.0])).ends(1);
    assert_snapshot!(talk.text(), @r"
    > start
    < a: ASSIGN v0 model [0.0]
    < b: ASSIGN v0 model [0.0]
    > b: UPDATE v0 clock 1 samples 10 steps 1 loss 0.5 gradient [1.0]
    < j1 weighted of 1 x [1.0] onto [0.0] by sgd
    > j1 folded to [-1.0]
    < commit v1 [-1.0] of b v0 x 1
    < a: CANCEL v0
    < a: ASSIGN v1 root v1 model [-1.0]
    < b: ASSIGN v1 root v1 model [-1.0]
    ");
}

/// A child gets what is newest when it pulls, once for each offer.
#[test]
fn models_are_pulled() {
    let mut talk = root(r#""async""#, |config| config.traffic = Traffic::Pull);
    let pull = || Message::control(PULL, Head::default());
    talk.start().hears("a", pull()).hears("a", pull()).hears("a", update(0, 1, &[1.0])).ends(1);
    talk.note("b was offered v0").hears("b", pull()).loses("a").hears("a", pull());
    assert_snapshot!(talk.text(), @r"
    > start
    < a: READY v0
    < b: READY v0
    > a: PULL v0
    < a: ASSIGN v0 model [0.0]
    > a: PULL v0
    > a: UPDATE v0 clock 1 samples 10 steps 1 loss 0.5 gradient [1.0]
    < j1 sum of 1 x [1.0] onto [0.0] by sgd
    > j1 folded to [-1.0]
    < commit v1 [-1.0] of a v0 x 1
    < a: READY v1 root v1
    -- b was offered v0
    > b: PULL v0
    < b: ASSIGN v1 root v1 model [-1.0]
    > a is lost
    > a: PULL v0
    ");
}

/// A version is coded once for all who ask for it; what was asked for meanwhile gets the next one.
#[test]
fn coded_both_ways() {
    let mut talk = root(r#""async""#, |config| (config.codec_up, config.codec_down) = (Some(0), Some(0)));
    talk.start().ends(1).hears("a", answer(0, 1, 0, coded(&[3.0]))).ends(2).ends(3).ends(4);
    assert_snapshot!(talk.text(), @r"
    > start
    < j1 code [0.0]
    > j1 coded ~[0.0], left Some([0.0])
    < a: ASSIGN v0 model ~[0.0]
    < b: ASSIGN v0 model ~[0.0]
    > a: UPDATE v0 clock 1 samples 10 steps 1 loss 0.5 gradient ~[3.0]
    < j2 decode ~[3.0]
    > j2 decoded [3.0]
    < j3 sum of 1 x [3.0] onto [0.0] by sgd
    > j3 folded to [-3.0]
    < commit v1 [-3.0] of a v0 x 1
    < j4 code [-3.0]
    > j4 coded ~[-3.0], left Some([0.0])
    < a: ASSIGN v1 root v1 model ~[-3.0]
    ");
}

/// Whatever a child sends counts as its update, so that nobody waits for it. Nothing is folded of what is not an update of
/// this model; one that says that its base is a version to come counts as one of the newest.
#[test]
fn what_was_not_agreed_on_is_noticed_and_moves_nothing() {
    let mut talk = root(r#""sync""#, |_| ());
    talk.start().hears("a", update(0, 1, &[f32::NAN])).hears("b", update(0, 1, &[1.0, 2.0])).ends(1);
    talk.hears("a", Message::control(UPDATE, update(1, 2, &[]).head));
    let mut b = update(1, 2, &[1.0]);
    b.head.base = Version(7);
    talk.hears("b", b).ends(2);
    assert_snapshot!(talk.text(), @r"
    > start
    < a: ASSIGN v0 model [0.0]
    < b: ASSIGN v0 model [0.0]
    > a: UPDATE v0 clock 1 samples 10 steps 1 loss 0.5 gradient [NaN]
    > b: UPDATE v0 clock 1 samples 10 steps 1 loss 0.5 gradient [1.0, 2.0]
    < notice b: Length(2)
    < drop b: not finite
    < j1 weighted of 1 x [NaN] onto [0.0] by sgd
    > j1 folded to [0.0]
    < notice a: NotFinite
    < commit v1 [0.0] of a v0 x 0
    < a: ASSIGN v1 root v1 model [0.0]
    < b: ASSIGN v1 root v1 model [0.0]
    > a: UPDATE v1 base v1 clock 2 samples 10 steps 1 loss 0.5
    < notice a: Length(0)
    > b: UPDATE v1 base v7 clock 2 samples 10 steps 1 loss 0.5 gradient [1.0]
    < notice b: Version(7)
    < drop a: not finite
    < j2 weighted of 1 x [1.0] onto [0.0] by sgd
    > j2 folded to [-1.0]
    < commit v2 [-1.0] of b v1 x 1
    < a: ASSIGN v2 root v2 model [-1.0]
    < b: ASSIGN v2 root v2 model [-1.0]
    ");
}

/// Started again from a saved state it has its model and version, and no child takes what it does for what its former
/// self wanted.
#[test]
fn a_restart_keeps_model_and_version_and_begins_another_era() {
    let mut talk = root(r#""async""#, |_| ());
    talk.start().hears("a", update(0, 1, &[1.0])).ends(1);
    let NodeState::Server(saved) = talk.node().save() else { panic!("a server saves a server") };
    let fresh = server(r#""async""#, [1, 2], |config| config.life = 1);
    let again = Server::restarted(fresh.config, fresh.policy, &Params::new(vec![0.0]), *saved);
    let mut talk = Transcript::of(Box::new(again), TREE, "root");
    talk.start().hears("b", update(0, 1, &[2.0]));
    assert_snapshot!(talk.text(), @r"
    > start
    < a: ASSIGN v1 root v1 era 1.0 model [-1.0]
    < b: ASSIGN v1 root v1 era 1.0 model [-1.0]
    > b: UPDATE v0 clock 1 samples 10 steps 1 loss 0.5 gradient [2.0]
    < drop b: late
    ");
}
