//! The way up.

use super::*;
use insta::assert_snapshot;

/// The children wait for the parent's first model, and then for its answer to each push. What is pushed is the way from
/// the milestone; what is adopted is the next one.
#[test]
fn every_commit_is_pushed_and_the_children_wait() {
    let mut talk = Talk::with(PLAN);
    talk.gives("a").gives("b").hears(assign(1, 0, dense(10.0))).gives("a");
    talk.commits(12.0, None).gives("a").ends(1).hears(assign(2, 0, dense(11.0)));
    assert_snapshot!(talk.text, @r"
    > a is to have the model: it waits
    > b is to have the model: it waits
    > root: ASSIGN v1 root v1 model [10.0]
    = adopt [10.0] a b
    > a is to have the model: it gets it
    > commit [12.0]
    < j1 sum of 1 x [12.0], -1 x [10.0]
    > a is to have the model: it waits
    > j1 folded to [12.0], aggregate [2.0]
    < root: UPDATE v1 base v1 root v1 clock 7 samples 20 steps 1 loss 0.5 delta [2.0]
    > root: ASSIGN v2 root v2 model [11.0]
    = adopt [11.0] a
    ");
}

/// While the window is full commits go on and are pushed together, once there is an answer; the part that the answer
/// does not have yet is carried over to it.
#[test]
fn a_full_window_merges_and_what_is_not_pushed_is_carried_over() {
    let mut talk = Talk::with(UplinkPlan { wait: false, ..PLAN });
    talk.hears(assign(1, 0, dense(10.0))).commits(12.0, None).ends(1).gives("a");
    talk.commits(13.0, None).commits(14.0, None).hears(assign(2, 0, dense(20.0))).ends(2);
    talk.commits(24.0, None).ends(3);
    assert_snapshot!(talk.text, @r"
    > root: ASSIGN v1 root v1 model [10.0]
    = adopt [10.0]
    > commit [12.0]
    < j1 sum of 1 x [12.0], -1 x [10.0]
    > j1 folded to [12.0], aggregate [2.0]
    < root: UPDATE v1 base v1 root v1 clock 7 samples 20 steps 1 loss 0.5 delta [2.0]
    > a is to have the model: it gets it
    > commit [13.0]
    > commit [14.0]
    > root: ASSIGN v2 root v2 model [20.0]
    < j2 sum of 1 x [20.0], 1 x [14.0], -1 x [12.0]
    > j2 folded to [14.0], aggregate [22.0]
    = adopt [22.0]
    > commit [24.0]
    < j3 sum of 1 x [24.0], -1 x [20.0]
    > j3 folded to [24.0], aggregate [4.0]
    < root: UPDATE v2 base v1 root v2 clock 7 samples 60 steps 3 loss 0.5 delta [4.0]
    ");
}

/// A window of two, and a push that has to wait for the one before to be ready.
#[test]
fn pushes_are_made_one_after_the_other() {
    let mut talk = Talk::with(UplinkPlan { wait: false, window: 2, ..PLAN });
    talk.hears(assign(1, 0, dense(0.0))).commits(1.0, None).commits(3.0, None).ends(1).ends(2);
    assert_snapshot!(talk.text, @r"
    > root: ASSIGN v1 root v1 model [0.0]
    = adopt [0.0]
    > commit [1.0]
    < j1 sum of 1 x [1.0], -1 x [0.0]
    > commit [3.0]
    > j1 folded to [1.0], aggregate [1.0]
    < root: UPDATE v1 base v1 root v1 clock 7 samples 20 steps 1 loss 0.5 delta [1.0]
    < j2 sum of 1 x [3.0], -1 x [1.0]
    > j2 folded to [3.0], aggregate [2.0]
    < root: UPDATE v1 base v1 root v1 clock 7 samples 20 steps 1 loss 0.5 delta [2.0]
    ");
}

#[test]
fn every_second_commit() {
    let mut talk = Talk::with(UplinkPlan { push: Push::Every(2), ..PLAN });
    talk.hears(assign(1, 0, dense(0.0))).commits(1.0, None).gives("a").commits(2.0, None).gives("a").ends(1);
    assert_snapshot!(talk.text, @r"
    > root: ASSIGN v1 root v1 model [0.0]
    = adopt [0.0]
    > commit [1.0]
    > a is to have the model: it gets it
    > commit [2.0]
    < j1 sum of 1 x [2.0], -1 x [0.0]
    > a is to have the model: it waits
    > j1 folded to [2.0], aggregate [2.0]
    < root: UPDATE v1 base v1 root v1 clock 7 samples 40 steps 2 loss 0.5 delta [2.0]
    ");
}

/// It answers each model of the parent once: with the next commit, or at once if there is one already.
#[test]
fn on_request() {
    let mut talk = Talk::with(UplinkPlan { push: Push::OnRequest, wait: false, ..PLAN });
    talk.hears(assign(1, 0, dense(10.0))).commits(11.0, None).ends(1);
    talk.commits(12.0, None).commits(13.0, None).hears(assign(2, 0, dense(20.0))).ends(2).ends(3);
    assert_snapshot!(talk.text, @r"
    > root: ASSIGN v1 root v1 model [10.0]
    = adopt [10.0]
    > commit [11.0]
    < j1 sum of 1 x [11.0], -1 x [10.0]
    > j1 folded to [11.0], aggregate [1.0]
    < root: UPDATE v1 base v1 root v1 clock 7 samples 20 steps 1 loss 0.5 delta [1.0]
    > commit [12.0]
    > commit [13.0]
    > root: ASSIGN v2 root v2 model [20.0]
    < j2 sum of 1 x [20.0], 1 x [13.0], -1 x [11.0]
    > j2 folded to [13.0], aggregate [22.0]
    = adopt [22.0]
    < j3 sum of 1 x [22.0], -1 x [20.0]
    > j3 folded to [22.0], aggregate [2.0]
    < root: UPDATE v2 base v1 root v2 clock 7 samples 40 steps 2 loss 0.5 delta [2.0]
    ");
}

/// Aggregates are sent on as their mean over updates; of many that wait for an answer the older ones are merged, and
/// the push waits for that.
#[test]
fn aggregates_are_forwarded_and_merged_while_they_wait() {
    let plan = UplinkPlan { send: UpdateKind::Gradient, wait: false, ..PLAN };
    let mut talk = Talk::new(UplinkConfig { own_model: false, ..config(plan) }, UpdateKind::Gradient);
    talk.hears(assign(1, 0, dense(0.0))).commits(0.0, Some(1.0));
    for value in 1..=8 {
        talk.commits(0.0, Some(value as f32));
    }
    talk.hears(assign(2, 0, dense(1.0))).commits(1.0, Some(9.0)).ends(1).ends(2);
    assert_snapshot!(talk.text, @r"
    > root: ASSIGN v1 root v1 model [0.0]
    = adopt [0.0]
    > commit [0.0], aggregate [1.0]
    < root: UPDATE v1 base v1 root v1 clock 7 samples 20 steps 1 loss 0.5 gradient [1.0]
    > commit [0.0], aggregate [1.0]
    > commit [0.0], aggregate [2.0]
    > commit [0.0], aggregate [3.0]
    > commit [0.0], aggregate [4.0]
    > commit [0.0], aggregate [5.0]
    > commit [0.0], aggregate [6.0]
    > commit [0.0], aggregate [7.0]
    > commit [0.0], aggregate [8.0]
    < j1 mean of 1 x [1.0], 1 x [2.0], 1 x [3.0], 1 x [4.0], 1 x [5.0], 1 x [6.0], 1 x [7.0], 1 x [8.0]
    > root: ASSIGN v2 root v2 model [1.0]
    = adopt [1.0]
    > commit [1.0], aggregate [9.0]
    > j1 folded to [0.0], aggregate [4.5]
    < j2 mean of 1.7777778 x [4.5], 0.22222222 x [9.0]
    > j2 folded to [1.0], aggregate [5.0]
    < root: UPDATE v2 base v1 root v2 clock 7 samples 180 steps 9 loss 0.5 gradient [5.0]
    ");
}

/// What the codec holds back goes out with the next push, also when a push was given up with the parent.
#[test]
fn coded_both_ways() {
    let config = UplinkConfig { codec_up: Some(0), codec_down: Some(1), ..config(PLAN) };
    let mut talk = Talk::new(config, UpdateKind::Delta);
    talk.hears(assign(1, 0, coded(&[1.0]))).ends(1).commits(2.75, None).ends(2).ends(3);
    talk.hears(assign(2, 0, coded(&[2.0]))).ends(4).commits(3.5, None).ends(5);
    talk.loses().hears(assign(3, 1, coded(&[3.0]))).ends(6).ends(7).commits(4.0, None).ends(8).ends(9);
    assert_snapshot!(talk.text, @r"
    > root: ASSIGN v1 root v1 model ~[1.0]
    < j1 decode ~[1.0]
    > j1 decoded [1.0]
    = adopt [1.0]
    > commit [2.75]
    < j2 sum of 1 x [2.75], -1 x [1.0]
    > j2 folded to [2.75], aggregate [1.75]
    < j3 code [1.75]
    > j3 coded ~[1.0], left Some([0.75])
    < root: UPDATE v1 base v1 root v1 clock 7 samples 20 steps 1 loss 0.5 delta ~[1.0]
    > root: ASSIGN v2 root v2 model ~[2.0]
    < j4 decode ~[2.0]
    > j4 decoded [2.0]
    = adopt [2.0]
    > commit [3.5]
    < j5 sum of 1 x [3.5], -1 x [2.0]
    > j5 folded to [3.5], aggregate [1.5]
    < j6 code [1.5] and [0.75]
    > root is lost
    > root: ASSIGN v3 root v3 era 0.1 model ~[3.0]
    < j7 decode ~[3.0]
    > j6 coded ~[2.0], left Some([0.25])
    > j7 decoded [3.0]
    = adopt [3.0]
    > commit [4.0]
    < j8 sum of 1 x [4.0], -1 x [3.0]
    > j8 folded to [4.0], aggregate [1.0]
    < j9 code [1.0] and [0.75]
    > j9 coded ~[1.0], left Some([0.75])
    < root: UPDATE v3 base v3 root v3 clock 7 era 0.1 samples 20 steps 1 loss 0.5 delta ~[1.0]
    ");
}

/// Until the parent, back, has sent a model it takes no push; what was under way between them comes to nothing, and
/// what was committed meanwhile goes out in the new era.
#[test]
fn the_parent_is_lost_and_back() {
    let mut talk = Talk::with(PLAN);
    talk.hears(assign(1, 0, dense(10.0))).commits(12.0, None).gives("a").loses();
    talk.ends(1).commits(13.0, None).hears(assign(5, 1, dense(20.0))).ends(2).commits(22.0, None).ends(3);
    assert_snapshot!(talk.text, @r"
    > root: ASSIGN v1 root v1 model [10.0]
    = adopt [10.0]
    > commit [12.0]
    < j1 sum of 1 x [12.0], -1 x [10.0]
    > a is to have the model: it waits
    > root is lost
    > j1 folded to [12.0], aggregate [2.0]
    > commit [13.0]
    > root: ASSIGN v5 root v5 era 0.1 model [20.0]
    < j2 sum of 1 x [20.0], 1 x [13.0], -1 x [12.0]
    > j2 folded to [13.0], aggregate [21.0]
    = adopt [21.0] a
    > commit [22.0]
    < j3 sum of 1 x [22.0], -1 x [20.0]
    > j3 folded to [22.0], aggregate [2.0]
    < root: UPDATE v5 base v1 root v5 clock 7 era 0.1 samples 40 steps 2 loss 0.5 delta [2.0]
    ");
}
