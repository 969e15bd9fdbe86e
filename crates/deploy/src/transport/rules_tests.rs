//! What an edge decides, as whole answers.

use super::*;

type End = Rules<&'static str, &'static str>;

const TIMING: Timing = Timing {
    heartbeat: Span::from_millis(100),
    detection: Span::from_millis(1000),
    start_timeout: Span::from_millis(5000),
};

fn at(millis: u64) -> Moment {
    Moment { now: Time(millis * 1_000_000), heard: Time::ZERO, draw: millis }
}

fn heard(now: u64, heard: u64) -> Moment {
    Moment { heard: Time(heard * 1_000_000), ..at(now) }
}

fn standing(life: u32, losses: u64) -> Standing {
    Standing { life, losses }
}

fn dialling() -> End {
    Rules::new(Time::ZERO, TIMING, true, 0)
}

fn called() -> End {
    Rules::new(Time::ZERO, TIMING, false, 3)
}

/// An end that has been together with the other since the moment 20.
fn together() -> End {
    let mut end = called();
    end.on(at(10), Told::Called { purpose: Purpose::Control, connection: 7, standing: standing(1, 0) });
    end.on(at(20), Told::Met { connection: 7, other: Some(standing(1, 0)) });
    end
}

#[test]
fn what_is_said_before_they_meet_is_kept_on_both_sides() {
    let mut end = dialling();
    assert_eq!(end.on(at(0), Told::Send("first")), [Act::Dial { connection: 0, ours: standing(0, 0) }]);
    assert_eq!(end.on(at(1), Told::Said { connection: 0, content: "hello" }), []);
    assert_eq!(end.on(at(1), Told::Said { connection: 9, content: "of another connection" }), []);
    assert_eq!(
        end.on(at(2), Told::Met { connection: 0, other: Some(standing(5, 0)) }),
        [Act::Open, Act::Send("first"), Act::Take("hello")]
    );
    assert_eq!(end.on(at(3), Told::Send("second")), [Act::Send("second")]);
}

#[test]
fn who_is_to_call_is_let_in_once_with_both_connections() {
    let mut end = called();
    let call = |purpose| Told::Called { purpose, connection: 7, standing: standing(1, 0) };
    assert_eq!(end.on(at(1), call(Purpose::Bulk)), [Act::Refuse(Refusal::Alone)]);
    assert_eq!(
        end.on(at(2), call(Purpose::Control)),
        [Act::Close(Why::Replaced), Act::Welcome { connection: 7, ours: standing(3, 0) }]
    );
    assert_eq!(end.on(at(3), call(Purpose::Bulk)), [Act::Pair]);
    end.on(at(4), Told::Met { connection: 7, other: Some(standing(1, 0)) });
    let old = Told::Called { purpose: Purpose::Control, connection: 8, standing: standing(0, 0) };
    assert_eq!(end.on(at(5), old), [Act::Refuse(Refusal::Outdated)]);
    assert_eq!(end.together(), Some(7), "an old process breaks nothing");
    let mut other = dialling();
    assert_eq!(other.on(at(0), Told::Time), [Act::Dial { connection: 0, ours: standing(0, 0) }]);
    assert_eq!(other.on(at(1), call(Purpose::Control)), [Act::Refuse(Refusal::Dials)]);
}

#[test]
fn silence_is_a_loss_once_and_what_was_waiting_is_given_up() {
    let mut end = together();
    for now in (110..1020).step_by(100) {
        assert_eq!(end.on(heard(now, 20), Told::Time), [Act::Beat], "{now}");
    }
    assert_eq!(end.on(heard(1020, 20), Told::Time), [Act::Close(Why::Silent), Act::Tell(Change::Down)]);
    assert_eq!(end.on(at(1120), Told::Send("lost")), []);
    assert_eq!(end.on(at(9000), Told::Time), []);
}

#[test]
fn a_process_that_was_stopped_hears_first_what_has_come_meanwhile() {
    let mut end = together();
    assert_eq!(end.on(heard(60_000, 20), Told::Time), [Act::Beat]);
    assert_eq!(end.on(heard(60_050, 60_040), Told::Time), [], "it was there all the time");
    let mut alone = together();
    assert_eq!(alone.on(heard(60_000, 20), Told::Time), [Act::Beat]);
    assert_eq!(
        alone.on(heard(60_100, 20), Told::Time),
        [Act::Beat, Act::Close(Why::Silent), Act::Tell(Change::Down)]
    );
}

#[test]
fn attempts_come_less_often_and_after_a_good_connection_at_once() {
    let timing = Timing { start_timeout: Span(u64::MAX), ..TIMING };
    let mut end: End = Rules::new(Time::ZERO, timing, true, 0);
    let (mut now, mut pauses) = (0, Vec::new());
    for _ in 0..8 {
        let [Act::Dial { connection, .. }] = end.on(at(now), Told::Time)[..] else { panic!("at {now}") };
        let acts = end.on(at(now), Told::Met { connection, other: None });
        assert!(matches!(acts[..], [Act::Close(Why::InVain { .. })]), "{acts:?}");
        let Phase::Apart(again) = end.phase else { panic!("it is apart") };
        pauses.push(again.0 / 1_000_000 - now);
        // The beat is due before that, and nobody is there to hear it.
        now = again.0.div_ceil(1_000_000);
        end.beat = Time(u64::MAX);
    }
    for (i, pause) in pauses.iter().enumerate() {
        let expected = (50 << i).min(3000);
        assert!((expected * 3 / 4..=expected * 5 / 4 + 1).contains(pause), "{pauses:?}");
    }
}

#[test]
fn a_flood_before_its_time_ends_the_attempt() {
    let mut end = dialling();
    end.on(at(0), Told::Time);
    for _ in 0..EARLY_MAX {
        assert_eq!(end.on(at(1), Told::Said { connection: 0, content: "x" }), []);
    }
    assert_eq!(end.on(at(1), Told::Said { connection: 0, content: "x" }), [Act::Close(Why::Garbled)]);
}

#[test]
fn what_means_nothing_and_what_is_gone_end_the_connection_and_nothing_else_does() {
    let mut end = together();
    assert_eq!(end.on(at(30), Told::Lost { connection: 6 }), []);
    assert_eq!(end.on(at(30), Told::Garbled), [Act::Close(Why::Garbled)]);
    let mut end = together();
    assert_eq!(end.on(at(30), Told::Lost { connection: 7 }), [Act::Close(Why::Lost)]);
    let again = Told::Called { purpose: Purpose::Control, connection: 8, standing: standing(1, 0) };
    end.on(at(40), again);
    assert_eq!(
        end.on(at(50), Told::Met { connection: 8, other: Some(standing(1, 0)) }),
        [Act::Open, Act::Tell(Change::Reconnected)]
    );
}
