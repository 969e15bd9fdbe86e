//! Peers in conversation with their neighbours, a section for each row of the table.

use super::*;
use crate::domain::Choice;
use crate::domain::Span;
use crate::node::transcript::{Names, Transcript};
use insta::assert_snapshot;

const NAMES: Names = &["left", "me", "right"];

/// A peer between two others.
fn peer(algorithm: &str, len: usize, change: impl FnOnce(&mut PeerSetup)) -> Transcript {
    let (table, choice) = (table(), Choice::from_value(&algorithm.into()).unwrap());
    let (row, choice) = table.resolve(&choice).unwrap();
    let mut setup = PeerSetup {
        neighbours: vec![(NodeId(0), 0.25), (NodeId(2), 0.25)],
        names: NAMES.iter().enumerate().map(|(i, name)| (NodeId(i as u32), (*name).to_owned())).collect(),
        position: 1,
        peers: 3,
        init: Params::new(vec![0.0; len]),
        steps: 1,
        rounds: Some(2),
        restarted: false,
    };
    change(&mut setup);
    let node = (row.build)(&choice, &crate::policy::optimizer::table()).unwrap().node(setup, None);
    Transcript::of(node, NAMES, "me")
}

/// A neighbour's model of this round.
fn model(round: u64, value: f32) -> Message {
    piece(Kind::new("model"), "model", round, Piece::default(), Params::new(vec![value]))
}

fn blank() -> Message {
    Message::control(Kind::new("blank"), Head::default())
}

fn chunk(round: u64, step: u64, chunk: u32, value: f32) -> Message {
    piece(Kind::new("chunk"), "chunk", round, Piece { step, chunk }, Params::new(vec![value]))
}

/// Each row has its conversations here.
#[test]
fn every_row_is_here() {
    assert_eq!(table().names(), ["ring_all_reduce", "d_psgd"]);
}

/// It mixes once it has its gradient and everybody's model of this round; a model of the next one waits.
#[test]
fn d_psgd_mixes_round_by_round() {
    let mut talk = peer("d_psgd(0.5)", 1, |_| ());
    talk.start()
        .hears("left", model(0, 4.0))
        .ends(1)
        .hears("left", model(1, 2.0))
        .hears("right", model(0, 8.0))
        .ends(2);
    talk.hears("right", model(1, 2.0)).ends(3).ends(4);
    assert_snapshot!(talk.text(), @r"
    > start
    < left: MODEL v0 model [0.0]
    < right: MODEL v0 model [0.0]
    < j1 train 1 steps from batch 0 on [0.0]
    > left: MODEL v0 model [4.0]
    > j1 trained [1.0] in 1 steps
    > left: MODEL v1 model [2.0]
    > right: MODEL v0 model [8.0]
    < j2 sum of 0.5 x [0.0], 0.25 x [4.0], 0.25 x [8.0], -0.5 x [1.0]
    > j2 folded to [0.0], aggregate [2.5]
    < commit v1 [2.5] of me v0 x 0.33333334, left v0 x 0.33333334, right v0 x 0.33333334
    < left: MODEL v1 model [2.5]
    < right: MODEL v1 model [2.5]
    < j3 train 1 steps from batch 1 on [2.5]
    > right: MODEL v1 model [2.0]
    > j3 trained [1.0] in 1 steps
    < j4 sum of 0.5 x [2.5], 0.25 x [2.0], 0.25 x [2.0], -0.5 x [1.0]
    > j4 folded to [2.5], aggregate [1.75]
    < commit v2 [1.75] of me v1 x 0.33333334, left v1 x 0.33333334, right v1 x 0.33333334
    < end after the configured rounds
    ");
}

/// The weight of a lost neighbour falls to oneself. Back, it is told where this peer is, and waited for from its first
/// message on.
#[test]
fn d_psgd_a_neighbour_is_lost_and_back() {
    let mut talk = peer("d_psgd(0.5)", 1, |_| ());
    talk.start().hears("left", model(0, 4.0)).ends(1).loses("right").ends(2).meets("right");
    talk.hears("left", model(1, 4.0)).hears("right", model(1, 2.0)).ends(3);
    assert_snapshot!(talk.text(), @r"
    > start
    < left: MODEL v0 model [0.0]
    < right: MODEL v0 model [0.0]
    < j1 train 1 steps from batch 0 on [0.0]
    > left: MODEL v0 model [4.0]
    > j1 trained [1.0] in 1 steps
    > right is lost
    < j2 sum of 0.75 x [0.0], 0.25 x [4.0], -0.5 x [1.0]
    > j2 folded to [0.0], aggregate [0.5]
    < commit v1 [0.5] of me v0 x 0.5, left v0 x 0.5
    < left: MODEL v1 model [0.5]
    < j3 train 1 steps from batch 1 on [0.5]
    > right is there
    < right: MODEL v1 model [0.5]
    > left: MODEL v1 model [4.0]
    > right: MODEL v1 model [2.0]
    > j3 trained [1.0] in 1 steps
    < j4 sum of 0.5 x [0.5], 0.25 x [4.0], 0.25 x [2.0], -0.5 x [1.0]
    ");
}

/// Started again it has no model: it asks, and takes the first that it hears, with its round.
#[test]
fn d_psgd_started_again() {
    let mut talk = peer("d_psgd(0.5)", 1, |setup| setup.restarted = true);
    talk.start().hears("right", blank()).hears("left", model(5, 4.0));
    assert_snapshot!(talk.text(), @r"
    > start
    < left: BLANK v0
    < right: BLANK v0
    > right: BLANK v0
    < timer 1 in 60 s
    > left: MODEL v5 model [4.0]
    < left: MODEL v5 model [4.0]
    < right: MODEL v5 model [4.0]
    < j1 train 1 steps from batch 0 on [4.0]
    ");
}

/// A neighbour without a model is given one, once, and is not waited for until it has made a round of it.
#[test]
fn d_psgd_a_neighbour_was_started_again() {
    let mut talk = peer("d_psgd(0.5)", 1, |_| ());
    talk.start().hears("right", blank()).hears("right", blank()).hears("left", model(0, 4.0)).ends(1);
    assert_snapshot!(talk.text(), @r"
    > start
    < left: MODEL v0 model [0.0]
    < right: MODEL v0 model [0.0]
    < j1 train 1 steps from batch 0 on [0.0]
    > right: BLANK v0
    < right: MODEL v0 model [0.0]
    > right: BLANK v0
    > left: MODEL v0 model [4.0]
    > j1 trained [1.0] in 1 steps
    < j2 sum of 0.75 x [0.0], 0.25 x [4.0], -0.5 x [1.0]
    ");
}

/// If nobody has a model who is there, those who are lost are waited for, but not for ever.
#[test]
fn d_psgd_all_were_started_again() {
    let mut talk = peer("d_psgd(0.5)", 1, |setup| setup.restarted = true);
    talk.start().hears("left", blank()).hears("right", blank()).waits(Span::from_millis(60_000), 1);
    assert_snapshot!(talk.text(), @r"
    > start
    < left: BLANK v0
    < right: BLANK v0
    > left: BLANK v0
    < timer 1 in 60 s
    > right: BLANK v0
    < timer 1 in 60 s
    > timer 1
    < end early: all peers that are there were started again, and none has a model: start the run anew
    ");
}

#[test]
fn d_psgd_a_model_of_another_length() {
    let mut talk = peer("d_psgd(0.5)", 2, |_| ());
    talk.start().hears("left", model(0, 1.0));
    assert_snapshot!(talk.text(), @r"
    > start
    < left: MODEL v0 model [0.0, 0.0]
    < right: MODEL v0 model [0.0, 0.0]
    < j1 train 1 steps from batch 0 on [0.0, 0.0]
    > left: MODEL v0 model [1.0]
    < end early: left sent a model of 1 values, expected 2: it runs another version of hcddl, or is broken
    ");
}

/// Three chunks go round twice: added up in the first half of the steps, handed on in the second.
#[test]
fn ring_all_reduce_goes_round() {
    let mut talk = peer("ring_all_reduce", 3, |setup| setup.rounds = Some(1));
    talk.start()
        .hears("left", chunk(0, 0, 0, 10.0))
        .ends(1)
        .ends(2)
        .hears("left", chunk(0, 1, 2, 20.0))
        .ends(3);
    talk.hears("left", chunk(0, 2, 1, 30.0)).hears("left", chunk(0, 3, 0, 40.0)).ends(4);
    assert_snapshot!(talk.text(), @r"
    > start
    < j1 train 1 steps from batch 0 on [0.0, 0.0, 0.0]
    > left: CHUNK v0 step 0 chunk 0 chunk [10.0]
    > j1 trained [1.0, 1.0, 1.0] in 1 steps
    < right: CHUNK v0 step 0 chunk 1 chunk [1.0]
    < j2 sum of 1 x [10.0], 1 x [1.0]
    > j2 folded to [0.0, 0.0, 0.0], aggregate [11.0]
    < right: CHUNK v0 step 1 chunk 0 chunk [11.0]
    > left: CHUNK v0 step 1 chunk 2 chunk [20.0]
    < j3 sum of 1 x [20.0], 1 x [1.0]
    > j3 folded to [0.0, 0.0, 0.0], aggregate [21.0]
    < right: CHUNK v0 step 2 chunk 2 chunk [21.0]
    > left: CHUNK v0 step 2 chunk 1 chunk [30.0]
    < right: CHUNK v0 step 3 chunk 1 chunk [30.0]
    > left: CHUNK v0 step 3 chunk 0 chunk [40.0]
    < j4 sum of 0.33333334 x [40.0, 30.0, 21.0] onto [0.0, 0.0, 0.0] by sgd
    > j4 folded to [-1.3333334, -1.0, -0.7]
    < commit v1 [-1.3333334, -1.0, -0.7] of me v0 x 0.5, left v0 x 0.5
    < end after the configured rounds
    ");
}

/// A ring cannot go on without one of it, nor take one back.
#[test]
fn ring_all_reduce_ends_with_a_loss() {
    let mut talk = peer("ring_all_reduce", 3, |_| ());
    talk.start().loses("right");
    assert_snapshot!(talk.text(), @r"
    > start
    < j1 train 1 steps from batch 0 on [0.0, 0.0, 0.0]
    > right is lost
    < end early: right of the ring is lost, and ring all-reduce cannot go on without it; d_psgd and servers can
    ");
    let mut talk = peer("ring_all_reduce", 3, |setup| setup.restarted = true);
    talk.start();
    assert_snapshot!(talk.text(), @r"
    > start
    < end early: a peer of a ring all-reduce was restarted: its gradient sum is lost and a ring cannot take it back
    ");
}

#[test]
fn ring_all_reduce_a_chunk_that_is_not_due() {
    let mut talk = peer("ring_all_reduce", 3, |_| ());
    talk.start().hears("left", chunk(2, 0, 0, 1.0));
    assert_snapshot!(talk.text(), @r"
    > start
    < j1 train 1 steps from batch 0 on [0.0, 0.0, 0.0]
    > left: CHUNK v2 step 0 chunk 0 chunk [1.0]
    < end early: left sent 1 values of round 2, step 0, expected 1 of round 0 or the next: it runs another version of hcddl, or is broken
    ");
}
