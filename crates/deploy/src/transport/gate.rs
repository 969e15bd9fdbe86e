//! What strangers may cost: how many callers may be saying who they are at a time, and how many lines their refusals
//! may take in a log. Every listener of the project has a gate.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A line that repeats is written at most this often; how many were left out is told by the next one.
const EVERY: Duration = Duration::from_secs(60);
/// Different lines that are told apart; beyond that, all new ones share one.
const LINES_MAX: usize = 64;
/// Longest reason in a line, in characters: a part of it may be the stranger's own words.
const REASON_MAX: usize = 300;
/// A caller who was refused holds its place for so long: nobody has us do handshakes without a pause.
const PENALTY: Duration = Duration::from_secs(1);

/// Lines of a log that somebody else can cause: each kind once, then now and then with a count. Bounded.
pub(crate) struct Repeats<K> {
    lines: Mutex<BTreeMap<Option<(K, &'static str)>, Line>>,
}

struct Line {
    written: Instant,
    left_out: u64,
}

impl<K> Default for Repeats<K> {
    fn default() -> Self {
        Self { lines: Mutex::new(BTreeMap::new()) }
    }
}

impl<K: Ord> Repeats<K> {
    /// Whether a line of this kind about `who` is to be written now, and what to put behind it.
    pub fn line(&self, who: K, kind: &'static str, now: Instant) -> Option<String> {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let mut key = Some((who, kind));
        if !lines.contains_key(&key) && lines.len() >= LINES_MAX {
            lines.retain(|_, line| now.saturating_duration_since(line.written) < EVERY);
            if lines.len() >= LINES_MAX {
                key = None;
            }
        }
        let others = key.is_none();
        let left_out = match lines.get_mut(&key) {
            Some(line) if now.saturating_duration_since(line.written) < EVERY => {
                line.left_out += 1;
                return None;
            }
            Some(line) => std::mem::take(&mut line.left_out),
            None => 0,
        };
        lines.insert(key, Line { written: now, left_out: 0 });
        let of = if others { " like this or of others" } else { " like this" };
        Some(if left_out == 0 {
            String::new()
        } else {
            format!(" ({left_out} more{of} since the last line)")
        })
    }
}

/// The entrance of a listener.
pub(crate) struct Gate {
    total: usize,
    per_address: usize,
    inside: Mutex<BTreeMap<IpAddr, usize>>,
    refusals: Repeats<IpAddr>,
}

/// A caller's place; it is free again when this is dropped.
pub(crate) struct Pass {
    gate: Arc<Gate>,
    from: IpAddr,
}

impl Gate {
    /// A gate for so many callers at a time, and so many of them from one address.
    pub fn new(total: usize, per_address: usize) -> Arc<Self> {
        let (inside, refusals) = (Mutex::default(), Repeats::default());
        Arc::new(Self { total, per_address, inside, refusals })
    }

    /// A place for a caller; without one its connection is to be dropped, which is told here.
    pub fn enter(self: &Arc<Self>, from: IpAddr) -> Option<Pass> {
        let from = origin(from);
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = inside.values().sum();
        let here = inside.get(&from).copied().unwrap_or(0);
        if all < self.total && here < self.per_address {
            inside.insert(from, here + 1);
            return Some(Pass { gate: Arc::clone(self), from });
        }
        drop(inside);
        let why = if all < self.total {
            format!("{here} others from there are being answered")
        } else {
            format!("{all} others are being answered")
        };
        self.tell(from, "too many", &why);
        None
    }

    /// Tells that the system gives no connection: there are no file descriptors left, or the caller is gone again.
    pub fn cannot_accept(&self, error: &std::io::Error) {
        let nobody = IpAddr::from([0, 0, 0, 0]);
        if let Some(more) = self.refusals.line(nobody, "accept", Instant::now()) {
            tracing::warn!("cannot accept a connection: {error}{more}");
        }
    }

    /// Whether a line about somebody at this address is to be written now, and what to put behind it.
    pub fn line(&self, from: IpAddr, kind: &'static str) -> Option<String> {
        self.refusals.line(origin(from), kind, Instant::now())
    }

    fn tell(&self, from: IpAddr, kind: &'static str, why: &str) {
        if let Some(more) = self.refusals.line(from, kind, Instant::now()) {
            tracing::warn!("connection from {from} refused: {}{more}", plain(why));
        }
    }
}

impl Pass {
    /// Tells that the caller was refused. It keeps its place for a moment; its connection must be dropped before.
    pub async fn refuse(self, kind: &'static str, why: &str) {
        self.gate.tell(self.from, kind, why);
        tokio::time::sleep(PENALTY).await;
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut inside = self.gate.inside.lock().unwrap_or_else(PoisonError::into_inner);
        match inside.get_mut(&self.from) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(inside.remove(&self.from)),
        }
    }
}

/// What counts as one origin: an IPv4 address, or the network of 64 bits that one IPv6 host may have for itself.
fn origin(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) if !v6.is_loopback() => {
            let network = u128::from(v6) >> 64 << 64;
            IpAddr::V6(Ipv6Addr::from(network))
        }
        other => other,
    }
}

/// Words of a stranger for a line of a log: no control characters, not endless.
pub(crate) fn plain(text: &str) -> String {
    let mut plain = String::new();
    for (at, c) in text.chars().enumerate() {
        match c {
            _ if at == REASON_MAX => return plain + "...",
            c if c.is_control() => plain.extend(c.escape_default()),
            c => plain.push(c),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v4(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    #[test]
    fn one_address_cannot_take_every_place_and_places_come_back() {
        let gate = Gate::new(4, 2);
        let first = [gate.enter(v4(1)).unwrap(), gate.enter(v4(1)).unwrap()];
        assert!(gate.enter(v4(1)).is_none(), "two from one address");
        let second = [gate.enter(v4(2)).unwrap(), gate.enter(v4(3)).unwrap()];
        assert!(gate.enter(v4(4)).is_none(), "four in all");
        drop(first);
        assert!(gate.enter(v4(4)).is_some());
        drop(second);
        assert!(gate.inside.lock().unwrap().is_empty(), "nothing is remembered of who has left");
    }

    #[test]
    fn an_ipv6_host_is_one_origin_however_many_addresses_it_has() {
        let all: Vec<IpAddr> =
            ["2001:db8::1", "2001:db8::ffff:2", "2001:db8:0:1::1", "::ffff:10.0.0.1", "::1"]
                .map(|text| origin(text.parse().unwrap()))
                .to_vec();
        assert_eq!(all[0], all[1]);
        assert_ne!(all[0], all[2]);
        assert_eq!(all[3], v4(1));
        assert_eq!(all[4], IpAddr::V6(Ipv6Addr::LOCALHOST));
    }

    #[test]
    fn a_line_is_written_once_and_then_counted() {
        let (lines, start) = (Repeats::default(), Instant::now());
        assert_eq!(lines.line(1, "tls", start).as_deref(), Some(""));
        assert_eq!((0..1000).filter_map(|_| lines.line(1, "tls", start)).count(), 0);
        assert_eq!(lines.line(1, "hello", start).as_deref(), Some(""), "another kind");
        let later = lines.line(1, "tls", start + EVERY).unwrap();
        assert_eq!(later, " (1000 more like this since the last line)");
    }

    #[test]
    fn any_number_of_origins_takes_a_bounded_table_and_few_lines() {
        let (lines, start) = (Repeats::default(), Instant::now());
        let written = (0..100_000).filter_map(|who| lines.line(who, "tls", start)).count();
        assert_eq!((written, lines.lines.lock().unwrap().len()), (LINES_MAX + 1, LINES_MAX + 1));
        let later = lines.line(7_000_000, "tls", start + EVERY);
        assert!(later.is_some(), "old lines make room");
        assert_eq!(lines.lines.lock().unwrap().len(), 1);
    }

    #[test]
    fn words_of_strangers_are_one_short_line() {
        assert_eq!(plain("a\nb\u{1b}[31m"), "a\\nb\\u{1b}[31m");
        assert_eq!(plain(&"x".repeat(5000)).len(), REASON_MAX + 3);
    }
}
