//! Ports for runs on one machine.

use super::identity;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Ports that are taken by asking for them. Systems choose the ports of outgoing connections above them (Linux from
/// 32768, others from 49152), so a port that is free now is not taken by a connection before its node listens.
const ASKED: std::ops::Range<u16> = 10_000..32_000;

/// As many ports of this machine's loopback address as asked for, on which nobody listens now. No port is given twice
/// by a process; two processes begin at random places.
///
/// # Errors
/// When so many ports are not free.
pub fn free_ports(count: usize) -> std::io::Result<Vec<u16>> {
    static NEXT: LazyLock<AtomicU64> = LazyLock::new(|| AtomicU64::new(identity::random() >> 1));
    let all = u64::from(ASKED.end - ASKED.start);
    let port = |turn: u64| ASKED.start + (turn % all) as u16;
    let free: Vec<u16> = (0..all)
        .map(|_| port(NEXT.fetch_add(1, Relaxed)))
        .filter(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .take(count)
        .collect();
    if free.len() < count {
        let message = format!("{count} free ports between {} and {} were not found", ASKED.start, ASKED.end);
        return Err(std::io::Error::new(std::io::ErrorKind::AddrInUse, message));
    }
    Ok(free)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn ports_differ_and_can_be_listened_on() {
        let ports: BTreeSet<u16> =
            [free_ports(40).unwrap(), free_ports(40).unwrap()].concat().into_iter().collect();
        assert_eq!(ports.len(), 80);
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, *ports.first().unwrap())).unwrap();
        assert!(ASKED.contains(&taken.local_addr().unwrap().port()));
    }
}
