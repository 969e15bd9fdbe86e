//! What a supervisor decides: which nodes are started when, and when all of them are stopped. What happens goes in, with
//! the time; what is to be done comes out. [`super::Agent`] does it with real processes, the storm (`crate::storm`) with
//! modelled ones.

use super::socket::Order;
use super::status::Ended;
use hcddl_core::domain::{Span, Time};

/// Time between asking a node to end and killing it.
const GRACE: Span = Span::from_millis(5000);

/// What a supervisor is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// It begins.
    Begin,
    /// It is as late as it is.
    Time,
    /// A node's process has ended, or could not be started.
    Ended(usize),
    /// A controller, or somebody with a command, gives an order.
    Order(Order),
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    /// Start this node's process.
    Start(usize),
    /// Ask all that run to end.
    Ask,
    /// Kill all that run.
    Kill,
    /// Nothing runs any more: end, and say why.
    End(Ended),
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Watch {
    lease: Span,
    /// Whether the run stops here when its controller has been silent for as long as the lease.
    attached: bool,
    /// When a controller gave a sign of life.
    heard: Time,
    /// When this process last looked: while it was held it could not hear anybody.
    looked: Time,
    stopping: Option<(Ended, Time)>,
    running: Vec<bool>,
}

impl Watch {
    /// Over so many nodes, none of which runs.
    pub fn new(now: Time, lease: Span, attached: bool, nodes: usize) -> Self {
        Self { lease, attached, heard: now, looked: now, stopping: None, running: vec![false; nodes] }
    }

    /// Whether the run stops here without its controller.
    pub fn is_attached(&self) -> bool {
        self.attached
    }

    /// Something happens. `Begin` comes first, and nothing after [`Deed::End`].
    pub fn on(&mut self, now: Time, told: Told) -> Vec<Deed> {
        if now.since(self.looked).0 > self.lease.0 / 2 {
            self.heard = now;
        }
        self.looked = now;
        let mut deeds = Vec::new();
        match told {
            Told::Begin => self.start(&mut deeds),
            Told::Ended(node) => self.running[node] = false,
            Told::Order(Order::Restart) if self.stopping.is_none() => self.start(&mut deeds),
            Told::Order(Order::Detach) => self.attached = false,
            Told::Order(Order::Renew) => self.heard = now,
            Told::Order(Order::Restart | Order::Stop) | Told::Time => {}
        }
        if !self.running.contains(&true) {
            deeds.push(Deed::End(self.stopping.map_or(Ended::Finished, |(why, _)| why)));
            return deeds;
        }
        let expired = self.attached && now.since(self.heard) > self.lease;
        let why = match told {
            Told::Order(Order::Stop) => Some(Ended::Stopped),
            _ if expired => Some(Ended::LeaseExpired),
            _ => None,
        };
        match (self.stopping, why) {
            (None, Some(why)) => {
                self.stopping = Some((why, now));
                deeds.push(Deed::Ask);
            }
            (Some((_, since)), _) if now.since(since) > GRACE => deeds.push(Deed::Kill),
            _ => {}
        }
        deeds
    }

    /// Starts those that do not run.
    fn start(&mut self, deeds: &mut Vec<Deed>) {
        for (node, running) in self.running.iter_mut().enumerate() {
            if !std::mem::replace(running, true) {
                deeds.push(Deed::Start(node));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Span = Span::from_millis(10_000);

    fn at(seconds: u64) -> Time {
        Time(seconds * 1_000_000_000)
    }

    fn begun(attached: bool) -> Watch {
        let mut watch = Watch::new(at(0), LEASE, attached, 2);
        assert_eq!(watch.on(at(0), Told::Begin), [Deed::Start(0), Deed::Start(1)]);
        watch
    }

    #[test]
    fn what_has_ended_is_started_again_when_somebody_says_so_and_the_last_end_is_the_end() {
        let mut watch = begun(true);
        assert_eq!(watch.on(at(1), Told::Ended(1)), []);
        assert_eq!(watch.on(at(2), Told::Order(Order::Restart)), [Deed::Start(1)]);
        assert_eq!(watch.on(at(3), Told::Ended(0)), []);
        assert_eq!(watch.on(at(4), Told::Ended(1)), [Deed::End(Ended::Finished)]);
    }

    #[test]
    fn a_stop_asks_first_and_kills_later_and_starts_nothing_any_more() {
        let mut watch = begun(true);
        assert_eq!(watch.on(at(1), Told::Order(Order::Stop)), [Deed::Ask]);
        assert_eq!(watch.on(at(2), Told::Ended(0)), []);
        assert_eq!(watch.on(at(3), Told::Order(Order::Restart)), []);
        assert_eq!(watch.on(at(6), Told::Order(Order::Stop)), []);
        assert_eq!(watch.on(at(7), Told::Time), [Deed::Kill]);
        assert_eq!(watch.on(at(8), Told::Ended(1)), [Deed::End(Ended::Stopped)]);
    }

    #[test]
    fn without_its_controller_it_stops_unless_it_was_told_to_go_on() {
        let mut watch = begun(true);
        (1..8).for_each(|now| assert_eq!(watch.on(at(now), Told::Time), []));
        assert_eq!(watch.on(at(9), Told::Order(Order::Renew)), []);
        (10..20).for_each(|now| assert_eq!(watch.on(at(now), Told::Time), []));
        assert_eq!(watch.on(at(20), Told::Time), [Deed::Ask]);
        let mut alone = begun(true);
        assert_eq!(alone.on(at(1), Told::Order(Order::Detach)), []);
        (2..100).for_each(|now| assert_eq!(alone.on(at(now), Told::Time), []));
        assert!(!alone.is_attached());
    }

    #[test]
    fn one_that_was_held_itself_blames_nobody() {
        let mut watch = begun(true);
        assert_eq!(watch.on(at(60), Told::Time), []);
        (61..70).for_each(|now| assert_eq!(watch.on(at(now), Told::Time), []));
        assert_eq!(watch.on(at(71), Told::Time), [Deed::Ask]);
    }
}
