//! The congestion window of one direction of a connection: what Linux does, in segments.
//!
//! Slow start with an initial window of ten segments (RFC 6928), which HyStart ends when acknowledgements come as a
//! train or the queue grows (S. Ha, I. Rhee: Taming the elephants, 2011); CUBIC after that (RFC 9438), with Linux's
//! growth of at least a twentieth of a window for each round trip until the first loss; a window that idles longer than
//! the retransmission time-out is halved for each time-out (`tcp_slow_start_after_idle`, RFC 2861).

use crate::domain::{Span, Stream, Time, math};
use crate::net::pace::Bits;
use serde::{Deserialize, Serialize};

/// RFC 6928.
const INITIAL: f64 = 10.0;
/// Of CUBIC: what is left of a window after a loss, and how fast it grows, in segments per second cubed (RFC 9438,
/// section 5).
const BETA: f64 = 0.7;
const CUBE: f64 = 0.4;
/// The least that the time-out of retransmission is above the round trip (`TCP_RTO_MIN` of Linux).
const RTO_ABOVE: Span = Span::from_millis(200);
/// The window at which HyStart was seen to end a connection's first slow start: between 22 and 30 segments, and up to 60
/// in a quarter of those that shared the line (27 connections at 30 Mb/s, Linux 6; `bench/fidelity`).
const EXIT: (f64, f64) = (22.0, 8.0);
const EXIT_SHARED: (f64, f64) = (14.0, 20.0);
const EXIT_SHARED_CHANCE: f64 = 0.25;

/// What one round of a window met.
pub(super) struct Round {
    /// When its acknowledgements come.
    pub now: Time,
    /// Segments that are acknowledged.
    pub acked: f64,
    /// Whether there was more to send than the window allowed.
    pub limited: bool,
    /// Whether some of it was dropped.
    pub lost: bool,
    /// Round trip without queues.
    pub base: Span,
    /// Time in queues, those of its acknowledgements included.
    pub waited: Span,
    /// Of that, in the queue of the sender's own card.
    pub own: Span,
    /// How long the whole round keeps the narrowest line busy.
    pub train: Span,
    /// How long two segments do.
    pub gap: Span,
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Window {
    segments: Bits,
    threshold: Bits,
    /// The window before the last loss; zero until there is one.
    before_loss: Bits,
    /// Where slow start will end.
    exit: Bits,
    left_slow_start: bool,
    /// When the cubic curve began, less the time idle since.
    epoch: Option<Time>,
    /// Where the curve is level, and how long after its beginning.
    origin: Bits,
    level_after_s: Bits,
    /// What the window would be by the rule of Reno.
    reno: Bits,
    smoothed: Span,
    last_sent: Option<Time>,
}

impl Window {
    /// Of a new connection.
    pub(super) fn new(stream: &mut Stream) -> Self {
        let mut exit = EXIT.0 + EXIT.1 * stream.uniform();
        if stream.uniform() < EXIT_SHARED_CHANCE {
            // Only used when the line is shared.
            exit = -(exit + EXIT_SHARED.0 + EXIT_SHARED.1 * stream.uniform());
        }
        Self {
            segments: Bits(INITIAL),
            threshold: Bits(f64::INFINITY),
            before_loss: Bits(0.0),
            exit: Bits(exit),
            left_slow_start: false,
            epoch: None,
            origin: Bits(0.0),
            level_after_s: Bits(0.0),
            reno: Bits(0.0),
            smoothed: Span::ZERO,
            last_sent: None,
        }
    }

    /// How many segments may be on their way.
    pub(super) fn segments(&self) -> u64 {
        self.segments.0 as u64
    }

    /// Notes when the last segment of a message was sent.
    pub(super) fn sent(&mut self, at: Time) {
        self.last_sent = Some(at);
    }

    /// A new message begins.
    pub(super) fn wake(&mut self, now: Time) {
        let Some(last) = self.last_sent.filter(|last| *last < now) else { return };
        let mut idle = now.since(last);
        // The curve does not go on while nothing is sent.
        self.epoch = self.epoch.map(|epoch| (epoch + idle).min(now));
        let timeout = self.smoothed + RTO_ABOVE;
        if idle > timeout {
            self.threshold.0 = self.threshold.0.max(0.75 * self.segments.0);
            while idle > timeout && self.segments.0 > INITIAL {
                idle = Span(idle.0 - timeout.0);
                self.segments.0 /= 2.0;
            }
            self.segments.0 = self.segments.0.max(INITIAL);
        }
    }

    /// A round is over.
    pub(super) fn round(&mut self, round: &Round) {
        let trip = round.base + round.waited;
        self.smoothed = match self.smoothed {
            Span::ZERO => trip,
            smoothed => Span(smoothed.0 / 4 * 3 + trip.0 / 4),
        };
        if round.lost {
            self.loss();
        } else if round.limited {
            self.grow(round);
        }
    }

    fn loss(&mut self) {
        let window = self.segments.0;
        // Fast convergence: who loses before it has regained its window leaves room for others.
        self.before_loss.0 = if window < self.before_loss.0 { window * (1.0 + BETA) / 2.0 } else { window };
        self.segments.0 = (window * BETA).max(2.0);
        self.threshold.0 = self.segments.0;
        (self.left_slow_start, self.epoch) = (true, None);
    }

    fn grow(&mut self, round: &Round) {
        let mut acked = round.acked;
        if self.segments.0 < self.threshold.0 {
            let stop = self.hystart(round);
            let grown = acked.min((stop - self.segments.0).max(0.0));
            self.segments.0 += grown;
            acked -= grown;
        }
        // What waits in the card of its own machine waits in the socket (TCP small queues): the window is not full.
        let waited = round.waited.seconds();
        if waited > 0.001 {
            acked *= 1.0 - (round.own.seconds() / waited).min(1.0);
        }
        if acked > 0.0 && self.segments.0 >= self.threshold.0 {
            self.cubic(round, acked);
        }
    }

    /// The window at which slow start ends, as far as this round tells.
    fn hystart(&mut self, round: &Round) -> f64 {
        let own = EXIT.0 + EXIT.1;
        let shared = round.waited.0 > round.train.0 / 2 * 3;
        let exit = if shared || self.exit.0 > 0.0 { self.exit.0.abs() } else { own };
        if self.left_slow_start || self.segments.0 + round.acked <= exit {
            return self.threshold.0;
        }
        let rise = Span((round.base.0 / 8).clamp(4_000_000, 16_000_000));
        let train = round.train.0 > round.base.0 / 2 && round.gap < Span::from_millis(2);
        if train || round.waited > rise {
            self.left_slow_start = true;
            self.threshold.0 = exit.max(self.segments.0);
        }
        self.threshold.0
    }

    fn cubic(&mut self, round: &Round, acked: f64) {
        let window = self.segments.0;
        let epoch = *self.epoch.get_or_insert_with(|| {
            self.reno.0 = window;
            let below = (self.before_loss.0 - window).max(0.0);
            self.level_after_s.0 = math::cbrt(below / CUBE);
            self.origin.0 = window.max(self.before_loss.0);
            round.now
        });
        let t = round.now.since(epoch).seconds() + round.base.seconds() - self.level_after_s.0;
        let target = self.origin.0 + CUBE * t * t * t;
        // Segments to be acknowledged for the window to grow by one.
        let mut count = if target > window { window / (target - window) } else { 100.0 * window };
        if self.before_loss.0 == 0.0 {
            count = count.min(20.0);
        }
        self.reno.0 += acked / window * 3.0 * (1.0 - BETA) / (1.0 + BETA);
        if self.reno.0 > window {
            count = count.min(window / (self.reno.0 - window));
        }
        self.segments.0 += acked / count.max(2.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window() -> Window {
        Window::new(&mut Stream::new(1, "tcp", 0, 0))
    }

    fn round(now_ms: u64, acked: f64, waited_ms: u64) -> Round {
        let waited = Span::from_millis(waited_ms);
        Round {
            now: Time::ZERO + Span::from_millis(now_ms),
            acked,
            limited: true,
            lost: false,
            base: Span::from_millis(40),
            waited,
            own: Span::ZERO,
            train: Span::from_millis(1),
            gap: Span::from_micros(10),
        }
    }

    #[test]
    fn slow_start_doubles_until_the_queue_grows() {
        let mut window = window();
        for (i, expected) in [20, 40, 80, 160].into_iter().enumerate() {
            let acked = window.segments.0;
            window.round(&round(40 * i as u64, acked, 0));
            assert_eq!(window.segments(), expected);
        }
        window.round(&round(200, 160.0, 6));
        assert!(window.segments() < 170, "5 % for each round trip from here on: {}", window.segments());
        assert!(window.left_slow_start);
    }

    /// RFC 9438, figure 1: after a loss at 100 segments the window is back there after K = cbrt(30 / .4) = 4.2 s.
    #[test]
    fn cubic_regains_its_window_when_the_paper_says() {
        let mut window = window();
        (window.segments.0, window.threshold.0, window.left_slow_start) = (100.0, 50.0, true);
        window.round(&Round { lost: true, ..round(0, 100.0, 0) });
        assert!((window.segments.0 - 70.0).abs() < 1e-9);
        let mut at_ms = 0;
        while window.segments.0 < 99.0 {
            let acked = window.segments.0;
            let far = Round { base: Span::from_millis(200), ..round(at_ms, acked, 0) };
            window.round(&far);
            at_ms += 200;
        }
        assert!((3_000..=4_400).contains(&at_ms), "{at_ms} ms");
    }

    #[test]
    fn an_idle_window_is_halved_for_each_time_out() {
        let mut window = window();
        (window.segments.0, window.threshold.0) = (100.0, 60.0);
        window.smoothed = Span::from_millis(50);
        window.sent(Time::ZERO);
        let mut short = window.clone();
        short.wake(Time::ZERO + Span::from_millis(249));
        assert_eq!(short.segments(), 100);
        window.wake(Time::ZERO + Span::from_millis(600));
        assert_eq!((window.segments(), window.threshold.0), (25, 75.0));
        window.sent(Time::ZERO + Span::from_millis(600));
        window.wake(Time::ZERO + Span::from_millis(60_000));
        assert_eq!(window.segments(), 10, "not below the initial window");
    }

    #[test]
    fn who_does_not_fill_its_window_does_not_grow_it() {
        let mut window = window();
        window.round(&Round { limited: false, ..round(0, 10.0, 0) });
        assert_eq!(window.segments(), 10);
        (window.segments.0, window.threshold.0, window.left_slow_start) = (50.0, 50.0, true);
        window.round(&Round { own: Span::from_millis(30), ..round(0, 50.0, 30) });
        assert_eq!(window.segments.0, 50.0, "it waited in its own card alone");
    }
}
