//! Workers in conversation with their server.

use super::*;
use crate::domain::Era;
use crate::node::transcript::{Names, Transcript, coded};
use insta::assert_snapshot;

const NAMES: Names = &["root", "worker"];

fn worker(change: impl FnOnce(&mut WorkerConfig)) -> Transcript {
    let mut config = WorkerConfig {
        parent: NodeId(0),
        update: UpdateKind::Gradient,
        steps: 2,
        first_batch: 0,
        codec_up: None,
        codec_down: None,
    };
    change(&mut config);
    Transcript::of(Box::new(Worker::new(config, None)), NAMES, "worker")
}

fn head(version: u64, steps: u64) -> Head {
    let detail = Progress { clock: 0, era: Era::new(0, 1) }.into();
    Head { version: Version(version), root: Version(version), steps, detail, ..Head::default() }
}

fn assign(version: u64, steps: u64, value: f32) -> Message {
    Message::with(ASSIGN, head(version, steps), "model", Data::Dense(Params::new(vec![value])))
}

/// It does as many steps as it is asked for, or as usual, and says of which era the model was.
#[test]
fn it_trains_and_answers() {
    let mut talk = worker(|_| ());
    talk.start().hears("root", assign(3, 0, 1.0)).ends(1).hears("root", assign(4, 5, 2.0)).ends(2);
    assert_snapshot!(talk.text(), @r"
    > start
    > root: ASSIGN v3 root v3 era 0.1 model [1.0]
    < j1 train 2 steps from batch 0 on [1.0]
    > j1 trained [1.0] in 2 steps
    < root: UPDATE v3 base v3 root v3 clock 1 era 0.1 samples 20 steps 2 loss 0.5 gradient [1.0]
    > root: ASSIGN v4 root v4 era 0.1 steps 5 model [2.0]
    < j2 train 5 steps from batch 2 on [2.0]
    > j2 trained [1.0] in 5 steps
    < root: UPDATE v4 base v4 root v4 clock 2 era 0.1 samples 50 steps 5 loss 0.5 gradient [1.0]
    ");
}

/// Only the newest of the models that come during a job is trained on next: the older ones would be stale.
#[test]
fn the_newest_assignment_waits() {
    let mut talk = worker(|_| ());
    talk.hears("root", assign(1, 0, 1.0))
        .hears("root", assign(2, 0, 2.0))
        .hears("root", assign(3, 0, 3.0))
        .ends(1);
    assert_snapshot!(talk.text(), @r"
    > root: ASSIGN v1 root v1 era 0.1 model [1.0]
    < j1 train 2 steps from batch 0 on [1.0]
    > root: ASSIGN v2 root v2 era 0.1 model [2.0]
    > root: ASSIGN v3 root v3 era 0.1 model [3.0]
    > j1 trained [1.0] in 2 steps
    < root: UPDATE v1 base v1 root v1 clock 1 era 0.1 samples 20 steps 2 loss 0.5 gradient [1.0]
    < j2 train 2 steps from batch 2 on [3.0]
    ");
}

/// A cancellation may come after newer work, which it does not mean.
#[test]
fn it_is_cancelled() {
    let cancel = |version| Message::control(CANCEL, head(version, 0));
    let mut talk = worker(|_| ());
    talk.hears("root", assign(1, 0, 1.0)).hears("root", cancel(1)).note("idle").hears("root", cancel(1));
    talk.hears("root", assign(2, 0, 2.0)).hears("root", cancel(1)).note("the new one goes on");
    talk.hears("root", assign(3, 0, 3.0)).hears("root", cancel(2)).note("the next one is begun");
    assert_snapshot!(talk.text(), @r"
    > root: ASSIGN v1 root v1 era 0.1 model [1.0]
    < j1 train 2 steps from batch 0 on [1.0]
    > root: CANCEL v1 root v1 era 0.1
    < cancel j1
    -- idle
    > root: CANCEL v1 root v1 era 0.1
    > root: ASSIGN v2 root v2 era 0.1 model [2.0]
    < j2 train 2 steps from batch 0 on [2.0]
    > root: CANCEL v1 root v1 era 0.1
    -- the new one goes on
    > root: ASSIGN v3 root v3 era 0.1 model [3.0]
    > root: CANCEL v2 root v2 era 0.1
    < cancel j2
    < j3 train 2 steps from batch 0 on [3.0]
    -- the next one is begun
    ");
}

/// A job of before the loss is given up, and its result, if it comes all the same, is nobody's.
#[test]
fn its_server_is_lost() {
    let mut talk = worker(|_| ());
    talk.hears("root", assign(1, 0, 1.0))
        .loses("root")
        .ends(1)
        .meets("root")
        .hears("root", assign(1, 0, 1.0))
        .ends(2);
    assert_snapshot!(talk.text(), @r"
    > root: ASSIGN v1 root v1 era 0.1 model [1.0]
    < j1 train 2 steps from batch 0 on [1.0]
    > root is lost
    < cancel j1
    > j1 trained [1.0] in 2 steps
    > root is there
    > root: ASSIGN v1 root v1 era 0.1 model [1.0]
    < j2 train 2 steps from batch 0 on [1.0]
    > j2 trained [1.0] in 2 steps
    < root: UPDATE v1 base v1 root v1 clock 1 era 0.1 samples 20 steps 2 loss 0.5 gradient [1.0]
    ");
}

/// What the codec leaves over goes out with the next update, also if one in between was given up.
#[test]
fn coded_both_ways() {
    let mut talk = worker(|config| (config.codec_up, config.codec_down) = (Some(0), Some(0)));
    let assign = |version| Message::with(ASSIGN, head(version, 1), "model", coded(&[1.0]));
    let half = |value: f32| {
        let tensor = Params::new(vec![value]);
        let (opt, steps, samples, loss, forward_passes, skipped) = (None, 1, 10, 0.5, 10, None);
        Outcome::Trained(Trained { tensor, opt, steps, samples, loss, forward_passes, skipped })
    };
    talk.hears("root", assign(1)).ends(1).ends_with(2, half(1.5)).ends(3);
    talk.hears("root", assign(2)).ends(4).ends_with(5, half(0.25)).loses("root").ends(6);
    talk.hears("root", assign(3)).ends(7).ends_with(8, half(0.75)).ends(9);
    assert_snapshot!(talk.text(), @r"
    > root: ASSIGN v1 root v1 era 0.1 steps 1 model ~[1.0]
    < j1 decode ~[1.0]
    > j1 decoded [1.0]
    < j2 train 1 steps from batch 0 on [1.0]
    > j2 trained [1.5] in 1 steps
    < j3 code [1.5]
    > j3 coded ~[1.0], left Some([0.5])
    < root: UPDATE v1 base v1 root v1 clock 1 era 0.1 samples 10 steps 1 loss 0.5 gradient ~[1.0]
    > root: ASSIGN v2 root v2 era 0.1 steps 1 model ~[1.0]
    < j4 decode ~[1.0]
    > j4 decoded [1.0]
    < j5 train 1 steps from batch 1 on [1.0]
    > j5 trained [0.25] in 1 steps
    < j6 code [0.25] and [0.5]
    > root is lost
    < cancel j6
    > j6 coded ~[0.0], left Some([0.75])
    > root: ASSIGN v3 root v3 era 0.1 steps 1 model ~[1.0]
    < j7 decode ~[1.0]
    > j7 decoded [1.0]
    < j8 train 1 steps from batch 2 on [1.0]
    > j8 trained [0.75] in 1 steps
    < j9 code [0.75] and [0.5]
    > j9 coded ~[1.0], left Some([0.25])
    < root: UPDATE v3 base v3 root v3 clock 3 era 0.1 samples 10 steps 1 loss 0.5 gradient ~[1.0]
    ");
}

/// Nothing came of the job: nothing is coded, so what the codec holds back stays for a real update.
#[test]
fn a_void_update_is_sent_plain() {
    let mut talk = worker(|config| config.codec_up = Some(0));
    let tensor = Params::new(vec![0.0]);
    let (opt, steps, samples, loss, forward_passes, skipped) = (None, 2, 0, f32::NAN, 20, Some(1));
    let void = Outcome::Trained(Trained { tensor, opt, steps, samples, loss, forward_passes, skipped });
    talk.hears("root", assign(1, 0, 1.0)).ends_with(1, void);
    assert_snapshot!(talk.text(), @r"
    > root: ASSIGN v1 root v1 era 0.1 model [1.0]
    < j1 train 2 steps from batch 0 on [1.0]
    > j1 trained [0.0] in 2 steps
    < root: UPDATE v1 base v1 root v1 clock 1 era 0.1 gradient [0.0]
    ");
}

#[test]
fn it_pulls() {
    let mut talk = worker(|_| ());
    talk.hears("root", Message::control(READY, head(1, 0))).hears("root", assign(1, 0, 1.0));
    assert_snapshot!(talk.text(), @r"
    > root: READY v1 root v1 era 0.1
    < root: PULL v1 root v1 era 0.1
    > root: ASSIGN v1 root v1 era 0.1 model [1.0]
    < j1 train 2 steps from batch 0 on [1.0]
    ");
}
