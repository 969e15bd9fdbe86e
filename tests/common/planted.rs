//! Policies, folds and nodes with bugs that only some orders of events bring to light, for the search to find.
#![allow(dead_code)]

use hcddl::domain::work::FoldInput;
use hcddl::domain::{
    Choice, NoOptions, NodeId, OptionError, Params, Row, Tables, UpdateId, Version, options,
};
use hcddl::node::kinds::{ASSIGN, UPDATE};
use hcddl::node::work::{UpdateKind, Work};
use hcddl::node::{Cx, Effect, Effects, Event, Node, NodeState};
use hcddl::policy::fold::{FoldRule, Slice};
use hcddl::policy::{BuildPolicy, Claims, Composition, Policy, PolicyEvent, ServerView, Verdict};
use hcddl::registry::Registry;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// The tables with every bug in them; scenarios choose by name. `around` is added where a node is the culprit.
pub fn registry() -> Registry {
    let mut registry = Registry::default();
    let row = |name, build| Row {
        name,
        summary: "a policy with a bug, for tests",
        example: "",
        positional: &["slack"] as &[&str],
        options: options::<Slack>,
        build,
    };
    registry.policies.add(row("ssp_off_by_one", ssp as BuildPolicy));
    registry.policies.add(row("forgetful", forgetful));
    registry.policies.add(row("panics", panics));
    registry.folds.add(Row {
        name: "last_snapshot",
        summary: "delay compensation with a bug, for tests",
        example: "",
        positional: &[],
        options: options::<NoOptions>,
        build: |_, _| Ok(Arc::new(LastSnapshot)),
    });
    registry
}

fn composition(policy: impl Policy + 'static) -> Composition {
    Composition {
        policy: Box::new(policy),
        update: UpdateKind::Gradient,
        fold: Choice::named("sum"),
        optimizer: Choice::named("sgd"),
        rounds: false,
        claims: Claims::default(),
    }
}

/// No run here is saved.
macro_rules! never_saved {
    () => {
        fn save(&self) -> String {
            String::new()
        }
        fn load(&mut self, _: &str) -> Result<(), serde_json::Error> {
            Ok(())
        }
    };
}

/// Stale synchronous parallel that lets everybody run one clock further ahead than it should.
struct OffByOne {
    slack: u64,
    clocks: BTreeMap<NodeId, u64>,
    held: BTreeSet<NodeId>,
}

#[derive(Deserialize, schemars::JsonSchema)]
struct Slack {
    /// Clocks that a child may be ahead.
    slack: u64,
}

fn ssp(options: &Choice, _: &dyn Tables) -> Result<Composition, OptionError> {
    let Slack { slack } = options.options()?;
    let claims = Claims { slack: Some(slack), ..Claims::default() };
    Ok(Composition {
        claims,
        ..composition(OffByOne { slack, clocks: BTreeMap::new(), held: BTreeSet::new() })
    })
}

impl Policy for OffByOne {
    fn on(&mut self, event: PolicyEvent, view: &ServerView<'_>) -> Verdict {
        match event {
            PolicyEvent::Start => {
                self.clocks = view.living().map(|child| (child, 0)).collect();
                Verdict::nothing().reply(view.free())
            }
            PolicyEvent::Update(id) => Verdict { fold: vec![(id, 1.0)], ..Verdict::nothing() },
            PolicyEvent::Folded => {
                for child in view.contributors {
                    self.clocks.insert(*child, view.children[child].clock);
                    self.held.insert(*child);
                }
                let slowest = self.clocks.values().min().copied().unwrap_or(0);
                // The bug: `<` would do with this limit, or `<=` without the 1.
                let limit = slowest + self.slack + 1;
                let free: Vec<NodeId> =
                    self.held.iter().copied().filter(|child| self.clocks[child] <= limit).collect();
                self.held.retain(|child| !free.contains(child));
                Verdict::nothing().reply(free)
            }
            _ => Verdict::nothing(),
        }
    }

    never_saved!();
}

/// Commits every two updates, and forgets what it has of a child when that is lost.
struct Forgetful {
    buffer: Vec<(UpdateId, NodeId)>,
}

fn forgetful(_: &Choice, _: &dyn Tables) -> Result<Composition, OptionError> {
    Ok(composition(Forgetful { buffer: Vec::new() }))
}

impl Policy for Forgetful {
    fn on(&mut self, event: PolicyEvent, view: &ServerView<'_>) -> Verdict {
        match event {
            PolicyEvent::Start => Verdict::nothing().reply(view.free()),
            PolicyEvent::Update(id) => {
                self.buffer.push((id, view.pending[&id].from));
                if self.buffer.len() < 2 {
                    return Verdict::nothing();
                }
                let fold = std::mem::take(&mut self.buffer).into_iter().map(|(id, _)| (id, 1.0)).collect();
                Verdict { fold, ..Verdict::nothing() }
            }
            PolicyEvent::Folded => Verdict::nothing().reply(view.contributors.iter().copied()),
            PolicyEvent::Joined(child) => Verdict::nothing().reply([child]),
            PolicyEvent::Lost(child) => {
                // The bug: an update stays valid when its sender is lost.
                self.buffer.retain(|(_, from)| *from != child);
                Verdict::nothing()
            }
            PolicyEvent::Timer => Verdict::nothing(),
        }
    }

    never_saved!();
}

/// Asynchronous; believes that no update is ever six versions old.
struct Panics;

fn panics(_: &Choice, _: &dyn Tables) -> Result<Composition, OptionError> {
    Ok(composition(Panics))
}

impl Policy for Panics {
    fn on(&mut self, event: PolicyEvent, view: &ServerView<'_>) -> Verdict {
        match event {
            PolicyEvent::Start => Verdict::nothing().reply(view.free()),
            PolicyEvent::Update(id) => {
                assert!(view.staleness(&view.pending[&id]) < 6, "nobody is that slow");
                Verdict { fold: vec![(id, 1.0)], ..Verdict::nothing() }
            }
            PolicyEvent::Folded => Verdict::nothing().reply(view.contributors.iter().copied()),
            _ => Verdict::nothing(),
        }
    }

    never_saved!();
}

/// Delay compensation that measures the distance from the snapshot of the update before.
#[derive(Debug)]
struct LastSnapshot;

impl FoldRule for LastSnapshot {
    fn name(&self) -> &'static str {
        "last_snapshot"
    }

    fn weights(&self, inputs: &[FoldInput]) -> Vec<f32> {
        inputs.iter().map(|input| input.weight).collect()
    }

    fn fold(&self, inputs: &[Slice<'_>], base: &[f32], state: &mut [Vec<f32>], out: &mut [f32]) {
        for input in inputs {
            let own = input.snapshot.expect("the server keeps snapshots for this rule");
            let first = state[0].iter().all(|value| *value == 0.0);
            let before = std::mem::replace(&mut state[0], own.to_vec());
            // The bug: it has `own` and takes `before`.
            let snapshot = if first { own } else { &before };
            for i in 0..out.len() {
                let g = input.values[i];
                out[i] += input.weight * (g + 0.04 * g * g * (base[i] - snapshot[i]));
            }
        }
    }

    fn needs_snapshots(&self) -> bool {
        true
    }

    fn slots(&self) -> usize {
        1
    }
}

/// Reliable delivery that does not know a resent update when it sees one: the server gets it twice.
pub fn gets_retries_twice(id: NodeId, node: Box<dyn Node>) -> Box<dyn Node> {
    match id {
        NodeId(0) => Box::new(Twice { inner: node, seen: BTreeSet::new() }),
        _ => node,
    }
}

struct Twice {
    inner: Box<dyn Node>,
    seen: BTreeSet<(NodeId, u64)>,
}

impl Node for Twice {
    fn on(&mut self, cx: &Cx, event: Event, out: &mut Effects) {
        match event {
            Event::Received { from, mut message } if message.kind == UPDATE => {
                if !self.seen.insert((from, message.sequence)) {
                    // The bug: without its number nobody can tell that it was here before.
                    message.sequence = 0;
                }
                self.inner.on(cx, Event::Received { from, message }, out);
            }
            event => self.inner.on(cx, event, out),
        }
    }

    fn save(&self) -> NodeState {
        self.inner.save()
    }
}

/// A server that keeps the last eight models and takes a worker's snapshot from there, however old that is.
pub fn keeps_eight_snapshots(id: NodeId, node: Box<dyn Node>) -> Box<dyn Node> {
    match id {
        NodeId(0) => Box::new(Ring { inner: node, models: BTreeMap::new(), waiting: VecDeque::new() }),
        _ => node,
    }
}

const RING: u64 = 8;

struct Ring {
    inner: Box<dyn Node>,
    models: BTreeMap<u64, Params>,
    /// Bases of the updates that were received and are not folded; an asynchronous server folds one at a time.
    waiting: VecDeque<Version>,
}

impl Node for Ring {
    fn on(&mut self, cx: &Cx, event: Event, out: &mut Effects) {
        if let Event::Received { message, .. } = &event
            && message.kind == UPDATE
        {
            self.waiting.push_back(message.head.base);
        }
        let first = out.0.len();
        self.inner.on(cx, event, out);
        for effect in &mut out.0[first..] {
            match effect {
                Effect::Send { message, .. } if message.kind == ASSIGN => {
                    let model = message.params().expect("models are not coded here").clone();
                    self.models.insert(message.head.version.0 % RING, model);
                }
                Effect::Run { work: Work::Fold(fold), .. } => {
                    let base = self.waiting.pop_front().expect("an update is folded once");
                    // The bug: by now the place may hold a newer model.
                    fold.inputs[0].snapshot = self.models.get(&(base.0 % RING)).cloned();
                }
                _ => {}
            }
        }
    }

    fn save(&self) -> NodeState {
        self.inner.save()
    }
}
