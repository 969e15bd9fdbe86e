//! The way down.

use super::*;
use insta::assert_snapshot;

#[test]
fn its_model_is_pushed_and_the_parents_mixed_in() {
    let plan = UplinkPlan { send: UpdateKind::Model, wait: false, adopt_permille: 250, ..PLAN };
    let mut talk = Talk::with(plan);
    talk.hears(assign(1, 0, dense(8.0))).commits(10.0, None).hears(assign(2, 0, dense(20.0)));
    assert!(talk.uplink.is_mixing(), "no fold may start");
    talk.ends(1);
    assert!(!talk.uplink.is_mixing());
    assert_snapshot!(talk.text, @r"
    > root: ASSIGN v1 root v1 model [8.0]
    = adopt [8.0]
    > commit [10.0]
    < root: UPDATE v1 base v1 root v1 clock 7 samples 20 steps 1 loss 0.5 model [10.0]
    > root: ASSIGN v2 root v2 model [20.0]
    < j1 sum of 0.75 x [10.0], 0.25 x [20.0]
    > j1 folded to [10.0], aggregate [12.5]
    = adopt [12.5]
    ");
}

/// A parent that is lost while its model is being mixed in: the model is its old one, and no fold waits for it.
#[test]
fn a_model_of_a_lost_parent_is_not_adopted() {
    let mut talk = Talk::with(UplinkPlan { wait: false, adopt_permille: 500, ..PLAN });
    talk.hears(assign(1, 0, dense(10.0))).hears(assign(2, 0, dense(12.0))).loses();
    assert!(!talk.uplink.is_mixing());
    talk.ends(1);
    assert_snapshot!(talk.text, @r"
    > root: ASSIGN v1 root v1 model [10.0]
    = adopt [10.0]
    > root: ASSIGN v2 root v2 model [12.0]
    < j1 sum of 0.5 x [10.0], 0.5 x [12.0]
    > root is lost
    > j1 folded to [10.0], aggregate [11.0]
    ");
}

/// A model that comes during a fold would be undone by it: it waits. Of two that come the newer one is taken, also if
/// it is still being decoded when the fold ends.
#[test]
fn a_model_waits_for_the_end_of_a_fold() {
    let config = UplinkConfig { codec_down: Some(0), ..config(UplinkPlan { wait: false, ..PLAN }) };
    let mut talk = Talk::new(config, UpdateKind::Delta);
    talk.folds(true).hears(assign(1, 0, coded(&[1.0]))).ends(1).folds(false);
    talk.folds(true).hears(assign(2, 0, coded(&[2.0]))).ends(2).hears(assign(3, 0, coded(&[3.0])));
    talk.folds(false).ends(3);
    assert_snapshot!(talk.text, @r"
    > a fold starts
    > root: ASSIGN v1 root v1 model ~[1.0]
    < j1 decode ~[1.0]
    > j1 decoded [1.0]
    > the fold is over
    = adopt [1.0]
    > a fold starts
    > root: ASSIGN v2 root v2 model ~[2.0]
    < j2 decode ~[2.0]
    > j2 decoded [2.0]
    > root: ASSIGN v3 root v3 model ~[3.0]
    < j3 decode ~[3.0]
    > the fold is over
    > j3 decoded [3.0]
    = adopt [3.0]
    ");
}

#[test]
fn with_pulls_it_asks_for_the_model() {
    let mut talk = Talk::with(PLAN);
    let head = Head { version: Version(3), ..Head::default() };
    talk.hears(Message::control(READY, head)).hears(assign(3, 0, dense(1.0)));
    assert_snapshot!(talk.text, @r"
    > root: READY v3
    < root: PULL v3
    > root: ASSIGN v3 root v3 model [1.0]
    = adopt [1.0]
    ");
}

#[test]
fn a_model_of_another_length_or_none_ends_the_run() {
    let mut talk = Talk::with(PLAN);
    talk.hears(assign(1, 0, Data::Dense(Params::new(vec![1.0, 2.0]))));
    talk.hears(Message::control(ASSIGN, Head::default()));
    talk.hears(assign(2, 0, coded(&[1.0])));
    assert_snapshot!(talk.text, @r"
    > root: ASSIGN v1 root v1 model [1.0, 2.0]
    = end early: the parent sent a model of 2 values, expected 1
    > root: ASSIGN v0
    = end early: the parent sent a model of 0 values, expected 1
    > root: ASSIGN v2 root v2 model ~[1.0]
    = end early: the parent sent a model of 0 values, expected 1
    ");
}
