//! Nodes: pure state machines. An actor carries each one; `sim` and `deploy` differ only in what happens
//! between a node's effect and another node's event.
//!
//! A node never awaits, reads a clock, draws global randomness or touches the world. One call handles one
//! event to its end.

pub mod bond;
pub mod kinds;
pub mod peer;
pub mod reliable;
pub mod server;
#[cfg(test)]
pub(crate) mod transcript;
pub mod uplink;
pub mod work;
pub mod worker;

use crate::domain::{JobId, Message, NodeId, Params, Seeds, Span, Strange, Stream, Time, Token, Version};
use serde::{Deserialize, Serialize};
pub use work::{Fold, FoldInput, Folded, OptState, Outcome, Train, Trained, Work};

/// One participant of a training run: a server of any tier, a worker, a peer.
pub trait Node: Send {
    /// Handles one event to its end.
    fn on(&mut self, cx: &Cx, event: Event, out: &mut Effects);
    /// Everything the node knows, so that a checkpoint or a restart can build it again.
    fn save(&self) -> NodeState;
}

/// Names the jobs of a node, one after the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Jobs(u64);

impl Jobs {
    /// A name that no job of this node has had.
    pub fn fresh(&mut self) -> JobId {
        self.0 += 1;
        JobId(self.0)
    }
}

/// What a node may know besides the event.
#[derive(Clone, Copy, Debug)]
pub struct Cx {
    /// The moment of this event.
    pub now: Time,
    /// This node.
    pub me: NodeId,
    /// The run's seeds, from which the node names its own streams.
    pub seeds: Seeds,
}

impl Cx {
    /// This node's own stream for a purpose: draws of other nodes never shift it.
    #[must_use]
    pub fn stream(&self, purpose: &str, counter: u64) -> Stream {
        Stream::new(self.seeds.interleaving, purpose, u64::from(self.me.0), counter)
    }
}

/// Something that happened to a node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// The run starts (or the node does, after a restart).
    Start,
    /// A message arrived.
    Received {
        /// Who sent it.
        from: NodeId,
        /// What it says.
        message: Message,
    },
    /// A job that the node started has ended.
    Done {
        /// Which.
        job: JobId,
        /// Its result.
        outcome: Outcome,
    },
    /// A timer that the node set has run down.
    Timer(Token),
    /// A node that this one talks to is there (again), after the detection delay.
    Up(NodeId),
    /// A node that this one talks to is lost, after the detection delay.
    Down(NodeId),
    /// The connection to a node broke and is there again, before anybody counted it as lost: what was on its way
    /// may be gone. Only reliable delivery looks at it.
    Reconnected(NodeId),
    /// The run must end.
    Stop(Reason),
}

/// Something that a node wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Start a job: anything that costs time.
    Run {
        /// The node's own name for it.
        job: JobId,
        /// What to compute.
        work: Work,
    },
    /// Give a job up. With `keep_partial` a training job ends now with the steps it has finished.
    Cancel {
        /// Which.
        job: JobId,
        /// Whether `Done` still comes, with the finished steps.
        keep_partial: bool,
    },
    /// Send a message.
    Send {
        /// To whom.
        to: NodeId,
        /// What.
        message: Message,
    },
    /// Wake me after a while.
    SetTimer {
        /// How long.
        after: Span,
        /// The node's own name for it.
        token: Token,
    },
    /// Forget a timer.
    ClearTimer(Token),
    /// Declare a new version of my model.
    Commit(Commit),
    /// An update was dropped by the policy.
    Dropped {
        /// Who sent it.
        from: NodeId,
        /// Why.
        why: crate::policy::Why,
    },
    /// Something is strange about what another node has sent.
    Noticed {
        /// Who sent it.
        from: NodeId,
        /// What.
        what: Strange,
    },
    /// Add to a named counter of the run.
    Record(Metric),
    /// The run is over (the root server, or every peer).
    Finish(Reason),
}

/// The effects of one event, in order.
#[derive(Debug, Default)]
pub struct Effects(pub Vec<Effect>);

impl Effects {
    /// Adds one effect.
    pub fn push(&mut self, effect: Effect) {
        self.0.push(effect);
    }

    /// Adds a send.
    pub fn send(&mut self, to: NodeId, message: Message) {
        self.0.push(Effect::Send { to, message });
    }

    /// Adds a job.
    pub fn run(&mut self, job: JobId, work: Work) {
        self.0.push(Effect::Run { job, work });
    }
}

/// A new version of a model and where it came from: staleness, lineage and critical path follow from it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Commit {
    /// The new version (a server) or the finished round (a peer).
    pub version: Version,
    /// Who contributed.
    pub contributors: Vec<Contribution>,
    /// The new model.
    pub model: Params,
}

/// One update within a commit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Contribution {
    /// Who sent it.
    pub node: NodeId,
    /// The version that it was based on; staleness is the version before the commit minus this.
    pub base: Version,
    /// Its weight in the fold, after normalisation.
    pub weight: f32,
    /// Training samples behind it.
    pub samples: u64,
    /// Mean training loss; NaN when unknown.
    pub loss: f32,
}

/// A named number that is added to the run's counter of that name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    /// Its name: an open set, shown in the summary.
    pub name: std::borrow::Cow<'static, str>,
    /// What is added.
    pub value: f64,
}

/// Why a run ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reason {
    /// The configured number of rounds or commits is done.
    Rounds,
    /// The target accuracy is reached.
    Target,
    /// The virtual time limit is reached.
    TimeLimit,
    /// Somebody pressed Ctrl-C.
    Interrupted,
    /// Nothing more can happen: everybody waits for somebody; says for whom.
    Stalled(String),
    /// Something went wrong: a job failed, or a node got what it cannot work with; says what.
    Failed(String),
}

impl Reason {
    /// What kept training from going on to its end; `None` of an end as configured, or by the user's wish.
    #[must_use]
    pub fn problem(&self) -> Option<&str> {
        match self {
            Reason::Stalled(why) | Reason::Failed(why) => Some(why),
            Reason::Rounds | Reason::Target | Reason::TimeLimit | Reason::Interrupted => None,
        }
    }

    /// Reads a reason, also as text, as results and progress files had it before it was data.
    ///
    /// # Errors
    /// What is neither.
    pub fn read<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Self>, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Now(Reason),
            Before(Option<String>),
        }
        Ok(match Either::deserialize(from)? {
            Either::Now(reason) => Some(reason),
            Either::Before(text) => match text.as_deref() {
                None | Some("") => None,
                Some("rounds") => Some(Reason::Rounds),
                Some("target") => Some(Reason::Target),
                Some("timelimit") => Some(Reason::TimeLimit),
                Some("interrupted") => Some(Reason::Interrupted),
                Some(why) => Some(Reason::Failed(why.to_owned())),
            },
        })
    }
}

/// As the end of a sentence that starts with "ended".
impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Reason::Rounds => write!(f, "after the configured rounds"),
            Reason::Target => write!(f, "at the target accuracy"),
            Reason::TimeLimit => write!(f, "at the limit of virtual time"),
            Reason::Interrupted => write!(f, "early: interrupted"),
            Reason::Stalled(why) | Reason::Failed(why) => write!(f, "early: {why}"),
        }
    }
}

/// Everything a node knows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum NodeState {
    /// A worker.
    Worker(Box<worker::WorkerState>),
    /// A server of any tier.
    Server(Box<server::ServerState>),
    /// A node with reliable delivery around it.
    Reliable(Box<(reliable::ReliableState, NodeState)>),
    /// A peer: the state of its algorithm.
    Peer(Box<peer::PeerState>),
    /// A node kind of a user's crate, encoded as it likes.
    Custom(Vec<u8>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct File {
        #[serde(default, deserialize_with = "Reason::read")]
        reason: Option<Reason>,
    }

    /// Files of before say it in words; a reason that was written is read as it was.
    #[test]
    fn reasons_are_read_as_data_and_as_words() {
        let read = |text: &str| serde_json::from_str::<File>(text).unwrap().reason;
        let failed = |why: &str| Some(Reason::Failed(why.to_owned()));
        for (text, expected) in [
            ("{}", None),
            (r#"{"reason": null}"#, None),
            (r#"{"reason": ""}"#, None),
            (r#"{"reason": "rounds"}"#, Some(Reason::Rounds)),
            (r#"{"reason": "timelimit"}"#, Some(Reason::TimeLimit)),
            (r#"{"reason": "worker2 is gone"}"#, failed("worker2 is gone")),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
        let all = [Reason::Rounds, Reason::Target, Reason::TimeLimit, Reason::Interrupted];
        for reason in all.into_iter().chain(failed("why")).chain([Reason::Stalled("why".to_owned())]) {
            let text = serde_json::json!({ "reason": reason }).to_string();
            assert_eq!(read(&text), Some(reason), "{text}");
        }
    }
}
