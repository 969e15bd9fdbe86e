//! Servers in conversation with their children and their parent.

use super::*;
use crate::domain::{Choice, Span};
use crate::node::kinds::{ASSIGN, READY};
use crate::node::transcript::{Names, Transcript, coded};
use crate::node::uplink::{Push, UplinkPlan};
use crate::policy::fold;
use insta::assert_snapshot;

/// A root with two children.
const TREE: Names = &["root", "a", "b"];
/// A local server with two children.
const MIDDLE: Names = &["root", "local", "a", "b"];

/// A policy with what goes with it, an optimiser that takes whole steps, and children by their ids.
fn server(policy: &str, children: [u32; 2], change: impl FnOnce(&mut ServerConfig)) -> Server {
    let choice = Choice::from_value(&serde_json::from_str(policy).unwrap()).unwrap();
    let (policies, folds, optimizers) =
        (crate::policy::table(), fold::table(), crate::policy::optimizer::table());
    let (row, choice) = policies.resolve(&choice).unwrap();
    let composition = (row.build)(&choice).unwrap();
    let (row, choice) = folds.resolve(&composition.fold).unwrap();
    let rule = (row.build)(&choice).unwrap();
    let sgd = Choice::from_value(&"sgd(1)".into()).unwrap();
    let (row, choice) = optimizers.resolve(&sgd).unwrap();
    let mut config = ServerConfig {
        children: children.map(NodeId).to_vec(),
        absent: BTreeSet::new(),
        rule,
        apply: Some((row.build)(&choice).unwrap()),
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

/// A local server, whose uplink pushes gradients on as they are if `own_model` is not set.
fn local(policy: &str, own_model: bool, plan: UplinkPlan) -> Transcript {
    let table = fold::table();
    let combine = (table.get("mean").unwrap().build)(&Choice::named("mean")).unwrap();
    let parent = NodeId(0);
    let uplink = UplinkConfig { parent, plan, combine, own_model, codec_up: None, codec_down: None };
    let change = |config: &mut ServerConfig| {
        config.uplink = Some(uplink);
        if !own_model {
            config.apply = None;
        }
    };
    Transcript::of(Box::new(server(policy, [2, 3], change)), MIDDLE, "local")
}

const PLAN: UplinkPlan = UplinkPlan {
    push: Push::Every(1),
    send: UpdateKind::Gradient,
    wait: true,
    window: 1,
    adopt_permille: 1000,
};

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

/// A model of the parent.
fn assign(version: u64, losses: u32, value: f32) -> Message {
    let detail = Progress { clock: 0, era: Era::new(0, losses) }.into();
    let head = Head { version: Version(version), root: Version(version), detail, ..Head::default() };
    Message::with(ASSIGN, head, "model", Data::Dense(Params::new(vec![value])))
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

/// Whatever a child sends counts as its update, so that nobody waits for it. Nothing is folded of what is no update of
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

/// A round of a cluster: its children wait for the parent, their mean gradient goes up as it is, the answer comes down.
#[test]
fn a_local_server_that_forwards() {
    let mut talk = local(r#""sync""#, false, PLAN);
    talk.start().hears("root", assign(3, 0, 5.0));
    talk.hears("a", update(1, 1, &[2.0]))
        .hears("b", update(1, 1, &[4.0]))
        .ends(1)
        .hears("root", assign(4, 0, 6.0));
    assert_snapshot!(talk.text(), @r"
    > start
    > root: ASSIGN v3 root v3 model [5.0]
    < a: ASSIGN v1 root v3 model [5.0]
    < b: ASSIGN v1 root v3 model [5.0]
    > a: UPDATE v1 base v1 clock 1 samples 10 steps 1 loss 0.5 gradient [2.0]
    > b: UPDATE v1 base v1 clock 1 samples 10 steps 1 loss 0.5 gradient [4.0]
    < j1 weighted of 1 x [2.0], 1 x [4.0]
    > j1 folded to [5.0], aggregate [3.0]
    < root: UPDATE v3 base v3 root v3 clock 1 samples 20 steps 1 loss 0.5 gradient [3.0]
    < commit v2 [5.0] of a v1 x 0.5, b v1 x 0.5
    > root: ASSIGN v4 root v4 model [6.0]
    < a: ASSIGN v3 root v4 model [6.0]
    < b: ASSIGN v3 root v4 model [6.0]
    ");
}

/// With a model of its own, and children that do not wait for the parent.
#[test]
fn a_local_server_that_goes_on() {
    let plan = UplinkPlan { push: Push::Every(2), send: UpdateKind::Delta, wait: false, ..PLAN };
    let mut talk = local(r#""async""#, true, plan);
    talk.start().hears("root", assign(1, 0, 5.0)).hears("a", update(1, 1, &[1.0])).ends(1);
    talk.hears("b", update(1, 1, &[1.0])).ends(2).hears("a", update(2, 2, &[1.0])).ends(3).ends(4);
    talk.note("the parent's model comes during a fold, and is mixed in after it before the next one");
    talk.hears("b", update(3, 2, &[1.0])).hears("root", assign(2, 0, 9.0)).hears("a", update(4, 3, &[1.0]));
    talk.ends(5).ends(6);
    assert_snapshot!(talk.text(), @r"
    > start
    > root: ASSIGN v1 root v1 model [5.0]
    < a: ASSIGN v1 root v1 model [5.0]
    < b: ASSIGN v1 root v1 model [5.0]
    > a: UPDATE v1 base v1 clock 1 samples 10 steps 1 loss 0.5 gradient [1.0]
    < j1 sum of 1 x [1.0] onto [5.0] by sgd
    > j1 folded to [4.0]
    < commit v2 [4.0] of a v1 x 1
    < a: ASSIGN v2 root v1 model [4.0]
    > b: UPDATE v1 base v1 clock 1 samples 10 steps 1 loss 0.5 gradient [1.0]
    < j2 sum of 1 x [1.0] onto [4.0] by sgd
    > j2 folded to [3.0]
    < j3 sum of 1 x [3.0], -1 x [5.0]
    < commit v3 [3.0] of b v1 x 1
    < b: ASSIGN v3 root v1 model [3.0]
    > a: UPDATE v2 base v2 clock 2 samples 10 steps 1 loss 0.5 gradient [1.0]
    < j4 sum of 1 x [1.0] onto [3.0] by sgd
    > j3 folded to [3.0], aggregate [-2.0]
    < root: UPDATE v1 base v1 root v1 clock 1 samples 20 steps 2 loss 0.5 delta [-2.0]
    > j4 folded to [2.0]
    < commit v4 [2.0] of a v2 x 1
    < a: ASSIGN v4 root v1 model [2.0]
    -- the parent's model comes during a fold, and is mixed in after it before the next one
    > b: UPDATE v3 base v3 clock 2 samples 10 steps 1 loss 0.5 gradient [1.0]
    < j5 sum of 1 x [1.0] onto [2.0] by sgd
    > root: ASSIGN v2 root v2 model [9.0]
    > a: UPDATE v4 base v4 clock 3 samples 10 steps 1 loss 0.5 gradient [1.0]
    > j5 folded to [1.0]
    < commit v5 [1.0] of b v3 x 1
    < b: ASSIGN v5 root v1 model [1.0]
    < j6 sum of 1 x [9.0], 1 x [1.0], -1 x [3.0]
    > j6 folded to [1.0], aggregate [7.0]
    < j7 sum of 1 x [1.0] onto [7.0] by sgd
    ");
}

/// The parent is lost during a push: the children, who wait for its answer, get its model when it is back.
#[test]
fn a_local_server_whose_parent_is_lost_and_back() {
    let plan = UplinkPlan { send: UpdateKind::Delta, ..PLAN };
    let mut talk = local(r#""async""#, true, plan);
    talk.start().hears("root", assign(1, 0, 5.0)).hears("a", update(1, 1, &[1.0])).ends(1).loses("root");
    talk.hears("b", update(1, 1, &[1.0]))
        .ends(2)
        .ends(3)
        .meets("root")
        .hears("root", assign(2, 1, 9.0))
        .ends(4);
    talk.hears("a", update(4, 2, &[1.0])).ends(5).ends(6);
    assert_snapshot!(talk.text(), @r"
    > start
    > root: ASSIGN v1 root v1 model [5.0]
    < a: ASSIGN v1 root v1 model [5.0]
    < b: ASSIGN v1 root v1 model [5.0]
    > a: UPDATE v1 base v1 clock 1 samples 10 steps 1 loss 0.5 gradient [1.0]
    < j1 sum of 1 x [1.0] onto [5.0] by sgd
    > j1 folded to [4.0]
    < j2 sum of 1 x [4.0], -1 x [5.0]
    < commit v2 [4.0] of a v1 x 1
    > root is lost
    > b: UPDATE v1 base v1 clock 1 samples 10 steps 1 loss 0.5 gradient [1.0]
    < j3 sum of 1 x [1.0] onto [4.0] by sgd
    > j2 folded to [4.0], aggregate [-1.0]
    > j3 folded to [3.0]
    < commit v3 [3.0] of b v1 x 1
    > root is there
    > root: ASSIGN v2 root v2 era 0.1 model [9.0]
    < j4 sum of 1 x [9.0], 1 x [3.0], -1 x [4.0]
    > j4 folded to [3.0], aggregate [8.0]
    < a: ASSIGN v4 root v2 model [8.0]
    < b: ASSIGN v4 root v2 model [8.0]
    > a: UPDATE v4 base v4 clock 2 samples 10 steps 1 loss 0.5 gradient [1.0]
    < j5 sum of 1 x [1.0] onto [8.0] by sgd
    > j5 folded to [7.0]
    < j6 sum of 1 x [7.0], -1 x [9.0]
    < commit v5 [7.0] of a v4 x 1
    > j6 folded to [7.0], aggregate [-2.0]
    < root: UPDATE v2 base v1 root v2 clock 1 era 0.1 samples 20 steps 2 loss 0.5 delta [-2.0]
    ");
}

/// A child that waits for the parent and is lost meanwhile gets nothing: it would be an answer to nobody.
#[test]
fn who_is_lost_behind_the_gate_gets_no_model() {
    let mut talk = local(r#""async""#, true, PLAN);
    talk.start().loses("a").hears("root", assign(1, 0, 5.0)).meets("a");
    assert_snapshot!(talk.text(), @r"
    > start
    > a is lost
    > root: ASSIGN v1 root v1 model [5.0]
    < b: ASSIGN v1 root v1 model [5.0]
    > a is there
    < a: ASSIGN v1 root v1 era 0.1 model [5.0]
    ");
}

/// A pull of a model goes through: the parent says that it is ready, and is asked for it.
#[test]
fn a_local_server_pulls_as_well() {
    let mut talk = local(r#""async""#, true, PLAN);
    talk.start().hears("root", Message::control(READY, Head { version: Version(1), ..Head::default() }));
    assert_snapshot!(talk.text(), @r"
    > start
    > root: READY v1
    < root: PULL v1
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
