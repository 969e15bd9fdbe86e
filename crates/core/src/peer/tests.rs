//! Peers in conversation with their neighbours, a section for each row of the table.

use super::*;
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
    assert_snapshot!(talk.text(), @"");
}

/// The weight of a lost neighbour falls to oneself. Back, it is told where this peer is, and waited for from its first
/// message on.
#[test]
fn d_psgd_a_neighbour_is_lost_and_back() {
    let mut talk = peer("d_psgd(0.5)", 1, |_| ());
    talk.start().hears("left", model(0, 4.0)).ends(1).loses("right").ends(2).meets("right");
    talk.hears("left", model(1, 4.0)).hears("right", model(1, 2.0)).ends(3);
    assert_snapshot!(talk.text(), @"");
}

/// Started again it has no model: it asks, and takes the first that it hears, with its round.
#[test]
fn d_psgd_started_again() {
    let mut talk = peer("d_psgd(0.5)", 1, |setup| setup.restarted = true);
    talk.start().hears("right", blank()).hears("left", model(5, 4.0));
    assert_snapshot!(talk.text(), @"");
}

/// A neighbour without a model is given one, once, and is not waited for until it has made a round of it.
#[test]
fn d_psgd_a_neighbour_was_started_again() {
    let mut talk = peer("d_psgd(0.5)", 1, |_| ());
    talk.start().hears("right", blank()).hears("right", blank()).hears("left", model(0, 4.0)).ends(1);
    assert_snapshot!(talk.text(), @"");
}

/// If nobody has a model who is there, those who are lost are waited for, but not for ever.
#[test]
fn d_psgd_all_were_started_again() {
    let mut talk = peer("d_psgd(0.5)", 1, |setup| setup.restarted = true);
    talk.start().hears("left", blank()).hears("right", blank()).waits(Span::from_millis(60_000), 1);
    assert_snapshot!(talk.text(), @"");
}

#[test]
fn d_psgd_a_model_of_another_length() {
    let mut talk = peer("d_psgd(0.5)", 2, |_| ());
    talk.start().hears("left", model(0, 1.0));
    assert_snapshot!(talk.text(), @"");
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
    assert_snapshot!(talk.text(), @"");
}

/// A ring cannot go on without one of it, nor take one back.
#[test]
fn ring_all_reduce_ends_with_a_loss() {
    let mut talk = peer("ring_all_reduce", 3, |_| ());
    talk.start().loses("right");
    assert_snapshot!(talk.text(), @"");
    let mut talk = peer("ring_all_reduce", 3, |setup| setup.restarted = true);
    talk.start();
    assert_snapshot!(talk.text(), @"");
}

#[test]
fn ring_all_reduce_a_chunk_that_is_not_due() {
    let mut talk = peer("ring_all_reduce", 3, |_| ());
    talk.start().hears("left", chunk(2, 0, 0, 1.0));
    assert_snapshot!(talk.text(), @"");
}
