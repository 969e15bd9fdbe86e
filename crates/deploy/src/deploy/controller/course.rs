//! What a controller decides while it follows a run: what it knows of each host, when the run is over, when it dials a
//! host again. What hosts say goes in, with the time; [`super::follow`] asks real supervisors, the storm
//! (`crate::storm`) modelled ones.

use super::record::{HostRecord, Record};
use crate::deploy::agent::{AgentStatus, Ended, FULL, NodeStatus};
use hcddl_core::domain::{Span, Time};

/// Time that the other nodes have to end after the root.
const AFTER_ROOT: Span = Span::from_millis(15_000);
/// As [`AFTER_ROOT`], when all those that are left are held by a signal.
const AFTER_ROOT_PAUSED: Span = Span::from_millis(2000);
/// Shortest and longest time between two attempts to reach a host.
const REDIAL: (Span, Span) = (Span::from_millis(500), Span::from_millis(5000));

/// What is known about a host.
#[derive(Clone, Debug, Default)]
pub struct HostState {
    /// What its supervisor said last.
    pub status: Option<AgentStatus>,
    /// Why it cannot be heard now.
    pub problem: Option<String>,
    /// Whether nothing more will come from it.
    pub over: bool,
}

/// How following ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// Every node has ended, or the root and all those that can be heard.
    Finished,
    /// The root's process was killed, had no room on its disk, or its host lost it: the others wait for it.
    RootLost(String),
    /// Ctrl-C.
    Interrupted,
}

/// What a connection to a host brings.
#[derive(Debug)]
pub(crate) enum Update {
    Status(Box<AgentStatus>),
    /// It cannot be heard; more may come.
    Lost(String),
    /// The host is there, its supervisor is not, and has not ended as it should: why.
    Gone(String),
}

/// When a host is dialled again.
#[derive(Debug)]
pub(crate) struct Redial(Span);

impl Default for Redial {
    fn default() -> Self {
        Self(REDIAL.0)
    }
}

impl Redial {
    /// The pause before the next attempt; the one after that is longer.
    pub fn pause(&mut self) -> Span {
        let next = self.0.times(2).min(REDIAL.1);
        std::mem::replace(&mut self.0, next)
    }
}

/// A line of a supervisor; none if it means nothing. A host speaks for its own nodes and no others.
pub(crate) fn heard(host: &HostRecord, line: &str) -> Option<AgentStatus> {
    let mut status = serde_json::from_str::<AgentStatus>(line).ok()?;
    status.nodes.retain(|node| host.nodes.contains(&node.name));
    Some(status)
}

/// A run that is followed.
#[derive(Debug)]
pub(crate) struct Course {
    /// What is known of each host.
    pub states: Vec<HostState>,
    root: Option<String>,
    /// The host that carries it.
    root_host: Option<usize>,
    root_ended: Option<Time>,
}

impl Course {
    /// A run of which nothing is known yet.
    pub fn new(record: &Record) -> Self {
        let states = vec![HostState::default(); record.hosts.len()];
        let carries = |root: &String| record.hosts.iter().position(|host| host.nodes.contains(root));
        let (root, root_host) = (record.root.clone(), record.root.as_ref().and_then(carries));
        Self { states, root, root_host, root_ended: None }
    }

    /// A host says something, or cannot be heard.
    pub fn take(&mut self, host: usize, update: Update) {
        self.states[host].take(update);
    }

    /// How the run is over, if it is.
    pub fn end(&mut self, now: Time, is_interrupted: bool) -> Option<End> {
        if is_interrupted {
            return Some(End::Interrupted);
        }
        if let Some((host, node)) = self.root.as_deref().and_then(|name| find(&self.states, name)) {
            let how = node.ended.clone().filter(|_| node.pid.is_none());
            let stopped = host.status.as_ref().and_then(|status| status.ended);
            let told = matches!(stopped, Some(Ended::Stopped | Ended::LeaseExpired));
            match how {
                // It can go on from its last checkpoint once what took it away is over.
                Some(how) if (how.starts_with("signal") || how.ends_with(FULL)) && !told => {
                    return Some(End::RootLost(how));
                }
                Some(_) => _ = self.root_ended.get_or_insert(now),
                None if host.over => return Some(End::RootLost("its host lost it".to_owned())),
                None => self.root_ended = None,
            }
        } else if self.root_host.is_some_and(|host| self.states[host].over) {
            // Its supervisor was gone before it said a word: without the root the others never end.
            return Some(End::RootLost("its host lost it".to_owned()));
        }
        // Who is held by a signal will not end by itself.
        let wait = if only_paused(&self.states) { AFTER_ROOT_PAUSED } else { AFTER_ROOT };
        let late = self.root_ended.is_some_and(|since| now.since(since) > wait);
        (late || self.states.iter().all(|state| state.over)).then_some(End::Finished)
    }
}

/// Whether every node that runs is held by a signal, and every host is heard.
fn only_paused(states: &[HostState]) -> bool {
    let heard = states.iter().all(|host| host.problem.is_none() && host.status.is_some());
    let mut nodes = states.iter().filter_map(|host| host.status.as_ref()).flat_map(|status| &status.nodes);
    heard && nodes.all(|node| node.pid.is_none() || node.paused)
}

/// A node and its host.
fn find<'a>(states: &'a [HostState], name: &str) -> Option<(&'a HostState, &'a NodeStatus)> {
    states.iter().find_map(|host| {
        let nodes = &host.status.as_ref()?.nodes;
        nodes.iter().find(|node| node.name == name).map(|node| (host, node))
    })
}

impl HostState {
    fn take(&mut self, update: Update) {
        match update {
            Update::Status(status) => {
                self.over = status.ended.is_some();
                self.problem = None;
                self.status = Some(*status);
            }
            // Nothing more was to come from it.
            Update::Lost(_) if self.over => {}
            Update::Lost(problem) => self.problem = Some(problem),
            Update::Gone(why) => {
                self.problem = Some(why);
                self.over = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_what_it_said_last() {
        let mut state = HostState::default();
        state.take(Update::Lost("gone".to_owned()));
        assert_eq!((state.problem.as_deref(), state.over), (Some("gone"), false));
        state.take(Update::Status(Box::default()));
        assert_eq!((state.problem.as_deref(), state.over), (None, false));
        let ended = AgentStatus { ended: Some(Ended::Finished), ..AgentStatus::default() };
        state.take(Update::Status(Box::new(ended)));
        assert!(state.over);
        state.take(Update::Lost("the connection broke".to_owned()));
        assert_eq!((state.problem.as_deref(), state.over), (None, true), "it had ended");
        state.take(Update::Gone("killed".to_owned()));
        assert!(state.over && state.problem.is_some() && state.status.is_some());
    }

    fn record() -> Record {
        let host = |name: &str, nodes: &[&str]| HostRecord {
            host: crate::deploy::inventory::Host { name: name.to_owned(), ..Default::default() },
            base: "/tmp".to_owned(),
            program: "hcddl".to_owned(),
            nodes: nodes.iter().map(|node| (*node).to_owned()).collect(),
        };
        Record {
            run: "r".to_owned(),
            root: Some("global".to_owned()),
            rounds: None,
            lease: 0,
            detached: false,
            cleaned: false,
            hosts: vec![host("a", &["global"]), host("b", &["worker1"])],
        }
    }

    fn status(node: &str, ended: Option<&str>) -> Update {
        let pid = if ended.is_none() { Some(7) } else { None };
        let node =
            NodeStatus { name: node.to_owned(), pid, ended: ended.map(str::to_owned), ..Default::default() };
        Update::Status(Box::new(AgentStatus { nodes: vec![node], ..AgentStatus::default() }))
    }

    fn at(seconds: u64) -> Time {
        Time(seconds * 1_000_000_000)
    }

    #[test]
    fn after_the_root_the_others_have_some_time_and_no_more() {
        let mut course = Course::new(&record());
        assert_eq!(course.end(at(0), false), None);
        course.take(0, status("global", None));
        course.take(1, status("worker1", None));
        assert_eq!(course.end(at(100), false), None);
        assert_eq!(course.end(at(100), true), Some(End::Interrupted));
        course.take(0, status("global", Some("code 0")));
        assert_eq!(course.end(at(101), false), None);
        assert_eq!(course.end(at(116), false), None);
        assert_eq!(course.end(at(117), false), Some(End::Finished));
    }

    #[test]
    fn a_root_that_was_killed_is_waited_for_by_somebody_else() {
        let mut course = Course::new(&record());
        course.take(0, status("global", Some("signal 9")));
        assert_eq!(course.end(at(1), false), Some(End::RootLost("signal 9".to_owned())));
    }

    #[test]
    fn a_root_whose_supervisor_never_said_a_word_is_lost_as_well() {
        let mut course = Course::new(&record());
        course.take(1, status("worker1", None));
        course.take(0, Update::Gone("its supervisor is gone".to_owned()));
        assert_eq!(course.end(at(1), false), Some(End::RootLost("its host lost it".to_owned())));
    }

    #[test]
    fn a_host_speaks_for_its_own_nodes_only() {
        let host = &record().hosts[1];
        let both = AgentStatus {
            nodes: ["global", "worker1"]
                .map(|name| NodeStatus { name: name.to_owned(), ..Default::default() })
                .to_vec(),
            ..AgentStatus::default()
        };
        let heard = heard(host, &both.line()).unwrap();
        assert_eq!(heard.nodes.iter().map(|node| node.name.as_str()).collect::<Vec<_>>(), ["worker1"]);
        assert!(super::heard(host, "garbage").is_none());
    }

    #[test]
    fn hosts_that_do_not_answer_are_dialled_less_and_less_often() {
        let mut redial = Redial::default();
        let pauses: Vec<u64> = (0..6).map(|_| redial.pause().0 / 1_000_000).collect();
        assert_eq!(pauses, [500, 1000, 2000, 4000, 5000, 5000]);
    }
}
