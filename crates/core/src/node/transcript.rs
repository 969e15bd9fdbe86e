//! Nodes as text, for tests: what a node is told (`>`) and everything that it then wants (`<`), a line each, so that a
//! test shows a whole conversation and compares whole answers.
//!
//! Jobs are done for real, and end when the test says so. The codec of these tests keeps whole numbers and holds back
//! the rest; what it has coded is shown with `~`.

use super::kinds::ACK;
use super::reliable::Receipt;
use super::{Cx, Effect, Effects, Event, Node, Outcome, Reason, Work};
use crate::domain::{
    Body, Coded, Data, Detail, JobId, Lane, Message, NodeId, Params, Progress, Seeds, Span, Time, Token,
};
use crate::node::{Fold, Train, Trained};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

/// A node in conversation.
pub(crate) struct Transcript {
    node: Box<dyn Node>,
    me: NodeId,
    now: Time,
    /// What its neighbours are called, by id.
    names: Names,
    jobs: BTreeMap<JobId, Work>,
    text: String,
}

/// What nodes are called, by id.
pub(crate) type Names = &'static [&'static str];

/// The node of this name.
pub(crate) fn id(names: Names, name: &str) -> NodeId {
    NodeId(names.iter().position(|known| *known == name).expect("a name of this test") as u32)
}

impl Transcript {
    /// Of this node, which is called `me`.
    pub fn of(node: Box<dyn Node>, names: Names, me: &str) -> Self {
        let (me, text) = (id(names, me), String::new());
        Self { node, me, now: Time::ZERO, names, jobs: BTreeMap::new(), text }
    }

    /// The node starts.
    pub fn start(&mut self) -> &mut Self {
        self.tell(Event::Start)
    }

    /// A message arrives.
    pub fn hears(&mut self, from: &str, message: Message) -> &mut Self {
        let from = id(self.names, from);
        self.tell(Event::Received { from, message })
    }

    /// A neighbour is lost.
    pub fn loses(&mut self, name: &str) -> &mut Self {
        let node = id(self.names, name);
        self.tell(Event::Down(node))
    }

    /// A neighbour is there again.
    pub fn meets(&mut self, name: &str) -> &mut Self {
        let node = id(self.names, name);
        self.tell(Event::Up(node))
    }

    /// The connection to a neighbour was broken and is there again.
    pub fn reconnects(&mut self, name: &str) -> &mut Self {
        let node = id(self.names, name);
        self.tell(Event::Reconnected(node))
    }

    /// A timer runs down, so much later.
    pub fn waits(&mut self, after: Span, token: u64) -> &mut Self {
        self.now = self.now + after;
        self.tell(Event::Timer(Token(token)))
    }

    /// A job ends with what it computes.
    pub fn ends(&mut self, job: u64) -> &mut Self {
        let job = JobId(job);
        let work = self.jobs.remove(&job).expect("a job that this node runs");
        self.tell(Event::Done { job, outcome: outcome(work) })
    }

    /// A job ends with this.
    pub fn ends_with(&mut self, job: u64, outcome: Outcome) -> &mut Self {
        self.tell(Event::Done { job: JobId(job), outcome })
    }

    /// A remark between the lines.
    pub fn note(&mut self, text: &str) -> &mut Self {
        let _ = writeln!(self.text, "-- {text}");
        self
    }

    /// The node, for a look at its state.
    pub fn node(&self) -> &dyn Node {
        &*self.node
    }

    /// Everything so far.
    pub fn text(&self) -> &str {
        &self.text
    }

    fn tell(&mut self, event: Event) -> &mut Self {
        let _ = writeln!(self.text, "> {}", show_event(self.names, &event));
        let cx = Cx { now: self.now, me: self.me, seeds: Seeds::all(1) };
        let mut out = Effects::default();
        self.node.on(&cx, event, &mut out);
        for effect in out.0 {
            let _ = writeln!(self.text, "< {}", show_effect(self.names, &effect));
            if let Effect::Run { job, work } = effect {
                self.jobs.insert(job, work);
            }
        }
        self
    }
}

/// What a job computes. A training step has the gradient 1 everywhere, 10 samples and the loss 0.5.
pub(crate) fn outcome(work: Work) -> Outcome {
    match work {
        Work::Train(Train { model, steps, opt, .. }) => Outcome::Trained(Trained {
            tensor: Params::new(vec![1.0; model.len()]),
            opt,
            steps,
            samples: 10 * steps,
            loss: 0.5,
            forward_passes: 10 * steps,
            skipped: None,
        }),
        Work::Fold(fold) => Outcome::Folded(Box::new(crate::policy::fold::run(*fold, &[]))),
        Work::Encode { tensor, residual, .. } => {
            let held_back = residual.map_or(vec![0.0; tensor.len()], |r| values(&r).to_vec());
            let all: Vec<f32> =
                values(&tensor).iter().zip(held_back).map(|(value, rest)| value + rest).collect();
            let rest = Params::new(all.iter().map(|value| value - value.floor()).collect());
            Outcome::Encoded { data: coded(&all), residual: Some(rest) }
        }
        Work::Decode { data, .. } => Outcome::Decoded(Params::new(decoded(&data))),
    }
}

/// These values, coded.
pub(crate) fn coded(values: &[f32]) -> Data {
    let payload: Vec<u8> = values.iter().map(|value| value.floor() as i8 as u8).collect();
    let (len, bytes) = (payload.len(), payload.len() as u64);
    Data::Coded(Coded { codec: "whole".into(), len, bytes, payload: Some(Arc::new(payload)) })
}

fn decoded(data: &Data) -> Vec<f32> {
    match data {
        Data::Dense(params) => values(params).to_vec(),
        Data::Coded(coded) => {
            coded.payload.iter().flat_map(|bytes| bytes.iter().map(|byte| f32::from(*byte as i8))).collect()
        }
    }
}

fn values(params: &Params) -> &[f32] {
    params.values().unwrap_or(&[])
}

fn name(names: Names, node: NodeId) -> &'static str {
    names.get(node.index()).copied().unwrap_or("a stranger")
}

fn show_event(names: Names, event: &Event) -> String {
    match event {
        Event::Start => "start".to_owned(),
        Event::Received { from, message } => format!("{}: {}", name(names, *from), show_message(message)),
        Event::Done { job, outcome } => show_done(*job, outcome),
        Event::Timer(token) => format!("timer {}", show_token(*token)),
        Event::Up(node) => format!("{} is there", name(names, *node)),
        Event::Down(node) => format!("{} is lost", name(names, *node)),
        Event::Reconnected(node) => format!("{} is connected again", name(names, *node)),
        Event::Stop(reason) => format!("stop {reason}"),
    }
}

pub(crate) fn show_done(job: JobId, outcome: &Outcome) -> String {
    let what = match outcome {
        Outcome::Trained(t) => format!("trained {:?} in {} steps", t.tensor, t.steps),
        Outcome::Folded(f) => match &f.aggregate {
            Some(aggregate) => format!("folded to {:?}, aggregate {aggregate:?}", f.model),
            None => format!("folded to {:?}", f.model),
        },
        Outcome::Encoded { data, residual } => format!("coded {}, left {residual:?}", show_data(data)),
        Outcome::Decoded(model) => format!("decoded {model:?}"),
        Outcome::Failed(why) => format!("failed: {why}"),
    };
    format!("{job} {what}")
}

pub(crate) fn show_effect(names: Names, effect: &Effect) -> String {
    match effect {
        Effect::Run { job, work } => format!("{job} {}", show_work(work)),
        Effect::Cancel { job, keep_partial: false } => format!("cancel {job}"),
        Effect::Cancel { job, keep_partial: true } => format!("cancel {job}, keep what is done"),
        Effect::Send { to, message } => format!("{}: {}", name(names, *to), show_message(message)),
        Effect::SetTimer { after, token } => format!("timer {} in {after}", show_token(*token)),
        Effect::ClearTimer(token) => format!("no timer {}", show_token(*token)),
        Effect::Commit(commit) => {
            let of = commit.contributors.iter();
            let of: Vec<String> =
                of.map(|c| format!("{} {} x {}", name(names, c.node), c.base, c.weight)).collect();
            format!("commit {} {:?} of {}", commit.version, commit.model, of.join(", "))
        }
        Effect::Dropped { from, why } => format!("drop {}: {}", name(names, *from), why.name()),
        Effect::Noticed { from, what } => format!("notice {}: {what:?}", name(names, *from)),
        Effect::Record(metric) => format!("count {} {}", metric.value, metric.name),
        Effect::Finish(reason) => show_end(reason),
    }
}

pub(crate) fn show_end(reason: &Reason) -> String {
    format!("end {reason}")
}

/// The wrapper's own timers have the highest bit.
fn show_token(token: Token) -> String {
    match token.0 >> 63 {
        0 => token.0.to_string(),
        _ => format!("r{}", token.0 & !(1 << 63)),
    }
}

fn show_work(work: &Work) -> String {
    match work {
        Work::Train(t) => format!("train {} steps from batch {} on {:?}", t.steps, t.cursor, t.model),
        Work::Fold(fold) => show_fold(fold),
        Work::Encode { tensor, residual: None, .. } => format!("code {tensor:?}"),
        Work::Encode { tensor, residual: Some(rest), .. } => format!("code {tensor:?} and {rest:?}"),
        Work::Decode { data, .. } => format!("decode {}", show_data(data)),
    }
}

fn show_fold(fold: &Fold) -> String {
    let terms: Vec<String> = fold.inputs.iter().map(|i| format!("{} x {:?}", i.weight, i.tensor)).collect();
    let onto =
        fold.apply.as_ref().map_or(String::new(), |a| format!(" onto {:?} by {}", fold.base, a.name()));
    format!("{} of {}{onto}", fold.rule.name(), terms.join(", "))
}

/// A message without the fields that are zero.
pub(crate) fn show_message(message: &Message) -> String {
    let head = &message.head;
    let mut text = message.kind.name().to_uppercase();
    if message.sequence > 0 {
        let _ = write!(text, " {}", show_sequence(message.sequence));
    }
    if message.kind != ACK {
        let _ = write!(text, " {}", head.version);
    }
    for (label, version) in [("base", head.base), ("root", head.root)] {
        if version.0 > 0 {
            let _ = write!(text, " {label} {version}");
        }
    }
    text.push_str(&show_detail(message, head.detail));
    for (label, number) in [("samples", head.samples), ("steps", head.steps)] {
        if number > 0 {
            let _ = write!(text, " {label} {number}");
        }
    }
    if head.loss > 0.0 {
        let _ = write!(text, " loss {}", head.loss);
    }
    for Body { name, data } in &message.bodies {
        let _ = write!(text, " {name} {}", show_data(data));
    }
    text
}

fn show_detail(message: &Message, detail: Detail) -> String {
    match message.kind.name() {
        "ack" => {
            let Receipt { sequence, lane } = detail.into();
            let lane = if lane == Lane::Model { "model" } else { "control" };
            format!(" {lane} {}", show_sequence(sequence))
        }
        "chunk" => format!(" step {} chunk {}", detail.long, detail.short),
        _ => {
            let Progress { clock, era } = detail.into();
            let clock = if clock > 0 { format!(" clock {clock}") } else { String::new() };
            match era.0 {
                0 => clock,
                era => format!("{clock} era {}.{}", era >> 16, era & 0xFFFF),
            }
        }
    }
}

/// As life, losses and position.
fn show_sequence(sequence: u64) -> String {
    let era = (sequence >> 32) - 1;
    format!("#{}.{}.{}", era >> 16, era & 0xFFFF, sequence & 0xFFFF_FFFF)
}

fn show_data(data: &Data) -> String {
    match data {
        Data::Dense(params) => format!("{params:?}"),
        Data::Coded(_) => format!("~{:?}", decoded(data)),
    }
}
