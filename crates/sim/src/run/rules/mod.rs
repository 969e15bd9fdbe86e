//! One chain of rules decides what becomes of each message and how long each job takes, whoever carries the nodes. A
//! simulation walks all of it. Real links and devices stand in for most of it in a deployment, which walks the rest
//! ([`Chain::arrived`], [`Chain::slowdown`]). Durations of a real run may stand in as well ([`recorded`]); whatever is
//! new in a plan acts on top of them.
//!
//! In this order, each rule seeing what those before it have decided:
//!
//! | message | job |
//! |---|---|
//! | [`recorded`]: how long it took in a real run | the same |
//! | [`faults`]: lost, repeated, delayed | [`devices`]: heterogeneity |
//! | [`director`]: what is decided instead of drawn | [`faults`]: nodes that were slowed down |
//! | [`links`]: latency, where nothing has decided it | [`devices`]: slow phases |
//! | [`injections`]: added, scaled, replaced | [`injections`]: slowed down |
//! | [`links`]: retransmissions | [`director`]: what is decided instead of drawn |
//! | | [`devices`]: the time of the job, and how hot its host is, where nothing has decided it |
//!
//! What a setting of a scenario has to say about delays and fates, a rule here says, and nobody else
//! (`tests/rules.rs`). How transfers share the network, and jobs the cores of a host, is not theirs.

pub mod devices;
pub mod director;
pub mod faults;
pub mod injections;
pub mod links;
pub mod recorded;

use devices::{Device, Heat, Heterogeneity, Phases};
use director::{Decided, Director};
use faults::Faults;
use hcddl_core::device::{JobCost, SlowPhases, Temperature};
use hcddl_core::domain::{HostId, JobId, Message, NodeId, Span, Time};
use hcddl_core::inject::InjectState;
use hcddl_core::node::work::Work;
use hcddl_plan::plan::Plan;
use injections::Injections;
use links::{Latency, Retransmissions};
use recorded::{Follow, Recorded};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A message that is about to leave, on a link between two hosts.
#[derive(Clone, Copy, Debug)]
pub struct Sending<'a> {
    /// Now.
    pub now: Time,
    /// The sender.
    pub from: NodeId,
    /// The receiver.
    pub to: NodeId,
    /// How many messages this one makes in this direction, from 1.
    pub number: u64,
    /// The message.
    pub message: &'a Message,
    /// The kind of link: index into the plan's links.
    pub link: u16,
    /// The probabilities that the plan's rules lose it and repeat it, the largest of each.
    pub chances: (f64, f64),
}

/// A job that is about to begin.
#[derive(Clone, Copy, Debug)]
pub struct Beginning<'a> {
    /// Now.
    pub now: Time,
    /// Whose.
    pub node: NodeId,
    /// Its name.
    pub job: JobId,
    /// How many jobs this one makes for the node, from 1.
    pub number: u64,
    /// What it does.
    pub work: &'a Work,
    /// What it costs on any device.
    pub cost: &'a JobCost,
    /// Its time on the device is multiplied by this.
    pub factor: f64,
}

/// What has been decided of a message so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Fate {
    /// It does not arrive.
    pub lost: bool,
    /// It arrives twice.
    pub duplicate: bool,
    /// One way, after the last byte has left.
    pub latency: Option<Span>,
    /// Added to the latency.
    pub delay: Span,
    /// The latency holds the time of the transfer already.
    pub carried: bool,
    /// The largest probabilities of a loss and of a duplicate.
    pub chances: (f64, f64),
}

/// What has been decided of a job so far.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Took {
    /// How long it takes on an idle host, before the factor.
    pub duration: Option<Span>,
    /// Slowness.
    pub factor: f64,
    /// The duration is that of a real run: its device and its host's other jobs are in it.
    pub recorded: bool,
}

/// A row of the chain.
pub trait Rule {
    /// Says what it has to say of a message.
    fn message(&mut self, _: &Sending<'_>, _: &mut Fate) {}
    /// Says what it has to say of a job.
    fn job(&mut self, _: &Beginning<'_>, _: &mut Took) {}
}

/// See the module.
pub struct Chain<'a> {
    recorded: Follow<'a>,
    pub faults: Faults<'a>,
    director: Option<&'a mut dyn Director>,
    latency: Latency<'a>,
    injections: Injections<'a>,
    retransmissions: Retransmissions<'a>,
    heterogeneity: Heterogeneity<'a>,
    phases: Phases<'a>,
    device: Device<'a>,
    heat: Heat<'a>,
}

/// What the chain remembers of a run.
#[derive(Clone, Debug, Default)]
pub struct ChainState {
    pub injected: InjectState,
    pub slowed: BTreeMap<NodeId, f64>,
    pub phases: BTreeMap<NodeId, SlowPhases>,
    pub temperatures: BTreeMap<HostId, Temperature>,
}

impl<'a> Chain<'a> {
    /// The chain of a plan; a director decides what it likes.
    #[must_use]
    pub fn new(plan: &'a Plan, director: Option<&'a mut dyn Director>) -> Self {
        Self {
            recorded: Follow::new(plan),
            faults: Faults::new(plan),
            director,
            latency: Latency::new(plan),
            injections: Injections::new(plan),
            retransmissions: Retransmissions::new(plan),
            heterogeneity: Heterogeneity::new(plan),
            phases: Phases::new(plan),
            device: Device::new(plan),
            heat: Heat::new(plan),
        }
    }

    /// Messages and jobs take as long as in a real run; what is new in this plan acts on top of that.
    pub fn follow(&mut self, recorded: &Arc<Recorded>) {
        self.faults.leave_out(&recorded.conditions.rules);
        self.injections.leave_out(&recorded.conditions.injections);
        self.recorded.follow(Arc::clone(recorded));
    }

    /// What becomes of a message between hosts.
    pub fn message(&mut self, sending: &Sending<'_>) -> Fate {
        let mut fate = Fate::default();
        self.recorded.message(sending, &mut fate);
        self.faults.message(sending, &mut fate);
        if let Some(director) = &mut self.director {
            let decided = director.message(&Sending { chances: fate.chances, ..*sending });
            decided.apply(&mut fate);
        }
        if fate.lost {
            return fate;
        }
        self.latency.message(sending, &mut fate);
        self.injections.message(sending, &mut fate);
        self.retransmissions.message(sending, &mut fate);
        fate
    }

    /// How long a message takes from one process of a host to another: no time, but in a recorded run.
    pub fn within(&self, from: NodeId, to: NodeId, number: u64, message: &Message) -> Span {
        self.recorded.trip(from, to, number, message.lane()).unwrap_or_default()
    }

    /// How long a job takes on an idle host. A duration is in the answer.
    pub fn job(&mut self, beginning: &Beginning<'_>) -> Took {
        let mut took = Took { duration: None, factor: 1.0, recorded: false };
        self.recorded.job(beginning, &mut took);
        self.heterogeneity.job(beginning, &mut took);
        self.faults.job(beginning, &mut took);
        self.phases.job(beginning, &mut took);
        self.injections.job(beginning, &mut took);
        if let Some(director) = &mut self.director
            && let Some(decided) = director.job(&Beginning { factor: took.factor, ..*beginning })
        {
            // It has seen the factor.
            took = Took { duration: Some(decided), factor: 1.0, ..took };
        }
        let decided = took.duration.is_some();
        self.device.job(beginning, &mut took);
        if !decided {
            self.heat.job(beginning, &mut took);
        }
        if took.factor != 1.0 {
            took.duration = took.duration.map(|duration| duration.scale(took.factor));
        }
        took
    }

    /// When a fault of the plan happens that stands at `at` there.
    pub fn fault(&mut self, index: u32, at: Time) -> Time {
        self.director.as_mut().and_then(|director| director.fault(index, at)).unwrap_or(at)
    }

    /// A message has come over a real link, whose latency is `usual` in the mean: how long it would have taken with
    /// what is injected. Real links and real faults are the other rules.
    pub fn arrived(&mut self, now: Time, from: NodeId, to: NodeId, number: u64, usual: Span) -> Span {
        self.injections.latency(now, from, to, number, usual)
    }

    /// What the real time of a job that began at `now` is multiplied by.
    pub fn slowdown(&mut self, now: Time, node: NodeId) -> f64 {
        self.injections.slowdown(now, node)
    }

    /// Whether messages that have come over real links are to be held back at times.
    #[must_use]
    pub fn injects(&self) -> bool {
        !self.injections.is_empty()
    }

    /// What it remembers.
    #[must_use]
    pub fn save(&self) -> ChainState {
        ChainState {
            injected: self.injections.save(),
            slowed: self.faults.slowed.clone(),
            phases: self.phases.state.clone(),
            temperatures: self.heat.state.clone(),
        }
    }

    /// Continues from what another chain remembered.
    pub fn load(&mut self, state: ChainState) {
        self.injections.load(state.injected);
        self.faults.slowed = state.slowed;
        self.phases.state = state.phases;
        self.heat.state = state.temperatures;
    }
}

impl Decided {
    /// Takes the place of what was drawn.
    fn apply(self, fate: &mut Fate) {
        fate.lost = self.lost.unwrap_or(fate.lost);
        fate.duplicate = self.duplicate.unwrap_or(fate.duplicate);
        fate.latency = self.latency.or(fate.latency);
    }
}

/// A directed pair as one number; names its random streams.
#[must_use]
pub fn pair(from: NodeId, to: NodeId) -> u64 {
    (u64::from(from.0) << 32) | u64::from(to.0)
}
