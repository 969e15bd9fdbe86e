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
    assert_snapshot!(talk.text(), @"");
}

/// Only the newest of the models that come during a job is trained on next: the older ones would be stale.
#[test]
fn the_newest_assignment_waits() {
    let mut talk = worker(|_| ());
    talk.hears("root", assign(1, 0, 1.0))
        .hears("root", assign(2, 0, 2.0))
        .hears("root", assign(3, 0, 3.0))
        .ends(1);
    assert_snapshot!(talk.text(), @"");
}

/// A cancellation may come after newer work, which it does not mean.
#[test]
fn it_is_cancelled() {
    let cancel = |version| Message::control(CANCEL, head(version, 0));
    let mut talk = worker(|_| ());
    talk.hears("root", assign(1, 0, 1.0)).hears("root", cancel(1)).note("idle").hears("root", cancel(1));
    talk.hears("root", assign(2, 0, 2.0)).hears("root", cancel(1)).note("the new one goes on");
    talk.hears("root", assign(3, 0, 3.0)).hears("root", cancel(2)).note("the next one is begun");
    assert_snapshot!(talk.text(), @"");
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
    assert_snapshot!(talk.text(), @"");
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
    assert_snapshot!(talk.text(), @"");
}

/// Nothing came of the job: nothing is coded, so what the codec holds back stays for a real update.
#[test]
fn a_void_update_is_sent_plain() {
    let mut talk = worker(|config| config.codec_up = Some(0));
    let tensor = Params::new(vec![0.0]);
    let (opt, steps, samples, loss, forward_passes, skipped) = (None, 2, 0, f32::NAN, 20, Some(1));
    let void = Outcome::Trained(Trained { tensor, opt, steps, samples, loss, forward_passes, skipped });
    talk.hears("root", assign(1, 0, 1.0)).ends_with(1, void);
    assert_snapshot!(talk.text(), @"");
}

#[test]
fn it_pulls() {
    let mut talk = worker(|_| ());
    talk.hears("root", Message::control(READY, head(1, 0))).hears("root", assign(1, 0, 1.0));
    assert_snapshot!(talk.text(), @"");
}
