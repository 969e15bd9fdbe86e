//! Platforms as SimGrid describes them in XML: hosts, links, and which links a message passes from one host to another.
//! The common subset of version 4: zones of routing `Full`, `host`, `link`, `route` and `cluster`. Whatever else would mean
//! something is an error. Corrections that SimGrid's own models of TCP apply to these figures are not.

mod units;
mod xml;

use std::collections::BTreeMap;

/// A line, from 1, and what is wrong with it.
pub(super) type Problem = (usize, String);

/// Hosts, links and routes.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Platform {
    pub hosts: Vec<Host>,
    pub links: Vec<Link>,
    routes: BTreeMap<(usize, usize), Vec<Hop>>,
    clusters: Vec<Cluster>,
}

/// A machine.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Host {
    pub name: String,
    /// Operations per second of one core.
    pub speed: f64,
    pub cores: u32,
    /// Its cluster and its own link there.
    cluster: Option<(usize, usize)>,
}

/// A line.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Link {
    pub name: String,
    pub bytes_per_second: f64,
    pub latency_s: f64,
    pub sharing: Sharing,
}

/// Who shares a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sharing {
    /// All transfers, in both directions.
    Shared,
    /// Nobody: each transfer has it for itself.
    Fatpipe,
    /// All transfers of each direction.
    Duplex,
}

/// A link of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hop {
    pub link: usize,
    /// In which direction, of a line with two.
    pub up: bool,
}

/// A star: each host has a link to the middle, where there may be a backbone.
#[derive(Clone, Debug, Default, PartialEq)]
struct Cluster {
    backbone: Option<usize>,
}

impl Platform {
    /// Reads one.
    ///
    /// # Errors
    /// The line and what is wrong with it.
    pub fn read(text: &str) -> Result<Self, Problem> {
        xml::read(text)
    }

    /// The links from one host to another; none between a host and itself.
    pub fn route(&self, from: usize, to: usize) -> Option<Vec<Hop>> {
        if let Some(hops) = self.routes.get(&(from, to)) {
            return Some(hops.clone());
        }
        if from == to {
            return Some(Vec::new());
        }
        let ((cluster, first), (other, last)) = (self.hosts[from].cluster?, self.hosts[to].cluster?);
        if cluster != other {
            return None;
        }
        let backbone = self.clusters[cluster].backbone.map(|link| Hop { link, up: true });
        let [first, last] = [Hop { link: first, up: true }, Hop { link: last, up: false }];
        Some([first].into_iter().chain(backbone).chain([last]).collect())
    }
}

#[cfg(test)]
mod tests;
