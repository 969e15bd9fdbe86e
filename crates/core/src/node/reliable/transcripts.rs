//! Reliable delivery in conversation: numbers (life, losses, position), acknowledgements, what is sent again.

use super::*;
use crate::domain::{Data, Params, Version};
use crate::node::kinds::ASSIGN;
use crate::node::transcript::{Names, Transcript};
use crate::node::work::UpdateKind;
use crate::node::worker::{Worker, WorkerConfig};
use insta::assert_snapshot;

const NAMES: Names = &["root", "worker"];

/// A worker with reliable delivery, in this life.
fn worker(resend_after: Option<Span>, life: u32) -> Transcript {
    let (parent, update) = (NodeId(0), UpdateKind::Gradient);
    let config = WorkerConfig { parent, update, steps: 1, first_batch: 0, codec_up: None, codec_down: None };
    let inner = Box::new(Worker::new(config, None));
    Transcript::of(Box::new(Reliable::new(inner, resend_after, life, None)), NAMES, "worker")
}

/// The root's message at this place of an era.
fn assign(era: Era, position: u64, version: u64) -> Message {
    let head = Head { version: Version(version), ..Head::default() };
    let model = Data::Dense(Params::new(vec![version as f32]));
    Message {
        sequence: ((u64::from(era.0) + 1) << POSITION_BITS) | position,
        ..Message::with(ASSIGN, head, "model", model)
    }
}

fn receipt(era: Era, position: u64) -> Message {
    let sequence = ((u64::from(era.0) + 1) << POSITION_BITS) | position;
    Receipt { sequence, lane: Lane::Model }.message()
}

/// Everything that comes is acknowledged, also what came before or comes too early; only what is next is passed on.
#[test]
fn once_and_in_order() {
    let era = Era::new(0, 0);
    let mut talk = worker(None, 0);
    talk.hears("root", assign(era, 2, 20))
        .hears("root", assign(era, 1, 10))
        .hears("root", assign(era, 2, 20));
    assert_snapshot!(talk.text(), @r"
    > root: ASSIGN #0.0.2 v20 model [20.0]
    < root: ACK model #0.0.2
    > root: ASSIGN #0.0.1 v10 model [10.0]
    < root: ACK model #0.0.1
    < j1 train 1 steps from batch 0 on [10.0]
    > root: ASSIGN #0.0.2 v20 model [20.0]
    < root: ACK model #0.0.2
    ");
}

/// On timers, twice as late each time, until it is acknowledged.
#[test]
fn resent_on_timers() {
    let mut talk = worker(Some(Span::from_millis(100)), 0);
    let timer = TIMER_BIT | 1;
    talk.hears("root", assign(Era::new(0, 0), 1, 1)).ends(1);
    talk.waits(Span::from_millis(100), timer).waits(Span::from_millis(200), timer);
    talk.hears("root", receipt(Era::new(0, 0), 1)).waits(Span::from_millis(400), timer);
    assert_snapshot!(talk.text(), @r"
    > root: ASSIGN #0.0.1 v1 model [1.0]
    < root: ACK model #0.0.1
    < j1 train 1 steps from batch 0 on [1.0]
    > j1 trained [1.0] in 1 steps
    < root: UPDATE #0.0.1 v1 base v1 clock 1 samples 10 steps 1 loss 0.5 gradient [1.0]
    < timer r1 in 100 ms
    > timer r1
    < count 1 resends
    < root: UPDATE #0.0.1 v1 base v1 clock 1 samples 10 steps 1 loss 0.5 gradient [1.0]
    < timer r1 in 200 ms
    > timer r1
    < count 1 resends
    < root: UPDATE #0.0.1 v1 base v1 clock 1 samples 10 steps 1 loss 0.5 gradient [1.0]
    < timer r1 in 400 ms
    > root: ACK model #0.0.1
    < no timer r1
    > timer r1
    ");
}

/// Below is a stream: what may have been on its way when it broke is sent again once there is another one.
#[test]
fn resent_on_reconnection() {
    let era = Era::new(0, 0);
    let mut talk = worker(None, 0);
    talk.hears("root", assign(era, 1, 1)).ends(1).hears("root", assign(era, 2, 2)).ends(2);
    talk.hears("root", receipt(era, 1)).reconnects("root").hears("root", receipt(era, 2)).reconnects("root");
    assert_snapshot!(talk.text(), @r"
    > root: ASSIGN #0.0.1 v1 model [1.0]
    < root: ACK model #0.0.1
    < j1 train 1 steps from batch 0 on [1.0]
    > j1 trained [1.0] in 1 steps
    < root: UPDATE #0.0.1 v1 base v1 clock 1 samples 10 steps 1 loss 0.5 gradient [1.0]
    > root: ASSIGN #0.0.2 v2 model [2.0]
    < root: ACK model #0.0.2
    < j2 train 1 steps from batch 1 on [2.0]
    > j2 trained [1.0] in 1 steps
    < root: UPDATE #0.0.2 v2 base v2 clock 2 samples 10 steps 1 loss 0.5 gradient [1.0]
    > root: ACK model #0.0.1
    > root is connected again
    < count 1 resends
    < root: UPDATE #0.0.2 v2 base v2 clock 2 samples 10 steps 1 loss 0.5 gradient [1.0]
    > root: ACK model #0.0.2
    > root is connected again
    ");
}

/// A loss ends the era at both ends: what was not acknowledged is given up, what the other end said in the old era is
/// not passed on, and numbers start at 1 again in the new one.
#[test]
fn a_loss_begins_another_era() {
    let mut talk = worker(Some(Span::from_millis(100)), 0);
    talk.hears("root", assign(Era::new(0, 0), 1, 1)).ends(1).loses("root").reconnects("root");
    talk.hears("root", assign(Era::new(0, 0), 2, 2))
        .meets("root")
        .hears("root", assign(Era::new(0, 1), 1, 2))
        .ends(2);
    assert_snapshot!(talk.text(), @r"
    > root: ASSIGN #0.0.1 v1 model [1.0]
    < root: ACK model #0.0.1
    < j1 train 1 steps from batch 0 on [1.0]
    > j1 trained [1.0] in 1 steps
    < root: UPDATE #0.0.1 v1 base v1 clock 1 samples 10 steps 1 loss 0.5 gradient [1.0]
    < timer r1 in 100 ms
    > root is lost
    < no timer r1
    > root is connected again
    > root: ASSIGN #0.0.2 v2 model [2.0]
    < root: ACK model #0.0.2
    > root is there
    > root: ASSIGN #0.1.1 v2 model [2.0]
    < root: ACK model #0.1.1
    < j2 train 1 steps from batch 1 on [2.0]
    > j2 trained [1.0] in 1 steps
    < root: UPDATE #0.1.1 v2 base v2 clock 2 samples 10 steps 1 loss 0.5 gradient [1.0]
    < timer r2 in 100 ms
    ");
}

/// A node that was started again has forgotten how often it lost whom: its life makes its numbers larger than all of
/// its former self.
#[test]
fn another_life_is_another_era() {
    let mut talk = worker(None, 1);
    talk.hears("root", assign(Era::new(0, 1), 1, 1)).ends(1);
    assert_snapshot!(talk.text(), @r"
    > root: ASSIGN #0.1.1 v1 model [1.0]
    < root: ACK model #0.1.1
    < j1 train 1 steps from batch 0 on [1.0]
    > j1 trained [1.0] in 1 steps
    < root: UPDATE #1.0.1 v1 base v1 clock 1 samples 10 steps 1 loss 0.5 gradient [1.0]
    ");
}
