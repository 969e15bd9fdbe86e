//! Local servers in conversation with their children and their parent.

use super::*;
use crate::node::kinds::{ASSIGN, READY};
use crate::node::uplink::{Push, UplinkPlan};

/// A local server with two children.
const MIDDLE: Names = &["root", "local", "a", "b"];

/// A local server, whose uplink pushes gradients on as they are if `own_model` is not set.
fn local(policy: &str, own_model: bool, plan: UplinkPlan) -> Transcript {
    let table = fold::table();
    let combine = (table.get("mean").unwrap().build)(&Choice::named("mean"), &()).unwrap();
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

/// A model of the parent.
fn assign(version: u64, losses: u32, value: f32) -> Message {
    let detail = Progress { clock: 0, era: Era::new(0, losses) }.into();
    let head = Head { version: Version(version), root: Version(version), detail, ..Head::default() };
    Message::with(ASSIGN, head, "model", Data::Dense(Params::new(vec![value])))
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
