//! What TCP adds to bytes over rate: pure functions of a transfer and its link.
//!
//! On a reliable lane a lost packet is not a lost message but delay: the window stays small, so the rate is
//! capped ([`rate_cap`]), and retransmissions take time ([`loss_delay`]).

use crate::domain::{Span, Stream, math};

/// Payload of a full Ethernet packet in bytes: 1,500 less 40 of IPv4 and TCP headers.
pub const SEGMENT_BYTES: u64 = 1460;

/// Above this loss, timeouts dominate and the formula of Padhye et al. replaces that of Mathis et al.
const LOSS_HIGH: f64 = 0.02;

/// Retransmission timeout: the round trip plus the 200 ms that Linux waits at least (after RFC 6298).
#[must_use]
pub fn retransmission_timeout(rtt: Span) -> Span {
    rtt + Span::from_millis(200)
}

/// The rate in bytes per second that one TCP flow keeps up at this packet loss; infinity without loss.
///
/// Up to 2 % loss 1.22 MSS / (RTT sqrt(p)) (Mathis, Semke, Mahdavi, Ott: The Macroscopic Behavior of the TCP
/// Congestion Avoidance Algorithm, 1997). Above, MSS / (RTT sqrt(2p/3) + RTO min(1, 3 sqrt(3p/8)) p (1 + 32 p^2))
/// (Padhye, Firoiu, Towsley, Kurose: Modeling TCP Throughput, 1998, with an acknowledgement for each packet).
#[must_use]
pub fn rate_cap(rtt: Span, loss: f64) -> f64 {
    let (mss, rtt_s, p) = (SEGMENT_BYTES as f64, rtt.seconds(), loss.clamp(0.0, 1.0));
    if p == 0.0 {
        return f64::INFINITY;
    }
    if p <= LOSS_HIGH {
        return 1.22 * mss / (rtt_s * p.sqrt());
    }
    let timeout_s = retransmission_timeout(rtt).seconds();
    let timeouts = timeout_s * (3.0 * (3.0 * p / 8.0).sqrt()).min(1.0) * p * (1.0 + 32.0 * p * p);
    mss / (rtt_s * (2.0 * p / 3.0).sqrt() + timeouts)
}

/// The rate in bytes per second that a window of so many bytes allows: one window for each round trip.
#[must_use]
pub fn window_cap(window_bytes: u64, rtt: Span) -> f64 {
    window_bytes as f64 / rtt.seconds()
}

/// Time that the retransmissions of one message add, drawn from `stream`; draws nothing without loss.
///
/// Each packet is lost with probability `loss`. A lost packet that three others follow is noticed by their
/// acknowledgements and costs one round trip (fast retransmit, RFC 5681). One of the last three costs a
/// [`retransmission_timeout`], and so does a retransmission that is lost again; timeouts double each time
/// (RFC 6298). That the window shrinks is [`rate_cap`]'s matter.
#[must_use]
pub fn loss_delay(bytes: u64, loss: f64, rtt: Span, stream: &mut Stream) -> Span {
    const DOUBLINGS_MAX: u32 = 6;
    if loss <= 0.0 || bytes == 0 {
        return Span::ZERO;
    }
    let loss = loss.min(0.99);
    let packets = bytes.div_ceil(SEGMENT_BYTES);
    let timeout = retransmission_timeout(rtt);
    let keep = math::ln(1.0 - loss);
    let mut delay = Span::ZERO;
    let mut next = 0u64;
    loop {
        // The number of packets that arrive before the next loss is geometric.
        let arrive = (math::ln(stream.uniform_open()) / keep) as u64;
        let lost = next.saturating_add(arrive);
        if lost >= packets {
            return delay;
        }
        let mut backoff = 0;
        if lost + 3 < packets {
            delay += rtt;
        } else {
            delay += timeout;
            backoff = 1;
        }
        while stream.uniform() < loss {
            delay += timeout.times(1 << backoff.min(DOUBLINGS_MAX));
            backoff += 1;
        }
        next = lost + 1;
    }
}

/// Bytes on the wire for so much payload, when `efficiency` of the wire's bytes are payload.
#[must_use]
pub fn wire_bytes(payload: u64, efficiency: f64) -> u64 {
    if efficiency == 1.0 { payload } else { (payload as f64 / efficiency).ceil() as u64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values computed by hand from the two papers' formulas.
    #[test]
    fn caps_are_those_of_the_papers() {
        let cap = |rtt_ms, loss| rate_cap(Span::from_millis(rtt_ms), loss) / 1e6;
        assert_eq!(cap(30, 0.0), f64::INFINITY);
        for (found, expected) in [
            (cap(5, 1e-4), 35.624),
            (cap(5, 1e-3), 11.265),
            (cap(30, 1e-3), 1.877_6),
            (cap(30, 1e-2), 0.593_7),
            // 1460 / (.03 x .182574 + .23 x .410792 x .05 x 1.08)
            (cap(30, 0.05), 0.138_006),
        ] {
            assert!((found / expected - 1.0).abs() < 1e-3, "{found} instead of {expected}");
        }
        assert!(cap(30, 0.021) < cap(30, 0.02));
        assert_eq!(window_cap(65_536, Span::from_millis(10)), 6_553_600.0);
    }

    #[test]
    fn without_loss_nothing_is_drawn() {
        let mut stream = Stream::new(1, "loss", 0, 1);
        assert_eq!(loss_delay(4_000_000, 0.0, Span::from_millis(5), &mut stream), Span::ZERO);
        assert_eq!(stream.position(), 0);
    }

    #[test]
    fn mean_delay_is_that_of_the_rule() {
        let mut stream = Stream::new(1, "loss", 0, 1);
        let (rtt, loss, n) = (Span::from_millis(5), 0.01, 4_000);
        let mut mean = |packets: u64| {
            let draws = (0..n).map(|_| loss_delay(packets * SEGMENT_BYTES, loss, rtt, &mut stream).seconds());
            draws.sum::<f64>() / f64::from(n)
        };
        // A retransmission is lost again with probability p, then costs about a timeout, in the tail two.
        let (rtt_s, timeout_s) = (0.005, 0.205);
        let tail = |packets: f64| packets * loss * (timeout_s + loss * 2.0 * timeout_s);
        assert!((mean(1) / tail(1.0) - 1.0).abs() < 0.4);
        assert!((mean(3) / tail(3.0) - 1.0).abs() < 0.2);
        let long = 997.0 * loss * (rtt_s + loss * timeout_s) + tail(3.0);
        assert!((mean(1000) / long - 1.0).abs() < 0.05);
    }

    #[test]
    fn the_wire_carries_more_than_the_payload() {
        assert_eq!(wire_bytes(941, 0.941), 1000);
        assert_eq!(wire_bytes(1000, 1.0), 1000);
        assert_eq!(wire_bytes(1, 0.97), 2);
    }
}
